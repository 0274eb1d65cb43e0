"""Times of the references that come back: rounds of all of them in turn, until the shortest of each is no accident."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from segsearch.workshop import Progress, silent

LEAST_ROUNDS = 3
# The two shortest rounds of a reference are this near to one another where the machine at its best was met twice.
NEAR = 1.03
STAGE = "timing the references, once for this machine"


def shortest(
    names: Sequence[str],
    take: Callable[[str], float],
    *,
    most_seconds: float,
    progress: Progress = silent,
    now: Callable[[], float] = time.monotonic,
) -> dict[str, float]:
    """The shortest time of each reference, as `take` finds it in milliseconds.

    A machine that others share is slow for minutes and quick again. All are taken in turn, so that its good moments are
    met by each, in `LEAST_ROUNDS` rounds at least; no further round is begun that would end after `most_seconds`.
    """
    began, taken = now(), dict[str, list[float]]((name, []) for name in names)
    rounds, ended = 0, not names
    progress(STAGE, 0, LEAST_ROUNDS)
    while not ended:
        for name in names:
            taken[name].append(take(name))
        rounds += 1
        spent = now() - began
        came_back = rounds >= LEAST_ROUNDS and all(map(_came_back, taken.values()))
        ended = came_back or (rounds >= LEAST_ROUNDS and spent + spent / rounds > most_seconds)
        progress(STAGE, rounds, rounds if ended else max(LEAST_ROUNDS, rounds + 1))
    return {name: min(times) for name, times in taken.items()}


def _came_back(times: Sequence[float]) -> bool:
    first, second = sorted(times)[:2]
    return second <= NEAR * first
