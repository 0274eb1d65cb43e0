"""Search spaces: Python files that define `draw(choose: Draw) -> Candidate`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from segsearch.candidate import Candidate, Draw


@dataclass(frozen=True)
class Space:
    """A loaded space: `draw` raises only `SpaceError`; `source` is the whole text of the file called `name`."""

    name: str
    source: str
    draw: Callable[[Draw], Candidate]


def load_space(spec: str) -> Space:
    """Load a built-in space by name (`mobile`) or a file by its path (ends in .py).

    Raises `SpaceError` naming the file and the line.
    """
    raise NotImplementedError


def space_from_source(source: str, *, name: str) -> Space:
    """Load a space from its text, as `resume` does with the copy in the artifacts."""
    raise NotImplementedError
