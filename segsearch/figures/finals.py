"""Models trained to the end in the chart of the front: where each ended, and the way there from its proxy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from segsearch.evidence.objectives import Limit, Objective
from segsearch.figures.marks import at, breaks
from segsearch.figures.points import Axes, Trace, bars, trace
from segsearch.figures.theme import Theme
from segsearch.judging.finals import Ended, ended_by_trial, recipe_words
from segsearch.judging.fronts import Report, Row
from segsearch.judging.words import describe, in_words, precision

# Pixels: the triangle of a final model, how far its arrow's head stays off its middle, and the head itself.
_SIZE, _OFF, _HEAD = 13, 8, 9


@dataclass(frozen=True)
class Ends:
    """Models of one precision that were trained to the end.

    `before` (as a proxy), `values` and `intervals` hold one sequence for each axis, in the axes' order. `outside` are
    those whose trial breaks a limit.
    """

    ships: str
    trials: tuple[int, ...]
    before: tuple[tuple[float, ...], ...]
    values: tuple[tuple[float, ...], ...]
    intervals: tuple[tuple[tuple[float, float], ...], ...]
    outside: tuple[bool, ...]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"trained to the end, {self.ships}"


def ends_of(report: Report, axes: Sequence[Objective | None], limits: Sequence[Limit] = ()) -> tuple[Ends, ...]:
    """The final models that have a value on every axis, by precision; an axis of None is the trial's number.

    What learned from the validation images has no mIoU there and no place, whatever is on the axes. `limits` come on
    top of the report's own.
    """
    if not report.grown:
        return ()
    names = {"miou", *(axis.name for axis in axes if axis is not None)}
    rows = {row.trial: row for row in report.rows if names <= row.values.keys()}
    shown = [
        (rows[trial], ended)
        for trial, ended in sorted(ended_by_trial(report).items())
        if trial in rows and names <= ended.values.keys()
    ]
    kinds = sorted({precision(row.candidate) for row, _ in shown})
    return tuple(
        _ends(report, ships, [pair for pair in shown if precision(pair[0].candidate) == ships], axes, limits)
        for ships in kinds
    )


def _ends(
    report: Report,
    ships: str,
    pairs: Sequence[tuple[Row, Ended]],
    axes: Sequence[Objective | None],
    limits: Sequence[Limit],
) -> Ends:
    def value(ended: Ended, axis: Objective | None) -> float:
        return float(ended.trial) if axis is None else ended.values[axis.name]

    def span(ended: Ended, axis: Objective | None) -> tuple[float, float]:
        exact = (value(ended, axis),) * 2
        return exact if axis is None else ended.intervals.get(axis.name, exact)

    return Ends(
        ships=ships,
        trials=tuple(row.trial for row, _ in pairs),
        before=tuple(tuple(at(row, axis) for row, _ in pairs) for axis in axes),
        values=tuple(tuple(value(ended, axis) for _, ended in pairs) for axis in axes),
        intervals=tuple(tuple(span(ended, axis) for _, ended in pairs) for axis in axes),
        outside=tuple(bool(row.broken) or breaks(row, limits) for row, _ in pairs),
        words=tuple(hover_of_final(report, row, ended) for row, ended in pairs),
    )


def hover_of_final(report: Report, row: Row, ended: Ended) -> str:
    """What a final model's mark says: its numbers beside its proxy's, then how it was trained, then its design."""
    lines = [f"trial {row.trial}, trained to the end"]
    for goal in report.objectives:
        before = f" (as a proxy {in_words('miou', row.values['miou'])})" if goal.name == "miou" else ""
        lines.append(f"{goal.name} {ended.shown(goal.name)}{before}")
    lines += [f"test miou {ended.shown_test}"] if ended.test is not None else []
    lines += [recipe_words(ended.recipe), *describe(row.candidate).split("; ")]
    return "<br>".join(escape(line) for line in lines)


def finals(ends: Ends, axes: Axes, look: Theme) -> list[Trace]:
    """An arrow from each proxy to a triangle where its model ended; the legend switches both off together.

    A click on the triangle is one on the trial.
    """
    colour, _ = look.style(ends.ships)
    flat, letters = len(axes) == 2, "xyz"[: len(axes)]
    kind = "scatter" if flat else "scatter3d"
    ways = {
        letter: [end for pair in zip(before, after, strict=True) for end in (*pair, None)]
        for letter, before, after in zip(letters, ends.before, ends.values, strict=True)
    }
    count = len(ends.trials)
    arrows = {
        "symbol": ["circle", "arrow", "circle"] * count,
        "size": [0, _HEAD, 0] * count,
        "standoff": [0, _OFF, 0] * count,
        "angleref": "previous",
        "color": colour,
        "line": {"width": 0},
    }
    way = trace(
        kind,
        **ways,
        mode="lines+markers" if flat else "lines",
        line={"color": colour, "width": 1.2 if flat else 2},
        marker=arrows if flat else None,
        opacity=0.6,
        name=ends.name,
        legendgroup=ends.name,
        showlegend=False,
        hoverinfo="skip",
        uid=f"way, {ends.ships}",
    )
    end = trace(
        kind,
        **{letter: list(values) for letter, values in zip(letters, ends.values, strict=True)},
        mode="markers",
        name=ends.name,
        legendgroup=ends.name,
        legendrank=3,
        uid=ends.name,
        marker={
            # Space has no triangles; a cross is no precision's marker there.
            "symbol": "triangle-up" if flat else "cross",
            "size": _SIZE if flat else 6,
            "color": colour,
            "line": {"width": 1.2 if flat else 0, "color": look.ink},
            **({"opacity": [look.faint if out else 1.0 for out in ends.outside]} if flat else {}),
        },
        **bars(ends.values, ends.intervals, axes, colour),
        customdata=list(ends.trials),
        hovertext=list(ends.words),
        hovertemplate="%{hovertext}<extra></extra>",
    )
    return [way, end]
