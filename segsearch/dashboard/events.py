"""What a person does, as changes of the address; one round trip brings the next address and all that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from segsearch.dashboard.explore import Drawings
from segsearch.dashboard.limits import Scale
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import Scene, set_scene
from segsearch.dashboard.state import State as View
from segsearch.dashboard.state import chosen, from_address, to_address, toggled
from segsearch.dashboard.table import position
from segsearch.dashboard.view import (
    BY_TRIAL,
    CHOOSERS,
    CONTROLS,
    LIMIT_NAMES,
    NO_DEPTH,
    PLACES,
    controls_of,
    places_of,
)

BUTTONS = ("show", "drop", "choose")
SELECTS = (*CHOOSERS, "tab")
VERSIONS = ("study-version", "table-version", "figure-version")


def connect_events(app: Dash, reader: Reader, drawings: Drawings) -> None:
    """The address alone settles what is shown: every event becomes the next address first."""

    @app.callback(
        output={
            "search": Output("address", "search"),
            "click": Output("front", "clickData"),
            "scroll": Output("grid", "scrollTo"),
            "controls": CONTROLS,
            "places": PLACES,
        },
        inputs={
            "search": Input("address", "search"),
            "mark": Input("mark", "data"),
            "ground": Input("ground", "data"),
            "values": {name: Input(name, "value") for name in SELECTS},
            "logs": Input("logs", "value"),
            "steps": [Input({"type": "limit", "name": name}, "value") for name in LIMIT_NAMES],
            "click": Input("front", "clickData"),
            "cell": Input("grid", "cellClicked"),
            "key": Input("grid", "eventData"),
            "clear": Input("clear", "n_clicks"),
            "show": Input({"type": "show", "trial": ALL, "where": ALL}, "n_clicks"),
            "drop": Input({"type": "drop", "trial": ALL}, "n_clicks"),
            "choose": Input({"type": "choose", "what": ALL, "value": ALL}, "n_clicks"),
            "request": State("grid", "getRowsRequest"),
            "zoom": State("zoom", "data"),
            "shown": {name: State(name, "data") for name in VERSIONS},
        },
        prevent_initial_call=True,
    )
    def on_event(search: str | None, **happened: Any) -> dict[str, Any]:
        causes = _causes()
        if not causes:
            raise PreventUpdate
        scene, _ = set_scene(reader, search)
        before = after = from_address(search)
        for full, cause in causes:
            after = _changed(after, scene, reader, full, cause, happened)
        address = to_address(after)
        quiet = all(full.rpartition(".")[0] in SELECTS or "limit" in full for full, _ in causes)
        if after == before and quiet:
            raise PreventUpdate  # a control that was set by us says so
        if after != before:
            scene, _ = set_scene(reader, address)
        ground, shown = happened["ground"] or "light", happened["shown"]
        return {
            "search": no_update if after == before else address,
            "click": None if happened["click"] else no_update,
            "scroll": _scroll(scene, causes, happened),
            "controls": _unlike(controls_of(reader, scene, after), happened),
            "places": places_of(reader, drawings, address, ground=ground, zoom=happened["zoom"], shown=shown),
        }


def _unlike(wanted: Any, there: Any) -> Any:
    """The controls that do not stand so already: each one that is set costs the browser time."""
    if isinstance(wanted, Mapping):
        return {name: _unlike(value, there[name]) for name, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there) == len(LIMIT_NAMES):
        return [_unlike(one, other) for one, other in zip(wanted, there, strict=True)]
    return no_update if wanted == there else wanted


def _causes() -> list[tuple[str, Any]]:
    """What happened: the property, and the id of the component. A button that only appeared was not pressed."""
    pressed = {one["prop_id"]: one["value"] for one in ctx.triggered}
    return [
        (full, cause)
        for full, cause in ctx.triggered_prop_ids.items()
        if not (isinstance(cause, dict) and cause["type"] in BUTTONS and not pressed.get(full))
    ]


def _changed(
    state: View, scene: Scene | None, reader: Reader, full: str, cause: Any, happened: Mapping[str, Any]
) -> View:
    """The state after one event."""
    name, values = full.rpartition(".")[0], happened["values"]
    if isinstance(cause, dict):
        if cause["type"] == "limit":
            known = reader.scales(scene.seen, state.machine) if scene else {}
            return _limited(state, known, cause["name"], happened["steps"])
        return _pressed(state, cause)
    if name == "clear":
        return replace(state, limits=())
    if name == "front":
        trial = clicked(happened["click"])
        return state if trial is None else replace(state, selected=toggled(state.selected, trial))
    if name == "grid":
        trial = row_of(full, happened)
        return state if trial is None else replace(state, selected=toggled(state.selected, trial))
    if name == "logs":
        return replace(state, logs=tuple(axis for axis in ("x", "y") if axis in (happened["logs"] or ())))
    if name in SELECTS:
        return _chose(state, scene, name, values[name] or "")
    return state


def _chose(state: View, scene: Scene | None, name: str, value: str) -> View:
    if name == "study" and value:
        same = scene is not None and scene.seen.study.name == value
        return state if same else View(study=value, tab=state.tab)
    if name == "machine" and value:
        same = scene is not None and scene.report.machine.startswith(value)
        return state if same else replace(state, machine=value)
    if name == "tab":
        return replace(state, tab=value or state.tab)
    if scene is None or not value:
        return state
    if name == "across":
        return state if value == (scene.across or BY_TRIAL) else replace(state, across=value)
    if name == "up":
        return state if value == scene.up else replace(state, up=value)
    if name == "depth":
        return replace(state, depth="" if value == NO_DEPTH else value)
    return state


def _pressed(state: View, cause: Mapping[str, Any]) -> View:
    kind = cause["type"]
    if kind == "show":
        rest = tuple(trial for trial in state.selected if trial != cause["trial"])
        tab = "model" if cause["where"] == "model" else state.tab
        return replace(state, selected=chosen((*rest, cause["trial"])), tab=tab)
    if kind == "drop":
        return replace(state, selected=tuple(trial for trial in state.selected if trial != cause["trial"]))
    if kind == "choose":
        return _chose(state, None, cause["what"], cause["value"])
    return state


def _limited(state: View, known: Mapping[str, Scale], name: str, steps: Sequence[float]) -> View:
    if name not in known:
        return state
    limit = known[name].limit(steps[LIMIT_NAMES.index(name)], state.limit(name))
    others = {one.objective: one for one in state.limits if one.objective != name}
    found = others | ({name: limit} if limit else {})
    return replace(state, limits=tuple(found[one] for one in LIMIT_NAMES if one in found))


def clicked(data: Any) -> int | None:
    """The trial of a click on the plot."""
    try:
        trial = data["points"][0]["customdata"]
    except (TypeError, KeyError, IndexError):
        return None
    trial = trial[0] if isinstance(trial, list) and trial else trial
    return int(trial) if isinstance(trial, int | float) else None


def row_of(full: str, happened: Mapping[str, Any]) -> int | None:
    """The trial of a click or a press of the space bar in the table."""
    found = (
        (happened["cell"] or {}).get("rowId") if full.endswith("cellClicked") else (happened["key"] or {}).get("data")
    )
    return int(str(found)) if str(found).isdigit() else None


def _scroll(scene: Scene | None, causes: Sequence[tuple[str, Any]], happened: Mapping[str, Any]) -> Any:
    """A click on the plot brings the table to that model."""
    trial = clicked(happened["click"])
    if scene is None or trial is None or not any(full.startswith("front.") for full, _ in causes):
        return no_update
    index = position(scene.seen, scene.report, happened["request"] or {}, trial)
    return no_update if index is None else {"rowIndex": index, "rowPosition": "middle"}
