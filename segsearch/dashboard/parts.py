"""Small pieces that the page is put together from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

GRAPH_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}


def moment(seconds: float) -> str:
    """A stored time as people write it here."""
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):  # no time that a calendar has
        return "at an unknown time"


def card(*children: Any, **properties: Any) -> Any:
    return dmc.Paper(list(children), p="md", radius="md", withBorder=True, **properties)


def heading(text: str, *, order: int = 2) -> Any:
    return dmc.Title(text, order=order, size="h4", mb="xs")


def graph(name: str | dict[str, Any], *, height: int, label: str, figure: Any = None) -> Any:
    """A figure, or its place before it is drawn, so that nothing jumps. By its name it is drawn again in place."""
    drawn = {} if figure is None else {"figure": figure}
    return html.Div(
        dcc.Graph(id=name, config=GRAPH_CONFIG, style={"height": "100%"}, responsive=True, **drawn),
        style={"height": height},
        role="figure",
        **{"aria-label": label},
    )


def figure_of(chart: Any, *, label: str, height: int | None = None) -> Any:
    """A figure that is there already, at the height that it asks for."""
    tall = height or chart.layout.height or 360
    chart.update_layout(height=None, autosize=True)
    return html.Div(
        dcc.Graph(figure=chart, config=GRAPH_CONFIG, style={"height": "100%"}, responsive=True),
        style={"height": tall},
        role="figure",
        **{"aria-label": label},
    )


def note(title: str, text: str, *, kind: str = "info", extra: Sequence[Any] = ()) -> Any:
    """A state of the page in words: nothing there yet, or something wrong. The text is shown as text."""
    colour = {"info": "blue", "wrong": "red", "warn": "orange"}[kind]
    lines = [dmc.Text(line, size="sm", className="wraps") for line in text.splitlines() if line.strip()]
    box = dmc.Alert([*lines, *extra], title=title, color=colour, variant="light", radius="md")
    return html.Div(box, role="alert" if kind == "wrong" else "status")


def command(text: str, what: str) -> Any:
    """A command to copy, and what it is for."""
    return html.Div(
        [
            dmc.Text(what, size="sm", c="dimmed"),
            html.Div(
                [
                    dmc.Code(text, block=True, className="command"),
                    dmc.CopyButton(
                        "Copy",
                        value=text,
                        copiedChildren="Copied",
                        timeout=1500,
                        size="compact-xs",
                        variant="subtle",
                        color="gray",
                        className="copy",
                        **{"aria-label": f"Copy: {what}"},
                    ),
                ],
                className="copyable",
            ),
        ]
    )


def facts(pairs: Sequence[tuple[str, str]]) -> Any:
    """Names and values, one a line."""
    lines = [html.Tr([html.Th(name, scope="row"), html.Td(value, className="wraps")]) for name, value in pairs]
    return html.Table(html.Tbody(lines), className="facts")
