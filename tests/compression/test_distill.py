"""The losses of distillation by hand: pixel by pixel, and class by class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segsearch.compression.distill import Teaching, distillation_loss


def test_distillation_loss_is_zero_for_the_teacher_itself_and_scales_with_temperature() -> None:
    said = torch.randn(2, 4, 3, 3)
    inside = torch.ones(2, 1, 3, 3)
    assert distillation_loss(said, said, inside, temperature=3.0).item() == pytest.approx(0, abs=1e-5)
    scores = torch.zeros_like(said)
    by_hand = 0.0
    soft = torch.softmax(said / 2, dim=1)
    by_hand = 4 * (soft * (soft.log() - np.log(1 / 4))).sum(dim=1).mean().item()
    assert distillation_loss(scores, said, inside, temperature=2.0).item() == pytest.approx(by_hand, rel=1e-4)


def test_distillation_leaves_out_what_is_outside_the_image() -> None:
    said, scores = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2)
    inside = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    top = distillation_loss(scores[:, :, :1], said[:, :, :1], inside[:, :, :1], temperature=1.0)
    assert distillation_loss(scores, said, inside, temperature=1.0).item() == pytest.approx(top.item(), rel=1e-5)
    assert distillation_loss(scores, said, torch.zeros_like(inside), temperature=1.0).item() == 0


# ---- class by class


def channel(scores: torch.Tensor, said: torch.Tensor, inside: torch.Tensor | None = None, *, at: float = 1.0) -> float:
    whole = torch.ones(len(said), 1, *said.shape[2:]) if inside is None else inside
    return distillation_loss(scores, said, whole, temperature=at, kind="channel").item()


def test_channel_loss_by_hand() -> None:
    """Two classes on two pixels. A teacher's log 3 beside 0 is a place of 3/4 and 1/4, at temperature 2 of root 3."""
    said = torch.tensor([[[[np.log(3.0), 0.0]], [[0.0, 0.0]]]])
    scores = torch.zeros_like(said)
    first = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert channel(scores, said) == pytest.approx(first / 2, rel=1e-5)  # the second class is where the teacher says
    share = np.sqrt(3) / (1 + np.sqrt(3))
    softened = share * np.log(2 * share) + (1 - share) * np.log(2 * (1 - share))
    assert channel(scores, said, at=2.0) == pytest.approx(4 * softened / 2, rel=1e-5)
    assert channel(torch.cat([scores, said]), torch.cat([said, said])) == pytest.approx(first / 4, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_channel_loss_is_zero_for_the_teacher_itself_and_blind_to_a_constant_of_a_class(temperature: float) -> None:
    said, scores = torch.randn(2, 4, 5, 3), torch.randn(2, 4, 5, 3)
    raised = torch.randn(2, 4, 1, 1) * 10
    assert channel(said, said, at=temperature) == pytest.approx(0, abs=1e-5)
    assert channel(said + raised, said, at=temperature) == pytest.approx(0, abs=1e-4)
    assert channel(scores + raised, said - raised, at=temperature) == pytest.approx(
        channel(scores, said, at=temperature), rel=1e-3
    )
    assert channel(scores, said, at=temperature) > 0.01


def test_channel_loss_leaves_out_what_is_outside_the_image() -> None:
    said, scores = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2, requires_grad=True)
    inside = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    assert channel(scores, said, inside) == pytest.approx(channel(scores[:, :, :1], said[:, :, :1]), rel=1e-5)
    loss = distillation_loss(scores, said, inside, temperature=1.0, kind="channel")
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient[:, :, 1].abs().max() == 0
    assert gradient[:, :, 0].abs().max() > 0
    nothing = distillation_loss(scores, said, torch.zeros_like(inside), temperature=1.0, kind="channel")
    assert nothing.item() == 0
    assert torch.isfinite(torch.autograd.grad(nothing, scores)[0]).all()


def test_places_are_said_on_top_of_the_labels_and_classes_in_place_of_them() -> None:
    hard, soft, logits = torch.tensor(2.0), torch.tensor(3.0), np.zeros((1, 2, 1, 1), dtype=np.float16)
    assert Teaching(logits, 0.7, 2.0).joined(hard, soft).item() == pytest.approx(0.3 * 2 + 0.7 * 3)
    assert Teaching(logits, 0.7, 2.0, "channel").joined(hard, soft).item() == pytest.approx(2 + 0.7 * 3)
    assert Teaching(logits, 3.0, 2.0, "pairs").joined(hard, soft).item() == pytest.approx(2 + 3 * 3)


# ---- pair by pair


def pairs(scores: torch.Tensor, said: torch.Tensor, inside: torch.Tensor | None = None, *, at: float = 1.0) -> float:
    whole = torch.ones(len(said), 1, *said.shape[2:]) if inside is None else inside
    return distillation_loss(scores, said, whole, temperature=at, kind="pairs").item()


def test_pairs_by_hand() -> None:
    """Two places. The teacher is as good as sure of two classes, whose cosine is 0; the student says one of both."""
    said = torch.tensor([[[[50.0, -50.0]], [[-50.0, 50.0]]]])
    scores = torch.zeros_like(said)
    assert pairs(scores, said) == pytest.approx(2 / 4, rel=1e-5)  # of four pairs the two unequal ones differ by 1
    soft = torch.softmax(said[0, :, 0] / 50, dim=0)  # (e, 1/e) and the other way round, each to length 1
    apart = 1 - float((soft[:, 0] @ soft[:, 1]) / soft[:, 0].norm() ** 2)
    assert pairs(scores, said, at=50.0) == pytest.approx(2 * apart**2 / 4, rel=1e-5)
    assert pairs(torch.cat([scores, said]), torch.cat([said, said])) == pytest.approx(1 / 4, rel=1e-5)


def test_which_classes_they_are_is_nothing_to_pairs_and_places_are_pooled() -> None:
    said = torch.randn(2, 4, 60, 50)
    assert pairs(said, said) == pytest.approx(0, abs=1e-9)
    assert pairs(said.flip(1), said) == pytest.approx(0, abs=1e-9)
    assert pairs(torch.randn_like(said) * 3, said) > 1e-4
    shifted = said + torch.randn(2, 1, 60, 50)  # scores of a pixel that all rise say the same of it
    assert pairs(shifted, said) == pytest.approx(0, abs=1e-9)


def test_pairs_leave_out_what_is_outside_the_image_and_nothing_is_no_nan() -> None:
    said, scores = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4, requires_grad=True)
    inside = torch.ones(1, 1, 4, 4)
    inside[:, :, 2:] = 0
    assert pairs(scores, said, inside) == pytest.approx(pairs(scores[:, :, :2], said[:, :, :2]), rel=1e-5)
    (gradient,) = torch.autograd.grad(distillation_loss(scores, said, inside, temperature=1.0, kind="pairs"), scores)
    assert gradient[:, :, 2:].abs().max() == 0
    assert gradient[:, :, :2].abs().max() > 0
    nothing = distillation_loss(scores, said, torch.zeros_like(inside), temperature=1.0, kind="pairs")
    assert nothing.item() == 0
    assert torch.isfinite(torch.autograd.grad(nothing, scores)[0]).all()
