"""Where the time of one model goes, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from segsearch.figures.theme import dress, page, theme

if TYPE_CHECKING:
    from segsearch.runtimes import Operation


def profile_page(title: str, operations: Sequence[Operation]) -> str:
    """Where the time of one model goes, layer by layer; it needs no other file and asks nothing of a network."""
    total = sum(one.mean_ms for one in operations)
    head = '<th>layer</th><th>type</th><th class="number">ms</th><th class="number">share</th>'
    body = "\n".join(
        f"<tr><td>{escape(one.name)}</td><td>{escape(one.kind)}</td>"
        f'<td class="number">{one.mean_ms:.3f}</td><td class="number">{one.mean_ms / (total or 1):.1%}</td></tr>'
        for one in sorted(operations, key=lambda one: -one.mean_ms)
    )
    summary = f"{len(operations)} operations, {total:.3g} ms a run while the profiler looks on."
    chart = profile_figure(operations).update_layout(height=480)
    return page(f"Where the time of {title} goes", summary, chart, name="profile", head=head, body=body)


def profile_figure(operations: Sequence[Operation], *, dark: bool = False) -> Any:
    """A bar for each operation in the order of the graph, in a colour for each type; the dearest types first."""
    look = theme(dark)
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
                width=0.9,
                name=f"{escape(kind)}, {spent[kind]:.3g} ms",
                marker={"color": look.palette[index % len(look.palette)], "line": {"width": 0}},
                hovertext=[escape(f"{one.name}: {one.mean_ms:.3g} ms") for _, one in found],
                hoverinfo="text",
            )
        )
    return dress(
        chart,
        look,
        margin={"l": 64, "r": 16, "t": 16, "b": 130, "autoexpand": False},
        barmode="overlay",
        legend={"orientation": "h", "y": -0.2, "yanchor": "top"},
        xaxis_title_text="operation, in the order they run",
        yaxis_title_text="mean of a run [ms]",
    )
