"""The front as a chart: to explore with two or three objectives on the axes, and as a self-contained web page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from segsearch.evidence.objectives import Limit, Objective
from segsearch.figures.marks import axis_named, edge_of, marks_of, references_of, rejected_of, ticks_of, title_of
from segsearch.figures.points import Axes, Trace, crosses, markers, pointers, references, rug, staircase, tied_entry
from segsearch.figures.theme import Theme, axis_style, layout_style, page, theme
from segsearch.judging.fronts import Report, Row
from segsearch.judging.words import describe, precision, unsure_lines, with_interval

Logs = tuple[bool, ...]
# Where one looks at three axes from: far enough that their names are not cut off.
SPOT = {"eye": {"x": 1.75, "y": -1.75, "z": 0.8}, "center": {"x": 0, "y": 0, "z": -0.15}}


def draw_front(
    report: Report,
    *,
    up: str,
    across: str | None,
    depth: str | None = None,
    selected: Sequence[int] = (),
    picked: int | None = None,
    limits: Sequence[Limit] = (),
    dark: bool = False,
    logs: tuple[bool, bool] = (False, False),
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Any]:
    """Any two objectives, or three in space, by name; `across=None` is the trial's number. `logs` are across and up.

    A figure as plain data. `limits` come on top of the report's own. Each point's `customdata` is its trial's number;
    references and marks that only point at others have none and cannot be clicked. `ranges` fix an axis by its
    objective's name.
    """
    look = theme(dark)
    axes: Axes = (axis_named(across), axis_named(up), *((axis_named(depth),) if depth else ()))
    bounds = tuple(dict.fromkeys((*report.limits, *limits)))
    flat = len(axes) == 2
    shown = marks_of(report, axes, limits)
    traces = _below(report, axes, bounds, limits, look) if flat else []
    traces += [trace for marks in shown for trace in markers(marks, axes, look)]
    if flat and any(any(marks.tied) for marks in shown if marks.on_front):
        traces.append(tied_entry(look))
    traces += [references(beside, axes, look) for beside in references_of(report, axes, logs=logs)]
    traces += pointers(report, axes, look, limits=limits, selected=selected, picked=picked)
    for trace in [trace for trace in traces if trace.get("legendgroup") == "faint"][1:]:
        trace["showlegend"] = False
    layout = layout_style(look) | {
        "showlegend": True,
        "margin": {"l": 72, "r": 16, "t": 24, "b": 152, "autoexpand": False},
        "legend": {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top", "font": {"size": 12}},
        "hovermode": "closest",
        "clickmode": "event",
    }
    more = _plane(axes, bounds, ranges or {}, look, logs=logs) if flat else _space(axes, look, logs=(*logs, False))
    return {"data": traces, "layout": layout | more}


def explore_figure(report: Report, **wishes: Any) -> Any:
    """`draw_front` as a figure of Plotly's, which checks every value."""
    drawn = draw_front(report, **wishes)
    return go.Figure(drawn).update_layout(template="none")


def _below(report: Report, axes: Axes, bounds: Sequence[Limit], limits: Sequence[Limit], look: Theme) -> list[Trace]:
    """What lies under the points: the front's edge, and what was rejected untrained."""
    across, up = axes
    found: list[Trace] = []
    crossed = False
    if across is not None and up is not None:
        edge = edge_of(report, up, across, limits)
        if edge:
            found.append(staircase(edge, up, across, look))
        both = rejected_of(report, (across, up), bounds=bounds)
        crossed = bool(both.values[0])
        if crossed:
            found.append(crosses(both, look))
    if across is not None and across.name != "miou" and not crossed:
        foot = rejected_of(report, (across,), bounds=bounds)
        if foot.values[0] or foot.beyond:
            found.append(rug(foot, look))
    return found


def _plane(
    axes: Axes, bounds: Sequence[Limit], ranges: Mapping[str, tuple[float, float]], look: Theme, *, logs: Logs
) -> dict[str, Any]:
    """Two axes, and a dashed line for each limit on one of them."""
    found: dict[str, Any] = {
        # The foot of the chart, where what has no value upwards stands.
        "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    }
    for letter, axis, log in zip("xy", axes, logs, strict=True):
        style = axis_style(look)
        style |= {"title": style["title"] | {"text": title_of(axis)}, "tickformat": ticks_of(axis), "showgrid": True}
        if log:
            minor = {"ticks": "inside", "ticklen": 3}
            style |= {"type": "log", "minor": minor, "dtick": "D2", "exponentformat": "none"}
        fixed = ranges.get(axis.name if axis is not None else "trial")
        if fixed is not None:
            style["range"] = [math.log10(max(end, 1e-12)) for end in fixed] if log else list(fixed)
        found[f"{letter}axis"] = style
    lines = [
        _limit_line(limit, letter, look, log=log)
        for limit in bounds
        for letter, axis, log in zip("xy", axes, logs, strict=True)
        if axis is not None and axis.name == limit.objective and (limit.bound > 0 or not log)
    ]
    return found | {"shapes": [line for line, _ in lines], "annotations": [words for _, words in lines]}


def _limit_line(limit: Limit, letter: str, look: Theme, *, log: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """A limit as a line from end to end of the chart, and its words on the side that meets it."""
    other = "y" if letter == "x" else "x"
    below = limit.operator == "<="
    line = {
        "type": "line",
        "line": {"dash": "dash", "color": look.muted, "width": 1},
        "layer": "below",
        f"{other}ref": "paper",
        f"{letter}0": limit.bound,
        f"{letter}1": limit.bound,
        f"{other}0": 0,
        f"{other}1": 1,
    }
    sides = {"xanchor": "right" if below else "left", "yanchor": "top"}
    if letter == "y":
        sides = {"xanchor": "right", "yanchor": "top" if below else "bottom"}
    words = {
        "text": escape(str(limit)),
        "showarrow": False,
        "font": {"size": 11, "color": look.muted},
        # An annotation on a logarithmic axis is placed by the logarithm, a line by the value.
        letter: math.log10(limit.bound) if log else limit.bound,
        other: 1,
        f"{other}ref": "paper",
        **sides,
    }
    return line, words


def _space(axes: Axes, look: Theme, *, logs: Logs) -> dict[str, Any]:
    """Three axes, and where one looks at them from."""
    style = {
        "gridcolor": look.line,
        "zerolinecolor": look.line,
        "color": look.muted,
        "backgroundcolor": "rgba(0,0,0,0)",
    }
    scene: dict[str, Any] = {
        f"{letter}axis": style
        | {"title": {"text": title_of(axis).split(",")[0]}, "tickformat": ticks_of(axis)}
        | ({"type": "log"} if log else {})
        for letter, axis, log in zip("xyz", axes, logs, strict=True)
    }
    return {"scene": scene | {"uirevision": "kept", "camera": SPOT}}


# ---- the page of `front --html`


def figure(report: Report) -> Any:
    """The chart: the first objective against the second (or against the trial's number where there is only one)."""
    up, across = report.objectives[0], report.objectives[1] if len(report.objectives) > 1 else None
    ranges = {}
    if across is not None and report.rows:
        seen = [limit.bound for limit in report.limits if limit.objective == across.name]
        seen += [row.values[across.name] for row in report.rows]
        for beside in references_of(report, (across, up)):
            seen += beside.values[0]
        ranges[across.name] = (0.0, 1.1 * max(seen))
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
    beside = (
        ["Tall hollow diamonds are networks of the field, trained by the study's recipe."] if report.references else []
    )
    summary = " ".join([summary, *beside, *unsure_lines(report)])
    return page(f"Front of {report.study}", summary, figure(report), name="front", head=head, body=body)


def _table_row(row: Row, goals: Sequence[Objective]) -> str:
    numbers = [with_interval(row, goal.name) for goal in goals]
    trial = f"{row.trial}{'~' if row.tied else ''}"
    cells = [trial, *numbers, precision(row.candidate), describe(row.candidate), row.sha256[:12]]
    return "<tr>" + "".join(f"<td{_number(i, goals)}>{escape(cell)}</td>" for i, cell in enumerate(cells)) + "</tr>"


def _number(column: int, goals: Sequence[Objective]) -> str:
    return ' class="number"' if column <= len(goals) else ""
