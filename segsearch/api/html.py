"""Small pieces of HTML that a notebook shows: tables, and a picture of points. No script, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 560, 300, 52


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under their names; every cell is text."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and what they are, one a line."""
    lines = (f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in pairs)
    return f"<table><tbody>{''.join(lines)}</tbody></table>"


def line(words: str) -> str:
    return f"<p>{escape(words)}</p>"


def scatter(points: Sequence[tuple[float, float, str]], *, across: str, up: str) -> str:
    """Points (x, y, words) as an inline SVG; the words show where the mouse rests. Axes begin at 0."""
    ends = [_round_up(max(values, default=0.0)) for values in ([x for x, _, _ in points], [y for _, y, _ in points])]
    shapes = [
        f'<circle cx="{_x(x / ends[0])}" cy="{_y(y / ends[1])}" r="5" fill="#0072B2" fill-opacity="0.75">'
        f"<title>{escape(words)}</title></circle>"
        for x, y, words in points
    ]
    grid = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _x(share), _y(share)
        grid.append(f'<path d="M{x} {_y(0)}V{_y(1)}M{_x(0)} {y}H{_x(1)}" stroke="currentColor" stroke-opacity="0.15"/>')
        grid.append(_text(x, _y(0) + 16, f"{share * ends[0]:.3g}", "middle"))
        grid.append(_text(_x(0) - 6, y + 4, f"{share * ends[1]:.3g}", "end"))
    grid.append(_text(_x(1), HEIGHT - 8, across, "end"))
    grid.append(_text(8, 14, up, "start"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(up)} over {escape(across)}" '
        f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" fill="none">'
        f"{''.join([*grid, *shapes])}</svg>"
    )


def _x(share: float) -> float:
    return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)


def _y(share: float) -> float:
    return round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN), 1)


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="11" fill="currentColor" text-anchor="{anchor}">{escape(words)}</text>'


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5 and 10 times a power of ten."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 4, 5) if step * power >= value), 10 * power)
