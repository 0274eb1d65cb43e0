"""The judgements of a search as a row of small cards."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

import dash_mantine_components as dmc
from dash import html

from segsearch.judging.judgement import Judgement, Picture

_WIDTH, _HEIGHT, _EDGE = 180, 64, 5
# Seen on light and on dark ground.
_INK, _MARK = "#4c8dd6", "#e8590c"


def health_cards(found: Sequence[Judgement]) -> Any:
    """A card for each judgement, the sick ones first."""
    if not found:
        return dmc.Text("Too few trials yet to judge anything.", size="sm", c="dimmed")
    return [_card(one) for one in found]


def _card(one: Judgement) -> Any:
    sick = one.verdict == "sick"
    badge = dmc.Badge("look" if sick else "well", color="orange" if sick else "green", variant="light", tt="none")
    parts = [
        html.Div([dmc.Text(one.name, fw=600, size="sm"), badge], className="line"),
        dmc.Text(one.words, size="xs", className="wraps"),
    ]
    if one.todo:
        parts.append(dmc.Text(one.todo, size="xs", c="dimmed", className="wraps"))
    if one.picture is not None:
        parts.append(html.Img(src=as_source(one.picture), alt=one.picture.label, title=one.picture.label))
    return html.Div(parts, className="judgement")


def as_source(picture: Picture) -> str:
    """A picture as the source of an image: SVG that needs no other file."""
    places = [(_across(x), _up(y)) for x, y in picture.dots]
    if picture.joined:
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn = f'<polyline points="{line}" fill="none" stroke="{_INK}" stroke-width="2"/>'
    else:
        drawn = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{_INK}" opacity=".7"/>' for x, y in places)
    if picture.mark is not None:
        across = _across(picture.mark)
        drawn += f'<path d="M{across:.1f} 0V{_HEIGHT}" stroke="{_MARK}" stroke-width="1.5" stroke-dasharray="4 3"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" role="img">'
    text = f"{head}<title>{escape(picture.label)}</title>{drawn}</svg>"
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}"


def _across(x: float) -> float:
    return _EDGE + x * (_WIDTH - 2 * _EDGE)


def _up(y: float) -> float:
    return _HEIGHT - _EDGE - y * (_HEIGHT - 2 * _EDGE)
