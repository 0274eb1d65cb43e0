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
class More:
    """Images (n, height, width, 3) without labels, for a training with a teacher: `count` of them in each batch."""

    images: NDArray[np.uint8]
    count: int


@dataclass(frozen=True)
class Batch:
    """Images (b, 3, h, w), masks (b, h, w) with -100 for void, and of which images they are which views.

    Images without labels come last, all void; they are numbered after the split's own.
    """

    images: Tensor
    masks: Tensor
    draws: Tensor
    chosen: NDArray[np.int64]
    input_scale: float


def augmented_batches(
    network: Viewer,
    split: Split,
    schedule: Schedule,
    classes: int,
    device: torch.device,
    *,
    first: int = 0,
    more: More | None = None,
    more_from: int = 0,
) -> Iterator[Batch]:
    """Augmented batches of the whole schedule from step `first` on; the seed alone settles their order and crops.

    From step `more_from` on they hold `more` images without labels: what is drawn of the others stays as it is.
    """
    shares = repeat_shares(split.masks, classes) if schedule.balanced else None
    orders = itertools.islice(_orders(len(split), schedule, shares), schedule.steps_for(len(split)))
    others = None if more is None else _others(more, schedule.seed)
    source = (int(split.images.shape[1]), int(split.images.shape[2]))
    for step, (chosen, draws) in enumerate(orders):
        extra = next(others) if others is not None and step >= more_from else None
        if step < first:
            continue  # drawn all the same: what follows depends on it
        input_scale = schedule.view_scale(step, len(split), network.input_scale)
        height, width = schedule.crop_of(source, input_scale)
        images, masks = taken(split.images, chosen), taken(split.masks, chosen)
        if extra is not None and more is not None:
            images = torch.cat([images, taken(more.images, extra[0])])
            masks = torch.cat([masks, torch.full((more.count, *masks.shape[1:]), VOID, dtype=masks.dtype)])
            chosen, draws = np.concatenate([chosen, len(split) + extra[0]]), torch.cat([draws, extra[1]])
        images, masks = views_of(
            images.to(device),
            masks.to(device),
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


def _others(more: More, seed: int) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Which images without labels each step takes, and their views, for ever: all of them before one comes again.

    From a generator of their own, so that the images with labels are those of a training without these.
    """
    generator = torch.Generator().manual_seed(seed + 1)
    waiting = np.empty(0, dtype=np.int64)
    while True:
        while len(waiting) < more.count:
            waiting = np.concatenate([waiting, torch.randperm(len(more.images), generator=generator).numpy()])
        chosen, waiting = np.sort(waiting[: more.count]), waiting[more.count :]
        yield chosen, draw_views(more.count, generator)


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
