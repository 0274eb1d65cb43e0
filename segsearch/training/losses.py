"""What a network is told of its scores: pixels by class weight, intersection over union, a teacher's word."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segsearch.compression.distill import Teaching, distillation_loss
from segsearch.datasets.augment import Augment, maps_of
from segsearch.networks import Network
from segsearch.networks.layers import resize, spatial_size
from segsearch.training.batches import IGNORED, Batch, taken
from segsearch.training.schedule import Schedule


def soft_loss(
    scores: Tensor, batch: Batch, teaching: Teaching, *, source: tuple[int, int], settings: Augment
) -> Tensor:
    """What the teacher said of the same views, compared on the student's own grid: a full-size one says no more."""
    said, inside = maps_of(
        taken(teaching.logits, batch.chosen).to(scores.device).float(),
        batch.draws,
        source=source,
        crop=spatial_size(batch.masks),
        size=spatial_size(scores),
        input_scale=batch.input_scale,
        settings=settings,
    )
    return distillation_loss(scores.contiguous(), said, inside, temperature=teaching.temperature, kind=teaching.kind)


def label_offsets(schedule: Schedule) -> Iterator[tuple[int, int]]:
    """Which of every two rows and columns of labels each step looks at: 0 is the first, 1 the second.

    Scores at half the crop's size lie between two labels, half a pixel from each. Recipe 1 always takes the second one,
    so that what is learned lies half a pixel beside what is asked; 2 draws, and is right on average. The numbers come
    from a generator of their own: the order of images and the crops are the same for both.
    """
    if schedule.recipe == 1:
        yield from itertools.repeat((1, 1))
    generator = torch.Generator().manual_seed(schedule.seed)
    while True:
        row, column = torch.randint(0, 2, (2,), generator=generator).tolist()
        yield row, column


def total_loss(
    network: Network,
    scores: Tensor,
    auxiliary: list[Tensor],
    masks: Tensor,
    weights: Tensor,
    *,
    jaccard_weight: float,
    offset: tuple[int, int] = (1, 1),
) -> Tensor:
    """Pixel and Jaccard loss of scores (n, classes, h, w), with those of the auxiliary heads by their weights.

    masks (n, height, width) of the crops; every other row and column counts, from `offset` on.
    """
    loss = scores_loss(scores, masks, weights, jaccard_weight=jaccard_weight, offset=offset)
    masks = every_other(masks, offset)
    for extra, weight in zip(auxiliary, network.auxiliary_weights, strict=True):
        extra_scores = resize(extra.float().contiguous(), spatial_size(masks))
        loss = loss + weight * pixel_loss(extra_scores, masks, weights)
    return loss


def every_other(masks: Tensor, offset: tuple[int, int]) -> Tensor:
    """Every other row and column of masks (n, height, width), from `offset` on.

    A decoder's grid is coarser still, and the loss at full size costs as much as a small encoder.
    """
    return masks[:, offset[0] :: 2, offset[1] :: 2]


def scores_loss(
    scores: Tensor, masks: Tensor, weights: Tensor, *, jaccard_weight: float, offset: tuple[int, int] = (1, 1)
) -> Tensor:
    """Pixel and Jaccard loss of scores (n, classes, h, w) against masks (n, height, width), as `total_loss` has it."""
    masks = every_other(masks, offset)
    # Contiguous: the softmax over channels_last scores of few classes is several times slower.
    scores = resize(scores.contiguous(), spatial_size(masks))
    loss = pixel_loss(scores, masks, weights)
    return loss + jaccard_weight * jaccard_loss(scores, masks) if jaccard_weight else loss


def pixel_loss(scores: Tensor, masks: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy: scores (n, classes, h, w), masks (n, h, w) with -100 for void.

    A batch that is all void gives 0, not NaN.
    """
    total = F.cross_entropy(scores, masks, weight=weights, ignore_index=IGNORED, reduction="sum")
    counted = weights[masks.clamp(min=0)] * (masks != IGNORED)
    return total / counted.sum().clamp(min=1.0)


def jaccard_loss(scores: Tensor, masks: Tensor) -> Tensor:
    """1 - soft intersection over union, averaged over the classes in the batch (Rahman and Wang, ISVC 2016).

    scores (n, classes, h, w), masks (n, h, w) with -100 for void. What is scored is mIoU: rare classes count in it as
    much as frequent ones. A batch that is all void gives 0.
    """
    known = (masks != IGNORED)[:, None]
    truth = F.one_hot(masks.clamp(min=0), scores.shape[1]).permute(0, 3, 1, 2) * known
    predicted = scores.softmax(dim=1) * known
    both = (predicted * truth).sum(dim=(0, 2, 3))
    pixels = truth.sum(dim=(0, 2, 3))
    union = predicted.sum(dim=(0, 2, 3)) + pixels - both
    there = (pixels > 0).float()
    return ((1 - both / union.clamp(min=1.0)) * there).sum() / there.sum().clamp(min=1.0)


def class_weights(masks: NDArray[np.uint8], classes: int, *, kind: Literal["none", "log"]) -> Tensor:
    """Weights of the classes, mean 1: all equal, or 1 / log(1.02 + frequency) (ENet, arXiv:1606.02147)."""
    if kind == "none":
        return torch.ones(classes)
    # Mask by mask: a count over the whole split at once would make eight bytes of every pixel.
    counts = sum((np.bincount(mask.reshape(-1), minlength=256) for mask in masks), np.zeros(256, dtype=np.int64))[
        :classes
    ]
    weights = 1.0 / np.log(1.02 + counts / max(counts.sum(), 1.0))
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)
