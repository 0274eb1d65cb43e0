"""Distillation: learn from a teacher's softened scores (Hinton et al., arXiv:1503.02531)."""

from __future__ import annotations

from dataclasses import dataclass

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


def distillation_loss(scores: Tensor, said: Tensor, inside: Tensor, *, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the softened scores, times the temperature squared, averaged over pixels.

    `scores` and `said` (n, classes, h, w) are the student's and the teacher's; `inside` (n, 1, h, w) is 1 within
    the image and 0 outside.
    """
    teacher = F.softmax(said / temperature, dim=1)
    student = F.log_softmax(scores / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="none").sum(dim=1, keepdim=True)
    return temperature**2 * (divergence * inside).sum() / inside.sum().clamp(min=1)
