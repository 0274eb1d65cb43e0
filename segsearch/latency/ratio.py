"""The ratio of two things timed in turn, with a bootstrap confidence interval that knows of sessions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segsearch.evidence.timing import Block

RESAMPLES = 1000
LEVEL = 0.95
# How far one session alone may be off, and from how many sessions on their own spread tells how far they are.
LUCK = 0.02
FEWEST_SESSIONS = 6


# Standard deviation between whole measurements, each a process of its own, that no measurement sees in its own samples:
# what `benchmarks/latency.py` finds between repetitions less what their intervals explain.
PROCESS_SPREAD = 0.006


@dataclass(frozen=True)
class Ratio:
    """Model over reference: the median of the blocks' ratios, and its 95 % confidence interval."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Width of the interval, relative to the value."""
        return (self.high - self.low) / self.value


def ratio_of(blocks: Sequence[Block], *, resamples: int = RESAMPLES) -> Ratio:
    """Median ratio of the blocks, and a hierarchical bootstrap of it: sessions are drawn, then blocks in each.

    A file opened again lies elsewhere in memory and may be a per cent or two faster or slower for as long as it is
    open, so blocks of one session are not independent. Few sessions understate the spread: the interval is stretched
    by the square root of n / (n - 1) for it (as a factor: it stays above 0), and while there are too few to show their
    spread at all it is no narrower than their luck, `LUCK` over the square root of n to either side.
    The seed is fixed: the same blocks have the same interval. (In another order they draw other resamples.)
    Raises `ValueError` without blocks.
    """
    if not blocks:
        raise ValueError("ratio_of needs at least one block, got none")
    sessions: dict[int, list[float]] = {}
    for block in blocks:
        sessions.setdefault(block.session, []).append(block.model_ms / block.reference_ms)
    value = float(np.median([ratio for ratios in sessions.values() for ratio in ratios]))
    groups = [np.asarray(ratios) for ratios in sessions.values()]
    generator = np.random.default_rng(0)
    count = len(groups)
    # (resamples, sessions, blocks of the longest session): shorter sessions are drawn with more repetitions.
    longest = max(len(group) for group in groups)
    table = np.stack([np.resize(group, longest) for group in groups])
    chosen = generator.integers(count, size=(resamples, count, 1))
    lengths = np.array([len(group) for group in groups])
    within = (generator.random((resamples, count, longest)) * lengths[chosen]).astype(int)
    medians = np.median(table[chosen, within].reshape(resamples, -1), axis=1)
    tail = (1 - LEVEL) / 2
    low, high = (float(bound) for bound in np.quantile(medians, [tail, 1 - tail]))
    stretch = (count / (count - 1)) ** 0.5 if count > 1 else 1.0
    luck = 1 + (LUCK / count**0.5 if count < FEWEST_SESSIONS else 0.0)
    least, most = (value * (bound / value) ** stretch for bound in (low, high))
    return Ratio(value, min(value / luck, least), max(value * luck, most))


def of_one_process(ratio: Ratio) -> Ratio:
    """The ratio with an interval that also holds what one process cannot see: where its libraries and heap came to lie.

    Both spreads are independent, so that their half-widths add as squares (as factors: the interval stays above 0).
    """
    unseen = 1.96 * PROCESS_SPREAD
    down, up = (math.hypot(math.log(far), unseen) for far in (ratio.value / ratio.low, ratio.high / ratio.value))
    return Ratio(ratio.value, ratio.value * math.exp(-down), ratio.value * math.exp(up))
