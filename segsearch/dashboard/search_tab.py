"""The fourth tab: the search itself, how far it came, what decides, what was left out and why."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import Output, html, no_update

from segsearch.dashboard.parts import card, graph, heading
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import Scene
from segsearch.figures.reached import pace
from segsearch.figures.search import (
    coordinates_figure,
    hypervolume_figure,
    importance_figure,
    outcomes_figure,
    throughput_figure,
)
from segsearch.progress import duration

# Name, heading, height in pixels.
FIGURES = (
    ("grown-trials", "How the front grew, over trained trials", 340),
    ("grown-time", "How the front grew, over hours of work", 340),
    ("deciding", "Which parameters decide", 400),
    ("outcomes", "What became of the trials", 400),
    ("throughput", "Trials over hours of work", 340),
)
COORDINATES = "coordinates"


def search_panel() -> Any:
    """The tab before anything is drawn: every figure has its place."""
    cards = [card(heading(title), graph(name, height=height, label=title)) for name, title, height in FIGURES]
    how_far = card(heading("How far it is"), html.Div(id="pace", className="pace"))
    lines = card(
        heading("Every trained model as a line"),
        dmc.Text(
            "Drag along a scale to keep the lines that pass there; click beside it to let all through.", size="xs"
        ),
        graph(COORDINATES, height=440, label="Parallel coordinates of the trained models"),
    )
    return html.Div([how_far, html.Div(cards, className="two"), lines], className="panel")


PLACES = [
    Output("pace", "children"),
    Output("pace", "data-shown"),
    *(Output(name, "figure") for name, _, _ in FIGURES),
    Output(COORDINATES, "figure"),
]


def search_of(scene: Scene, reader: Reader, *, ground: str, shown: str | None) -> list[Any]:
    """What goes into `PLACES`; nothing where it is shown already."""
    version = "|".join([scene.seen.study.name, scene.seen.mark, scene.report.machine, ground])
    if version == shown:
        return [no_update] * len(PLACES)
    return [_pace(scene), version, *_figures(scene, reader, dark=ground == "dark")]


def _figures(scene: Scene, reader: Reader, *, dark: bool) -> list[Any]:
    """In the order of `FIGURES`, the coordinates last. The page's limits do not change what the search reached."""
    report = reader.report(scene.seen, scene.state.machine)
    trials, goals = scene.seen.trials, [goal.name for goal in report.objectives]
    figures = [
        hypervolume_figure(report, trials, over="trials", dark=dark),
        hypervolume_figure(report, trials, over="time", dark=dark),
        importance_figure(trials, goals, machine=report.machine, dark=dark),
        outcomes_figure(trials, dark=dark),
        throughput_figure(trials, dark=dark),
        coordinates_figure(report, trials, dark=dark),
    ]
    return [figure.update_layout(height=None, autosize=True) for figure in figures]


def _pace(scene: Scene) -> Any:
    found = pace(scene.seen.trials, asked=scene.seen.study.study.trials)
    pairs = [
        ("trained", f"{found.trained} of {found.asked}"),
        ("finished in all", str(found.finished)),
        ("time at work", duration(found.seconds)),
    ]
    if found.seconds_each is not None:
        pairs.append(("a trained trial, rejected ones included", duration(found.seconds_each)))
    left = found.seconds_left
    pairs.append(("to the end", "nothing is left to do" if left == 0 else duration(left) if left else "not known yet"))
    pairs.append(("workers", f"{scene.seen.workers} at work" if scene.seen.workers else "none at work"))
    return [
        html.Div([dmc.Text(name, size="xs", c="dimmed"), dmc.Text(value, fw=600, className="number")])
        for name, value in pairs
    ]
