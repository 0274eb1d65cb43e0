"""The front as a self-contained web page: one chart, one table, no network. The only room with Plotly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from segsearch.objectives import Objective
from segsearch.report import Report, Row, describe, knee_of, precision, with_interval

if TYPE_CHECKING:
    from segsearch.runtimes import Operation

# Okabe and Ito's palette, told apart with every kind of colour vision; the marker's shape says the same again.
STYLES: dict[str, tuple[str, str]] = {"fp32": ("#0072B2", "circle"), "int8": ("#D55E00", "diamond")}
OTHER_STYLE = ("#009E73", "square")
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777", "#222222")
FAINT = 0.3

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }}
body {{ color: #222; background: #fff }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .7rem; border-bottom: 1px solid #ddd; vertical-align: top }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }}
</style></head><body>
<h1>{title}</h1><p>{summary}</p>
{chart}
<table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></body></html>
"""


def profile_page(title: str, operations: Sequence[Operation]) -> str:
    """Where the time of one model goes, layer by layer; it needs no other file and asks nothing of a network."""
    chart = profile_figure(operations).to_html(
        full_html=False, include_plotlyjs=True, div_id="profile", config={"displaylogo": False, "responsive": True}
    )
    total = sum(one.mean_ms for one in operations)
    head = '<th>layer</th><th>type</th><th class="number">ms</th><th class="number">share</th>'
    body = "\n".join(
        f"<tr><td>{escape(one.name)}</td><td>{escape(one.kind)}</td>"
        f'<td class="number">{one.mean_ms:.3f}</td><td class="number">{one.mean_ms / (total or 1):.1%}</td></tr>'
        for one in sorted(operations, key=lambda one: -one.mean_ms)
    )
    summary = f"{len(operations)} operations, {total:.3g} ms a run while the profiler looks on."
    return _PAGE.format(
        title=escape(f"Where the time of {title} goes"), summary=escape(summary), chart=chart, head=head, body=body
    )


def profile_figure(operations: Sequence[Operation]) -> Any:
    """A bar for each operation in the order of the graph, in a colour for each type; the dearest types first."""
    chart = go.Figure()
    spent: dict[str, float] = {}
    for one in operations:
        spent[one.kind] = spent.get(one.kind, 0.0) + one.mean_ms
    for index, kind in enumerate(sorted(spent, key=lambda kind: -spent[kind])):
        found = [(number, one) for number, one in enumerate(operations) if one.kind == kind]
        chart.add_trace(
            go.Bar(
                x=[number for number, _ in found],
                y=[one.mean_ms for _, one in found],
                name=f"{kind}, {spent[kind]:.3g} ms",
                marker={"color": PALETTE[index % len(PALETTE)]},
                hovertext=[escape(f"{one.name}: {one.mean_ms:.3g} ms") for _, one in found],
                hoverinfo="text",
            )
        )
    chart.update_layout(
        template="plotly_white",
        height=480,
        margin={"t": 30},
        bargap=0.1,
        legend={"orientation": "h", "y": -0.18},
        xaxis_title="operation, in the order they run",
        yaxis_title="mean of a run [ms]",
    )
    return chart


def as_page(report: Report) -> str:
    """The whole page; it needs no other file and asks nothing of a network."""
    chart = figure(report).to_html(
        full_html=False, include_plotlyjs=True, div_id="front", config={"displaylogo": False, "responsive": True}
    )
    goals = report.objectives
    names = ["trial", *(goal.name for goal in goals), "ships", "design", "file (SHA-256)"]
    head = "".join(f"<th{_number(i, goals)}>{escape(name)}</th>" for i, name in enumerate(names))
    body = "\n".join(_table_row(row, goals) for row in report.front)
    limits = f" under {', '.join(map(str, report.limits))}" if report.limits else ""
    summary = f"{len(report.front)} of {len(report.rows)} trained models are on the front{limits}."
    return _PAGE.format(
        title=escape(f"Front of {report.study}"), summary=escape(summary), chart=chart, head=head, body=body
    )


def _table_row(row: Row, goals: Sequence[Objective]) -> str:
    numbers = [with_interval(row, goal.name) for goal in goals]
    cells = [
        f"{row.trial}{'~' if row.tied else ''}",
        *numbers,
        precision(row.candidate),
        describe(row.candidate),
        row.sha256[:12],
    ]
    return "<tr>" + "".join(f"<td{_number(i, goals)}>{escape(cell)}</td>" for i, cell in enumerate(cells)) + "</tr>"


def _number(column: int, goals: Sequence[Objective]) -> str:
    return ' class="number"' if column <= len(goals) else ""


def figure(report: Report) -> Any:
    """The chart: the first objective against the second (or against the trial's number where there is only one)."""
    chart = go.Figure()
    up, across = _axes(report)
    if across is not None and len(report.objectives) == 2:
        chart.add_trace(_staircase(report, up, across))
    for ships in sorted({precision(row.candidate) for row in report.rows}):
        for on_front in (False, True):
            rows = [row for row in report.rows if row.on_front is on_front and precision(row.candidate) == ships]
            if rows:
                chart.add_trace(_markers(report, rows, ships=ships, on_front=on_front))
    if report.front:
        chart.add_trace(_ring(knee_of(report), up, across))
    if across is not None:
        rejected = [values[across.name] for values in report.rejected if across.name in values]
        if rejected:
            chart.add_trace(_rug(rejected))
    for limit in report.limits:
        if across is not None and limit.objective == across.name:
            chart.add_vline(x=limit.bound, line_dash="dash", line_color="#888", annotation_text=str(limit))
        elif limit.objective == up.name:
            chart.add_hline(y=limit.bound, line_dash="dash", line_color="#888", annotation_text=str(limit))
    if across is not None and report.rows:
        # What was rejected may be many times slower: its ticks must not squeeze the trained models together.
        bounds = [limit.bound for limit in report.limits if limit.objective == across.name]
        chart.update_xaxes(range=[0, 1.1 * max(*(row.values[across.name] for row in report.rows), *bounds, 0.0)])
    chart.update_layout(
        template="plotly_white",
        height=560,
        margin={"t": 30},
        legend={"orientation": "h", "y": -0.18},
        xaxis_title=_title(across) if across is not None else "trial",
        yaxis_title=_title(up),
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    )
    return chart


def _axes(report: Report) -> tuple[Objective, Objective | None]:
    return report.objectives[0], report.objectives[1] if len(report.objectives) > 1 else None


def _title(goal: Objective) -> str:
    better = "higher" if goal.direction == "maximize" else "lower"
    return f"{goal.title}{f' [{goal.unit}]' if goal.unit else ''}, {better} is better"


def _across(row: Row, across: Objective | None) -> float:
    return row.values[across.name] if across is not None else float(row.trial)


def _markers(report: Report, rows: Sequence[Row], *, ships: str, on_front: bool) -> Any:
    up, across = _axes(report)
    colour, symbol = STYLES.get(ships, OTHER_STYLE)
    return go.Scatter(
        x=[_across(row, across) for row in rows],
        y=[row.values[up.name] for row in rows],
        mode="markers",
        name=f"{ships}, {'on the front' if on_front else 'dominated or over a limit'}",
        marker={"color": colour, "symbol": symbol, "size": 12 if on_front else 9},
        opacity=1.0 if on_front else FAINT,
        **({"error_x": _spread(rows, across.name)} if across is not None and on_front else {}),
        hovertext=[hover(report, row) for row in rows],
        hoverinfo="text",
    )


def _spread(rows: Sequence[Row], name: str) -> dict[str, Any]:
    """Confidence intervals as bars of one line's width."""
    spans = [(row.values[name], *row.intervals.get(name, (row.values[name],) * 2)) for row in rows]
    return {
        "type": "data",
        "array": [high - value for value, _, high in spans],
        "arrayminus": [value - low for value, low, _ in spans],
        "thickness": 1.2,
        "width": 3,
    }


def hover(report: Report, row: Row) -> str:
    """What a point says: its numbers, then its design a piece a line."""
    numbers = [f"{goal.name} {with_interval(row, goal.name)}" for goal in report.objectives]
    if row.tied:
        numbers.append(f"within the intervals of trial {', '.join(map(str, row.tied))}")
    lines = [f"trial {row.trial}", *numbers, *describe(row.candidate).split("; ")]
    return "<br>".join(escape(line) for line in lines)


def _staircase(report: Report, up: Objective, across: Objective) -> Any:
    """The edge of what is reached: between two members nothing better is known than the cheaper of them."""
    members = sorted(report.front, key=lambda row: row.values[across.name])
    return go.Scatter(
        x=[row.values[across.name] for row in members],
        y=[row.values[up.name] for row in members],
        mode="lines",
        line={"shape": "hv" if across.direction == "minimize" else "vh", "color": "#999", "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )


def _ring(row: Row, up: Objective, across: Objective | None) -> Any:
    return go.Scatter(
        x=[_across(row, across)],
        y=[row.values[up.name]],
        mode="markers",
        name=f"knee (trial {row.trial})",
        marker={"symbol": "circle-open", "size": 22, "color": "#222", "line": {"width": 2}},
        hoverinfo="skip",
    )


def _rug(values: Sequence[float]) -> Any:
    """Rejected candidates have no mIoU: a tick at the foot of the chart for each."""
    return go.Scatter(
        x=[value for value in values if math.isfinite(value)],
        y=[0.01] * len(values),
        yaxis="y2",
        mode="markers",
        name="rejected by a limit, not trained",
        marker={"symbol": "line-ns-open", "size": 9, "color": "#777"},
        hoverinfo="x",
        opacity=0.6,
    )
