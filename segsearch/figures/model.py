"""The network of one model, drawn from the image down to the file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any

import plotly.graph_objects as go

from segsearch.figures.pieces import Piece, pieces_of
from segsearch.figures.theme import Theme, dress, theme
from segsearch.space.candidate import Candidate, Output
from segsearch.space.shapes import Size

# The drawing of a network is a unit wide: bars as long as a map is wide, its numbers, and a gutter for the skips.
_BARS, _GUTTER = 0.46, 0.9
_ROW_PIXELS = 46
# A step that leaves no map is one line of text.
_TEXT_ROW = 0.55
_COLOURS: Mapping[str, int] = {"encoder": 0, "context": 2, "join": 1, "head": 3}


_Placed = tuple[float, Piece]


def architecture_figure(
    candidate: Candidate,
    size: Size,
    *,
    classes: int,
    output: Output = "scores",
    dark: bool = False,
) -> Any:
    """The network from the image down to the file: a bar for each map, as long as it has channels.

    The hatched end of a bar is what pruning took away; a line at the side leads from a map to who reads it again.
    `size` is the height and width of the file's input.
    """
    look = theme(dark)
    pieces = pieces_of(candidate, size, classes=classes, output=output)
    widest = max(piece.channels for piece in pieces)
    rows = tuple(accumulate((1.0 if piece.channels else _TEXT_ROW for piece in pieces), initial=0.0))
    placed = list(zip(rows, pieces, strict=False))
    chart = go.Figure()
    for kind in dict.fromkeys(piece.kind for piece in pieces):
        found = [(row, piece) for row, piece in placed if piece.kind == kind and piece.channels]
        if found:
            chart.add_trace(_kept(found, widest, _colour(kind, look)))
    cut = [(row, piece) for row, piece in placed if piece.left < piece.channels]
    if cut:
        chart.add_trace(_cut(cut, widest, look))
    chart.add_trace(_names(placed, look))
    chart.add_trace(_numbers(placed, widest, look))
    for row, piece in placed:
        for source in piece.sources:
            _skip(chart, rows[source], row, rows[-1], look)
    dress(
        chart,
        look,
        height=round(_ROW_PIXELS * rows[-1]) + 24,
        margin={"l": 8, "r": 8, "t": 8, "b": 8, "autoexpand": False},
        barmode="overlay",
        showlegend=False,
        dragmode=False,
    )
    chart.update_xaxes(visible=False, range=[0, 1], fixedrange=True)
    chart.update_yaxes(visible=False, range=[rows[-1] - 0.3, -0.6], fixedrange=True)
    return chart


def _colour(kind: str, look: Theme) -> str:
    return look.palette[_COLOURS[kind]] if kind in _COLOURS else look.muted


def _kept(found: Sequence[_Placed], widest: int, colour: str) -> Any:
    return go.Bar(
        orientation="h",
        x=[piece.left / widest * _BARS for _, piece in found],
        y=[row + 0.12 for row, _ in found],
        width=0.3,
        marker={"color": colour, "line": {"width": 0}},
        hovertext=[_told(piece) for _, piece in found],
        hoverinfo="text",
    )


def _cut(found: Sequence[_Placed], widest: int, look: Theme) -> Any:
    """What pruning took away, after what is left."""
    return go.Bar(
        orientation="h",
        base=[piece.left / widest * _BARS for _, piece in found],
        x=[(piece.channels - piece.left) / widest * _BARS for _, piece in found],
        y=[row + 0.12 for row, _ in found],
        width=0.3,
        marker={
            "color": "rgba(0,0,0,0)",
            "line": {"width": 1, "color": look.muted},
            "pattern": {"shape": "/", "fgcolor": look.muted, "size": 6, "solidity": 0.18},
        },
        hovertext=[_told(piece) for _, piece in found],
        hoverinfo="text",
    )


def _told(piece: Piece) -> str:
    pruned = f"<br>{piece.channels - piece.left} of {piece.channels} channels pruned" * (piece.left < piece.channels)
    size = f"{piece.size[0]}×{piece.size[1]}"
    return f"<b>{escape(piece.name)}</b><br>{escape(piece.words)}<br>{piece.left} channels of {size}{pruned}"


def _names(placed: Sequence[_Placed], look: Theme) -> Any:
    return go.Scatter(
        x=[0.0] * len(placed),
        y=[row - 0.24 for row, _ in placed],
        mode="text",
        text=[
            f"<b>{escape(piece.name)}</b>  <span style='color:{look.muted}'>{escape(piece.words)}</span>"
            for _, piece in placed
        ],
        textposition="middle right",
        textfont={"size": 12, "color": look.ink},
        hoverinfo="skip",
    )


def _numbers(placed: Sequence[_Placed], widest: int, look: Theme) -> Any:
    """Channels and size at the end of each bar: `64 → 40 · 1/8 · 45×60`."""
    shown = [(row, piece) for row, piece in placed if piece.channels]
    grid = [piece.size[0] for _, piece in shown if piece.kind == "input"][-1]
    return go.Scatter(
        x=[piece.channels / widest * _BARS + 0.008 for _, piece in shown],
        y=[row + 0.12 for row, _ in shown],
        mode="text",
        text=[_line_of(piece, grid) for _, piece in shown],
        textposition="middle right",
        textfont={"size": 11, "color": look.muted},
        hoverinfo="skip",
    )


def _line_of(piece: Piece, grid: int) -> str:
    """`grid` is the height that the network works on: strides are told from there, as its makers think of them."""
    channels = f"{piece.channels}" if piece.left == piece.channels else f"{piece.channels} → <b>{piece.left}</b>"
    halvings = round(math.log2(max(grid / piece.size[0], 1.0)))
    share = f"1/{2**halvings}" if halvings and piece.kind not in ("input", "output") else ""
    return " · ".join(filter(None, (channels, share, f"{piece.size[0]}×{piece.size[1]}")))


def _skip(chart: Any, source: float, target: float, rows: float, look: Theme) -> None:
    """A line in the gutter from a map to who reads it again; longer ones run farther out."""
    top, bottom = source + 0.12, target + 0.12
    out = _GUTTER + (0.99 - _GUTTER) * min(1.0, abs(target - source) / max(rows - 4, 1))
    chart.add_shape(
        type="path",
        path=f"M {_GUTTER},{top} C {out},{top} {out},{top} {out},{(top + bottom) / 2} "
        f"S {out},{bottom} {_GUTTER},{bottom}",
        line={"color": look.palette[1], "width": 1.6},
    )
    chart.add_trace(
        go.Scatter(
            x=[_GUTTER, _GUTTER],
            y=[top, bottom],
            mode="markers",
            marker={
                "symbol": ["circle", "triangle-left"],
                "size": [6, 9],
                "color": look.palette[1],
                "line": {"width": 0},
            },
            hoverinfo="skip",
        )
    )
