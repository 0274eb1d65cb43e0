"""The loss of distillation by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segsearch.compression.distill import distillation_loss


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
