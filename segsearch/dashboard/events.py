"""What a person does, as changes of the address; and the controls as the address says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from segsearch.dashboard.limits import STEPS, Scale, scales
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import Scene, machine_words, set_scene
from segsearch.dashboard.state import State as View
from segsearch.dashboard.state import chosen, from_address, to_address, toggled
from segsearch.dashboard.table import position
from segsearch.objectives import OBJECTIVES

LIMIT_NAMES = tuple(OBJECTIVES)
NO_DEPTH = "none"
BY_TRIAL = "trial"
BUTTONS = ("show", "drop", "choose")
SELECTS = ("study", "machine", "up", "across", "depth", "tab")


def connect_events(app: Dash, reader: Reader) -> None:
    """One callback turns every event into the next address; the address alone settles what is shown."""

    @app.callback(
        output={
            "search": Output("address", "search"),
            "values": {name: Output(name, "value") for name in SELECTS},
            "choices": {name: Output(name, "data") for name in SELECTS if name != "tab"},
            "logs": Output("logs", "value"),
            "steps": [Output({"type": "limit", "name": name}, "value") for name in LIMIT_NAMES],
            "rows": [Output({"type": "limit-row", "name": name}, "style") for name in LIMIT_NAMES],
            "click": Output("front", "clickData"),
            "scroll": Output("grid", "scrollTo"),
        },
        inputs={
            "search": Input("address", "search"),
            "mark": Input("mark", "data"),
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
        },
    )
    def on_event(search: str | None, **happened: Any) -> dict[str, Any]:
        causes = _causes()
        if ctx.triggered and not causes:
            raise PreventUpdate
        before = after = from_address(search)
        scene, _ = set_scene(reader, search)
        for full, cause in causes:
            after = _changed(after, scene, full, cause, happened)
        if after != before:
            scene, _ = set_scene(reader, to_address(after))
        address = to_address(after)
        shown = _controls(after, scene, reader)
        shown["search"] = no_update if address == (search or "") else address
        shown["click"] = None if happened["click"] else no_update
        shown["scroll"] = _scroll(scene, causes, happened)
        return shown


def _causes() -> list[tuple[str, Any]]:
    """What happened: the property, and the id of the component. A button that only appeared was not pressed."""
    pressed = {one["prop_id"]: one["value"] for one in ctx.triggered}
    return [
        (full, cause)
        for full, cause in ctx.triggered_prop_ids.items()
        if not (isinstance(cause, dict) and cause["type"] in BUTTONS and not pressed.get(full))
    ]


def _changed(state: View, scene: Scene | None, full: str, cause: Any, happened: Mapping[str, Any]) -> View:
    """The state after one event."""
    name, values = full.rpartition(".")[0], happened["values"]
    if isinstance(cause, dict):
        return _pressed(state, scene, cause, happened)
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
    if name == "study" and value != state.study:
        only = scene is not None and scene.seen.study.name == value
        return state if only else View(study=value, tab=state.tab)
    if name == "machine":
        same = scene is not None and value and scene.report.machine.startswith(value)
        return state if same else replace(state, machine=value)
    if scene is None and name != "tab":
        return state
    if name == "across":
        return replace(
            state, across="" if scene and value == (scene.across or BY_TRIAL) and not state.across else value
        )
    if name == "up":
        return replace(state, up="" if scene and value == scene.up and not state.up else value)
    if name == "depth":
        return replace(state, depth="" if value == NO_DEPTH else value)
    return replace(state, tab=value or state.tab)


def _pressed(state: View, scene: Scene | None, cause: Mapping[str, Any], happened: Mapping[str, Any]) -> View:
    kind = cause["type"]
    if kind == "limit" and scene is not None:
        return _limited(state, scales(scene.report), cause["name"], happened["steps"])
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


def _controls(state: View, scene: Scene | None, reader: Reader) -> dict[str, Any]:
    """Every control as the state says."""
    looked = reader.look(state.study)
    known = scales(scene.report) if scene else {}
    axes = [{"value": name, "label": scale.goal.title} for name, scale in known.items()]
    steps, rows = [], []
    for name in LIMIT_NAMES:
        scale, limit = known.get(name), state.limit(name)
        open_end = 0 if OBJECTIVES[name].direction == "maximize" else STEPS
        steps.append(scale.step(limit.bound) if scale and limit else open_end)
        rows.append({"order": list(known).index(name)} if scale and scale.high > scale.low else {"display": "none"})
    machines = looked.seen.machines if looked.seen else ()
    study = looked.seen.study.name if looked.seen else state.study
    machine = next((one.short for one in machines if scene and one.key == scene.report.machine), None)
    by_trial = {"value": BY_TRIAL, "label": "trial"}
    choices = {
        "study": [{"value": name, "label": name} for name in looked.studies],
        "machine": [{"value": one.short, "label": machine_words(one)} for one in machines],
        "up": axes,
        "across": [*axes, by_trial] if scene and scene.across is None else axes,
        "depth": [{"value": NO_DEPTH, "label": "none (flat)"}, *axes],
    }
    wanted = {
        "study": study,
        "machine": machine,
        "up": scene.up if scene else None,
        "across": (scene.across or BY_TRIAL) if scene else None,
        "depth": state.depth or NO_DEPTH,
    }
    # A select that is given what it does not offer takes it back at once, and the two would never agree.
    values = {
        name: value if value in [one["value"] for one in choices[name]] else None for name, value in wanted.items()
    }
    return {
        "values": values | {"tab": state.tab},
        "choices": choices,
        "logs": list(state.logs),
        "steps": steps,
        "rows": rows,
    }
