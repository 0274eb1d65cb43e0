"""Losses by hand, void left out, and the weights of classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from segsearch.training.losses import class_weights, jaccard_loss, pixel_loss
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


def test_class_weights_by_hand() -> None:
    masks = np.array([[[0, 0, 0, 1, 255]]], dtype=np.uint8)
    raw = 1 / np.log(1.02 + np.array([0.75, 0.25]))
    assert class_weights(masks, 2, kind="log").tolist() == pytest.approx((raw / raw.mean()).tolist(), rel=1e-5)
    assert class_weights(masks, 2, kind="none").tolist() == [1.0, 1.0]
    absent = class_weights(masks, 3, kind="log")
    assert torch.isfinite(absent).all()
    assert absent[2] == absent.max()
