"""Augmented batches, in an order and with crops that the seed alone settles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsearch.datasets import Split
from segsearch.datasets.augment import draw_views, views_of
from segsearch.training.schedule import Schedule

# The label of a pixel that no loss counts: torch's own, wider than a mask's.
IGNORED = -100
VOID = 255


class Viewer(Protocol):
    """What is trained, as far as its batches need to know: its own grid has so much of each side of an image."""

    @property
    def input_scale(self) -> float: ...


@dataclass(frozen=True)
class Batch:
    """Images (b, 3, h, w), masks (b, h, w) with -100 for void, and of which images they are which views."""

    images: Tensor
    masks: Tensor
    draws: Tensor
    chosen: NDArray[np.int64]
    input_scale: float


def augmented_batches(
    network: Viewer, split: Split, schedule: Schedule, classes: int, device: torch.device, *, first: int = 0
) -> Iterator[Batch]:
    """Augmented batches of the whole schedule from step `first` on; the seed alone settles their order and crops."""
    shares = repeat_shares(split.masks, classes) if schedule.balanced else None
    orders = itertools.islice(_orders(len(split), schedule, shares), schedule.steps_for(len(split)))
    source = (int(split.images.shape[1]), int(split.images.shape[2]))
    for step, (chosen, draws) in enumerate(orders):
        if step < first:
            continue  # drawn all the same: what follows depends on it
        input_scale = schedule.view_scale(step, len(split), network.input_scale)
        height, width = schedule.crop_of(source, input_scale)
        images, masks = views_of(
            taken(split.images, chosen).to(device),
            taken(split.masks, chosen).to(device),
            draws,
            height=height,
            width=width,
            input_scale=input_scale,
            void=VOID,
            settings=schedule.augment,
        )
        yield Batch(images, torch.where(masks < classes, masks, IGNORED), draws, chosen, input_scale)


def _orders(
    images: int, schedule: Schedule, shares: NDArray[np.float64] | None
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Which images each step takes, and the random numbers of their views; the last epoch is whole, too."""
    generator = torch.Generator().manual_seed(schedule.seed)
    for _ in range(schedule.epochs):
        if shares is None:
            order = torch.randperm(images, generator=generator).numpy()
        else:
            order = torch.multinomial(torch.from_numpy(shares), images, replacement=True, generator=generator).numpy()
        for start in range(0, images - schedule.batch_size + 1, schedule.batch_size):
            # Sorted, because the images may lie in a file that is read in order.
            chosen = np.sort(order[start : start + schedule.batch_size])
            yield chosen, draw_views(len(chosen), generator)


def repeat_shares(masks: NDArray[np.uint8], classes: int) -> NDArray[np.float64]:
    """How often each image is shown, as shares that add up to 1, by the rarest class in it.

    Repeat factors of LVIS (Gupta et al., arXiv:1908.03195): the root of a threshold over the share of images that show
    the class, at least 1. The threshold is the median class's share, so that half of the classes are rare.
    """
    there = np.stack([np.bincount(mask.reshape(-1), minlength=256)[:classes] > 0 for mask in masks])
    shown = there.mean(axis=0)
    threshold = float(np.median(shown[shown > 0])) if shown.any() else 1.0
    factors = np.maximum(1.0, np.sqrt(threshold / np.maximum(shown, 1.0 / len(masks))))
    repeats = np.where(there, factors, 1.0).max(axis=1)
    shares: NDArray[np.float64] = repeats / repeats.sum()
    return shares


def taken(array: NDArray[Any], chosen: NDArray[np.int64]) -> Tensor:
    """The chosen rows as a tensor of its own: the array may be a file that can only be read."""
    return torch.from_numpy(np.take(array, chosen, axis=0))
