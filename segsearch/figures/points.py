"""The traces of the front's chart: points, what points at them, and what lies beneath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from segsearch.figures.marks import Marks, Rejected, at, breaks, number_of
from segsearch.figures.theme import Theme
from segsearch.objectives import Limit, Objective
from segsearch.report import Report, Row, knee_of

Axes = tuple[Objective | None, ...]

# Beyond this many points WebGL draws them: SVG would take one element for each.
MANY = 1000
# Beyond this many members of one kind the front's markers are smaller.
CROWD = 80
_OPEN, _DOTTED = 100, 300
_SYMBOLS = {"circle": 0, "square": 1, "diamond": 2}


def markers(marks: Marks, axes: Axes, look: Theme) -> Any:
    """The points of one precision and standing."""
    colour, symbol = look.style(marks.ships)
    flat = len(axes) == 2
    kind = go.Scatter3d if not flat else go.Scattergl if len(marks.trials) > MANY else go.Scatter
    large = 12 if len(marks.trials) <= CROWD else 8 if len(marks.trials) <= MANY else 5
    letters = "xyz"[: len(axes)]
    lines = [
        f"{'trial' if axis is None else axis.name} %{{{letter}:{number_of(axis)}}}"
        for letter, axis in zip(letters, axes, strict=True)
    ]
    some = any(marks.words)
    plain = "<br>".join(["trial %{customdata}", *lines])
    size = (6 if marks.on_front else 4) if not flat else large if marks.on_front else min(8, large - 1)
    return kind(
        **{letter: _light(values) for letter, values in zip(letters, marks.values, strict=True)},
        mode="markers",
        name=marks.ships if marks.on_front else "dominated or over a limit",
        legendgroup=marks.ships if marks.on_front else "faint",
        uid=marks.name,
        legendrank=1 if marks.on_front else 2,
        marker={
            "color": colour,
            "symbol": symbol if not flat else _shapes(marks, symbol),
            "size": size,
            "line": {"width": 1.6 if flat and marks.on_front else 0, "color": colour},
        },
        opacity=1.0 if marks.on_front else look.faint * (1 if len(marks.trials) <= MANY else 0.6),
        **(_bars(marks, axes, colour) if marks.on_front else {}),
        # Lists, not packed arrays: Dash hands a click's customdata on as it lies in the figure.
        customdata=list(marks.trials),
        hovertext=list(marks.words) if some else None,
        hovertemplate=("%{hovertext}" if all(marks.words) else f"{plain}<br>%{{hovertext}}" if some else plain)
        + "<extra></extra>",
    )


def tied_entry(look: Theme) -> Any:
    """The line of the legend that says what a dotted marker means."""
    marker = {"symbol": "circle-open-dot", "size": 11, "color": look.muted, "line": {"width": 1.6}}
    name = "another is as good within the intervals"
    return go.Scatter(x=[None], y=[None], mode="markers", name=name, uid="tied", marker=marker, legendrank=2)


def _light(values: Sequence[float]) -> Any:
    """Numbers as a packed array where they are many, as a list where people may read them."""
    return np.asarray(values, dtype=np.float32) if len(values) > MANY else list(values)


def _shapes(marks: Marks, symbol: str) -> Any:
    """The marker's number, hollow where a limit is broken, dotted where another is as good within the intervals."""
    base = _SYMBOLS[symbol]
    if not any(marks.outside) and not any(marks.tied):
        return symbol
    return [
        base + (_OPEN if outside else _DOTTED if tied else 0)
        for outside, tied in zip(marks.outside, marks.tied, strict=True)
    ]


def _bars(marks: Marks, axes: Axes, colour: str) -> dict[str, Any]:
    """Confidence intervals as bars of one line's width, on the axes that have any."""
    found: dict[str, Any] = {}
    for letter, axis, values, spans in zip("xyz", axes, marks.values, marks.intervals, strict=False):
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
) -> list[Any]:
    """Marks that point at others: the knee, the selected ones, the picked one."""
    shown = {row.trial: row for row in report.rows if all(axis is None or axis.name in row.values for axis in axes)}
    found = []
    ring = {"symbol": "circle-open", "size": 22, "color": look.muted, "line": {"width": 1.5, "color": look.muted}}
    if report.front:
        knee = knee_of(report)
        if knee.trial in shown and not breaks(knee, limits):
            found.append(_pointer(f"knee (trial {knee.trial})", [knee], axes, ring, look))
    chosen = [shown[trial] for trial in selected if trial in shown]
    if chosen:
        bold = ring | {"size": 25, "color": look.ink, "line": {"width": 2.5, "color": look.ink}}
        found.append(_pointer("selected", chosen, axes, bold, look, labelled=True))
    if picked in shown:
        star = {"symbol": "star", "size": 17, "color": look.gold, "line": {"width": 1.2, "color": look.ink}}
        found.append(_pointer(f"picked (trial {picked})", [shown[picked]], axes, star, look))
    return found


def _pointer(
    name: str, rows: Sequence[Row], axes: Axes, marker: dict[str, Any], look: Theme, *, labelled: bool = False
) -> Any:
    flat = len(axes) == 2
    if not flat:
        marker = marker | {"size": marker["size"] * 0.6, "symbol": marker["symbol"].replace("star", "diamond-open")}
    kind = go.Scatter if flat else go.Scatter3d
    return kind(
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


def staircase(edge: Sequence[Row], up: Objective, across: Objective, look: Theme) -> Any:
    """The edge of what is reached: between two members nothing better is known than the cheaper of them."""
    return go.Scatter(
        x=[row.values[across.name] for row in edge],
        y=[row.values[up.name] for row in edge],
        mode="lines",
        line={"shape": "hv" if across.direction == "minimize" else "vh", "color": look.muted, "width": 1},
        hoverinfo="skip",
        showlegend=False,
        uid="edge",
    )


_NOT_TRAINED = "rejected by a limit, not trained"


def rug(found: Rejected, look: Theme) -> Any:
    """Rejected candidates have no mIoU: a tick at the foot of the chart for each."""
    values = found.values[0]
    place = {
        "x": _light(values) if values else [None],
        "y": [0.015] * len(values) if len(values) <= MANY else np.full(len(values), 0.015, dtype=np.float32),
        "yaxis": "y2",
    }
    marker = {"symbol": "line-ns-open", "size": 9, "color": look.muted}
    return _not_trained(found, place, marker, shown="%{x:.4g}", opacity=0.6)


def crosses(found: Rejected, look: Theme) -> Any:
    """Rejected candidates where both axes are known without training."""
    across, up = found.values
    marker = {"symbol": "x-thin-open", "size": 6, "color": look.muted}
    return _not_trained(found, {"x": _light(across), "y": _light(up)}, marker, shown="%{x:.4g}, %{y:.4g}", opacity=0.5)


def _not_trained(found: Rejected, place: dict[str, Any], marker: dict[str, Any], *, shown: str, opacity: float) -> Any:
    kind = go.Scattergl if len(found.values[0]) > MANY else go.Scatter
    return kind(
        **place,
        mode="markers",
        name=_NOT_TRAINED + (f" ({found.beyond} beyond the chart)" if found.beyond else ""),
        uid="rejected",
        legendrank=4,
        marker=marker,
        hovertemplate=f"{_NOT_TRAINED}<br>{shown}<extra></extra>",
        opacity=opacity,
    )
