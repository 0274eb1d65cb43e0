"""Distillation: learn from a teacher's softened scores, pixel by pixel or class by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Teaching:
    """What a teacher says of every training image: logits (images, classes, h, w), and how much it counts."""

    logits: NDArray[np.float16]
    weight: float
    temperature: float
    kind: Literal["pixel", "channel"] = "pixel"

    def joined(self, hard: Tensor, soft: Tensor) -> Tensor:
        """One loss of both: a pixel's soft classes take the place of its label, places of a class are said on top."""
        return (hard if self.kind == "channel" else (1 - self.weight) * hard) + self.weight * soft


# What is far from any score, so that its softmax is 0, and yet finite: minus infinity would make NaN of nothing.
_NOWHERE = -1e9


def distillation_loss(
    scores: Tensor, said: Tensor, inside: Tensor, *, temperature: float, kind: Literal["pixel", "channel"] = "pixel"
) -> Tensor:
    """How far the student is from what the teacher says, softened: a number.

    `scores` and `said` (n, classes, h, w) are the student's and the teacher's; `inside` (n, 1, h, w) is 1 within
    the image and 0 outside.
    """
    return (_by_channel if kind == "channel" else _by_pixel)(scores, said, inside, temperature)


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
