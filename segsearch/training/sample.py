"""What a network loses on a few training batches, the same ones each time: shown to steps that look at data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from segsearch.compression.types import Losses
from segsearch.datasets import Split
from segsearch.networks import Network
from segsearch.training.batches import augmented_batches
from segsearch.training.losses import class_weights, label_offsets, total_loss
from segsearch.training.schedule import Schedule
from segsearch.workshop import Progress, silent

SAMPLED_BATCHES = 16


def losses_over(
    split: Split, schedule: Schedule, *, classes: int, device: torch.device, progress: Progress = silent
) -> Losses:
    """The losses of the first batches that the schedule's seed gives, as training has them; in float32, untaught."""
    few = replace(schedule, small_start=0.0).of_steps(SAMPLED_BATCHES, len(split))

    def losses(network: nn.Module) -> Iterator[Tensor]:
        network = cast(Network, network).to(device)
        weights = class_weights(split.masks, classes, kind=few.class_weights).to(device)
        batches = augmented_batches(network, split, few, classes, device)
        for done, (batch, offset) in enumerate(zip(batches, label_offsets(few), strict=False), start=1):
            scores, auxiliary = network.scores_and_auxiliary(batch.images)
            yield total_loss(
                network, scores, auxiliary, batch.masks, weights, jaccard_weight=few.jaccard_weight, offset=offset
            )
            progress("look", done, SAMPLED_BATCHES)

    return losses
