"""A trial as a plain record, with the model that it left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsearch.api.html import facts
from segsearch.api.source import Source
from segsearch.errors import StudyError
from segsearch.evidence.images import NoSpread, Spread
from segsearch.evidence.objectives import MACHINE_BOUND, OBJECTIVES
from segsearch.judging.words import describe, precision, with_interval
from segsearch.settings.search import Scalar
from segsearch.space.candidate import Candidate
from segsearch.store import Failure, GrownRow, State, TimingRow, TrialRow

if TYPE_CHECKING:
    from segsearch.api.images import Picture
    from segsearch.datasets.types import UInt8
    from segsearch.networks import Network
    from segsearch.runtimes import Session

# What `front --csv` calls the ends of an interval.
ENDS = {"miou": ("miou_low", "miou_high"), "latency_ms": ("latency_low_ms", "latency_high_ms")}


@dataclass(frozen=True)
class Trial:
    """A trial of a study.

    `values` holds every objective that was measured, of a rejected trial too, `intervals` the 95 % intervals of those
    that have one; those of a machine are of `machine`, its key. `params` are the space's parameters, `candidate` the
    design that they drew. `artifact` is the path of its ONNX file and `sha256` that file's hash. `failure` says why a
    trial was rejected or failed, `twin` which trial a duplicate repeats, `origin` whose training made a sibling's file.
    `spread` is how sure its mIoU is over images, or why that cannot be said. `tied` are those of a front that beat it
    by the plain values, but not beyond the intervals. Times are seconds since 1970.
    """

    number: int
    state: State
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    params: Mapping[str, Scalar]
    artifact: Path | None
    sha256: str | None
    machine: str | None
    failure: Failure | None
    twin: int | None
    seed: int
    started: float
    finished: float | None
    candidate: Candidate = field(repr=False)
    spread: Spread | NoSpread = field(repr=False)
    source: Source = field(repr=False, compare=False)
    tied: tuple[int, ...] = ()
    origin: int | None = None

    @property
    def ships(self) -> str:
        """How its weights ship: `fp32`, `int8`, or `w16` and `w4`: stored so and computed with as floats."""
        return precision(self.candidate)

    @property
    def design(self) -> str:
        """Its network and its compression in words."""
        return describe(self.candidate)

    @property
    def grown(self) -> tuple[GrownRow, ...]:
        """What became of it where it was trained to the end (`segsearch retrain`), the oldest first."""
        from segsearch.store.grown import grown_of

        return tuple(row for row in grown_of(self.source.store, self.source.row.name) if row.trial == self.number)

    def record(self) -> dict[str, Any]:
        """Flat: every objective (None where there is none), the ends of intervals, parameters as `param_NAME`."""
        ends = {name: end for key, names in ENDS.items() for name, end in zip(names, self._ends(key), strict=True)}
        return {
            "trial": self.number,
            "state": self.state,
            **{name: self.values.get(name) for name in OBJECTIVES},
            **ends,
            "ships": self.ships,
            "design": self.design,
            "artifact": None if self.artifact is None else str(self.artifact),
            "sha256": self.sha256,
            "machine": self.machine,
            "origin": self.origin,
            "failure": None if self.failure is None else f"{self.failure.kind}: {self.failure.reason}",
            **{f"param_{name}": value for name, value in self.params.items()},
        }

    def module(self) -> Network:
        """The torch module with the trained weights, in the shape after pruning, in eval mode on the CPU.

        It takes RGB (n, 3, height, width) of 0 to 255 and answers scores (n, classes, height, width). Of an int8 trial
        it has the float weights from before the quantization. The database says which weights made the file, and the
        network is compared with it. Raises `DatabaseError` where weights are gone or do not fit this segsearch,
        `StudyError` for a trial without a model.
        """
        from segsearch.api.models import network_of

        return network_of(self.source, self.number, self.candidate, model_of(self))

    def session(self, *, threads: int = 1) -> Any:
        """An `onnxruntime.InferenceSession` of the very file that was timed and scored; its hash is checked.

        Raises `DatabaseError` where the file is gone or was changed, `StudyError` for a trial without a model.
        """
        from segsearch.api.models import inference_session

        return inference_session(self.source, model_of(self), threads=threads)

    def predict(self, image: Picture) -> UInt8:
        """The class of each pixel at the image's own size: (height, width), by the rules by which it was scored.

        `image` is a file's path, a PIL image or uint8 RGB (height, width, 3). A file is read as the study reads its
        images (EXIF, more than 8 bits). The file is opened once. Raises as `session` does, `DataError` for an image
        that cannot be read.
        """
        from segsearch.api.images import predict

        return predict(self._opened, image, self.source.row.study.data)

    @cached_property
    def _opened(self) -> Session:
        from segsearch.api.models import opened

        return opened(self.source, model_of(self), threads=1)

    def _ends(self, name: str) -> tuple[float | None, float | None]:
        return self.intervals.get(name, (None, None))

    def _repr_html_(self) -> str:
        failure = [] if self.failure is None else [("why", f"{self.failure.kind}: {self.failure.reason}")]
        twin = [] if self.twin is None else [("repeats", f"trial {self.twin}")]
        twin += [] if self.origin is None else [("trained as", f"trial {self.origin}")]
        numbers = [(name, with_interval(self, name)) for name in OBJECTIVES if name in self.values]
        file = [] if self.artifact is None else [("file", self.artifact), ("machine", (self.machine or "")[:8])]
        about: list[tuple[str, object]] = [("trial", self.number), ("state", self.state)]
        return facts([*about, *failure, *twin, *numbers, ("ships", self.ships), ("design", self.design), *file])


def model_of(trial: Trial) -> str:
    """The artifact that is a trial's model. Raises `StudyError` where it has none."""
    if trial.artifact is not None:
        return trial.artifact.name
    told = {
        "duplicate": f"repeats trial {trial.twin}, which has the model",
        "running": "is not finished yet",
        "screened": "was only looked at",
    }
    why = told.get(trial.state, f"was not trained ({trial.state})")
    raise StudyError(f"A model is asked of a trained trial; trial {trial.number} of this study {why}.")


def trial_of(source: Source, row: TrialRow, timing: TimingRow | None) -> Trial:
    """A trial's row as a record, with what was timed on a machine, where anything was."""
    values = dict(row.values)
    if timing is not None:
        values = {name: value for name, value in values.items() if name not in MACHINE_BOUND} | dict(timing.values)
    spread, model = row.spread, row.artifact if row.state == "trained" else None  # a rejected one's is not kept
    of_miou = {"miou": (spread.low, spread.high)} if isinstance(spread, Spread) and "miou" in values else {}
    return Trial(
        number=row.number,
        state=row.state,
        values=values,
        intervals=of_miou | dict(timing.intervals if timing is not None else {}),
        params=row.params,
        artifact=None if model is None else (source.row.artifacts.folder / model).absolute(),
        sha256=None if model is None else model.split(".")[0],
        machine=row.machine,
        failure=row.failure,
        twin=row.twin,
        origin=row.origin,
        seed=row.seed,
        started=row.started,
        finished=row.finished,
        candidate=row.candidate,
        spread=spread,
        source=source,
    )
