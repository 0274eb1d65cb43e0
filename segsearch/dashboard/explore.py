"""What the first tab shows of a scene: the front, the words beside it, what is suggested and what is selected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import dash_mantine_components as dmc
from dash import html

from segsearch.dashboard.limits import in_unit
from segsearch.dashboard.parts import note
from segsearch.dashboard.scene import Scene
from segsearch.errors import StudyError
from segsearch.figures.front import draw_front
from segsearch.figures.marks import axis_named
from segsearch.figures.points import pointers
from segsearch.figures.theme import theme
from segsearch.judging.compare import next_words
from segsearch.judging.fronts import Row
from segsearch.judging.picking import pick_from
from segsearch.judging.words import describe


@dataclass
class Drawings:
    """The charts drawn last, without what points at models: to select one does not draw all others again."""

    _kept: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    def base(self, scene: Scene, *, dark: bool) -> dict[str, Any]:
        key = (scene.seen.study.name, scene.seen.mark, scene.report.machine, axes_of(scene), *scene.state.bounds)
        key += ("dark" if dark else "light",)
        kept = self._kept.get(key)
        if kept is None:
            kept = plain_front(scene, dark=dark)
            while len(self._kept) >= 4:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[key] = kept
        return kept


def front_of(scene: Scene, drawings: Drawings, *, dark: bool) -> dict[str, Any]:
    """The front as plain data, with the selected models and the picked one marked."""
    base = drawings.base(scene, dark=dark)
    axes = tuple(map(axis_named, (scene.across, scene.up, *([scene.depth] if scene.depth else []))))
    marks = pointers(scene.report, axes, theme(dark), limits=(), selected=scene.chosen, picked=scene.picked)
    more = [mark for mark in marks if mark["uid"] != "knee"]
    return {"data": [*base["data"], *more], "layout": base["layout"]}


def plain_front(scene: Scene, *, dark: bool) -> dict[str, Any]:
    return draw_front(
        scene.report,
        up=scene.up,
        across=scene.across,
        depth=scene.depth,
        dark=dark,
        logs=("x" in scene.state.logs, "y" in scene.state.logs),
    )


def axes_of(scene: Scene) -> str:
    """Names what is on the axes: a zoom belongs to it."""
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
            className="stiff",
        )
        words = dmc.Text(pick.reason, size="xs", c="dimmed", className="wraps")
        found.append(html.Div([html.Div([dmc.Text(title, fw=600, size="sm"), button], className="line"), words]))
    return found


def selection(scene: Scene) -> Any:
    """The selected models as cards; the last one is the one looked at."""
    if not scene.selected:
        hint = "Click a point, or a row of the table, to select a model; up to four stand side by side."
        return note("No model selected", hint)
    return html.Div([selected_card(scene, row) for row in scene.selected], className="two")


def selected_card(scene: Scene, row: Row) -> Any:
    goals = scene.report.objectives
    numbers = [f"{goal.title} {in_unit(goal, row.values[goal.name])}" for goal in goals if goal.name in row.values]
    badges = [dmc.Badge("picked", color="yellow", autoContrast=True)] if row.trial == scene.picked else []
    badges += [dmc.Badge("the knee, suggested", variant="light", tt="none")] if scene.suggested else []
    return dmc.Paper(
        [
            html.Div(
                [
                    dmc.Group([dmc.Text(f"Trial {row.trial}", fw=700), *badges], gap="xs"),
                    dmc.Text(" · ".join(numbers), size="sm", className="number"),
                ],
                className="line",
            ),
            dmc.Text(describe(row.candidate), size="xs", c="dimmed", className="wraps", lineClamp=2),
            *(dmc.Text(line, size="xs") for line in next_words(scene.report, row)),
            actions(row.trial, picked=row.trial == scene.picked, suggested=scene.suggested),
        ],
        p="sm",
        radius="md",
        withBorder=True,
    )


def actions(trial: int, *, picked: bool, suggested: bool) -> Any:
    drop = dmc.Button(
        "Deselect", id={"type": "drop", "trial": trial}, size="compact-sm", variant="subtle", color="gray"
    )
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
            *([] if suggested else [drop]),
        ],
        className="actions",
        style={"marginTop": ".5rem"},
    )
