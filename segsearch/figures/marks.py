"""What a chart of the front shows, as data: who stands where, who is faint, and what a point says."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from html import escape

from segsearch.evidence.objectives import OBJECTIVES, Limit, Objective
from segsearch.judging.finals import ended_by_trial
from segsearch.judging.fronts import Report, Row
from segsearch.judging.words import describe, precision, trial_names, with_interval
from segsearch.store import ReferenceRow

# Points that say their whole design; the others say their numbers, so that ten thousand trials stay light.
WORDED = 300
# How far beyond the trained models a rejected one may lie before it would squeeze them together, and a reference.
REACH = 1.15
REACH_OF_REFERENCES = 3.0


@dataclass(frozen=True)
class Marks:
    """Points that look alike: one precision, on the front or not.

    `values` holds one sequence for each axis, in the axes' order. `outside` are those that break a limit, `tied` those
    that another one beats within the intervals only. `words` is empty where a point says its numbers alone.
    """

    ships: str
    on_front: bool
    trials: tuple[int, ...]
    values: tuple[tuple[float, ...], ...]
    intervals: tuple[tuple[tuple[float, float], ...], ...]
    outside: tuple[bool, ...]
    tied: tuple[bool, ...]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.ships}, {'on the front' if self.on_front else 'dominated or over a limit'}"


def marks_of(
    report: Report, axes: Sequence[Objective | None], limits: Sequence[Limit] = (), *, worded: int = WORDED
) -> tuple[Marks, ...]:
    """Every trained trial that has a value on each axis, faint ones first; an axis of None is the trial's number.

    `limits` come on top of the report's own: who breaks one is faint, whatever its standing.
    """
    names = {axis.name for axis in axes if axis is not None}
    shown = [row for row in report.rows if names <= row.values.keys()]
    bright = {row.trial for row in shown if row.on_front and not breaks(row, limits)}
    # The front first, then what met the limits: the words are spent where people look.
    order = nsmallest(worded, shown, key=lambda row: (row.trial not in bright, bool(row.broken), row.trial))
    told = {row.trial for row in order}
    groups: dict[tuple[bool, str], list[Row]] = {}
    for row in shown:
        groups.setdefault((row.trial in bright, precision(row.candidate)), []).append(row)
    for rows in groups.values():
        # A legend shows the first point's marker: the plain one.
        rows.sort(key=lambda row: bool(row.tied) or bool(row.broken) or breaks(row, limits))
    return tuple(
        _marks(report, rows, axes, limits, ships=ships, on_front=on_front, told=told)
        for (on_front, ships), rows in sorted(groups.items())
    )


def _marks(
    report: Report,
    rows: Sequence[Row],
    axes: Sequence[Objective | None],
    limits: Sequence[Limit],
    *,
    ships: str,
    on_front: bool,
    told: Collection[int],
) -> Marks:
    return Marks(
        ships=ships,
        on_front=on_front,
        trials=tuple(row.trial for row in rows),
        values=tuple(tuple([at(row, axis) for row in rows]) for axis in axes),
        intervals=tuple(tuple(span(row, axis) for row in rows) if on_front else () for axis in axes),
        outside=tuple(bool(row.broken) or (bool(limits) and breaks(row, limits)) for row in rows),
        tied=tuple(bool(row.tied) for row in rows),
        words=tuple(hover(report, row) if row.trial in told else "" for row in rows),
    )


@dataclass(frozen=True)
class Beside:
    """References of one precision; `beyond` lie so far out that they are only counted.

    `values` and `intervals` hold one sequence for each axis, in the axes' order.
    """

    ships: str
    names: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    intervals: tuple[tuple[tuple[float, float], ...], ...]
    words: tuple[str, ...]
    beyond: int

    @property
    def name(self) -> str:
        return f"reference, {self.ships}" + (f" ({self.beyond} beyond the chart)" if self.beyond else "")


def references_of(report: Report, axes: Sequence[Objective | None], *, logs: Sequence[bool] = ()) -> tuple[Beside, ...]:
    """The references that have a value on every axis, by precision; a trial's number is none of theirs.

    On an axis of costs that is not logarithmic, one far beyond all models would squeeze them together.
    """
    goals = [axis for axis in axes if axis is not None]
    if len(goals) < len(axes):
        return ()
    names = {goal.name for goal in goals}
    shown = [one for one in report.references if names <= one.values.keys()]
    reach = [
        _furthest(report, goal) if goal.direction == "minimize" and not log else math.inf
        for goal, log in zip(goals, (*logs, *[False] * len(goals)), strict=False)
    ]
    found = []
    for ships in dict.fromkeys(one.precision for one in sorted(shown, key=lambda one: one.precision)):
        alike = [one for one in shown if one.precision == ships]
        near = [
            one for one in alike if all(one.values[goal.name] <= most for goal, most in zip(goals, reach, strict=True))
        ]
        found.append(
            Beside(
                ships,
                tuple(one.name for one in near),
                tuple(tuple(one.values[goal.name] for one in near) for goal in goals),
                tuple(
                    tuple(one.intervals.get(goal.name, (one.values[goal.name],) * 2) for one in near) for goal in goals
                ),
                tuple(hover_of_reference(report, one) for one in near),
                len(alike) - len(near),
            )
        )
    return tuple(found)


def _furthest(report: Report, goal: Objective) -> float:
    """How far out a reference may lie."""
    return REACH_OF_REFERENCES * max((row.values.get(goal.name, 0.0) for row in report.rows), default=math.inf)


def hover_of_reference(report: Report, one: ReferenceRow) -> str:
    """What a reference's mark says: its name first."""
    numbers = [f"{goal.name} {with_interval(one, goal.name)}" for goal in report.objectives]
    lines = [one.name, "trained by the study's recipe", *numbers, *describe(one.candidate).split("; ")]
    return "<br>".join(escape(line) for line in lines)


def breaks(row: Row, limits: Iterable[Limit]) -> bool:
    """Whether a model is not seen to meet all of the limits."""
    return any(one.objective not in row.values or one.excess(row.values[one.objective]) > 0 for one in limits)


def at(row: Row, axis: Objective | None) -> float:
    return float(row.trial) if axis is None else row.values[axis.name]


def span(row: Row, axis: Objective | None) -> tuple[float, float]:
    """The interval of a value; of no width where it is exact."""
    value = at(row, axis)
    return row.intervals.get(axis.name, (value, value)) if axis is not None else (value, value)


def hover(report: Report, row: Row) -> str:
    """What a point says: its numbers, then its design a piece a line."""
    numbers = [f"{goal.name} {with_interval(row, goal.name)}" for goal in report.objectives]
    if row.tied:
        numbers.append(f"within the intervals of {trial_names(row.tied)}")
    if row.broken:
        numbers.append(f"breaks {', '.join(map(str, row.broken))}")
    final = ended_by_trial(report).get(row.trial) if report.grown else None
    if final is not None and final.scored:
        numbers.append(f"trained to the end miou {final.shown('miou')}")
    lines = [f"trial {row.trial}", *numbers, *describe(row.candidate).split("; ")]
    return "<br>".join(escape(line) for line in lines)


@dataclass(frozen=True)
class Rejected:
    """Values of candidates that a limit rejected untrained; `beyond` lie so far out that they are only counted."""

    values: tuple[tuple[float, ...], ...]
    beyond: int


def rejected_of(report: Report, axes: Sequence[Objective], *, bounds: Sequence[Limit]) -> Rejected:
    """The rejected candidates that have a value on every one of the axes."""
    reach = [_reach(report, axis, bounds) for axis in axes]
    near, beyond = list[tuple[float, ...]](), 0
    for values in report.rejected:
        point = tuple(values.get(axis.name, math.nan) for axis in axes)
        if all(map(math.isfinite, point)):
            if all(low <= value <= high for value, (low, high) in zip(point, reach, strict=True)):
                near.append(point)
            else:
                beyond += 1
    return Rejected(tuple(zip(*near, strict=True)) or ((),) * len(axes), beyond)


def _reach(report: Report, axis: Objective, bounds: Sequence[Limit]) -> tuple[float, float]:
    seen = [row.values[axis.name] for row in report.rows if axis.name in row.values]
    seen += [limit.bound for limit in bounds if limit.objective == axis.name]
    return (min(seen) / REACH, max(seen) * REACH) if seen else (-math.inf, math.inf)


def edge_of(report: Report, up: Objective, across: Objective, limits: Sequence[Limit] = ()) -> Sequence[Row]:
    """The members of the front from one end to the other, where these two axes are all that it is made of.

    Those that another one beats, if only within the intervals, lie behind the edge.
    """
    if {up, across} != set(report.objectives) or len(report.objectives) != 2:
        return ()
    members = {row.trial: row for row in report.front if not breaks(row, limits)}
    edge = (row for row in members.values() if not any(other in members for other in row.tied))
    return sorted(edge, key=lambda row: row.values[across.name])


# How d3 writes a value on an axis, and in a point's own line.
_TICKS: Mapping[str, str] = {"size_bytes": "~s", "params": "~s", "macs": "~s", "peak_memory_bytes": "~s"}


def ticks_of(axis: Objective | None) -> str:
    return "" if axis is None else _TICKS.get(axis.name, "")


def number_of(axis: Objective | None) -> str:
    """The format of one value: `.3f` for a share, `.3s` for a size, `.4g` for a time."""
    if axis is None:
        return "d"
    return ".3s" if axis.name in _TICKS else ".3f" if axis.name == "miou" else ".4g"


def title_of(axis: Objective | None) -> str:
    if axis is None:
        return "trial"
    better = "higher" if axis.direction == "maximize" else "lower"
    return f"{axis.title}{f' [{axis.unit}]' if axis.unit else ''}, {better} is better"


def axis_named(name: str | None) -> Objective | None:
    """The objective of that name; None and `trial` are the trial's number. Raises `KeyError` for another name."""
    return None if name in (None, "trial") else OBJECTIVES[str(name)]
