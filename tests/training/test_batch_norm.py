"""Batch norm's statistics, taken anew."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from segsearch.networks import build
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.training.batch_norm import estimate_batch_norm
from tests.scenes import tiny_dataset
from tests.training.schedules import CPU, SMALL


def test_batch_norm_is_estimated_on_plain_images() -> None:
    data = tiny_dataset()
    network = build(SMALL, len(data.classes))
    norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    norm.running_mean.fill_(1e6)
    momentum = norm.momentum
    estimate_batch_norm(network, data.train, device=CPU, batch_size=4)
    assert norm.running_mean.abs().max() < 100
    assert norm.momentum == momentum
    assert not network.training


def test_batch_norm_survives_a_last_part_of_one_image() -> None:
    """13 images in parts of 4 would leave one, whose map of 1 x 1 cannot be normalised."""
    data = tiny_dataset()
    stages = tuple(Stage("conv", 8, 1, 2) for _ in range(6))
    network = build(Architecture((EncoderPath(Stem(8), stages),), (), Head(8), input_scale=0.5), 3)
    split = replace(data.train, names=("a",) * 9, images=data.train.images[:9])
    estimate_batch_norm(network, split, device=CPU, batch_size=4)
