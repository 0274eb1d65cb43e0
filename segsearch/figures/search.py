"""The search itself in pictures: what it has reached, what decides, what became of its trials, how fast it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from segsearch.evidence.objectives import OBJECTIVES
from segsearch.figures.coordinates import Scale, lines_of
from segsearch.figures.importance import Importance, importances
from segsearch.figures.reached import OutcomeCount, Reached, finished_over_time, outcomes, reached
from segsearch.figures.theme import Theme, dress, empty_figure, label_pixels, theme
from segsearch.judging.fronts import Report
from segsearch.judging.words import state_words
from segsearch.store import TrialRow

SHOWN_PARAMETERS = 14
SHOWN_SCALES = 9


def hypervolume_figure(
    report: Report,
    trials: Sequence[TrialRow],
    *,
    over: Literal["trials", "time"] = "trials",
    dark: bool = False,
) -> Any:
    """How the hypervolume grew, over trained trials or over hours of work; each step is a trial that enlarged it."""
    look = theme(dark)
    rows = reached(report, trials)
    if not rows:
        return empty_figure("no trained trial meets the limits yet", dark=dark)
    hours = over == "time"
    chart = go.Figure(
        go.Scatter(
            x=[_along(row, hours) for row in rows],
            y=[row.share for row in rows],
            customdata=[row.trial for row in rows],
            mode="lines+markers" if len(rows) <= 100 else "lines",
            line={"shape": "hv", "color": look.palette[0], "width": 2},
            marker={"size": 6},
            hovertemplate="trial %{customdata}<br>after "
            + ("%{x:.2f} h of work" if hours else "%{x} trained trials")
            + "<br>hypervolume %{y:.3f}<extra></extra>",
        )
    )
    dress(chart, look, height=300, showlegend=False)
    chart.update_xaxes(title_text="hours of work, pauses left out" if hours else "trained trials", rangemode="tozero")
    chart.update_yaxes(title_text="hypervolume, share of the box", range=[0, 1.02], fixedrange=True)
    return chart


def _along(row: Reached, hours: bool) -> float:
    return row.seconds / 3600 if hours else row.trained


def importance_figure(
    trials: Sequence[TrialRow],
    objectives: Sequence[str],
    *,
    machine: str | None = None,
    dark: bool = False,
    shown: int = SHOWN_PARAMETERS,
) -> Any:
    """The parameters that decide most, one bar for each objective; a faint bar is no more than chance may give."""
    look = theme(dark)
    found = {name: {one.parameter: one for one in importances(trials, name, machine=machine)} for name in objectives}
    best = _leading(found)[:shown]
    if not best:
        return empty_figure("too few trials yet to tell parameters apart", dark=dark)
    chart = go.Figure()
    for place, (name, ones) in reversed(list(enumerate(found.items()))):  # the last is drawn on top
        bars = [(parameter, ones[parameter]) for parameter in best if parameter in ones]
        colour = look.palette[place % 6]
        chart.add_trace(
            go.Bar(
                orientation="h",
                x=[one.share for _, one in bars],
                y=[escape(parameter) for parameter, _ in bars],
                name=escape(OBJECTIVES[name].title),
                marker={
                    "color": colour,
                    "opacity": [1.0 if one.clear else look.faint for _, one in bars],
                    "line": {"width": 0},
                },
                hovertext=[_share_in_words(one, OBJECTIVES[name].title) for _, one in bars],
                hoverinfo="text",
            )
        )
    rows = len(best) * (10 + 9 * len(found))
    dress(
        chart,
        look,
        height=rows + 90,
        barmode="group",
        bargap=0.3,
        margin={"l": label_pixels(best), "r": 16, "t": 34, "b": 44, "autoexpand": False},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "reversed"},
        showlegend=True,
        dragmode=False,
    )
    order = [escape(name) for name in reversed(best)]
    chart.update_xaxes(range=[0, 1], fixedrange=True, title_text="share of the order that the parameter decides alone")
    chart.update_yaxes(type="category", categoryorder="array", categoryarray=order, fixedrange=True, showgrid=False)
    return chart


def _leading(found: Mapping[str, Mapping[str, Importance]]) -> list[str]:
    """All parameters, by the greatest share that one has for any objective."""
    best: dict[str, float] = {}
    for ones in found.values():
        for name, one in ones.items():
            best[name] = max(best.get(name, 0.0), one.share)
    return sorted(best, key=lambda name: (-best[name], name))


def _share_in_words(one: Importance, title: str) -> str:
    chance = "" if one.clear else "<br>no more than chance may give"
    return (
        f"<b>{escape(one.parameter)}</b><br>decides {one.share:.0%} of the order by {escape(title)}"
        f"<br>among {one.trials} trials that have it, in {one.groups} groups{chance}"
    )


def _deciding(trials: Sequence[TrialRow], goals: Sequence[str]) -> list[str]:
    """As many parameters as there is room for beside the objectives, those that decide most first."""
    found = {name: {one.parameter: one for one in importances(trials, name)} for name in goals}
    return _leading(found)[: SHOWN_SCALES - len(goals)]


def _dimension(scale: Scale) -> dict[str, Any]:
    """One scale of the parallel coordinates. Plotly reads markup in its title, and none in the words on it."""
    words = {"tickvals": list(scale.ticks), "ticktext": list(scale.words)} if scale.ticks else {}
    form = {"tickformat": scale.format} if scale.format else {}
    values = np.asarray(scale.values, dtype=np.float32)
    return {"label": escape(scale.title), "name": scale.name, "values": values, **words, **form}


def coordinates_figure(
    report: Report,
    trials: Sequence[TrialRow],
    *,
    parameters: Sequence[str] | None = None,
    dark: bool = False,
) -> Any:
    """Each trained trial as a line through its objectives and parameters, coloured by the first objective.

    Without names the parameters that decide most are shown. Dragging along a scale keeps the lines that pass there.
    """
    look = theme(dark)
    if parameters is None:
        parameters = _deciding(trials, [goal.name for goal in report.objectives])
    lines = lines_of(report, {trial.number: trial.params for trial in trials}, parameters=parameters)
    if not lines.trials:
        return empty_figure("no trained trial yet", dark=dark)
    goal = report.objectives[0]
    chart = go.Figure(
        go.Parcoords(
            uid="coordinates",
            dimensions=[_dimension(scale) for scale in lines.scales],
            customdata=list(lines.trials),
            line={
                "color": np.asarray(lines.scales[0].values, dtype=np.float32),
                "colorscale": [list(step) for step in look.ramp],
                "reversescale": goal.direction == "minimize",
            },
            labelangle=-18,
            labelfont={"size": 12, "color": look.ink},
            tickfont={"size": 11, "color": look.ink},
            rangefont={"size": 10, "color": look.muted},
            unselected={"line": {"color": look.line, "opacity": 0.25}},
        )
    )
    dress(chart, look, height=380, margin={"l": 60, "r": 60, "t": 84, "b": 28, "autoexpand": False})
    if lines.left_out:
        text = f"{len(lines.trials)} of {len(lines.trials) + lines.left_out} trials: the front and a fair draw"
        font = {"size": 11, "color": look.muted}
        chart.add_annotation(text=text, x=1, y=-0.08, xref="paper", yref="paper", showarrow=False, font=font)
    return chart


def outcomes_figure(trials: Sequence[TrialRow], *, dark: bool = False) -> Any:
    """What became of the trials: a bar for each state and reason, with an example on hover."""
    look = theme(dark)
    found = outcomes(trials)
    if not found:
        return empty_figure("no trial has finished yet", dark=dark)
    labels = [escape(_outcome_label(one)) for one in found]
    chart = go.Figure(
        go.Bar(
            orientation="h",
            x=[one.count for one in found],
            y=labels,
            customdata=[one.example for one in found],
            text=[f"{one.count:,}" for one in found],
            textposition="outside",
            cliponaxis=False,
            textfont={"size": 12, "color": look.ink},
            marker={"color": [_state_colour(one.state, look) for one in found], "line": {"width": 0}},
            hovertext=[_outcome_words(one) for one in found],
            hoverinfo="text",
        )
    )
    dress(
        chart,
        look,
        height=28 * len(found) + 40,
        bargap=0.35,
        margin={"l": max(90, min(230, 20 + 7 * max(map(len, labels)))), "r": 60, "t": 8, "b": 28, "autoexpand": False},
        showlegend=False,
        dragmode=False,
    )
    chart.update_xaxes(fixedrange=True, rangemode="tozero", tickformat="~s")
    chart.update_yaxes(
        type="category", categoryorder="array", categoryarray=labels[::-1], fixedrange=True, showgrid=False
    )
    return chart


def _outcome_label(one: OutcomeCount) -> str:
    return f"{state_words(one.state)}: {one.reason}" if one.reason else state_words(one.state)


def _outcome_words(one: OutcomeCount) -> str:
    said = f"<br>{escape(one.said[:160])}" if one.said else ""
    return f"<b>{one.count:,} {escape(_outcome_label(one))}</b><br>last: trial {one.example}{said}"


def _state_colour(state: str, look: Theme) -> str:
    places = {"trained": 0, "rejected": 4, "failed": 1}
    return look.palette[places[state]] if state in places else look.muted


def throughput_figure(trials: Sequence[TrialRow], *, dark: bool = False) -> Any:
    """Finished trials by state over hours of work: the steeper, the faster."""
    look = theme(dark)
    lines = finished_over_time(trials)
    if not lines:
        return empty_figure("no trial has finished yet", dark=dark)
    chart = go.Figure()
    for (state, points), dash in zip(lines.items(), ("solid", "dash", "dot", "dashdot", "longdash"), strict=False):
        chart.add_trace(
            go.Scatter(
                x=[0.0, *(seconds / 3600 for seconds, _ in points)],
                y=[0, *(count for _, count in points)],
                name=state_words(state),
                uid=state,
                mode="lines",
                line={"shape": "hv", "width": 2, "color": _state_colour(state, look), "dash": dash},
                hovertemplate=f"%{{y}} {state_words(state)} after %{{x:.2f}} h<extra></extra>",
            )
        )
    dress(
        chart,
        look,
        height=280,
        margin={"l": 60, "r": 16, "t": 34, "b": 48, "autoexpand": False},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        showlegend=True,
    )
    chart.update_xaxes(title_text="hours of work, pauses left out", rangemode="tozero")
    chart.update_yaxes(title_text="trials", rangemode="tozero")
    return chart
