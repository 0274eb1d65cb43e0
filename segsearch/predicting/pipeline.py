"""Work on several pictures at once and keep the results one by one, in order, with few of them in memory."""

from __future__ import annotations

import os
import statistics
from array import array
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from segsearch.datasets.folders import in_order
from segsearch.latency.cores import own_cores
from segsearch.predicting.answer import is_stretched
from segsearch.predicting.model import Model

MOST_THREADS = 16

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Stretched:
    """A picture of another shape than the model's."""

    name: str
    height: int
    width: int


@dataclass(frozen=True)
class Done:
    """What was done: how many pictures or frames in how many seconds, and the median seconds of the model alone.

    `skipped` are what could not be read, each with the reason; `stretched` is the first of `stretched_count` pictures
    of another shape than the model's; `notes` is what else is to be said.
    """

    count: int
    seconds: float
    model_seconds: float | None
    skipped: tuple[tuple[str, str], ...]
    stretched: Stretched | None
    stretched_count: int
    stopped: bool
    notes: tuple[str, ...] = ()


@dataclass
class Tally:
    """What is done so far, counted by whoever keeps the results; a camera may run for days."""

    took: array[float] = field(default_factory=lambda: array("d"))
    skipped: list[tuple[str, str]] = field(default_factory=list)
    stretched: Stretched | None = None
    stretched_count: int = 0

    def add(self, model: Model, name: str, shape: tuple[int, ...], took: float) -> None:
        """A picture of (height, width, ...) pixels was kept, the model took so many seconds."""
        self.took.append(took)
        if is_stretched(model, shape[0], shape[1]):
            self.stretched = self.stretched or Stretched(name, shape[0], shape[1])
            self.stretched_count += 1

    def done(self, seconds: float, *, stopped: bool, notes: Iterable[str] = ()) -> Done:
        return Done(
            count=len(self.took),
            seconds=seconds,
            model_seconds=statistics.median(self.took) if self.took else None,
            skipped=tuple(self.skipped),
            stretched=self.stretched,
            stretched_count=self.stretched_count,
            stopped=stopped,
            notes=tuple(notes),
        )


def through(
    work: Callable[[Item], Made], keep: Callable[[Made], None], items: Iterable[Item]
) -> Generator[None, None, None]:
    """Each item through `work`, on as many threads as there are cores, and in order through `keep`, on one of its own.

    One step for each item that is kept. Where it is closed, or Ctrl-C comes, what is kept by then is kept whole:
    neither `work` nor `keep` is interrupted.
    """
    threads = min(MOST_THREADS, len(own_cores()) or os.cpu_count() or 1)
    with (
        closing(in_order(work, items, threads=threads)) as worked,
        closing(in_order(keep, worked, threads=1)) as kept,
    ):
        yield from kept
