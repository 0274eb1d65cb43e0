"""The seams of compression: a step on the network before the export, a step on the graph after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

# Training images as the exported model reads them: (1, 3, height, width) float32, RGB in 0..255.
CalibrationImages = Sequence[NDArray[np.float32]]


class ModelStep(Protocol):
    """Compress a network in place and return it; `protected` layers keep their output channels."""

    def __call__(self, network: nn.Module, step: Any, /, *, protected: tuple[nn.Module, ...]) -> nn.Module: ...


class GraphStep(Protocol):
    """Read the ONNX file `source`, write the compressed one to `target`."""

    def __call__(self, source: Path, target: Path, step: Any, /, *, images: CalibrationImages) -> None: ...
