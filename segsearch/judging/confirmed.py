"""What a model scores from several seeds: mean, standard deviation, spread, and whether the order of models holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev


@dataclass(frozen=True)
class Confirmed:
    """The mIoU over `seeds` seeds, the first one included: mean, sample standard deviation, lowest and highest."""

    seeds: int
    mean: float
    sd: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """`0.553 ±0.004 (4)`: mean, standard deviation, seeds."""
        return f"{self.mean:.3f} ±{self.sd:.2g} ({self.seeds})"


def over_seeds(first: float, others: Sequence[float]) -> Confirmed:
    """The mIoU of the trial itself and of at least one more seed, in one."""
    found = (first, *others)
    return Confirmed(len(found), mean(found), stdev(found), min(found), max(found))
