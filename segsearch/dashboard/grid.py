"""The table's and the plot's own traffic: rows as they are scrolled to, and where the plot was zoomed."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, no_update

from segsearch.dashboard.explore import axes_of
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import set_scene
from segsearch.dashboard.table import rows
from segsearch.dashboard.zoom import zoomed


def connect_grid(app: Dash, reader: Reader) -> None:
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
        return rows(scene.seen, scene.report, request, scene.chosen)

    # No property of the grid asks for its rows anew.
    app.clientside_callback(
        "(version) => { try { dash_ag_grid.getApi('grid').refreshInfiniteCache() } catch (error) {} }",
        Input("table-version", "data"),
        prevent_initial_call=True,
    )

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
