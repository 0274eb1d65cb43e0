"""How to train: epochs, rate and crops, the device, and the precision that is quick on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from segsearch.datasets.augment import Augment
from segsearch.errors import UserError


@dataclass(frozen=True)
class Schedule:
    """How to train: one-cycle over `epochs`, crops of (height, width) on the network's own grid."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    height: int
    width: int
    class_weights: Literal["none", "log"]
    seed: int
    jaccard_weight: float = 1.0
    smallest_zoom: float = 0.5
    largest_zoom: float = 2.0

    @property
    def augment(self) -> Augment:
        return Augment(smallest=self.smallest_zoom, largest=self.largest_zoom)


def rising_share(steps: int) -> float:
    """The share of a schedule in which the learning rate rises; torch divides by zero where that is one whole step."""
    return 0.25 if steps == 5 else 0.2


def trains_in_bfloat16(device: torch.device) -> bool:
    """On CUDA, and on processors with matrix tiles for it (AMX), where dense networks train faster."""
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def pick_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """CPU or CUDA, whichever is there. Raises `UserError` where CUDA is asked for and absent."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError('train.device must be there; this machine has no CUDA device. Use device = "auto".')
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
