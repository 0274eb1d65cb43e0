"""Batches: every candidate sees the same ones."""

from __future__ import annotations

from dataclasses import replace

import torch

from segsearch.networks import build
from segsearch.space.candidate import Head
from segsearch.training.loop import train
from tests.scenes import tiny_dataset
from tests.training.schedules import CPU, SCHEDULE, SMALL


def test_candidates_are_paired_whatever_their_size() -> None:
    """Two networks of different widths see the same images in the same order, though torch's own generator moved on."""
    data = tiny_dataset()
    seen: list[list[torch.Tensor]] = []
    for width in (8, 16):
        batches: list[torch.Tensor] = []
        network = build(replace(SMALL, head=Head(width)), len(data.classes))
        network.encoders[0].register_forward_pre_hook(lambda _, args, into=batches: into.append(args[0].clone()))
        torch.rand(width)
        train(network, data.train, replace(SCHEDULE, epochs=1), classes=len(data.classes), device=CPU)
        seen.append(batches)
    assert len(seen[0]) == len(seen[1]) > 2
    assert all(torch.equal(one, two) for one, two in zip(*seen, strict=True))
