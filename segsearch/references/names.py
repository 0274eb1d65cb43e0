"""References by name: which ones a study means, and what is said of a name that is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from segsearch.errors import StudyError
from segsearch.references.table import REFERENCES, Reference

# How the names of those end that are of a size for a short schedule from nothing.
SMALL = "-mobile"


def known_references() -> Mapping[str, Reference]:
    """All references by name."""
    return REFERENCES


def small_references() -> tuple[str, ...]:
    """The names of those that a study is compared with where nobody names any."""
    return tuple(name for name in known_references() if name.endswith(SMALL))


def demand_references(names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """These names, each once and in their order. Raises `StudyError` for one that is none, with the nearest."""
    for name in names:
        if name not in known_references():
            near = get_close_matches(name, known_references(), n=3, cutoff=0.5)
            nearest = f"the nearest are {', '.join(near)}. " if near else ""
            raise StudyError(f"{where}: no reference is named {name!r}; {nearest}`segsearch references` lists them.")
    return tuple(dict.fromkeys(names))
