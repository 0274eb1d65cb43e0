"""The seams of compression: a step on the network before the export, a step on the graph after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

# Training images as the exported model reads them: (1, 3, height, width) float32, RGB in 0..255.
CalibrationImages = Sequence[NDArray[np.float32]]


# Runs a network, in the mode that it is in, over the same few training batches each time, and yields the loss of each.
Losses = Callable[[nn.Module], Iterator[Tensor]]


class ModelStep(Protocol):
    """Compress a network in place and return it; `protected` layers keep their output channels.

    `losses` shows it training batches where there are any: None for a network that has learned nothing. The shapes that
    are left depend on the architecture and the step alone.
    """

    def __call__(
        self, network: nn.Module, step: Any, /, *, protected: tuple[nn.Module, ...], losses: Losses | None = None
    ) -> nn.Module: ...


@dataclass(frozen=True)
class Left:
    """A convolution that a step leaves as it is, by its name in the network, and why."""

    layer: str
    why: str


class Report(Protocol):
    """Tell which convolutions a step would leave as they are; nothing is changed."""

    def __call__(self, network: nn.Module, step: Any, /, *, protected: tuple[nn.Module, ...]) -> tuple[Left, ...]: ...


class GraphStep(Protocol):
    """Read the ONNX file `source`, write the compressed one to `target`."""

    def __call__(self, source: Path, target: Path, step: Any, /, *, images: CalibrationImages) -> None: ...
