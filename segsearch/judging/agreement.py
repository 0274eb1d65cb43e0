"""How far two rankings agree: the interval of Kendall's tau, exact for as few models as anybody trains to the end."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Half the chance that an interval of 95 % misses on either side.
TAIL = 0.025
# Beyond it an order is as certain as floats can tell.
STEEPEST = 40.0


def tau_interval(tau: float, groups: Sequence[int]) -> tuple[float, float]:
    """The 95 % interval of an observed tau among groups of so many models, each ranked by itself.

    Rankings are taken to be further from the true one the less likely, by a constant factor for each pair that is
    turned round (Mallows 1957, Biometrika 44): the interval holds the mean tau of every factor under which what was
    observed, or less, and what was observed, or more, has a chance of 2.5 % or better. So a perfect order of four
    models tells little, where resampling them would be certain. `tau` may have ties: its turned pairs are rounded.
    """
    pairs = sum(size * (size - 1) // 2 for size in groups)
    if pairs == 0:
        raise ValueError("tau_interval needs a group of at least two models, got none")
    turned = round((1 - tau) / 2 * pairs)
    low = -1.0 if turned == pairs else _mean_tau(_steepness(groups, turned, TAIL), groups)
    high = 1.0 if turned == 0 else _mean_tau(_steepness(groups, turned - 1, 1 - TAIL), groups)
    return low, high


def chances(groups: Sequence[int], steep: float) -> list[float]:
    """The chance of each number of turned pairs, where every further one is `exp(-steep)` times as likely."""
    factor, found = math.exp(-abs(steep)), [1.0]
    for size in groups:
        for others in range(1, size):  # the next model of a group is put before 0 to so many of those that are placed
            placed, window = [], 0.0
            for at in range(len(found) + others):
                window = window * factor + (found[at] if at < len(found) else 0.0)
                if at > others:
                    window = max(0.0, window - found[at - others - 1] * factor ** (others + 1))
                placed.append(window)
            total = sum(placed)
            found = [chance / total for chance in placed]
    return found if steep >= 0 else found[::-1]


def _mean_tau(steep: float, groups: Sequence[int]) -> float:
    found = chances(groups, steep)
    return 1 - 2 * sum(turned * chance for turned, chance in enumerate(found)) / (len(found) - 1)


def _steepness(groups: Sequence[int], turned: int, chance: float) -> float:
    """The one at which so many pairs or fewer are turned with that chance; it rises with the steepness."""
    low, high = -STEEPEST, STEEPEST
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if sum(chances(groups, middle)[: turned + 1]) >= chance else (middle, high)
    return high
