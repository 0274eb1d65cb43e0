"""The fourth tab: the search itself, how far it came, what decides, what was left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Output, html, no_update

from segsearch.dashboard.health import health_cards
from segsearch.dashboard.parts import card, graph, heading
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import Scene
from segsearch.figures.importance import on_machine
from segsearch.figures.reached import pace
from segsearch.figures.search import (
    coordinates_figure,
    hypervolume_figure,
    importance_figure,
    outcomes_figure,
    throughput_figure,
)
from segsearch.judging.words import duration

# Name, heading, height in pixels.
FIGURES = (
    ("grown-trials", "How the front grew, over trained trials", 340),
    ("grown-time", "How the front grew, over hours of work", 340),
    ("deciding", "Which parameters decide", 400),
    ("outcomes", "What became of the trials", 400),
    ("throughput", "Trials over hours of work", 340),
)
COORDINATES = "coordinates"
FIGURE = {"type": "search-figure", "name": ALL}
PACE = {"type": "search-pace", "name": ALL}
HEALTH = {"type": "search-health", "name": ALL}
PLACES: Mapping[str, Any] = {
    "panel": Output("search-panel", "children"),
    "version": Output("search-panel", "data-shown"),
    "figures": Output(FIGURE, "figure"),
    "pace": Output(PACE, "children"),
    "health": Output(HEALTH, "children"),
}


def search_of(scene: Scene, reader: Reader, *, ground: str, shown: str | None, names: Sequence[str]) -> dict[str, Any]:
    """What goes into `PLACES`: the panel when it is looked at first, then its figures, each drawn again in place.

    `names` are the figures on the page. Nothing where this very search is shown already.
    """
    version = "|".join([scene.seen.study.name, scene.seen.mark, scene.report.machine, ground])
    if version == shown:
        return nothing_of(names)
    charts = _figures(scene, reader, dark=ground == "dark")
    if set(names) == set(charts):
        drawn = [charts[name] for name in names]
        told = {"pace": [_pace(scene)], "health": [_health(scene, reader)]}
        return {"panel": no_update, "version": version, "figures": drawn, **told}
    left = nothing_of(names)
    return {**left, "panel": _panel(charts, _pace(scene), _health(scene, reader)), "version": version}


def _health(scene: Scene, reader: Reader) -> Any:
    return health_cards(reader.health(scene.seen))


def _panel(charts: Mapping[str, Any], pace_words: Any, judged: Any) -> list[Any]:
    def drawn(name: str, height: int, label: str) -> Any:
        return html.Div(graph(FIGURE | {"name": name}, height=height, label=label, figure=charts[name]), id=name)

    cards = [card(heading(title), drawn(name, height, title)) for name, title, height in FIGURES]
    lines = card(
        heading("Every trained model as a line"),
        dmc.Text(
            "Drag along a scale to keep the lines that pass there; click beside it to let all through.", size="xs"
        ),
        drawn(COORDINATES, 440, "Parallel coordinates of the trained models"),
    )
    how_far = card(heading("How far it is"), html.Div(pace_words, id=PACE | {"name": "all"}, className="pace"))
    healthy = card(heading("Health"), html.Div(judged, id=HEALTH | {"name": "all"}, className="judgements"))
    return [how_far, healthy, html.Div(cards, className="two"), lines]


def nothing_of(names: Sequence[str]) -> dict[str, Any]:
    """An answer that leaves `PLACES` as they are, where these figures are on the page."""
    return {
        "panel": no_update,
        "version": no_update,
        "figures": [no_update] * len(names),
        "pace": [no_update] if names else [],
        "health": [no_update] if names else [],
    }


def _figures(scene: Scene, reader: Reader, *, dark: bool) -> dict[str, Any]:
    """Every figure by its name. The page's limits do not change what the search reached."""
    report = reader.report(scene.seen, scene.state.machine)
    trials, goals = scene.seen.trials, [goal.name for goal in report.objectives]
    here = on_machine(report, trials)
    figures = [
        hypervolume_figure(report, trials, over="trials", dark=dark),
        hypervolume_figure(report, trials, over="time", dark=dark),
        importance_figure(here, goals, dark=dark),
        outcomes_figure(trials, dark=dark),
        throughput_figure(trials, dark=dark),
        coordinates_figure(report, here, dark=dark),
    ]
    names = [*(name for name, _, _ in FIGURES), COORDINATES]
    return {name: figure.update_layout(height=None, autosize=True) for name, figure in zip(names, figures, strict=True)}


def _pace(scene: Scene) -> Any:
    found = pace(scene.seen.trials, asked=scene.seen.study.study.trials)
    pairs = [
        ("trained", f"{found.trained} of {found.asked}"),
        ("finished in all", str(found.finished)),
        *([("looked at, not trained", str(found.looked_at))] if found.looked_at else []),
        ("time at work", duration(found.seconds)),
    ]
    if found.seconds_each is not None:
        beside = "rejected ones and looks" if found.looked_at else "rejected ones"
        pairs.append((f"a trained trial, {beside} included", duration(found.seconds_each)))
    left = found.seconds_left
    pairs.append(("to the end", "nothing is left to do" if left == 0 else duration(left) if left else "not known yet"))
    pairs.append(("workers", f"{scene.seen.workers} at work" if scene.seen.workers else "none at work"))
    return [
        html.Div([dmc.Text(name, size="xs", c="dimmed"), dmc.Text(value, fw=600, className="number")])
        for name, value in pairs
    ]
