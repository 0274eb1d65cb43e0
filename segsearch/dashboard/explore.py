"""The first tab: the front, what is suggested, the table's rows, and the models that are selected."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, html, no_update

from segsearch.compare import difference, neighbours
from segsearch.dashboard.events import LIMIT_NAMES
from segsearch.dashboard.limits import in_unit, left_words, scales, slider_words
from segsearch.dashboard.parts import note
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import Scene, set_scene
from segsearch.dashboard.table import columns, rows
from segsearch.dashboard.zoom import keep_zoom, zoomed
from segsearch.errors import StudyError
from segsearch.figures.front import explore_figure
from segsearch.figures.theme import empty_figure
from segsearch.report import Row, describe, pick_from

VIEW = (Input("address", "search"), Input("mark", "data"))
GROUND = Input("ground", "data")  # "light" or "dark"


def connect_explore(app: Dash, reader: Reader) -> None:
    """The callbacks that only show."""

    @app.callback(Output("front", "figure"), *VIEW, GROUND, State("zoom", "data"))
    def on_front(search: str | None, mark: str, ground: str | None, zoom: dict[str, Any] | None) -> Any:
        scene, _ = set_scene(reader, search)
        dark = ground == "dark"
        if scene is None:
            return empty_figure("No models yet", dark=dark)
        return keep_zoom(front_of(scene, dark=dark), zoom, axes_of(scene))

    @app.callback(
        Output("zoom", "data"),
        Input("front", "relayoutData"),
        State("zoom", "data"),
        State("address", "search"),
        prevent_initial_call=True,
    )
    def on_zoom(told: dict[str, Any] | None, zoom: dict[str, Any] | None, search: str | None) -> Any:
        scene, _ = set_scene(reader, search)
        now = zoomed(zoom, told, axes_of(scene)) if scene else None
        return no_update if now is None or now == zoom else now

    @app.callback(
        Output("left", "children"),
        Output("own-limits", "children"),
        Output("suggested", "children"),
        Output("chosen", "children"),
        Output("csv", "href"),
        *[Output({"type": "limit-words", "name": name}, "children") for name in LIMIT_NAMES],
        *VIEW,
    )
    def on_words(search: str | None, mark: str) -> Any:
        scene, _ = set_scene(reader, search)
        if scene is None:
            return "", "", [], [], "models.csv", *[""] * len(LIMIT_NAMES)
        known = scales(scene.report)
        words = [slider_words(known[name], scene.state, scene.report) if name in known else "" for name in LIMIT_NAMES]
        own = ", ".join(str(limit) for limit in scene.seen.study.study.bounds)
        told = f"on top of the study's own: {own}" if own else ""
        left = left_words(scene.report, scene.state.limits)
        return left, told, suggestions(scene), selection(scene), f"models.csv{search or ''}", *words

    @app.callback(
        Output("grid", "columnDefs"),
        Output("table-version", "data"),
        *VIEW,
        State("grid", "columnDefs"),
        State("table-version", "data"),
    )
    def on_table(search: str | None, mark: str, before: Any, version: str | None) -> Any:
        scene, _ = set_scene(reader, search)
        if scene is None:
            return no_update, no_update
        now = "|".join(
            [
                scene.seen.study.name,
                scene.seen.mark,
                scene.report.machine,
                *scene.state.bounds,
                str(scene.state.selected),
            ]
        )
        if now == version:
            return no_update, no_update
        wanted = columns(scene.seen, scene.report)
        return no_update if wanted == before else wanted, now

    @app.callback(
        Output("grid", "getRowsResponse"),
        Input("grid", "getRowsRequest"),
        State("address", "search"),
        prevent_initial_call=True,
    )
    def on_rows(request: dict[str, Any] | None, search: str | None) -> Any:
        scene, _ = set_scene(reader, search)
        if scene is None or request is None:
            return {"rowData": [], "rowCount": 0}
        return rows(scene.seen, scene.report, request, scene.state.selected)

    # No property of the grid asks for its rows anew.
    app.clientside_callback(
        "(version) => { try { dash_ag_grid.getApi('grid').refreshInfiniteCache() } catch (error) {} }",
        Input("table-version", "data"),
        prevent_initial_call=True,
    )

    @app.callback(Output("grid-box", "data-ag-theme-mode"), GROUND)
    def on_ground(ground: str | None) -> str:
        return "dark" if ground == "dark" else "light"


def front_of(scene: Scene, *, dark: bool) -> Any:
    state, shown = scene.state, scales(scene.report)
    return explore_figure(
        scene.report,
        up=scene.up,
        across=scene.across,
        depth=state.depth if state.depth in shown else None,
        selected=state.selected,
        picked=scene.picked,
        dark=dark,
        log_up="y" in state.logs,
        log_across="x" in state.logs,
    )


def axes_of(scene: Scene) -> str:
    return f"{scene.across},{scene.up},{scene.state.depth},{scene.state.logs}"


def suggestions(scene: Scene) -> list[Any]:
    """The knee and the best under the limits, each with the reason in words."""
    report, first = scene.report, scene.report.objectives[0]
    if not report.rows:
        return [dmc.Text("Nothing yet.", size="sm", c="dimmed")]
    found: list[Any] = []
    wishes: tuple[tuple[str, Any], ...] = (
        ("The knee", "knee"),
        (f"Best {first.title} under the limits", first.name),
    )
    for title, wanted in wishes:
        try:
            pick = pick_from(report, prefer=wanted)
        except StudyError as error:
            return [note("No model meets the limits", str(error), kind="warn")]
        button = dmc.Button(
            f"Select trial {pick.trial}",
            id={"type": "show", "trial": pick.trial, "where": wanted},
            variant="light",
            size="compact-sm",
        )
        words = dmc.Text(pick.reason, size="xs", c="dimmed", className="wraps")
        found.append(html.Div([html.Div([dmc.Text(title, fw=600, size="sm"), button], className="line"), words]))
    return found


def selection(scene: Scene) -> Any:
    """The selected models as cards; the last one is the one looked at."""
    shown = {row.trial: row for row in scene.report.rows}
    known = [shown[trial] for trial in scene.state.selected if trial in shown]
    if not known:
        hint = "Click a point, or a row of the table, to select a model; up to four stand side by side."
        return note("No model selected", hint)
    return html.Div([selected_card(scene, row) for row in known], className="two")


def selected_card(scene: Scene, row: Row) -> Any:
    goals = scene.report.objectives
    numbers = " · ".join(
        f"{goal.title} {in_unit(goal, row.values[goal.name])}" for goal in goals if goal.name in row.values
    )
    picked = [dmc.Badge("picked", color="yellow", autoContrast=True)] if row.trial == scene.picked else []
    return dmc.Paper(
        [
            html.Div(
                [
                    dmc.Group([dmc.Text(f"Trial {row.trial}", fw=700), *picked], gap="xs"),
                    dmc.Text(numbers, size="sm", className="number"),
                ],
                className="line",
            ),
            dmc.Text(describe(row.candidate), size="xs", c="dimmed", className="wraps", lineClamp=2),
            *(dmc.Text(line, size="xs") for line in next_words(scene, row)),
            actions(row.trial, picked=row.trial == scene.picked),
        ],
        p="sm",
        radius="md",
        withBorder=True,
    )


def actions(trial: int, *, picked: bool) -> Any:
    return html.Div(
        [
            dmc.Button("Look closer", id={"type": "show", "trial": trial, "where": "model"}, size="compact-sm"),
            dmc.Button(
                "Picked" if picked else "Pick ...",
                id={"type": "open-pick", "trial": trial, "where": "card"},
                size="compact-sm",
                variant="default",
                disabled=picked,
            ),
            dmc.Button(
                "Deselect", id={"type": "drop", "trial": trial}, size="compact-sm", variant="subtle", color="gray"
            ),
        ],
        className="actions",
        style={"marginTop": ".5rem"},
    )


def next_words(scene: Scene, row: Row) -> list[str]:
    """How a model differs from its neighbours on the front."""
    report = scene.report
    lines = []
    for other, way in zip(neighbours(report, row), ("before", "after"), strict=True):
        if other is not None:
            gap = difference(report.objectives, row.values, other.values)
            lines.append(f"The next on the front {way} it, trial {other.trial}: {gap}.")
    return lines
