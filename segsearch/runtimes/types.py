"""The seam of runtimes: open a file, run an image, time it. A runtime may live in another process."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


class Session(Protocol):
    """One opened model. `shape` is its input: (1, 3, height, width)."""

    @property
    def shape(self) -> tuple[int, int, int, int]: ...

    def run(self, image: Image, /) -> Image:
        """Class scores (1, classes, height, width) of one image."""
        ...

    def time_ms(self, image: Image, /, *, warmup_runs: int, runs: int) -> list[float]:
        """Milliseconds of `runs` runs after `warmup_runs`, by the clock nearest to the model."""
        ...


class Runtime(Protocol):
    """Something that runs exported files. `version` belongs to every latency."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def open(self, model: Path, /, *, threads: int) -> Session:
        """Raises `TrialFailed` where the file cannot be run."""
        ...
