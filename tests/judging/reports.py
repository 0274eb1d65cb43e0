"""Trials, timings and reports made by hand: one study with a limit, and one whose models are close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from segsearch.evidence.images import NoSpread, Spread
from segsearch.evidence.objectives import MACHINE_BOUND, OBJECTIVES, Limit
from segsearch.evidence.resample import NORMAL
from segsearch.evidence.timing import Machine
from segsearch.judging import fronts
from segsearch.settings.retrain import Recipe
from segsearch.store import ConfirmationRow, Failure, GrownRow, StudyRow, TimingRow, TrialRow
from segsearch.workshop import Artifacts
from tests import fakes

LIMITS = ("latency_ms<=9",)


def numbers(miou: float, latency_ms: float) -> dict[str, float]:
    base = dict.fromkeys(OBJECTIVES, 1000.0)
    return base | {"miou": miou, "latency_ms": latency_ms, "latency_p95_ms": latency_ms}


def trial(
    number: int, values: Mapping[str, float], *, state: str = "trained", quantized: bool = False, machine: str = "m"
) -> TrialRow:
    one = fakes.candidate(8, number + 1, quantized=quantized)
    return TrialRow(
        number=number,
        state=state,  # type: ignore[arg-type]
        candidate=one,
        key=one.key,
        params={},
        values=values,
        artifact=f"{number:064x}.onnx",
        machine=machine,
        failure=Failure("limit", "latency_ms<=9 broken by 30") if state == "rejected" else None,
        twin=None,
        seed=0,
        attempts=1,
        worker=None,
        started=0.0,
        finished=1.0,
    )


def spread(miou: float, *offsets: float) -> Spread:
    """Resamples that lie so far from the value; the interval reaches 1.96 standard deviations to either side."""
    vector = (miou + np.array(offsets)).astype("<f4")
    half = NORMAL * float(vector.std(dtype=np.float64))
    return Spread(miou - half, miou + half, vector.tobytes())


def sampled(number: int, miou: float, latency_ms: float, *offsets: float) -> TrialRow:
    """A trained trial whose mIoU has resamples."""
    return replace(trial(number, numbers(miou, latency_ms)), spread=spread(miou, *offsets))


def timing(number: int, latency_ms: float, around: tuple[float, float] | None = None, machine: str = "m") -> TimingRow:
    intervals = {} if around is None else {"latency_ms": around}
    return TimingRow(number, machine, {"latency_ms": latency_ms}, intervals, taken=1.0)


def timings(trials: Sequence[TrialRow]) -> list[TimingRow]:
    """What each trial cost on the machine that it was evaluated on, without intervals."""
    return [
        TimingRow(
            one.number,
            str(one.machine),
            {name: value for name, value in one.values.items() if name in MACHINE_BOUND},
            {},
            taken=1.0,
        )
        for one in trials
        if one.values
    ]


def drawn(
    row: StudyRow, trials: Sequence[TrialRow], limits: Sequence[Limit] = (), *, on: Sequence[TimingRow] | None = None
) -> fronts.Report:
    """The report on machine m."""
    return fronts.make_report(row, trials, timings(trials) if on is None else on, limits, machine="m")


def study_row(tmp_path: Path, **changes: object) -> StudyRow:
    return StudyRow("fake", fakes.make_study(**changes), "", "", Artifacts(tmp_path), 0.0)


TRIALS = (
    trial(0, numbers(0.40, 2.0), quantized=True),
    trial(1, numbers(0.55, 4.0)),
    trial(2, numbers(0.50, 5.0)),  # beaten by 1
    trial(3, numbers(0.60, 8.0)),
    trial(4, numbers(0.70, 12.0)),  # over the study's limit
    trial(5, {"latency_ms": 30.0, "size_bytes": 5.0}, state="rejected"),
    trial(6, {}, state="failed"),
)


HERE = Machine("aaaa" * 16, "a CPU", 2, 2**30, "Linux", "onnxruntime 1")


THERE = Machine("aabb" * 16, "another CPU", 8, 2**30, "Linux", "onnxruntime 2", threads=4)


CLOSE = (
    trial(0, numbers(0.40, 2.0)),
    trial(1, numbers(0.60, 4.0)),
    trial(2, numbers(0.55, 4.1)),  # beaten by 1, but not beyond the intervals
    trial(3, numbers(0.50, 5.0)),  # beaten by 1 and 2
    trial(4, numbers(0.70, 8.0)),
)


SPANS = (
    timing(0, 2.0, (1.9, 2.1)),
    timing(1, 4.0, (3.9, 4.14)),
    timing(2, 4.1, (4.0, 4.2)),
    timing(3, 5.0, (4.8, 5.3)),
    timing(4, 8.0, (7.5, 8.5)),
)


# All are hard for the same images: 1 is better than 2 by .01, with an interval of +-.0196, and than 3 for
# sure; 4 has no resamples.
ALIKE = (
    sampled(0, 0.40, 2.0, 0.1, -0.1, 0.1, -0.1),
    sampled(1, 0.60, 4.0, 0.1, -0.1, 0.1, -0.1),
    sampled(2, 0.59, 5.0, 0.11, -0.11, 0.09, -0.09),
    sampled(3, 0.50, 5.5, 0.1, -0.1, 0.1, -0.1),
    replace(trial(4, numbers(0.70, 8.0)), spread=NoSpread("class 'bus' lies in one validation image only")),
)


def found_in(tmp_path: Path) -> fronts.Report:
    return drawn(study_row(tmp_path, limits=list(LIMITS)), TRIALS)


def close_in(tmp_path: Path) -> fronts.Report:
    return drawn(study_row(tmp_path), CLOSE, on=SPANS)


def alike_in(tmp_path: Path, *, confirmations: Sequence[ConfirmationRow] = (), **changes: object) -> fronts.Report:
    row = study_row(tmp_path, **changes)
    return fronts.make_report(row, ALIKE, timings(ALIKE), machine="m", confirmations=confirmations)


def ended(
    trial: int,
    miou: float | None,
    latency_ms: float = 4.0,
    *,
    seed: int = 0,
    recipe: Recipe = fakes.RECIPE,
    test: float | None = None,
    finished: float = 0.0,
    **changes: Any,
) -> GrownRow:
    """What became of a trial on machine m."""
    scored = {} if miou is None else {"miou": miou}
    around = {} if miou is None else {"miou": (miou - 0.02, miou + 0.02)}
    made = GrownRow(
        trial=trial,
        recipe=recipe,
        seed=seed,
        machine="m",
        values={**scored, "latency_ms": latency_ms, "size_bytes": 2e6},
        intervals={**around, "latency_ms": (latency_ms - 0.1, latency_ms + 0.1)},
        artifact=f"{trial:032x}{seed:032x}.onnx",
        train_seconds=600.0,
        finished=finished,
        looks=fakes.LOOKS,
        test=test,
        test_interval=None if test is None else (test - 0.03, test + 0.03),
    )
    return replace(made, **changes)
