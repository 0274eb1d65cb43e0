"""The sliders of the limits: one for each objective that the models differ in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, html

from segsearch.dashboard.limits import STEPS, Scale, slider_words
from segsearch.dashboard.state import State
from segsearch.judging.fronts import Report

STEP = {"type": "limit", "name": ALL}
WORDS = {"type": "limit-words", "name": ALL}


def sliders(known: Mapping[str, Scale], state: State, report: Report) -> list[Any]:
    """A slider at its step, with its words, for each scale that has any length."""
    return [_row(scale, state, report) for scale in known.values() if scale.high > scale.low]


def step_of(scale: Scale, state: State) -> float:
    """Where a slider stands."""
    limit = state.limit(scale.goal.name)
    return scale.step(limit.bound) if limit else scale.open


def _row(scale: Scale, state: State, report: Report) -> Any:
    goal = scale.goal
    title = goal.title[0].upper() + goal.title[1:] if goal.title != "mIoU" else goal.title
    words = slider_words(scale, state, report)
    return html.Div(
        [
            html.Div(
                [
                    dmc.Text(title, size="sm", fw=500),
                    dmc.Text(words, id=WORDS | {"name": goal.name}, size="xs", c="dimmed", ta="right"),
                ],
                className="line",
            ),
            dmc.Slider(
                id=STEP | {"name": goal.name},
                min=0,
                max=STEPS,
                step=1,
                value=step_of(scale, state),
                inverted=goal.direction == "maximize",
                label=None,
                size="sm",
                thumbSize=18,
                thumbLabel=f"Limit of {goal.title}",
            ),
        ],
        className="limit",
    )
