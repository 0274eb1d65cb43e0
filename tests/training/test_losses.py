"""Losses by hand, void left out, and the weights of classes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from segsearch.training.losses import class_weights, jaccard_loss, label_offsets, pixel_loss, total_loss
from tests.training.schedules import SCHEDULE, trained


def test_pixel_loss_by_hand() -> None:
    """Two pixels, two classes, weights 1 and 3: the weighted mean of their cross-entropies."""
    scores = torch.tensor([[[[2.0, 0.0]], [[0.0, 0.0]]]])  # (1, 2, 1, 2)
    masks = torch.tensor([[[0, 1]]])
    first, second = np.log1p(np.exp(-2.0)), np.log(2.0)
    expected = (1 * first + 3 * second) / 4
    assert pixel_loss(scores, masks, torch.tensor([1.0, 3.0])).item() == pytest.approx(expected, rel=1e-6)


def test_pixel_loss_leaves_void_out_and_survives_a_batch_of_void() -> None:
    scores = torch.randn(1, 3, 4, 4, requires_grad=True)
    masks = torch.randint(0, 3, (1, 4, 4))
    weights = torch.ones(3)
    half = masks.clone()
    half[:, :2] = -100
    assert pixel_loss(scores, half, weights).item() == pytest.approx(
        pixel_loss(scores[:, :, 2:], masks[:, 2:], weights).item(), rel=1e-5
    )
    void = pixel_loss(scores, torch.full_like(masks, -100), weights)
    void.backward()
    assert void.item() == 0
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_pixel_loss_is_torchs_weighted_cross_entropy() -> None:
    scores, masks, weights = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5)), torch.tensor([1.0, 2.0, 0.5])
    expected = nn.functional.cross_entropy(scores, masks, weight=weights)
    assert pixel_loss(scores, masks, weights).item() == pytest.approx(expected.item(), rel=1e-5)


def test_jaccard_loss_by_hand() -> None:
    """Two pixels, sure of class 0 in both; truth is 0 and 1: IoU of class 0 is 1/2, of class 1 it is 0."""
    scores = torch.tensor([[[[50.0, 50.0]], [[-50.0, -50.0]]]])
    loss = jaccard_loss(scores, torch.tensor([[[0, 1]]]))
    assert loss.item() == pytest.approx(1 - (0.5 + 0.0) / 2, abs=1e-5)


def test_jaccard_loss_leaves_void_and_absent_classes_out() -> None:
    scores = torch.tensor([[[[50.0, -50.0]], [[-50.0, 50.0]], [[-50.0, -50.0]]]], requires_grad=True)
    assert jaccard_loss(scores, torch.tensor([[[0, -100]]])).item() == pytest.approx(0, abs=1e-5)
    void = jaccard_loss(scores, torch.tensor([[[-100, -100]]]))
    void.backward()
    assert void.item() == 0
    assert torch.isfinite(scores.grad).all()


def test_the_jaccard_weight_matters_and_0_is_without_it() -> None:
    losses = [trained(replace(SCHEDULE, epochs=1, jaccard_weight=weight))[1][0] for weight in (0.0, 1.0)]
    assert 0 < losses[1] - losses[0] < 1.5


def best_shift(recipe: int, axis: int) -> float:
    """How far a network must move its edges, in pixels, for the least loss over many steps.

    Scores of a crop of 32 x 32 rise along an axis and cross zero at an edge; labels change there; edges of 8 to 24 are
    all seen alike often.
    """
    places = torch.arange(32) + 0.5
    edges = torch.arange(8, 25)
    labels = (places > edges[:, None]).long()[:, :, None].expand(-1, -1, 32)
    labels = labels if axis == 0 else labels.transpose(1, 2)
    offsets = list(itertools.islice(label_offsets(replace(SCHEDULE, recipe=recipe)), 400))
    shares = {offset: offsets.count(offset) / len(offsets) for offset in set(offsets)}
    network = SimpleNamespace(auxiliary_weights=())
    losses = {}
    for shift in torch.linspace(-1, 1, 33).tolist():
        rise = (places - edges[:, None] - shift)[:, :, None].expand(-1, -1, 32)
        rise = rise if axis == 0 else rise.transpose(1, 2)
        scores = torch.stack([torch.zeros_like(rise), 2 * rise], dim=1)
        losses[shift] = sum(
            share * total_loss(network, scores, [], labels, torch.ones(2), jaccard_weight=1.0, offset=offset).item()
            for offset, share in shares.items()
        )
    return min(losses, key=losses.__getitem__)


@pytest.mark.parametrize("axis", [0, 1])
def test_what_is_learned_lies_where_it_is_asked(axis: int) -> None:
    """Recipe 1 looks at the label half a pixel after each score, and learns edges half a pixel too early."""
    assert best_shift(1, axis) == pytest.approx(-0.5, abs=0.07)
    assert best_shift(2, axis) == pytest.approx(0.0, abs=0.07)


def test_offsets_are_the_seeds_own_and_all_four_come_alike_often() -> None:
    drawn = list(itertools.islice(label_offsets(replace(SCHEDULE, recipe=2)), 4000))
    assert {offset: drawn.count(offset) for offset in set(drawn)} == pytest.approx(
        {(row, column): 1000 for row in (0, 1) for column in (0, 1)}, abs=120
    )
    assert drawn == list(itertools.islice(label_offsets(replace(SCHEDULE, recipe=2)), 4000))
    assert drawn != list(itertools.islice(label_offsets(replace(SCHEDULE, recipe=2, seed=1)), 4000))
    assert set(itertools.islice(label_offsets(SCHEDULE), 50)) == {(1, 1)}


def test_an_odd_crop_has_labels_at_both_offsets() -> None:
    scores, masks = torch.randn(1, 3, 9, 11), torch.randint(0, 3, (1, 33, 35))
    for offset in ((0, 0), (0, 1), (1, 0), (1, 1)):
        loss = total_loss(
            SimpleNamespace(auxiliary_weights=(0.5,)),
            scores,
            [scores],
            masks,
            torch.ones(3),
            jaccard_weight=1.0,
            offset=offset,
        )
        assert torch.isfinite(loss)


def test_class_weights_by_hand() -> None:
    masks = np.array([[[0, 0, 0, 1, 255]]], dtype=np.uint8)
    raw = 1 / np.log(1.02 + np.array([0.75, 0.25]))
    assert class_weights(masks, 2, kind="log").tolist() == pytest.approx((raw / raw.mean()).tolist(), rel=1e-5)
    assert class_weights(masks, 2, kind="none").tolist() == [1.0, 1.0]
    absent = class_weights(masks, 3, kind="log")
    assert torch.isfinite(absent).all()
    assert absent[2] == absent.max()
