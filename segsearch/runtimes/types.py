"""The seam of runtimes: open a file to run images, or to time it. A runtime may live in another process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
# What a file says of an image: the class of each pixel (1, height, width), or scores (1, classes, height, width).
Answer = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True)
class Operation:
    """One operation of a graph as the runtime runs it: its name, its type, and the mean milliseconds of a run.

    `samples_ms` are those of each run, in order.
    """

    name: str
    kind: str
    mean_ms: float
    samples_ms: tuple[float, ...] = ()


# A number that an input is given.
Value = int | float


@dataclass(frozen=True)
class Feed:
    """What a file needs to be run beside noise: the values of inputs by name, in the order of memory, and the folder
    that its external data are named from, where that is not its own."""

    values: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    weights: str | None = None


NOISE = Feed()


class Session(Protocol):
    """One opened model. `shape` is its input: (1, 3, height, width)."""

    @property
    def shape(self) -> tuple[int, int, int, int]: ...

    def run(self, image: Image, /) -> Answer:
        """What the file says of one image: a mask or scores."""
        ...


class Timer(Protocol):
    """One opened model of any kind, with inputs of fixed noise or of given values."""

    def times_ns(self, runs: int, /) -> list[tuple[int, int]]:
        """Of each run the time that passed, and the processor time of the thread that ran it."""
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

    def timer(self, model: Path, /, *, threads: int, feed: Feed = NOISE) -> Timer:
        """Raises `TrialFailed` where the file cannot be run, or has no inputs of fixed shapes."""
        ...

    def profile(self, model: Path, /, *, threads: int, runs: int, feed: Feed = NOISE) -> tuple[Operation, ...]:
        """Mean time of each operation of the optimized graph, in the order they run. Raises as `timer` does."""
        ...
