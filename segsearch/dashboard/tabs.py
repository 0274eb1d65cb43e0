"""The other tabs: each is drawn when it is looked at, and again when something of it changed."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, no_update

from segsearch.dashboard.detail import Profiles, model_of
from segsearch.dashboard.masks_tab import Galleries, masks_of
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import set_scene
from segsearch.dashboard.search_tab import FIGURE, PLACES, nothing_of, search_of


def connect_tabs(app: Dash, reader: Reader, galleries: Galleries, profiles: Profiles) -> None:
    @app.callback(
        output={
            "model": [Output("model-panel", "children"), Output("model-panel", "data-shown")],
            "masks": [Output("masks", "children"), Output("masks", "data-shown")],
            "search": PLACES,
        },
        inputs={
            "detail": Input("detail", "data"),
            "ground": Input("ground", "data"),
            "others": Input("other-images", "n_clicks"),
            "search": State("address", "search"),
            "figures": State(FIGURE, "id"),
            "shown": {
                "model": State("model-panel", "data-shown"),
                "masks": State("masks", "data-shown"),
                "search": State("search-panel", "data-shown"),
            },
        },
    )
    def on_tab(
        detail: str | None,
        ground: str | None,
        others: int | None,
        search: str | None,
        figures: list[dict[str, str]],
        shown: dict[str, str | None],
    ) -> dict[str, Any]:
        names = [one["name"] for one in figures]
        found = {"model": [no_update] * 2, "masks": [no_update] * 2, "search": nothing_of(names)}
        scene, _ = set_scene(reader, search)
        if scene is None or scene.state.tab == "explore":
            return found
        tab, before = scene.state.tab, shown[scene.state.tab]
        if tab == "model":
            found["model"] = list(model_of(scene, reader, profiles, ground=ground or "light", shown=before))
        elif tab == "masks":
            found["masks"] = list(masks_of(scene, galleries, others=others or 0, shown=before))
        else:
            found["search"] = search_of(scene, reader, ground=ground or "light", shown=before, names=names)
        return found

    # The pictures are there already: only a style changes, and a hand that drags does not wait for a server.
    app.clientside_callback(
        "(opacity, kind) => [{'--opacity': opacity / 100}, kind]",
        Output("masks-box", "style"),
        Output("masks-box", "data-kind"),
        Input("opacity", "value"),
        Input("mask-kind", "value"),
        prevent_initial_call=True,
    )
