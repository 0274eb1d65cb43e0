"""Everything that an address means on the page: the places, and what goes into them. Controls and pictures together."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dash import Output, no_update

from segsearch.dashboard.explore import Drawings, axes_of, front_of, selection, suggestions
from segsearch.dashboard.finals import ended_card
from segsearch.dashboard.limits import Scale, left_words, slider_words
from segsearch.dashboard.reading import Reader, Seen
from segsearch.dashboard.scene import Scene, machine_words, set_scene
from segsearch.dashboard.sliders import STEP, WORDS, sliders, step_of
from segsearch.dashboard.state import State, from_address
from segsearch.dashboard.status import live_of, picked_of, trouble_of
from segsearch.dashboard.table import columns
from segsearch.dashboard.zoom import keep_zoom
from segsearch.figures.theme import empty_figure

NO_DEPTH = "none"
BY_TRIAL = "trial"
CHOOSERS = ("study", "machine", "up", "across", "depth")

CONTROLS: Mapping[str, Any] = {
    "values": {name: Output(name, "value") for name in (*CHOOSERS, "tab")},
    "logs": Output("logs", "value"),
    "steps": Output(STEP, "value"),
}
PLACES: Mapping[str, Any] = {
    "choices": {name: Output(name, "data") for name in CHOOSERS},
    "limits": Output("limits", "children"),
    "columns": Output("grid", "columnDefs"),
    "study-version": Output("study-version", "data"),
    "table-version": Output("table-version", "data"),
    "figure": Output("front", "figure"),
    "figure-version": Output("figure-version", "data"),
    "left": Output("left", "children"),
    "own": Output("own-limits", "children"),
    "words": Output(WORDS, "children"),
    "suggested": Output("suggested", "children"),
    "chosen": Output("chosen", "children"),
    "ended": Output("ended", "children"),
    "csv": Output("csv", "href"),
    "sent": Output("sent", "data"),
    "trouble": Output("trouble", "children"),
    "hidden": Output("content", "hidden"),
    "title": Output("title", "children"),
    "live": Output("live", "children"),
    "live-colour": Output("live", "color"),
    "picked": Output("picked", "children"),
    "detail": Output("detail", "data"),
}
# Small places that often stay as they are: each one that is set costs the browser time, and some of them a request.
SMALL = (
    *("trouble", "hidden", "title", "live", "live-colour", "picked"),
    *("left", "own", "words", "suggested", "chosen", "ended", "csv"),
)


def controls_of(reader: Reader, scene: Scene | None, state: State, names: Sequence[str] = ()) -> dict[str, Any]:
    """Every control as the state says; `names` are the objectives whose sliders are on the page."""
    known = reader.scales(scene.seen, state.machine) if scene else {}
    steps = [step_of(known[name], state) if name in known else no_update for name in names]
    looked = reader.look(state.study)
    machines = looked.seen.machines if looked.seen and scene else ()
    wanted = {
        "study": looked.seen.study.name if looked.seen else None,
        "machine": next((one.short for one in machines if scene and one.key == scene.report.machine), None),
        "up": scene.up if scene and scene.up in known else None,
        "across": _across(scene, known),
        "depth": state.depth if state.depth in known else NO_DEPTH,
        "tab": state.tab,
    }
    return {"values": wanted, "logs": list(state.logs), "steps": steps}


def _across(scene: Scene | None, known: Mapping[str, Any]) -> str | None:
    """A select that is given what it does not offer takes it back at once, and the two would never agree."""
    if scene is None:
        return None
    return BY_TRIAL if scene.across is None else scene.across if scene.across in known else None


def places_of(
    reader: Reader,
    drawings: Drawings,
    address: str,
    *,
    ground: str,
    zoom: Any = None,
    shown: Mapping[str, Any] | None = None,
    names: Sequence[str] = (),
) -> dict[str, Any]:
    """What goes into every place for an address.

    `shown` holds the versions of the dear ones as they stand on the page; those that would be the same stay. `names`
    are the objectives whose sliders are on the page.
    """
    scene, trouble = set_scene(reader, address)
    state = from_address(address)
    looked = reader.look(state.study)
    live, colour = live_of(looked)
    found = {
        "trouble": trouble_of(trouble),
        "hidden": scene is None or not scene.seen.trials,
        "title": looked.seen.study.name if looked.seen else "segsearch",
        "live": live,
        "live-colour": colour,
        "picked": picked_of(looked),
        "detail": f"{address}|{looked.mark}" if scene and state.tab != "explore" else no_update,
    }
    before = shown or {}
    sent = before.get("sent") or {}
    if scene is None:
        nothing = _nothing(looked.studies, looked.seen.machines if looked.seen else (), ground)
        return _news(found | nothing | {"words": [no_update] * len(names)}, sent, {})
    found |= {"figure": no_update, "figure-version": no_update}
    if before.get("figure-version") != _drawn(scene, ground):
        chart = front_of(scene, drawings, dark=ground == "dark")
        found |= {"figure": keep_zoom(chart, zoom, axes_of(scene)), "figure-version": _drawn(scene, ground)}
    known = reader.scales(scene.seen, scene.state.machine)
    found |= _of_study(reader, scene, known, before) | _words(scene, known, address, names)
    return _news(found, sent, known)


def _news(found: dict[str, Any], sent: Mapping[str, Any], known: Mapping[str, Scale]) -> dict[str, Any]:
    """`found` without the small places that hold this already; `sent` are the checksums of what they hold."""
    now = {name: _checksum(found[name]) for name in SMALL}
    if found["columns"] is not no_update:
        now["columns"] = _checksum(found["columns"])
    # The sliders stay under the hand that moves them for as long as they range over the same; else they are made.
    now["limits"] = _checksum([[name, scale.low, scale.high] for name, scale in known.items()])
    same = {name for name, sum_ in now.items() if sent.get(name) == sum_}
    kept: dict[str, Any] = dict.fromkeys(same, no_update)
    if "limits" not in same:
        kept["limits"] = found["limits"]()
    if "words" in same or "limits" not in same:  # new sliders bring their words
        kept["words"] = [no_update] * len(found["words"])
    return found | kept | {"sent": no_update if len(same) == len(now) else {**sent, **now}}


def _checksum(value: Any) -> int:
    return zlib.crc32(json.dumps(value, default=lambda part: part.to_plotly_json()).encode())


def _study(scene: Scene) -> str:
    return "|".join([scene.seen.study.name, scene.seen.mark, scene.report.machine])


def _drawn(scene: Scene, ground: str) -> str:
    return "|".join([_table(scene), axes_of(scene), str(scene.picked), ground])


def _table(scene: Scene) -> str:
    return "|".join([_study(scene), *scene.state.bounds, str(scene.chosen)])


def _of_study(reader: Reader, scene: Scene, known: Mapping[str, Scale], before: Mapping[str, Any]) -> dict[str, Any]:
    """What changes with the study alone, and whether the table has to ask for its rows again."""
    table = no_update if before.get("table-version") == _table(scene) else _table(scene)
    if before.get("study-version") == _study(scene):
        return {
            "choices": dict.fromkeys(CHOOSERS, no_update),
            "columns": no_update,
            "study-version": no_update,
            "table-version": table,
        }
    seen = scene.seen
    axes = [{"value": name, "label": scale.goal.title} for name, scale in known.items()]
    return {
        "choices": {
            "study": [{"value": name, "label": name} for name in _names(reader, seen)],
            "machine": [{"value": one.short, "label": machine_words(one)} for one in seen.machines],
            "up": axes,
            "across": [*axes, {"value": BY_TRIAL, "label": "trial"}] if scene.across is None else axes,
            "depth": [{"value": NO_DEPTH, "label": "none (flat)"}, *axes],
        },
        "columns": columns(seen, scene.report),
        "study-version": _study(scene),
        "table-version": table,
    }


def _names(reader: Reader, seen: Seen) -> tuple[str, ...]:
    return reader.look(seen.study.name).studies or (seen.study.name,)


def _words(scene: Scene, known: Mapping[str, Scale], address: str, names: Sequence[str]) -> dict[str, Any]:
    own = ", ".join(str(limit) for limit in scene.seen.study.study.bounds)
    return {
        "left": left_words(scene.report, scene.state.limits),
        "own": f"on top of the study's own: {own}" if own else "",
        "limits": partial(sliders, known, scene.state, scene.report),
        "words": [slider_words(known[name], scene.state, scene.report) if name in known else "" for name in names],
        "suggested": suggestions(scene),
        "chosen": selection(scene),
        "ended": ended_card(scene),
        "csv": f"models.csv{address}",
    }


def _nothing(studies: tuple[str, ...], machines: Any, ground: str) -> dict[str, Any]:
    """The places where there is no study to show."""
    choices: dict[str, Any] = {name: [] for name in CHOOSERS}
    choices["study"] = [{"value": name, "label": name} for name in studies]
    choices["machine"] = [{"value": one.short, "label": machine_words(one)} for one in machines]
    return {
        "choices": choices,
        "limits": list,
        "columns": no_update,
        "study-version": "",
        "table-version": "",
        "figure": empty_figure("No models yet", dark=ground == "dark"),
        "figure-version": "",
        "left": "",
        "own": "",
        "suggested": [],
        "chosen": [],
        "ended": [],
        "csv": "models.csv",
    }


def nothing_of(places: Any, names: Sequence[str]) -> Any:
    """An answer that leaves these places as they are; `names` are the objectives whose sliders are on the page."""
    if isinstance(places, Mapping):
        return {name: nothing_of(place, names) for name, place in places.items()}
    return [no_update] * len(names) if isinstance(places.component_id, dict) else no_update


def fill(page: Any, places: Any, values: Any) -> None:
    """Put values into a page that is not sent yet, as a callback with these outputs would.

    The sliders come with all that is theirs.
    """
    if isinstance(places, Mapping):
        for name, place in places.items():
            fill(page, place, values[name])
    elif values is not no_update and not isinstance(places.component_id, dict):
        setattr(page[places.component_id], places.component_property, values)
