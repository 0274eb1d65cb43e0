"""The page as it is sent first: every control and every place that is filled later."""

from __future__ import annotations

import uuid
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import dcc, html

from segsearch.dashboard.masks_tab import masks_panel
from segsearch.dashboard.parts import card, graph, heading
from segsearch.dashboard.state import from_address

POLL_MILLISECONDS = 2000
TAB_NAMES = {"explore": "Explore", "model": "One model", "masks": "Masks", "search": "The search"}


def make_page(address: str | None, mark: str) -> Any:
    """The whole page; `mark` names what the database holds, so that nothing is asked twice.

    Without an `address` the page keeps its own, whatever that says, and asks for what it means.
    """
    return dmc.MantineProvider(
        [
            dcc.Location(id="address", refresh=False, **({} if address is None else {"search": address})),
            dcc.Store(id="page", data=uuid.uuid4().hex),
            dcc.Location(id="again", refresh=True),
            dcc.Store(id="space", data=bool(from_address(address).depth)),
            dcc.Store(id="mark", data=mark),
            *(dcc.Store(id=name) for name in ("study-version", "table-version", "figure-version", "sent", "detail")),
            dcc.Store(id="ground", data="light"),
            dcc.Store(id="zoom"),
            dcc.Interval(id="tick", interval=POLL_MILLISECONDS),
            dmc.NotificationContainer(id="notices", position="bottom-right"),
            html.A("Skip to the models", href="#content", className="skip"),
            _header(),
            html.Main(
                [html.Div(id="picked"), html.Div(id="trouble"), html.Div(_tabs(), id="content", tabIndex=-1)],
                className="page",
            ),
            _pick_dialog(),
        ],
        theme={"primaryColor": "blue", "fontFamily": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"},
        defaultColorScheme="auto",
    )


def _header() -> Any:
    return html.Header(
        [
            dmc.Title("segsearch", order=1, size="h3", id="title", className="title"),
            dmc.Badge("", id="live", variant="light", size="lg", tt="none"),
            html.Div(className="stretch"),
            dmc.Select(id="study", placeholder="choose a study", data=[], size="sm", w=200, **{"aria-label": "Study"}),
            dmc.Select(
                id="machine", placeholder="choose a machine", data=[], size="sm", w=240, **{"aria-label": "Machine"}
            ),
            dmc.ColorSchemeToggle(
                id="scheme",
                lightIcon="☀",
                darkIcon="☾",
                size="lg",
                variant="default",
                **{"aria-label": "Light or dark"},
            ),
        ],
        className="header",
    )


def _tabs() -> Any:
    panels = [
        dmc.TabsPanel(_explore(), value="explore", pt="md"),
        dmc.TabsPanel(html.Div(id="model-panel", className="panel"), value="model", pt="md"),
        dmc.TabsPanel(masks_panel(), value="masks", pt="md"),
        dmc.TabsPanel(html.Div(id="search-panel", className="panel"), value="search", pt="md"),
    ]
    tabs = dmc.TabsList([dmc.TabsTab(words, value=name) for name, words in TAB_NAMES.items()])
    return dmc.Tabs([tabs, *panels], id="tab", value="explore", keepMounted=True)


def _explore() -> Any:
    return html.Div(
        [
            html.Div([_chart(), _side()], className="split"),
            html.Div(id="chosen", className="chosen"),
            html.Div(id="ended"),
            _table(),
        ],
        className="stack",
    )


def _chart() -> Any:
    def chooser(name: str, label: str, **more: Any) -> Any:
        return dmc.Select(id=name, label=label, data=[], size="xs", w=170, allowDeselect=False, **more)

    axes = [
        chooser("up", "Up"),
        chooser("across", "Across"),
        chooser("depth", "Depth"),
        dmc.ChipGroup(
            html.Div(
                [dmc.Chip("log up", value="y", size="xs"), dmc.Chip("log across", value="x", size="xs")],
                className="chips",
            ),
            id="logs",
            multiple=True,
            value=[],
        ),
    ]
    return card(
        html.Div([heading("What is possible"), dmc.Text("", id="left", size="sm", c="dimmed")], className="line"),
        html.Div(axes, className="axes"),
        graph("front", height=560, label="The front: each point is a model; the table below holds the same models"),
        className="chart",
    )


def _side() -> Any:
    return html.Aside(
        [
            card(
                html.Div(
                    [
                        heading("Limits"),
                        dmc.Button("Clear", id="clear", variant="subtle", size="compact-sm"),
                    ],
                    className="line",
                ),
                dmc.Text("", id="own-limits", size="xs", c="dimmed"),
                html.Div(id="limits"),
            ),
            card(heading("Suggested"), html.Div(id="suggested", className="suggested")),
        ],
        className="side",
    )


def _table() -> Any:
    grid = dag.AgGrid(
        id="grid",
        rowModelType="infinite",
        columnDefs=[],
        defaultColDef={"sortable": True, "resizable": True, "wrapHeaderText": True, "autoHeaderHeight": True},
        getRowId="params.data.id",
        rowClassRules={
            "faded": "params.data && params.data.standing && params.data.standing.includes('over a limit')",
            "picked": "params.data && params.data.standing && params.data.standing.startsWith('picked')",
            "chosen-row": "params.data && params.data.chosen",
        },
        eventListeners={"cellKeyDown": ["params.event.key == ' ' ? setEventData(params.data.trial) : null"]},
        dashGridOptions={
            "suppressFieldDotNotation": True,
            "cacheBlockSize": 100,
            "maxBlocksInCache": 10,
            "rowBuffer": 10,
            "tooltipShowDelay": 400,
            "animateRows": False,
        },
        style={"height": "100%", "width": "100%"},
    )
    return card(
        html.Div(
            [
                heading("The models"),
                html.A("CSV", id="csv", href="models.csv", className="download", download="models.csv"),
            ],
            className="line",
        ),
        html.Div(grid, id="grid-box", className="grid", **{"data-ag-theme-mode": "light"}),
    )


def _pick_dialog() -> Any:
    return dmc.Modal(
        [
            html.Div(id="pick-about", className="panel"),
            dmc.Textarea(
                id="pick-reason",
                label="Why this one? (it is kept with the pick)",
                placeholder="fits the camera, and finds the pedestrians",
                autosize=True,
                minRows=2,
                mt="sm",
                **{"data-autofocus": True},
            ),
            dmc.Group(
                [
                    dmc.Button("Cancel", id="pick-cancel", variant="default"),
                    dmc.Button("Record the pick", id="pick-record"),
                ],
                justify="flex-end",
                mt="md",
            ),
        ],
        id="pick-dialog",
        title="Pick a model",
        opened=False,
        centered=True,
        size="lg",
    )
