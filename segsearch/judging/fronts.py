"""A study as it is on one machine: its trained trials as rows, those that no other one beats, and the knee."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from segsearch.errors import StudyError
from segsearch.evidence.images import NOT_KEPT, NoSpread, Spread
from segsearch.evidence.machines import find_machine
from segsearch.evidence.objectives import MACHINE_BOUND, Limit, Objective
from segsearch.evidence.timing import Machine
from segsearch.judging.confirmed import Confirmed, over_seeds
from segsearch.judging.pareto import front, knee, ties
from segsearch.space.candidate import Candidate
from segsearch.store import ConfirmationRow, GrownRow, ReferenceRow, StudyRow, TimingRow, TrialRow

if TYPE_CHECKING:
    from segsearch.evidence.resample import Gap


class Measured(Protocol):
    """What two models are compared by, a trial's row or a reference's: values, their intervals, the mIoU's spread."""

    @property
    def values(self) -> Mapping[str, float]: ...

    @property
    def intervals(self) -> Mapping[str, tuple[float, float]]: ...

    @property
    def spread(self) -> Spread | NoSpread: ...


@dataclass(frozen=True)
class Row:
    """A trained trial. `broken` are the limits it breaks; only trials that break none can be on the front.

    `intervals` are 95 % confidence intervals of those values that have one. `tied` are members of the front that would
    dominate this one by the plain values, but not beyond the intervals. `spread` is how sure its mIoU is over images,
    `confirmed` what it scored over several seeds, where it was trained again.
    """

    trial: int
    candidate: Candidate
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    artifact: Path
    sha256: str
    machine: str
    on_front: bool
    broken: tuple[Limit, ...]
    tied: tuple[int, ...] = ()
    spread: Spread | NoSpread = NOT_KEPT
    confirmed: Confirmed | None = None


@dataclass(frozen=True)
class Report:
    """What a front is drawn from: the trained trials that were timed on `machine`, and what the gate rejected.

    `untimed` trained trials are left out: they were never timed there, or an objective could not be measured there.
    `references` are networks of the field by the study's recipe, timed there, too, and `grown` are trials that were
    trained to the end, the oldest first: no front is made of either. `test_looks` is how many files of the study, of
    any machine, were judged on its test images.
    """

    study: str
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...]
    rows: tuple[Row, ...]
    rejected: tuple[Mapping[str, float], ...] = ()
    machine: str = ""
    untimed: int = 0
    references: tuple[ReferenceRow, ...] = ()
    grown: tuple[GrownRow, ...] = ()
    test_looks: int = 0

    @property
    def front(self) -> tuple[Row, ...]:
        """The front, the cheapest first."""
        order = self.objectives[-1]
        turn = -1.0 if order.direction == "maximize" else 1.0
        members = (row for row in self.rows if row.on_front)
        return tuple(sorted(members, key=lambda row: (turn * row.values[order.name], row.trial)))


def make_report(
    study: StudyRow,
    trials: Sequence[TrialRow],
    timings: Sequence[TimingRow],
    limits: Sequence[Limit] = (),
    *,
    machine: str,
    confirmations: Sequence[ConfirmationRow] = (),
    references: Sequence[ReferenceRow] = (),
    grown: Sequence[GrownRow] = (),
) -> Report:
    """A study under its own limits and further ones, as it is on one machine (`one_machine` finds its key).

    Its front is that of the trials that meet all limits. A model is dominated only beyond the confidence intervals.
    What a model scored from other seeds is told and changes no front, and neither do references nor what became of a
    trial that was trained to the end.
    """
    bounds = tuple(dict.fromkeys((*study.study.bounds, *limits)))
    goals = study.study.goals
    here = {timing.trial: timing for timing in timings if timing.machine == machine}
    trained = [trial for trial in trials if trial.state == "trained"]
    again: dict[int, list[float]] = {}
    for one in confirmations:
        again.setdefault(one.trial, []).append(one.miou)
    timed = [_row(study, trial, here[trial.number], bounds, again) for trial in trained if trial.number in here]
    rows = [row for row in timed if all(goal.name in row.values for goal in goals)]
    tied = _ties_of(goals, _members_of(goals, [row for row in rows if not row.broken]))
    shown = tuple(_standing_as(row, tied.get(row.trial)) for row in rows)
    rejected = tuple(trial.values for trial in trials if trial.state == "rejected" and trial.machine == machine)
    beside = tuple(one for one in references if one.machine == machine and one.state == "trained")
    ended = tuple(one for one in grown if one.machine == machine)
    looks = len({one.artifact for one in grown if one.test is not None})
    untimed = len(trained) - len(rows)
    return Report(study.name, goals, bounds, shown, rejected, machine, untimed, beside, ended, looks)


def narrowed(report: Report, limits: Sequence[Limit]) -> Report:
    """A report under further limits: what `make_report` makes of them, without reading anything again."""
    more = [limit for limit in dict.fromkeys(limits) if limit not in report.limits]
    if not more:
        return report
    goals = report.objectives
    rows = []
    for row in report.rows:
        broken = broken_by(more, row.values)
        rows.append(replace(row, broken=row.broken + broken, on_front=False, tied=()) if broken else row)
    if all(any(limit.objective == goal.name and _bounds(limit, goal) for goal in goals) for limit in more):
        # Whatever beats a model in every objective is within the limits on them, too: who was beaten still is.
        members = [row for row in rows if row.on_front]
    else:
        members = _members_of(goals, [row for row in rows if not row.broken])
    tied = _ties_of(goals, members)
    shown = tuple(_standing_as(row, tied.get(row.trial)) for row in rows)
    return replace(report, limits=(*report.limits, *more), rows=shown)


def _members_of(goals: Sequence[Objective], rows: Sequence[Row]) -> list[Row]:
    """The rows that no other one dominates beyond the intervals; mIoU is compared in pairs on the same images."""
    names = [goal.name for goal in goals]
    intervals = [tuple(None if name == "miou" else row.intervals.get(name) for name in names) for row in rows]
    points, directions = [point_of(goals, row.values) for row in rows], [goal.direction for goal in goals]
    if "miou" in names and any(isinstance(row.spread, Spread) for row in rows):
        from segsearch.evidence.resample import vector_of
        from segsearch.judging.paired import Paired, paired_front

        vectors = [vector_of(row.spread) if isinstance(row.spread, Spread) else None for row in rows]
        chosen = paired_front(points, directions, Paired(names.index("miou"), vectors), intervals=intervals)
    else:
        chosen = front(points, directions, intervals=intervals)
    return [rows[index] for index in chosen]


def _ties_of(goals: Sequence[Objective], members: Sequence[Row]) -> dict[int, tuple[int, ...]]:
    """For each member of a front, by trial, those that would dominate it by the plain values."""
    beaten = ties([point_of(goals, row.values) for row in members], [goal.direction for goal in goals])
    return {row.trial: tuple(members[i].trial for i in by) for row, by in zip(members, beaten, strict=True)}


def miou_gap(row: Measured, other: Measured) -> Gap | None:
    """How much higher a model's mIoU is than another's on the same images; None where that cannot be said."""
    spreads = (row.spread, other.spread)
    if not ({"miou"} <= row.values.keys() & other.values.keys()) or any(isinstance(one, NoSpread) for one in spreads):
        return None
    from segsearch.evidence.resample import gap

    return gap(row.values["miou"], row.spread, other.values["miou"], other.spread)


def told_apart(row: Measured, other: Measured, name: str) -> bool:
    """Whether two models' values differ beyond the intervals; exact ones do unless they are equal.

    mIoU is compared as the front does it: in pairs on the same images, or by its plain values.
    """
    if name == "miou":
        between = miou_gap(row, other)
        return row.values[name] != other.values[name] if between is None else between.sure
    (low, high), (least, most) = (one.intervals.get(name, (one.values[name],) * 2) for one in (row, other))
    return not (low <= most and least <= high)


def _bounds(limit: Limit, goal: Objective) -> bool:
    """Whether a limit cuts off the worse end of an objective."""
    return (limit.operator == ">=") == (goal.direction == "maximize")


def _standing_as(row: Row, tied: tuple[int, ...] | None) -> Row:
    """A row on the front with these ties, or off it with None."""
    if row.on_front == (tied is not None) and row.tied == (tied or ()):
        return row
    return replace(row, on_front=tied is not None, tied=tied or ())


def one_machine(
    trials: Sequence[TrialRow], timings: Sequence[TimingRow], machines: Sequence[Machine], wanted: str | None = None
) -> str:
    """The key of the one machine that trained trials were timed on, or of the one that `wanted` begins.

    `wanted` may also begin the key of another one of `machines`, where nothing trained was timed yet, or a key that one
    had before. Without a trained trial it is the machine of the rejected ones, empty where there is none or more than
    one. Raises `StudyError` where there are several to choose from or none is meant.
    """
    trained = {trial.number for trial in trials if trial.state == "trained"}
    counts = Counter(timing.machine for timing in timings if timing.trial in trained)
    known = {machine.key: machine for machine in machines}
    names = "; ".join(f"{key[:8]} ({_in_short(known.get(key), count)})" for key, count in counts.items())
    if wanted is None:
        found = set(counts) or {timing.machine for timing in timings}
        if len(counts) > 1:
            raise StudyError(f"Latencies of different machines do not compare. Choose one with --machine: {names}.")
        return found.pop() if len(found) == 1 else ""
    meant = find_machine(wanted, counts, machines) or find_machine(wanted, known, machines)
    if len(meant) == 1 or wanted in meant:
        return wanted if wanted in meant else next(iter(meant))
    raise StudyError(
        f"--machine must begin the key of one machine that models were timed on, got {wanted!r}: {names or 'none yet'}."
    )


def _in_short(machine: Machine | None, count: int) -> str:
    models = f"{count} model{'' if count == 1 else 's'}"
    if machine is None:
        return f"unknown, {models}"
    threads = f"{machine.threads} thread{'' if machine.threads == 1 else 's'}"
    return f"{machine.cpu}, {machine.cores} cores, {machine.runtime}, {threads}, {models}"


def _row(
    study: StudyRow, trial: TrialRow, timing: TimingRow, limits: Sequence[Limit], again: Mapping[int, Sequence[float]]
) -> Row:
    values = {name: value for name, value in trial.values.items() if name not in MACHINE_BOUND} | dict(timing.values)
    spread = trial.spread
    of_miou = {"miou": (spread.low, spread.high)} if isinstance(spread, Spread) and "miou" in values else {}
    return Row(
        trial=trial.number,
        candidate=trial.candidate,
        values=values,
        intervals=of_miou | dict(timing.intervals),
        artifact=(study.artifacts.folder / (trial.artifact or "")).absolute(),
        sha256=(trial.artifact or "").split(".")[0],
        machine=timing.machine,
        on_front=False,
        broken=broken_by(limits, values),
        spread=spread,
        confirmed=over_seeds(values["miou"], again[trial.number]) if trial.number in again else None,
    )


def broken_by(limits: Sequence[Limit], values: Mapping[str, float]) -> tuple[Limit, ...]:
    """The limits that are not seen to be met: also those on something that was not measured."""
    return tuple(
        limit for limit in limits if limit.objective not in values or limit.excess(values[limit.objective]) > 0
    )


def point_of(goals: Sequence[Objective], values: Mapping[str, float]) -> tuple[float, ...]:
    """A row as a point: its values in the order of the objectives."""
    return tuple(values[goal.name] for goal in goals)


def knee_of(report: Report) -> Row:
    """The knee of a front that is not empty."""
    members = report.front
    points = [point_of(report.objectives, row.values) for row in members]
    return members[knee(points, [goal.direction for goal in report.objectives])]
