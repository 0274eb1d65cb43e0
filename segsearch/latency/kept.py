"""Where a machine's reference times are kept for its user, and what to say where they were taken in a slow minute."""

from __future__ import annotations

from pathlib import Path

from segsearch.workshop import user_folder

# A reference that takes less than this share of its kept time was timed while the machine was slow.
_TOO_QUICK = 1 / 1.1


def kept_times(key: str) -> Path:
    """The file of a machine's reference times."""
    return user_folder() / f"reference-{key[:16]}.json"


def slow_unit(key: str, slowdown: float) -> str | None:
    """Words where a reference ran so much faster than its kept time (`Comparison.slowdown` far below 1) on a machine.

    Nothing is changed: the latencies of a study have one unit and compare.
    """
    if slowdown >= _TOO_QUICK:
        return None
    return (
        f"the reference ran {1 / slowdown:.2f} times as fast as when its time was kept, in a slow minute: milliseconds "
        f"are too long by that much, and compare all the same; delete {kept_times(key)} before the next study"
    )
