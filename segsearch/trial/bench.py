"""What all candidates of a study share, and how one of their stages is run."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import torch

from segsearch import __version__
from segsearch.datasets import Dataset
from segsearch.errors import StorageFull, TrialFailed, UserError
from segsearch.evidence.objectives import Limit, Rejected
from segsearch.evidence.timing import Machine
from segsearch.latency.measure import Effort
from segsearch.latency.room import Room
from segsearch.runtimes import Runtime
from segsearch.space.candidate import Architecture
from segsearch.training.schedule import Schedule
from segsearch.workshop import Artifacts, Outcome, Progress, Workshop

# Enough to tell what went wrong; some libraries print whole tensors.
REASON_CHARACTERS = 400
# With less than this left, a failed write is a full disk and not the candidate's fault.
FULL_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Teacher:
    """Who teaches: an architecture and the epochs it trains for."""

    architecture: Architecture
    epochs: int


@dataclass(frozen=True)
class Bench:
    """What stays the same for all candidates of a study."""

    dataset: Dataset
    schedule: Schedule
    fine_tune_epochs: int
    effort: Effort
    limits: tuple[Limit, ...]
    runtime: Runtime
    machine: Machine
    room: Room
    device: torch.device
    teacher: Teacher | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the exported model's input."""
        height, width = self.dataset.train.images.shape[1:3]
        return int(height), int(width)

    @property
    def classes(self) -> int:
        return len(self.dataset.classes)


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


def stage_of(name: str, key: str, make: Callable[[], Outcome], workshop: Workshop, progress: Progress) -> Outcome:
    """A stage whose every failure has a kind and a reason."""

    def guarded() -> Outcome:
        progress(name, 0, 1)
        try:
            return make()
        except (UserError, Rejected):
            raise
        except MemoryError as error:
            raise TrialFailed("memory", f"Memory ran out in {name}.") from error
        except Exception as error:  # whatever a library raises here belongs to this one candidate
            if workshop.artifacts.free_bytes() < FULL_BYTES:
                raise StorageFull(
                    f"{workshop.artifacts.folder}: no room left in {name}. Free some space, then run the same command "
                    "again: nothing finished is lost."
                ) from error
            if isinstance(error, TrialFailed):
                raise
            reason = " ".join(str(error).split()) or "no message"
            raise TrialFailed(name, f"{type(error).__name__}: {reason[:REASON_CHARACTERS]}") from error

    return workshop.once(name, key, guarded)
