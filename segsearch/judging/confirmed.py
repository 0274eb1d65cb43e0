"""What models score from several seeds: mean, standard deviation, spread, and whether their order holds."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import mean, stdev, variance
from typing import Any

from rich.table import Table
from rich.text import Text

from segsearch.evidence.images import Spread
from segsearch.store import ConfirmationRow, TrialRow


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


@dataclass(frozen=True)
class Seeds:
    """A trial and what it scored from other seeds, where any are finished."""

    trial: TrialRow
    others: tuple[ConfirmationRow, ...]

    @property
    def first(self) -> float:
        return self.trial.values["miou"]

    @property
    def found(self) -> Confirmed | None:
        return over_seeds(self.first, [other.miou for other in self.others]) if self.others else None


def seeds_of(
    trials: Sequence[TrialRow], confirmations: Sequence[ConfirmationRow], wanted: Collection[int]
) -> tuple[Seeds, ...]:
    """The wanted trials with all that they scored from other seeds, the highest first mIoU first."""
    chosen = [
        Seeds(trial, tuple(one for one in confirmations if one.trial == trial.number))
        for trial in trials
        if trial.number in wanted
    ]
    return tuple(sorted(chosen, key=lambda one: (-one.first, one.trial.number)))


def as_table(found: Sequence[Seeds]) -> Table:
    """First mIoU with its interval over images, then mean, standard deviation and ends over all seeds."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("trial", "first miou", "seeds", "mean", "sd", "lowest", "highest"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        spread, over = one.trial.spread, one.found
        first = f"{one.first:.3f}"
        if isinstance(spread, Spread):
            first += f" ±{(spread.high - spread.low) / 2:.2g}"
        numbers = ["1", *["-"] * 4]
        if over is not None:
            ends = (f"{over.low:.3f}", f"{over.high:.3f}")
            numbers = [str(over.seeds), f"{over.mean:.3f}", f"{over.sd:.2g}", *ends]
        table.add_row(*map(Text, (str(one.trial.number), first, *numbers)))
    return table


def as_objects(found: Sequence[Seeds]) -> list[dict[str, Any]]:
    """The same as plain data, each seed with its file: what `confirm --json` prints."""
    return [
        {
            "trial": one.trial.number,
            "first": one.first,
            "seeds": 1 + len(one.others),
            "mean": one.found.mean if one.found else None,
            "sd": one.found.sd if one.found else None,
            "lowest": one.found.low if one.found else None,
            "highest": one.found.high if one.found else None,
            "others": [
                {
                    "seed": other.seed,
                    "miou": other.miou,
                    "interval": list(other.interval) if other.interval else None,
                    "artifact": other.artifact,
                }
                for other in one.others
            ],
        }
        for one in found
    ]


def order_lines(found: Sequence[Seeds]) -> list[str]:
    """Whether the order by mIoU holds over the seeds, and how far one seed alone moves a model."""
    over = {one.trial.number: one.found for one in found if one.found is not None}
    if not over:
        return []
    lines = []
    first = [one.trial.number for one in found if one.trial.number in over]
    by_mean = sorted(first, key=lambda number: (-over[number].mean, first.index(number)))
    if by_mean != first:
        before, after = (", ".join(map(str, order)) for order in (first, by_mean))
        lines.append(f"The order by mIoU changes: {before} at first, {after} by the mean over seeds (the best first).")
    elif len(first) > 1:
        lines.append("The order by mIoU is the same by the mean over seeds.")
    squares = [variance([one.first, *(other.miou for other in one.others)]) for one in found if one.others]
    lines.append(f"One seed moves a mIoU by {100 * math.sqrt(mean(squares)):.2g} points (standard deviation).")
    return lines
