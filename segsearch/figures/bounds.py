"""Limits on a chart of the front: a line where one stands, and an arrow at the edge where it stands far beyond."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from segsearch.evidence.objectives import Limit, Objective
from segsearch.figures.theme import Theme

Range = tuple[float, float]
# Pixels: how long an arrow is, how far below the chart's upper edge the first one stands, and each further one.
_ARROW, _FIRST, _LINE = 34, 26, 18


def is_far(bound: float, ends: Range, *, log: bool = False) -> bool:
    """Whether a bound is farther from the points between `ends` than they reach: to show it takes half of the axis.

    On a logarithmic axis the logarithms count. A single point reaches as far as it is from 0, or one decade.
    """
    low, high = ends
    if log:
        if min(bound, low) <= 0:
            return False
        bound, low, high = math.log10(bound), math.log10(low), math.log10(high)
    reach = high - low or (1.0 if log else abs(high) or 1.0)
    return bound > high + reach or bound < low - reach


def far_limits(
    bounds: Sequence[Limit],
    axes: Sequence[Objective | None],
    ends: Mapping[str, Range],
    *,
    logs: Sequence[bool],
    ranges: Mapping[str, Range],
) -> frozenset[Limit]:
    """The limits on an axis that are no line there: beyond its range where it is fixed, else far from its points.

    `ends` are the least and the greatest value of what is drawn, by the objective's name.
    """
    found = set[Limit]()
    for axis, log in zip(axes, logs, strict=True):
        for limit in bounds:
            if axis is None or limit.objective != axis.name or (log and limit.bound <= 0):
                continue
            fixed = ranges.get(axis.name)
            if fixed is not None and not fixed[0] <= limit.bound <= fixed[1]:
                found.add(limit)
            if fixed is None and axis.name in ends and is_far(limit.bound, ends[axis.name], log=log):
                found.add(limit)
    return frozenset(found)


def limits_drawn(
    bounds: Sequence[Limit],
    axes: Sequence[Objective | None],
    far: frozenset[Limit],
    ends: Mapping[str, Range],
    look: Theme,
    *,
    logs: Sequence[bool],
) -> dict[str, Any]:
    """Shapes and annotations of a plane's layout: a dashed line for each limit on an axis, an arrow for a far one."""
    lines, words = list[dict[str, Any]](), list[dict[str, Any]]()
    places: dict[tuple[str, bool], int] = {}
    for limit in bounds:
        for letter, axis, log in zip("xy", axes, logs, strict=True):
            if axis is None or axis.name != limit.objective or (log and limit.bound <= 0):
                continue
            if limit in far:
                above = axis.name not in ends or limit.bound > ends[axis.name][1]
                place = places.setdefault((letter, above), 0)
                places[letter, above] += 1
                words.append(_arrow(limit, letter, look, above=above, place=place))
            else:
                line, told = _line(limit, letter, look, log=log)
                lines.append(line)
                words.append(told)
    return {"shapes": lines, "annotations": words}


def _line(limit: Limit, letter: str, look: Theme, *, log: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """A limit as a line from end to end of the chart, and its words on the side that meets it."""
    other = "y" if letter == "x" else "x"
    below = limit.operator == "<="
    line = {
        "type": "line",
        "line": {"dash": "dash", "color": look.muted, "width": 1},
        "layer": "below",
        f"{other}ref": "paper",
        f"{letter}0": limit.bound,
        f"{letter}1": limit.bound,
        f"{other}0": 0,
        f"{other}1": 1,
    }
    sides = {"xanchor": "right" if below else "left", "yanchor": "top"}
    if letter == "y":
        sides = {"xanchor": "right", "yanchor": "top" if below else "bottom"}
    words = {
        "text": escape(str(limit)),
        "showarrow": False,
        "font": {"size": 11, "color": look.muted},
        # An annotation on a logarithmic axis is placed by the logarithm, a line by the value.
        letter: math.log10(limit.bound) if log else limit.bound,
        other: 1,
        f"{other}ref": "paper",
        **sides,
    }
    return line, words


def _arrow(limit: Limit, letter: str, look: Theme, *, above: bool, place: int) -> dict[str, Any]:
    """A limit's words at the edge beyond which it stands, with an arrow that points there; `place` counts them."""
    edge, inward = (1, -_ARROW) if above else (0, _ARROW)
    sides: dict[str, Any] = {"x": edge, "y": 1, "ax": inward, "ay": 0, "xanchor": "right" if above else "left"}
    sides["yshift"] = -_FIRST - _LINE * place
    if letter == "y":
        # Pixels count downwards. In the middle, where neither the words of lines nor other arrows are.
        sides = {"x": 0.5, "y": edge, "ax": 0, "ay": -inward, "yanchor": "top" if above else "bottom"}
        sides["yshift"] = -_LINE * place if above else _LINE * place
    return {
        "text": escape(str(limit)),
        "xref": "paper",
        "yref": "paper",
        "showarrow": True,
        "arrowhead": 2,
        "arrowwidth": 1.2,
        "arrowcolor": look.muted,
        "font": {"size": 11, "color": look.muted},
        **sides,
    }
