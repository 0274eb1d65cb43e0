"""A network and a schedule that train within a second."""

from __future__ import annotations

import torch

from segsearch.compression.distill import Teaching
from segsearch.networks import Network, build
from segsearch.space.architecture import Architecture, Context, EncoderPath, Head, Stage, Stem
from segsearch.training.loop import train
from segsearch.training.schedule import Schedule
from tests.scenes import tiny_dataset

SMALL = Architecture(
    (
        EncoderPath(
            Stem(8), (Stage("conv", 8, 1, 2), Stage("residual", 16, 1, 2)), Context("pyramid_pooling", 16, bins=(1, 2))
        ),
    ),
    (),
    Head(16),
    input_scale=0.5,
)


SCHEDULE = Schedule(
    epochs=2,
    batch_size=4,
    learning_rate=3e-3,
    weight_decay=1e-2,
    height=32,
    width=48,
    class_weights="log",
    seed=0,
)


CPU = torch.device("cpu")


def trained(schedule: Schedule, *, teaching: Teaching | None = None) -> tuple[Network, tuple[float, ...]]:
    data = tiny_dataset()
    network = build(SMALL, len(data.classes), seed=schedule.seed)
    learned = train(network, data.train, schedule, classes=len(data.classes), device=CPU, teaching=teaching)
    return network, learned.losses
