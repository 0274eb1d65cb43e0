"""The front as a chart: to explore with two or three objectives on the axes, and as a self-contained web page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from segsearch.figures.marks import axis_named, edge_of, marks_of, rejected_of, ticks_of, title_of
from segsearch.figures.points import Axes, crosses, markers, pointers, rug, staircase, tied_entry
from segsearch.figures.theme import Theme, dress, page, theme
from segsearch.objectives import Limit, Objective
from segsearch.report import Report, Row, describe, precision, with_interval


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
        chart.add_trace(markers(marks, axes, look))
    if flat and any(any(marks.tied) for marks in shown if marks.on_front):
        chart.add_trace(tied_entry(look))
    for trace in pointers(report, axes, look, limits=limits, selected=selected, picked=picked):
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
            chart.add_trace(staircase(edge, up, across, look))
        both = rejected_of(report, (across, up), bounds=bounds)
        if both.values[0]:
            chart.add_trace(crosses(both, look))
    if across is not None and across.name != "miou":
        foot = rejected_of(report, (across,), bounds=bounds)
        if (foot.values[0] or foot.beyond) and not (up is not None and both.values[0]):
            chart.add_trace(rug(foot, look))


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
