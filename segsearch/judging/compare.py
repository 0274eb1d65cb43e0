"""How two models differ, in words: `+1.9 mIoU points (95 % +0.7 to +3.1 on the same images) for +3.1 ms`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from segsearch.evidence.objectives import Objective
from segsearch.judging.fronts import Report, Row, miou_gap
from segsearch.judging.words import in_words

if TYPE_CHECKING:
    from segsearch.evidence.resample import Gap


def neighbours(report: Report, row: Row) -> tuple[Row | None, Row | None]:
    """The members of the front before and after a model, the cheaper one first."""
    goal = report.objectives[-1]
    turn = -1.0 if goal.direction == "maximize" else 1.0

    def place(one: Row) -> tuple[float, int]:
        return turn * one.values[goal.name], one.trial

    if goal.name not in row.values:
        return None, None
    before = [one for one in report.front if place(one) < place(row)]
    after = [one for one in report.front if place(one) > place(row)]
    return (before[-1] if before else None), (after[0] if after else None)


def next_words(report: Report, row: Row) -> list[str]:
    """How a model differs from its neighbours on the front, a line for each."""
    lines = []
    for other, way in zip(neighbours(report, row), ("before", "after"), strict=True):
        if other is not None:
            gap = difference(report.objectives, row.values, other.values, miou_gap(other, row))
            lines.append(f"The next on the front {way} it, trial {other.trial}: {gap}.")
    return lines


def difference(
    goals: tuple[Objective, ...],
    here: Mapping[str, float],
    there: Mapping[str, float],
    between: Gap | None = None,
) -> str:
    """What going from one model to another brings and what it costs; the gains stand first.

    `between` is how much higher the other one's mIoU is on the same images, where that can be said.
    """
    gains: list[str] = []
    costs: list[str] = []
    same: list[str] = []
    for goal in goals:
        if goal.name not in here or goal.name not in there:
            continue
        change = there[goal.name] - here[goal.name]
        if change == 0:
            same.append(goal.title)
        else:
            better = (change > 0) == (goal.direction == "maximize")
            (gains if better else costs).append(changed(goal, change, between))
    if not gains and not costs:
        return "the same in every objective"
    if gains and costs:
        return f"{' and '.join(gains)} for {' and '.join(costs)}"
    return f"{' and '.join(gains or costs)} and the same {' and '.join(same)}" if same else " and ".join(gains or costs)


def changed(goal: Objective, change: float, between: Gap | None = None) -> str:
    """A change of one objective with its sign: `+1.9 mIoU points`, `-3.1 ms latency`; with the interval of mIoU's."""
    sign = "+" if change > 0 else "\N{MINUS SIGN}"
    if goal.name == "miou":
        if between is None:
            return f"{sign}{abs(change) * 100:.2g} mIoU points"
        points = f"{sign}{abs(change) * 100:{'.1f' if abs(change) > 0.0095 else '.2g'}} mIoU points"
        low, high = (f"{end * 100:+.1f}".replace("-", "\N{MINUS SIGN}") for end in (between.low, between.high))
        return f"{points} (95 % {low} to {high} on the same images)"
    unit = {"ms": " ms", "mj": " mJ"}.get(goal.unit, "")
    name = "" if goal.name == "latency_ms" else f" {goal.title}"
    size = f"{abs(change):.2g}" if unit and abs(change) < 100 else in_words(goal.name, abs(change))
    return f"{sign}{size}{unit}{name}"
