"""Augmented batches, in an order and with crops that the seed alone settles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsearch.datasets import Split
from segsearch.datasets.augment import draw_views, views_of
from segsearch.networks import Network
from segsearch.training.schedule import Schedule

# The label of a pixel that no loss counts: torch's own, wider than a mask's.
IGNORED = -100
VOID = 255


@dataclass(frozen=True)
class Batch:
    """Images (b, 3, h, w), masks (b, h, w) with -100 for void, and the views of which images they are."""

    images: Tensor
    masks: Tensor
    draws: Tensor
    chosen: NDArray[np.int64]


def augmented_batches(
    network: Network, split: Split, schedule: Schedule, classes: int, device: torch.device
) -> Iterator[Batch]:
    """Augmented batches of the whole schedule, in an order and with crops that depend on the seed alone."""
    return itertools.islice(
        _epochs_of_batches(network, split, schedule, classes, device), schedule.steps_for(len(split))
    )


def _epochs_of_batches(
    network: Network, split: Split, schedule: Schedule, classes: int, device: torch.device
) -> Iterator[Batch]:
    """The last epoch is whole, too."""
    generator = torch.Generator().manual_seed(schedule.seed)
    height, width = schedule.crop_of((int(split.images.shape[1]), int(split.images.shape[2])), network.input_scale)
    for _ in range(schedule.epochs):
        order = torch.randperm(len(split), generator=generator).numpy()
        for start in range(0, len(order) - schedule.batch_size + 1, schedule.batch_size):
            # Sorted, because the images may lie in a file that is read in order.
            chosen = np.sort(order[start : start + schedule.batch_size])
            draws = draw_views(len(chosen), generator)
            images, masks = views_of(
                taken(split.images, chosen).to(device),
                taken(split.masks, chosen).to(device),
                draws,
                height=height,
                width=width,
                input_scale=network.input_scale,
                void=VOID,
                settings=schedule.augment,
            )
            yield Batch(images, torch.where(masks < classes, masks, IGNORED), draws, chosen)


def taken(array: NDArray[Any], chosen: NDArray[np.int64]) -> Tensor:
    """The chosen rows as a tensor of its own: the array may be a file that can only be read."""
    return torch.from_numpy(np.take(array, chosen, axis=0))
