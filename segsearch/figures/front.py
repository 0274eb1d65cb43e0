"""The front as a chart: to explore with two or three objectives on the axes, and as a self-contained web page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from segsearch.evidence.objectives import Limit, Objective
from segsearch.figures.bounds import Range, far_limits, is_far, limits_drawn
from segsearch.figures.finals import Ends, ends_of, finals
from segsearch.figures.marks import (
    Beside,
    Marks,
    axis_named,
    edge_of,
    marks_of,
    references_of,
    rejected_of,
    ticks_of,
    title_of,
)
from segsearch.figures.points import Axes, Trace, crosses, markers, pointers, references, rug, staircase, tied_entry
from segsearch.figures.theme import Theme, axis_style, layout_style, page, theme
from segsearch.judging.finals import Ended, ended_by_trial, lines_of
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
    ranges: Mapping[str, Range] | None = None,
) -> dict[str, Any]:
    """Any two objectives, or three in space, by name; `across=None` is the trial's number. `logs` are across and up.

    A figure as plain data. `limits` come on top of the report's own. Each point's `customdata` is its trial's number,
    also where that was trained to the end; references and marks that only point at others have none and cannot be
    clicked. `ranges` fix an axis by its objective's name.
    """
    look = theme(dark)
    axes: Axes = (axis_named(across), axis_named(up), *((axis_named(depth),) if depth else ()))
    bounds = tuple(dict.fromkeys((*report.limits, *limits)))
    flat = len(axes) == 2
    shown, ended = marks_of(report, axes, limits), ends_of(report, axes, limits)
    besides = references_of(report, axes, logs=logs)
    reached = _reached(axes, shown, besides, ended)
    far = far_limits(bounds, axes, reached, logs=logs, ranges=ranges or {}) if flat else frozenset()
    near = [limit for limit in bounds if limit not in far]
    traces = _below(report, axes, near, limits, look) if flat else []
    traces += [trace for marks in shown for trace in markers(marks, axes, look)]
    if flat and any(any(marks.tied) for marks in shown if marks.on_front):
        traces.append(tied_entry(look))
    traces += [references(beside, axes, look) for beside in besides]
    traces += [trace for ends in ended for trace in finals(ends, axes, look)]
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
    if not flat:
        return {"data": traces, "layout": layout | _space(axes, look, logs=(*logs, False))}
    drawn = limits_drawn(bounds, axes, far, reached, look, logs=logs)
    return {"data": traces, "layout": layout | _plane(axes, ranges or {}, look, logs=logs) | drawn}


def _reached(
    axes: Axes, shown: Sequence[Marks], besides: Sequence[Beside], ended: Sequence[Ends]
) -> dict[str, tuple[float, float]]:
    """The least and the greatest value that is drawn on each axis of an objective, where there is any."""
    found = {}
    kinds: list[Marks | Beside | Ends] = [*shown, *besides, *ended]
    for place, axis in enumerate(axes):
        values = [value for marks in kinds for value in marks.values[place]]
        if axis is not None and values:
            found[axis.name] = (min(values), max(values))
    return found


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


def _plane(axes: Axes, ranges: Mapping[str, Range], look: Theme, *, logs: Logs) -> dict[str, Any]:
    """Two axes."""
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
    return found


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
        seen = [row.values[across.name] for row in report.rows]
        others: list[Beside | Ends] = [*references_of(report, (across, up)), *ends_of(report, (across, up))]
        for beside in others:
            seen += beside.values[0]
        most = max(seen)
        bounds = [limit.bound for limit in report.limits if limit.objective == across.name]
        near = [bound for bound in bounds if not is_far(bound, (0.0, most))]
        ranges[across.name] = (0.0, 1.1 * max(most, *near, 0.0))
    chart = explore_figure(report, up=up.name, across=across.name if across else None, ranges=ranges)
    for trace in chart.select_traces(selector=lambda trace: trace.customdata is not None):
        trace.update(name=trace.uid, showlegend=True)  # there is room for all of it
    return chart.update_layout(height=600)


def as_page(report: Report) -> str:
    """The whole page; it needs no other file and asks nothing of a network."""
    goals, ended = report.objectives, ended_by_trial(report)
    final = ["final miou", "test miou"] if ended else []
    numbers = ["trial", *(goal.name for goal in goals), *final]
    head = "".join(f'<th class="number">{escape(name)}</th>' for name in numbers)
    head += "".join(f"<th>{name}</th>" for name in ("ships", "design", "file (SHA-256)"))
    body = "\n".join(_table_row(row, goals, ended) for row in report.front)
    limits = f" under {', '.join(map(str, report.limits))}" if report.limits else ""
    summary = f"{len(report.front)} of {len(report.rows)} trained models are on the front{limits}."
    beside = (
        ["Tall hollow diamonds are networks of the field, trained by the study's recipe."] if report.references else []
    )
    if any(final.scored for final in ended.values()):
        beside += ["Triangles are models trained to the end, each with an arrow from where it stood as a trial."]
    beside += lines_of(report)
    summary = " ".join([summary, *beside, *unsure_lines(report)])
    return page(f"Front of {report.study}", summary, figure(report), name="front", head=head, body=body)


def _table_row(row: Row, goals: Sequence[Objective], ended: Mapping[int, Ended]) -> str:
    numbers = [f"{row.trial}{'~' if row.tied else ''}", *(with_interval(row, goal.name) for goal in goals)]
    if ended:
        final = ended.get(row.trial)
        numbers += ["-", "-"] if final is None else [final.shown("miou"), final.shown_test]
    words = [precision(row.candidate), describe(row.candidate), row.sha256[:12]]
    cells = [f'<td class="number">{escape(cell)}</td>' for cell in numbers]
    return "<tr>" + "".join([*cells, *(f"<td>{escape(cell)}</td>" for cell in words)]) + "</tr>"
