"""What a judgement of a search is: a verdict, its words, what to do next, and a tiny picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["well", "sick"]


@dataclass(frozen=True)
class Picture:
    """Dots in a box, or a line through them: (x, y) from 0 to 1, y upwards. `mark` is where a line stands across x."""

    dots: tuple[tuple[float, float], ...]
    joined: bool = False
    mark: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Judgement:
    """One look at a search. There is none where the rows do not suffice: a `sick` one is no guess."""

    name: str
    verdict: Verdict
    words: str
    todo: str = ""
    picture: Picture | None = None

    @property
    def record(self) -> dict[str, Any]:
        """As programs read it, without the picture."""
        return {key: value for key, value in asdict(self).items() if key != "picture"}


MOST_DOTS = 150


def dots(
    points: Sequence[tuple[float, float]], *, joined: bool = False, mark: float | None = None, label: str = ""
) -> Picture | None:
    """A picture of these points, each axis from its least to its largest; None without any."""
    step = max(1, -(-len(points) // MOST_DOTS))
    shown = list(points[::step])
    if not shown:
        return None
    across, up = [x for x, _ in shown] + ([] if mark is None else [mark]), [y for _, y in shown]
    placed = tuple((_place(x, across), _place(y, up)) for x, y in shown)
    return Picture(placed, joined, None if mark is None else _place(mark, across), label)


def _place(value: float, among: Sequence[float]) -> float:
    low, span = min(among), max(among) - min(among)
    return (value - low) / span if span > 0 else 0.5
