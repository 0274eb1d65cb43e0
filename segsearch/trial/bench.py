"""What all candidates of a study share, and how one of their stages is run."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from segsearch import __version__
from segsearch.datasets import Dataset
from segsearch.evidence.objectives import Limit
from segsearch.evidence.timing import Machine
from segsearch.latency.measure import Effort
from segsearch.latency.room import Room
from segsearch.own.graph import GraphMaker
from segsearch.own.made import Maker
from segsearch.runtimes import Runtime
from segsearch.settings.teacher import extra_images
from segsearch.space.candidate import Output
from segsearch.training.batches import More
from segsearch.training.schedule import Schedule
from segsearch.trial.types import AnyTeacher
from segsearch.workshop import Artifacts, Progress


@dataclass(frozen=True)
class Beside:
    """Images without labels for whoever is taught: `key` names their pixels, and they are `opened` where one trains.

    Of the images of a step they are the share `share`, on top of those with labels.
    """

    key: str
    opened: Callable[[], NDArray[np.uint8]]
    share: float

    def more(self, schedule: Schedule) -> More:
        return More(self.opened(), extra_images(schedule.batch_size, self.share))


@dataclass(frozen=True)
class Bench:
    """What stays the same for all candidates of a study.

    `schedule` is the study's; each input scale trains by what `for_scale` makes of it. `fine_tune_share` of it comes
    after a pruning, on top of it or taken from it. `teacher_by` is what the teacher's schedule is made from, where the
    students' is another; `beside` are images that it alone speaks of. `start` is the artifact of the pretrained weights
    that encoders begin with. `looks` is how often a training is looked at on its way. `own` makes the study's own
    network, where it has one.
    """

    dataset: Dataset
    schedule: Schedule
    fine_tune_share: float
    fine_tune_on_top: bool
    effort: Effort
    limits: tuple[Limit, ...]
    runtime: Runtime
    machine: Machine
    room: Room
    device: torch.device
    teacher: AnyTeacher | None = None
    teacher_by: Schedule | None = None
    beside: Beside | None = None
    output: Output = "scores"
    start: str | None = None
    looks: int = 0
    own: Maker | GraphMaker | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the exported model's input."""
        height, width = self.dataset.train.images.shape[1:3]
        return int(height), int(width)

    @property
    def classes(self) -> int:
        return len(self.dataset.classes)


def answers(output: Output) -> tuple[str, ...]:
    """What the files answer, for the keys of stages; studies from before there was a choice answer scores."""
    return () if output == "scores" else (f"answers {output}",)


@contextlib.contextmanager
def in_the_room(bench: Bench, progress: Progress) -> Iterator[Progress]:
    """Be in the machine's room while steps are done; each word of progress lets a waiting measurement in."""
    with bench.room.working() as give_way:

        def watched(stage: str, done: int, total: int, /) -> None:
            progress(stage, done, total)
            give_way()

        yield watched


def versions() -> tuple[tuple[str, str], ...]:
    """The versions that can change a number."""
    return (
        ("segsearch", __version__),
        ("python", platform.python_version()),
        ("torch", str(torch.__version__)),
        ("onnxruntime", str(onnxruntime.__version__)),
    )


@contextlib.contextmanager
def scratch(artifacts: Artifacts, suffix: str = ".onnx") -> Iterator[Path]:
    path = artifacts.scratch(suffix)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
