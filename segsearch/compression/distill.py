"""Distillation: learn from a teacher's softened scores, pixel by pixel, class by class, or pair by pair of places."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segsearch.space.steps import Teaches

# Along each side of a view pairs are made of at most so many places: all of them would be a square of the pixels.
PLACES = 24


@dataclass(frozen=True)
class Teaching:
    """What a teacher says of every image it is asked about: logits (images, classes, h, w), and how much it counts.

    It speaks once the share `after` of a schedule's steps is done.
    """

    logits: NDArray[np.float16]
    weight: float
    temperature: float
    kind: Teaches = "pixel"
    after: float = 0.0

    def joined(self, hard: Tensor, soft: Tensor) -> Tensor:
        """One loss of both: a pixel's soft classes take the place of its label, all else is said on top."""
        return ((1 - self.weight) * hard if self.kind == "pixel" else hard) + self.weight * soft

    def silent_steps(self, total: int) -> int:
        """How many of a schedule's steps are over before the teacher speaks."""
        return math.floor(self.after * total)


# What is far from any score, so that its softmax is 0, and yet finite: minus infinity would make NaN of nothing.
_NOWHERE = -1e9


def distillation_loss(
    scores: Tensor, said: Tensor, inside: Tensor, *, temperature: float, kind: Teaches = "pixel"
) -> Tensor:
    """How far the student is from what the teacher says, softened: a number.

    `scores` and `said` (n, classes, h, w) are the student's and the teacher's; `inside` (n, 1, h, w) is 1 within
    the image and 0 outside.
    """
    return _LOSSES[kind](scores, said, inside, temperature)


def _by_channel(scores: Tensor, said: Tensor, inside: Tensor, temperature: float) -> Tensor:
    """Where each class is thought to be (Shu et al., arXiv:2011.13256).

    Each class's scores become shares over the pixels of the view; their Kullback-Leibler divergence is averaged over
    classes and images, times the temperature squared. Every class counts alike, however few pixels it has.
    """
    outside = inside == 0
    student, teacher = (
        (maps / temperature).masked_fill(outside, _NOWHERE).flatten(2).log_softmax(dim=2) for maps in (scores, said)
    )
    return temperature**2 * F.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=2).mean()


def _by_pixel(scores: Tensor, said: Tensor, inside: Tensor, temperature: float) -> Tensor:
    """Which classes each pixel may be of (Hinton et al., arXiv:1503.02531).

    Kullback-Leibler divergence of the softened scores, times the temperature squared, averaged over pixels.
    """
    teacher = F.softmax(said / temperature, dim=1)
    student = F.log_softmax(scores / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="none").sum(dim=1, keepdim=True)
    return temperature**2 * (divergence * inside).sum() / inside.sum().clamp(min=1)


def _by_pairs(scores: Tensor, said: Tensor, inside: Tensor, temperature: float) -> Tensor:
    """Which places are alike (pair-wise, Liu et al., arXiv:1903.04197).

    Of each two places of a view the cosine between what their pixels may be, pooled over the place: the mean square of
    the difference, over the pairs of all views. The paper compares features; on softened classes no layer is needed
    that would have to fit one network's features to another's.
    """
    student, there = _places(scores, inside, temperature)
    teacher, _ = _places(said, inside, temperature)
    pairs = there[:, :, None] * there[:, None, :]
    apart = (student.transpose(1, 2) @ student - teacher.transpose(1, 2) @ teacher) ** 2
    return (apart * pairs).sum() / pairs.sum().clamp(min=1)


def _places(maps: Tensor, inside: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Softened classes pooled over places, each of length 1: (n, classes, places); and which lie in the image."""
    window = tuple(math.ceil(side / PLACES) for side in maps.shape[2:])
    shares = F.softmax(maps / temperature, dim=1) * inside
    pooled = F.avg_pool2d(shares, window, ceil_mode=True).flatten(2)
    there = F.avg_pool2d(inside, window, ceil_mode=True).flatten(1) > 0
    return F.normalize(pooled, dim=1), there.to(maps.dtype)


_LOSSES: Mapping[Teaches, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "pixel": _by_pixel,
    "channel": _by_channel,
    "pairs": _by_pairs,
}
