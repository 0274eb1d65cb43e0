"""What a person does, as changes of the address; one round trip brings the next address and all that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from segsearch.dashboard.explore import Drawings
from segsearch.dashboard.limits import Scale
from segsearch.dashboard.pages import Pages
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import Scene, set_scene
from segsearch.dashboard.sliders import STEP
from segsearch.dashboard.state import State as View
from segsearch.dashboard.state import chosen, from_address, to_address, toggled
from segsearch.dashboard.table import position
from segsearch.dashboard.view import (
    BY_TRIAL,
    CHOOSERS,
    CONTROLS,
    NO_DEPTH,
    PLACES,
    controls_of,
    nothing_of,
    places_of,
)
from segsearch.evidence.objectives import OBJECTIVES

BUTTONS = ("show", "drop", "choose")
SELECTS = (*CHOOSERS, "tab")
VERSIONS = ("study-version", "table-version", "figure-version", "sent")


OUTPUTS: Mapping[str, Any] = {
    "search": Output("address", "search"),
    "again": Output("again", "search"),
    "click": Output("front", "clickData"),
    "scroll": Output("grid", "scrollTo"),
    "controls": CONTROLS,
    "places": PLACES,
}
INPUTS: Mapping[str, Any] = {
    "search": Input("address", "search"),
    "mark": Input("mark", "data"),
    "ground": Input("ground", "data"),
    "values": {name: Input(name, "value") for name in SELECTS},
    "logs": Input("logs", "value"),
    "steps": Input(STEP, "value"),
    "sliders": State(STEP, "id"),
    "click": Input("front", "clickData"),
    "cell": Input("grid", "cellClicked"),
    "key": Input("grid", "eventData"),
    "clear": Input("clear", "n_clicks"),
    "show": Input({"type": "show", "trial": ALL, "where": ALL}, "n_clicks"),
    "drop": Input({"type": "drop", "trial": ALL}, "n_clicks"),
    "choose": Input({"type": "choose", "what": ALL, "value": ALL}, "n_clicks"),
    "request": State("grid", "getRowsRequest"),
    "zoom": State("zoom", "data"),
    "space": State("space", "data"),
    "page": State("page", "data"),
    "shown": {name: State(name, "data") for name in VERSIONS},
}


def connect_events(app: Dash, reader: Reader, drawings: Drawings, pages: Pages) -> None:
    """The address alone settles what is shown: every event becomes the next address first."""

    @app.callback(output=OUTPUTS, inputs=INPUTS, prevent_initial_call=True)
    def on_event(search: str | None, **happened: Any) -> dict[str, Any]:
        causes = _causes()
        if not causes:
            raise PreventUpdate
        scene, _ = set_scene(reader, search)
        before = from_address(search)

        def changed(state: View) -> View:
            for full, cause in causes:
                state = _changed(state, scene, reader, full, cause, happened)
            return state

        anew = any(full.startswith("address.") for full, _ in causes)
        after = pages.step(str(happened["page"]), before, changed, anew=anew)
        quiet = all(full.rpartition(".")[0] in SELECTS or "limit" in full for full, _ in causes)
        if after == before and quiet:
            raise PreventUpdate  # a control that was set by us says so
        names = [one["name"] for one in happened["sliders"]]
        if bool(after.depth) != bool(happened["space"]):  # another page: three axes take another Plotly
            return {**nothing_of(OUTPUTS, names), "again": to_address(after)}
        if after != before:
            scene, _ = set_scene(reader, to_address(after))
        return _answer(reader, drawings, scene, after, names, happened) | {
            "search": no_update if after == before else to_address(after),
            "scroll": _scroll(scene, causes, happened),
        }


def _answer(
    reader: Reader,
    drawings: Drawings,
    scene: Scene | None,
    state: View,
    names: Sequence[str],
    happened: Mapping[str, Any],
) -> dict[str, Any]:
    """What the page holds in a state, as far as it does not hold it already."""
    places = places_of(
        reader,
        drawings,
        to_address(state),
        ground=happened["ground"] or "light",
        zoom=happened["zoom"],
        shown=happened["shown"],
        names=names,
    )
    controls = _unlike(controls_of(reader, scene, state, names), happened)
    if places["limits"] is not no_update:  # those that stand there go
        controls["steps"] = [no_update] * len(names)
    click = None if happened["click"] else no_update
    return {"again": no_update, "click": click, "controls": controls, "places": places}


def _unlike(wanted: Any, there: Any) -> Any:
    """The controls that do not stand so already: each one that is set costs the browser time."""
    if isinstance(wanted, Mapping):
        return {
            name: [_unlike(*pair) for pair in zip(value, there[name], strict=True)]
            if name == "steps"
            else _unlike(value, there[name])
            for name, value in wanted.items()
        }
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
            steps = dict(zip((one["name"] for one in happened["sliders"]), happened["steps"], strict=True))
            return _limited(state, known, cause["name"], steps)
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


def _limited(state: View, known: Mapping[str, Scale], name: str, steps: Mapping[str, float]) -> View:
    if name not in known or name not in steps:
        return state
    limit = known[name].limit(steps[name], state.limit(name))
    others = {one.objective: one for one in state.limits if one.objective != name}
    found = others | ({name: limit} if limit else {})
    return replace(state, limits=tuple(found[one] for one in OBJECTIVES if one in found))


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
