"""The traces of the front's chart as plain data: points, what points at them, and what lies beneath."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from segsearch.evidence.objectives import Limit, Objective
from segsearch.figures.marks import Beside, Marks, Rejected, at, breaks, number_of
from segsearch.figures.theme import Theme
from segsearch.judging.fronts import Report, Row, knee_of

Axes = tuple[Objective | None, ...]
# For each axis the values of its points, and the ends of their intervals.
Values = Sequence[Sequence[float]]
Spans = Sequence[Sequence[tuple[float, float]]]
# Plotly's own objects check each value; where a chart follows a slider, that would be nine tenths of the time.
Trace = dict[str, Any]

# Beyond this many points WebGL draws them: SVG would take one element for each.
MANY = 1000
# Beyond this many members of one kind the front's markers are smaller.
CROWD = 80
_OPEN, _DOTTED = 100, 300
_SYMBOLS = {"circle": 0, "square": 1, "diamond": 2, "cross": 3}


def markers(marks: Marks, axes: Axes, look: Theme) -> list[Trace]:
    """The points of one precision and standing; where they are many, those of one shape are a trace of their own."""
    if len(marks.trials) <= MANY:
        return [_markers(marks, axes, look, name=marks.name)]
    # A shape for each point costs WebGL more than the points do.
    kinds = list(zip(marks.outside, marks.tied, strict=True))
    parts = [
        (_some(marks, [at for at, other in enumerate(kinds) if other == kind]), kind) for kind in dict.fromkeys(kinds)
    ]
    found: list[Trace] = []
    for part, (outside, tied) in parts:
        more = f"{', over a limit' if outside else ''}{', tied' if tied else ''}" if found else ""
        found.append(_markers(part, axes, look, name=marks.name + more, of=len(marks.trials)))
        found[-1]["showlegend"] = len(found) == 1
    return found


def _some(marks: Marks, places: Sequence[int]) -> Marks:
    """The marks at some places."""

    def some(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[place] for place in places) if values else ()

    return replace(
        marks,
        trials=some(marks.trials),
        values=tuple(map(some, marks.values)),
        intervals=tuple(map(some, marks.intervals)),
        outside=some(marks.outside),
        tied=some(marks.tied),
        words=some(marks.words),
    )


def _markers(marks: Marks, axes: Axes, look: Theme, *, name: str, of: int | None = None) -> Trace:
    count = of or len(marks.trials)
    colour, symbol = look.style(marks.ships)
    flat = len(axes) == 2
    kind = "scatter3d" if not flat else "scattergl" if count > MANY else "scatter"
    large = 12 if count <= CROWD else 8 if count <= MANY else 5
    letters = "xyz"[: len(axes)]
    lines = [
        f"{'trial' if axis is None else axis.name} %{{{letter}:{number_of(axis)}}}"
        for letter, axis in zip(letters, axes, strict=True)
    ]
    some = any(marks.words)
    plain = "<br>".join(["trial %{customdata}", *lines])
    size = (6 if marks.on_front else 4) if not flat else large if marks.on_front else min(8, large - 1)
    return trace(
        kind,
        **{letter: _light(values) for letter, values in zip(letters, marks.values, strict=True)},
        mode="markers",
        name=marks.ships if marks.on_front else "dominated or over a limit",
        legendgroup=marks.ships if marks.on_front else "faint",
        uid=name,
        legendrank=1 if marks.on_front else 2,
        marker={
            "color": colour,
            "symbol": symbol if not flat else _shapes(marks, symbol),
            "size": size,
            "line": {"width": 1.6 if flat and marks.on_front else 0, "color": colour},
        },
        opacity=1.0 if marks.on_front else look.faint * (1 if count <= MANY else 0.6),
        **(bars(marks.values, marks.intervals, axes, colour) if marks.on_front else {}),
        # Lists, not packed arrays: Dash hands a click's customdata on as it lies in the figure.
        customdata=list(marks.trials),
        hovertext=list(marks.words) if some else None,
        hovertemplate=("%{hovertext}" if all(marks.words) else f"{plain}<br>%{{hovertext}}" if some else plain)
        + "<extra></extra>",
    )


def trace(kind: str, **parts: Any) -> Trace:
    """A trace of what is given; what is None is left to Plotly."""
    return {"type": kind} | {name: part for name, part in parts.items() if part is not None}


def tied_entry(look: Theme) -> Trace:
    """The line of the legend that says what a dotted marker means."""
    marker = {"symbol": "circle-open-dot", "size": 11, "color": look.muted, "line": {"width": 1.6}}
    name = "another is as good within the intervals"
    return trace("scatter", x=[None], y=[None], mode="markers", name=name, uid="tied", marker=marker, legendrank=2)


def _light(values: Sequence[float]) -> Any:
    """Numbers as a packed array where they are many, as a list where people may read them."""
    if len(values) <= MANY:
        return list(values)
    return {"dtype": "f4", "bdata": base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()}


def _shapes(marks: Marks, symbol: str) -> Any:
    """The marker's number, hollow where a limit is broken, dotted where another is as good within the intervals."""
    base = _SYMBOLS[symbol]
    if not any(marks.outside) and not any(marks.tied):
        return symbol
    shapes = [
        base + (_OPEN if outside else _DOTTED if tied else 0)
        for outside, tied in zip(marks.outside, marks.tied, strict=True)
    ]
    return shapes[0] if len(set(shapes)) == 1 else shapes


def references(beside: Beside, axes: Axes, look: Theme) -> Trace:
    """Tall hollow diamonds that can be switched off in the legend, and not clicked: they are no models of the study."""
    colour, _ = look.style(beside.ships)
    flat, letters = len(axes) == 2, "xyz"[: len(axes)]
    return trace(
        "scatter" if flat else "scatter3d",
        # Without a point there would be no entry in the legend to count those that are beyond the chart.
        **{letter: [*values] if values else [None] for letter, values in zip(letters, beside.values, strict=True)},
        mode="markers",
        name=beside.name,
        uid=f"reference, {beside.ships}",
        legendrank=3,
        marker={
            # A model that is tied is hollow, too, and a diamond as int8: these are taller.
            "symbol": "diamond-tall-open" if flat else "diamond-open",
            "size": 18 if flat else 6,
            "color": colour,
            "line": {"width": 2, "color": colour},
        },
        **bars(beside.values, beside.intervals, axes, colour),
        hovertext=list(beside.words),
        hovertemplate="%{hovertext}<extra></extra>",
    )


def bars(values_of: Values, intervals_of: Spans, axes: Axes, colour: str) -> dict[str, Any]:
    """Confidence intervals as bars of one line's width, on the axes that have any."""
    found: dict[str, Any] = {}
    for letter, axis, values, spans in zip("xyz", axes, values_of, intervals_of, strict=False):
        if axis is not None and any(low < high for low, high in spans):
            found[f"error_{letter}"] = {
                "type": "data",
                "array": [high - value for value, (_, high) in zip(values, spans, strict=True)],
                "arrayminus": [value - low for value, (low, _) in zip(values, spans, strict=True)],
                "thickness": 1.2,
                "width": 3,
                "color": colour,
            }
    return found


def pointers(
    report: Report,
    axes: Axes,
    look: Theme,
    *,
    limits: Sequence[Limit],
    selected: Sequence[int],
    picked: int | None,
) -> list[Trace]:
    """Marks that point at others: the knee, the selected ones, the picked one."""
    knee = knee_of(report) if report.front else None
    wanted = {*selected, picked, knee.trial if knee else None}
    names = {axis.name for axis in axes if axis is not None}
    shown = {row.trial: row for row in report.rows if row.trial in wanted and names <= row.values.keys()}
    found: list[Trace] = []
    ring = {"symbol": "circle-open", "size": 22, "color": look.muted, "line": {"width": 1.5, "color": look.muted}}
    if knee is not None and knee.trial in shown and not breaks(knee, limits):
        found.append(_pointer(f"knee (trial {knee.trial})", [knee], axes, ring, look))
    chosen = [shown[trial] for trial in selected if trial in shown]
    if chosen:
        bold = ring | {"size": 25, "color": look.ink, "line": {"width": 2.5, "color": look.ink}}
        found.append(_pointer("selected", chosen, axes, bold, look, labelled=True))
    if picked is not None and picked in shown:
        star = {"symbol": "star", "size": 17, "color": look.gold, "line": {"width": 1.2, "color": look.ink}}
        found.append(_pointer(f"picked (trial {picked})", [shown[picked]], axes, star, look))
    return found


def _pointer(
    name: str, rows: Sequence[Row], axes: Axes, marker: dict[str, Any], look: Theme, *, labelled: bool = False
) -> Trace:
    flat = len(axes) == 2
    if not flat:
        marker = marker | {"size": marker["size"] * 0.6, "symbol": marker["symbol"].replace("star", "diamond-open")}
    return trace(
        "scatter" if flat else "scatter3d",
        **{letter: [at(row, axis) for row in rows] for letter, axis in zip("xyz", axes, strict=False)},
        mode="markers+text" if labelled else "markers",
        text=[str(row.trial) for row in rows] if labelled else None,
        textposition="top center",
        textfont={"size": 12, "color": look.ink, "weight": 600},
        name=name,
        uid=name.split(" (")[0],
        legendrank=3,
        marker=marker,
        hoverinfo="skip",
        **({"cliponaxis": False} if flat else {}),
    )


def staircase(edge: Sequence[Row], up: Objective, across: Objective, look: Theme) -> Trace:
    """The edge of what is reached: between two members nothing better is known than the cheaper of them."""
    return trace(
        "scatter",
        x=[row.values[across.name] for row in edge],
        y=[row.values[up.name] for row in edge],
        mode="lines",
        line={"shape": "hv" if across.direction == "minimize" else "vh", "color": look.muted, "width": 1},
        hoverinfo="skip",
        showlegend=False,
        uid="edge",
    )


_NOT_TRAINED = "rejected by a limit, not trained"


def rug(found: Rejected, look: Theme) -> Trace:
    """Rejected candidates have no mIoU: a tick at the foot of the chart for each."""
    values = found.values[0]
    place = {
        "x": _light(values) if values else [None],
        "y": _light([0.015] * len(values)),
        "yaxis": "y2",
    }
    marker = {"symbol": "line-ns-open", "size": 9, "color": look.muted}
    return _not_trained(found, place, marker, shown="%{x:.4g}", opacity=0.6)


def crosses(found: Rejected, look: Theme) -> Trace:
    """Rejected candidates where both axes are known without training."""
    across, up = found.values
    marker = {"symbol": "x-thin-open", "size": 6, "color": look.muted}
    return _not_trained(found, {"x": _light(across), "y": _light(up)}, marker, shown="%{x:.4g}, %{y:.4g}", opacity=0.5)


def _not_trained(
    found: Rejected, place: dict[str, Any], marker: dict[str, Any], *, shown: str, opacity: float
) -> Trace:
    return trace(
        "scattergl" if len(found.values[0]) > MANY else "scatter",
        **place,
        mode="markers",
        name=_NOT_TRAINED + (f" ({found.beyond} beyond the chart)" if found.beyond else ""),
        uid="rejected",
        legendrank=4,
        marker=marker,
        hovertemplate=f"{_NOT_TRAINED}<br>{shown}<extra></extra>",
        opacity=opacity,
    )
