"""Trials as lines through their objectives and parameters, as data."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsearch.evidence.objectives import Objective
from segsearch.figures.marks import ticks_of
from segsearch.judging.fronts import Report, Row
from segsearch.settings.search import Scalar

# Lines that a person can still follow and a browser brush.
LINES = 1500


@dataclass(frozen=True)
class Scale:
    """One upright scale: a value for each line. `ticks` and `words` name places where the values are not numbers.

    Trials of a branch without the parameter stand at the word `–`.
    """

    name: str
    title: str
    values: tuple[float, ...]
    ticks: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    format: str = ""


@dataclass(frozen=True)
class Lines:
    """The lines that are drawn, by trial, and how many trained trials are not."""

    trials: tuple[int, ...]
    scales: tuple[Scale, ...]
    left_out: int


def lines_of(
    report: Report,
    params: Mapping[int, Mapping[str, Scalar]],
    *,
    parameters: Sequence[str],
    lines: int = LINES,
) -> Lines:
    """The study's objectives and the named parameters of its trained trials; the front and a fair draw of the rest."""
    goals = report.objectives
    rows = [row for row in report.rows if row.trial in params and all(goal.name in row.values for goal in goals)]
    shown = _chosen(rows, lines)
    scales = [_objective(goal, shown) for goal in goals]
    scales += [_parameter(name, [params[row.trial].get(name) for row in shown]) for name in parameters]
    return Lines(tuple(row.trial for row in shown), tuple(scales), len(rows) - len(shown))


def _chosen(rows: Sequence[Row], lines: int) -> list[Row]:
    if len(rows) <= lines:
        return list(rows)
    best, rest = [row for row in rows if row.on_front][:lines], [row for row in rows if not row.on_front]
    drawn = random.Random(0).sample(rest, max(0, min(len(rest), lines - len(best))))
    return sorted([*best, *drawn], key=lambda row: row.trial)


def _objective(goal: Objective, rows: Sequence[Row]) -> Scale:
    title = f"{goal.title}{f' [{goal.unit}]' if goal.unit else ''}"
    return Scale(goal.name, title, tuple(row.values[goal.name] for row in rows), format=ticks_of(goal))


def _parameter(name: str, choices: Sequence[Scalar | None]) -> Scale:
    known = {choice for choice in choices if choice is not None}
    absent = None in choices
    if known and not any(isinstance(choice, str) for choice in known) and len(known) > 12:
        return _numeric(name, [None if choice is None else float(choice) for choice in choices])
    order = sorted(known, key=_order)
    places = {choice: float(place) for place, choice in enumerate(order, start=int(absent))}
    words = ["–"] * absent + [str(choice) for choice in order]
    values = tuple(0.0 if choice is None else places[choice] for choice in choices)
    return Scale(name, name, values, tuple(float(place) for place in range(len(words))), tuple(words))


def _numeric(name: str, choices: Sequence[float | None]) -> Scale:
    """A scale of numbers; those without one stand below the least."""
    known = [choice for choice in choices if choice is not None]
    low, high = min(known), max(known)
    if None not in choices:
        return Scale(name, name, tuple(known))
    below = low - 0.12 * (high - low)
    inner = [low + (high - low) * step / 4 for step in range(5)]
    ticks, words = (below, *inner), ("–", *(f"{value:.3g}" for value in inner))
    return Scale(name, name, tuple(below if choice is None else choice for choice in choices), ticks, words)


def _order(choice: Scalar) -> tuple[float, str]:
    """Numbers by size, also those that a space writes as words (`0.5`, `1-2-4`), then words by letter."""
    try:
        return float(str(choice).split("-")[0]), str(choice)
    except ValueError:
        return math.inf, str(choice)
