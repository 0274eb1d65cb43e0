"""What a row of the database looks like outside it: frozen, with the words' own types inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from segsearch.evidence.images import NOT_KEPT, NoSpread, Spread
from segsearch.settings.retrain import Recipe
from segsearch.settings.search import Scalar
from segsearch.space.candidate import Candidate
from segsearch.study import Study
from segsearch.workshop import Artifacts, Outcome

State = Literal["running", "trained", "rejected", "failed", "duplicate", "screened"]
STATES: tuple[State, ...] = ("running", "trained", "rejected", "failed", "duplicate", "screened")


@dataclass(frozen=True)
class StudyRow:
    """A study as the database holds it: whole settings, the artifact with its space's source, its files' folder.

    `kept` names the artifact with the lists that its settings name, `start` the one with the pretrained weights that it
    begins with, `earlier` the one with what it knows of earlier studies; `given` is what else it was given
    (`store.given`). Times are seconds since 1970.
    """

    name: str
    study: Study
    space: str
    data_key: str
    artifacts: Artifacts
    created: float
    kept: str | None = None
    start: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    earlier: str | None = None

    @property
    def texts(self) -> Mapping[str, str] | None:
        """The lists that the study names, by its words for them; None where they were not kept.

        Raises `DatabaseError` where the artifact is gone.
        """
        if self.kept is None:
            return None
        found: Mapping[str, str] = json.loads(self.artifacts.verified(self.kept).read_bytes())
        return found


@dataclass(frozen=True)
class Failure:
    """Why a trial ended without a model: a short stable word, and the reason."""

    kind: str
    reason: str


@dataclass(frozen=True)
class TrialRow:
    """A trial without its raw evidence, which `Store.evidence` reads.

    `values` holds every objective that the evidence holds (a rejected trial's too), `artifact` names its ONNX file.
    A `running` trial without a `worker` waits for one. `twin` is the trial that a duplicate repeats, `origin` the one
    whose training made this one's file, too; such a sibling counts for no training of its own. A `screened` one passed
    the gate and waits to be promoted; until then it is `gate_only`, also where it never will be. `spread` is how
    sure its mIoU is over images, as a listing reads it; what a worker holds of a trial comes without it.
    Times are seconds since 1970.
    """

    number: int
    state: State
    candidate: Candidate
    key: str
    params: Mapping[str, Scalar]
    values: Mapping[str, float]
    artifact: str | None
    machine: str | None
    failure: Failure | None
    twin: int | None
    seed: int
    attempts: int
    worker: str | None
    started: float
    finished: float | None
    spread: Spread | NoSpread = NOT_KEPT
    origin: int | None = None
    gate_only: bool = False

    @property
    def is_training(self) -> bool:
        """Whether it is one of the trained trials that a study asks for."""
        return self.state == "trained" and self.origin is None

    @property
    def took_nothing(self) -> bool:
        """Whether a step of it left the network as it is, as it does with every candidate of its `shape`."""
        return self.failure is not None and self.failure.kind == "no effect"


@dataclass(frozen=True)
class ConfirmationRow:
    """A trial that was trained again from another seed: what its file scored; no interval where a mIoU has none.

    `finished` is in seconds since 1970.
    """

    trial: int
    seed: int
    miou: float
    interval: tuple[float, float] | None
    artifact: str
    finished: float


@dataclass(frozen=True)
class ReferenceRow:
    """A network of the field, trained and timed by the study's recipe, in one precision on one machine.

    `values` holds every objective that its evidence holds, `intervals` the 95 % confidence intervals of those that have
    one, of its mIoU over images, too; `artifact` names its ONNX file. A failed one has none of these and a `failure`.
    `train_seconds` is its training alone, which both of its precisions share. `finished` is in seconds since 1970.
    """

    name: str
    precision: str
    machine: str
    state: Literal["trained", "failed"]
    candidate: Candidate
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    artifact: str | None
    failure: Failure | None
    train_seconds: float | None
    finished: float
    spread: Spread | NoSpread = NOT_KEPT


@dataclass(frozen=True)
class GrownRow:
    """A trial that was trained to the end by a recipe from a seed, and timed on one machine.

    `values` holds every objective that its evidence holds: no mIoU where it learned from the validation split.
    `intervals` are the 95 % confidence intervals of those that have one; `test` is the mIoU on the test images and its
    interval, where the study names any. `looks` are (step, mean loss, mIoU) on the way. `finished` is in seconds since
    1970.
    """

    trial: int
    recipe: Recipe
    seed: int
    machine: str
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    artifact: str
    train_seconds: float | None
    finished: float
    looks: tuple[tuple[int, float, float], ...]
    test: float | None
    test_interval: tuple[float, float] | None
    spread: Spread | NoSpread = NOT_KEPT


@dataclass(frozen=True)
class TimingRow:
    """What a trial costs on one machine: the objectives that belong to a machine, and their confidence intervals.

    `taken` is in seconds since 1970.
    """

    trial: int
    machine: str
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    taken: float


# The trial of stages that a confirmation or a comparison did: they are no trial's, and no trial's page shows them.
NO_TRIAL = -1


@dataclass(frozen=True)
class StageRow:
    """A finished stage: `trial` (or `NO_TRIAL`) did the work, `key` is the content key of all that it read."""

    trial: int
    name: str
    key: str
    outcome: Outcome
    seconds: float
    finished: float


@dataclass(frozen=True)
class Pick:
    """A chosen trial and why."""

    trial: int
    reason: str

    def because(self, words: str) -> Pick:
        """The same choice with a person's own words before the reason; without any, as it is."""
        return Pick(self.trial, f"{words} ({self.reason})") if words else self


@dataclass(frozen=True)
class PickRow:
    """A recorded pick; the highest `number` of a study is the one that counts."""

    pick: Pick
    created: float
    number: int


@dataclass(frozen=True)
class Counts:
    """How many trials of a study are in each state; `siblings` that were trained are no part of `trained`."""

    running: int = 0
    trained: int = 0
    rejected: int = 0
    failed: int = 0
    duplicate: int = 0
    siblings: int = 0
    screened: int = 0
