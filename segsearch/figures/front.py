"""The front as a chart: to explore with two or three objectives on the axes, and as a self-contained web page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from segsearch.figures.marks import (
    Marks,
    Rejected,
    at,
    axis_named,
    breaks,
    edge_of,
    marks_of,
    number_of,
    rejected_of,
    ticks_of,
    title_of,
)
from segsearch.figures.theme import Theme, dress, page, theme
from segsearch.objectives import Limit, Objective
from segsearch.report import Report, Row, describe, knee_of, precision, with_interval

Axes = tuple[Objective | None, ...]

# Beyond this many points WebGL draws them: SVG would take one element for each.
MANY = 1000
# Beyond this many members of one kind the front's markers are smaller.
CROWD = 80
_OPEN, _DOTTED = 100, 300
_SYMBOLS = {"circle": 0, "square": 1, "diamond": 2}


def explore_figure(
    report: Report,
    *,
    up: str,
    across: str | None,
    depth: str | None = None,
    selected: Sequence[int] = (),
    picked: int | None = None,
    limits: Sequence[Limit] = (),
    dark: bool = False,
    log_up: bool = False,
    log_across: bool = False,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    legend: bool = True,
) -> Any:
    """Any two objectives, or three in space, by name; `across=None` is the trial's number.

    `limits` come on top of the report's own. Each point's `customdata` is its trial's number; marks that only point
    at others have none and cannot be clicked. `ranges` fix an axis by its objective's name.
    """
    look = theme(dark)
    axes: Axes = (axis_named(across), axis_named(up), *((axis_named(depth),) if depth else ()))
    bounds = tuple(dict.fromkeys((*report.limits, *limits)))
    chart = go.Figure()
    flat = len(axes) == 2
    if flat:
        _draw_below(chart, report, axes, bounds, limits, look)
        _draw_limits(chart, axes, bounds, look, logs=(log_across, log_up))
    shown = marks_of(report, axes, limits)
    for marks in shown:
        chart.add_trace(_markers(marks, axes, look))
    if flat and any(any(marks.tied) for marks in shown if marks.on_front):
        chart.add_trace(_tied_entry(look))
    for trace in _pointers(report, axes, look, limits=limits, selected=selected, picked=picked):
        chart.add_trace(trace)
    faint = [trace for trace in chart.data if trace.legendgroup == "faint"]
    for trace in faint[1:]:
        trace.showlegend = False
    dress(
        chart,
        look,
        showlegend=legend,
        margin={"l": 72, "r": 16, "t": 24, "b": 132 if legend else 56, "autoexpand": False},
        legend={"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top", "font": {"size": 12}},
        hovermode="closest",
        clickmode="event",
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    )
    if flat:
        _set_axes(chart, axes, ranges or {}, logs=(log_across, log_up))
    else:
        _set_space(chart, axes, look, logs=(log_across, log_up, False))
    return chart


def _draw_below(
    chart: Any, report: Report, axes: Axes, bounds: Sequence[Limit], limits: Sequence[Limit], look: Theme
) -> None:
    """What lies under the points: the front's edge, and what was rejected untrained."""
    across, up = axes
    if across is not None and up is not None:
        edge = edge_of(report, up, across, limits)
        if edge:
            chart.add_trace(_staircase(edge, up, across, look))
        both = rejected_of(report, (across, up), bounds=bounds)
        if both.values[0]:
            chart.add_trace(_crosses(both, look))
    if across is not None and across.name != "miou":
        foot = rejected_of(report, (across,), bounds=bounds)
        if (foot.values[0] or foot.beyond) and not (up is not None and both.values[0]):
            chart.add_trace(_rug(foot, look))


def _draw_limits(chart: Any, axes: Axes, bounds: Sequence[Limit], look: Theme, *, logs: tuple[bool, bool]) -> None:
    """A dashed line for each limit on one of the axes, with its words on the side that meets it."""
    line = {"dash": "dash", "color": look.muted, "width": 1}
    for limit in bounds:
        below = limit.operator == "<="
        for axis, log, letter, other in zip(axes, logs, "xy", "yx", strict=True):
            if axis is None or axis.name != limit.objective or (log and limit.bound <= 0):
                continue
            ends = {f"{letter}0": limit.bound, f"{letter}1": limit.bound, f"{other}0": 0, f"{other}1": 1}
            chart.add_shape(type="line", line=line, layer="below", **{f"{other}ref": "paper"}, **ends)
            # An annotation on a logarithmic axis is placed by the logarithm, a line by the value.
            place = math.log10(limit.bound) if log else limit.bound
            sides = {"xanchor": "right" if below else "left", "yanchor": "top"}
            if letter == "y":
                sides = {"xanchor": "right", "yanchor": "top" if below else "bottom"}
            chart.add_annotation(
                text=escape(str(limit)),
                showarrow=False,
                font={"size": 11, "color": look.muted},
                **{letter: place, other: 1, f"{other}ref": "paper"},
                **sides,
            )


def _markers(marks: Marks, axes: Axes, look: Theme) -> Any:
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


def _tied_entry(look: Theme) -> Any:
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


def _pointers(
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


def _staircase(edge: Sequence[Row], up: Objective, across: Objective, look: Theme) -> Any:
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


def _rug(found: Rejected, look: Theme) -> Any:
    """Rejected candidates have no mIoU: a tick at the foot of the chart for each."""
    values = found.values[0]
    kind = go.Scattergl if len(values) > MANY else go.Scatter
    return kind(
        x=_light(values) if values else [None],
        y=[0.015] * len(values) if len(values) <= MANY else np.full(len(values), 0.015, dtype=np.float32),
        yaxis="y2",
        mode="markers",
        name=_NOT_TRAINED + (f" ({found.beyond} beyond the chart)" if found.beyond else ""),
        uid="rejected",
        legendrank=4,
        marker={"symbol": "line-ns-open", "size": 9, "color": look.muted},
        hovertemplate=f"{_NOT_TRAINED}<br>%{{x:.4g}}<extra></extra>",
        opacity=0.6,
    )


def _crosses(found: Rejected, look: Theme) -> Any:
    """Rejected candidates where both axes are known without training."""
    across, up = found.values
    kind = go.Scattergl if len(across) > MANY else go.Scatter
    return kind(
        x=_light(across),
        y=_light(up),
        mode="markers",
        name=_NOT_TRAINED + (f" ({found.beyond} beyond the chart)" if found.beyond else ""),
        uid="rejected",
        legendrank=4,
        marker={"symbol": "x-thin-open", "size": 6, "color": look.muted},
        hovertemplate=f"{_NOT_TRAINED}<br>%{{x:.4g}}, %{{y:.4g}}<extra></extra>",
        opacity=0.5,
    )


def _set_axes(chart: Any, axes: Axes, ranges: Mapping[str, tuple[float, float]], *, logs: tuple[bool, bool]) -> None:
    for axis, log, update in zip(axes, logs, (chart.update_xaxes, chart.update_yaxes), strict=True):
        fixed = ranges.get(axis.name if axis is not None else "trial")
        how: dict[str, Any] = {"title_text": title_of(axis), "tickformat": ticks_of(axis)}
        if log:
            how |= {"type": "log", "minor": {"ticks": "inside", "ticklen": 3}, "dtick": "D2", "exponentformat": "none"}
        if fixed is not None:
            how["range"] = [math.log10(max(end, 1e-12)) for end in fixed] if log else list(fixed)
        update(selector={"overlaying": None}, **how)
    chart.update_layout(xaxis_showgrid=True, yaxis_showgrid=True)


def _set_space(chart: Any, axes: Axes, look: Theme, *, logs: tuple[bool, bool, bool]) -> None:
    style = {
        "gridcolor": look.line,
        "zerolinecolor": look.line,
        "color": look.muted,
        "backgroundcolor": "rgba(0,0,0,0)",
    }
    scene = {
        f"{letter}axis": style
        | {"title": {"text": title_of(axis).split(",")[0]}, "tickformat": ticks_of(axis)}
        | ({"type": "log"} if log else {})
        for letter, axis, log in zip("xyz", axes, logs, strict=True)
    }
    chart.update_layout(scene=scene | {"uirevision": "kept", "camera": {"eye": {"x": 1.5, "y": -1.5, "z": 0.7}}})


# ---- the page of `front --html`


def figure(report: Report) -> Any:
    """The chart: the first objective against the second (or against the trial's number where there is only one)."""
    up, across = report.objectives[0], report.objectives[1] if len(report.objectives) > 1 else None
    ranges = {}
    if across is not None and report.rows:
        bounds = [limit.bound for limit in report.limits if limit.objective == across.name]
        ranges[across.name] = (0.0, 1.1 * max(*(row.values[across.name] for row in report.rows), *bounds, 0.0))
    chart = explore_figure(report, up=up.name, across=across.name if across else None, ranges=ranges)
    for trace in chart.select_traces(selector=lambda trace: trace.customdata is not None):
        trace.update(name=trace.uid, showlegend=True)  # there is room for all of it
    return chart.update_layout(height=600)


def as_page(report: Report) -> str:
    """The whole page; it needs no other file and asks nothing of a network."""
    goals = report.objectives
    names = ["trial", *(goal.name for goal in goals), "ships", "design", "file (SHA-256)"]
    head = "".join(f"<th{_number(i, goals)}>{escape(name)}</th>" for i, name in enumerate(names))
    body = "\n".join(_table_row(row, goals) for row in report.front)
    limits = f" under {', '.join(map(str, report.limits))}" if report.limits else ""
    summary = f"{len(report.front)} of {len(report.rows)} trained models are on the front{limits}."
    return page(f"Front of {report.study}", summary, figure(report), name="front", head=head, body=body)


def _table_row(row: Row, goals: Sequence[Objective]) -> str:
    numbers = [with_interval(row, goal.name) for goal in goals]
    trial = f"{row.trial}{'~' if row.tied else ''}"
    cells = [trial, *numbers, precision(row.candidate), describe(row.candidate), row.sha256[:12]]
    return "<tr>" + "".join(f"<td{_number(i, goals)}>{escape(cell)}</td>" for i, cell in enumerate(cells)) + "</tr>"


def _number(column: int, goals: Sequence[Objective]) -> str:
    return ' class="number"' if column <= len(goals) else ""
