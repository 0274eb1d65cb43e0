"""Trials of a study that went on elsewhere: what those of other machines would cost on this one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from segsearch.evidence.objectives import MACHINE_BOUND
from segsearch.store.rows import TimingRow, TrialRow

Values = Mapping[str, float]


def timed_elsewhere(rows: Sequence[TrialRow], machine: str | None) -> bool:
    """Whether what some trial costs was found on another machine."""
    return machine is not None and any(row.machine not in (None, machine) for row in rows)


def as_here(rows: Sequence[TrialRow], timings: Sequence[TimingRow], machine: str) -> list[TrialRow]:
    """The rows with their latencies (and what else belongs to a machine) as `machine` has them.

    What was timed there again stands with that. Others of a machine are moved by the mean factor between the two, of
    the models that were timed on both; where there are none, they stay as they are.
    """
    here = {timing.trial: timing.values for timing in timings if timing.machine == machine}
    moved = {
        there: _factors([(row.values, here[row.number]) for row in rows if row.machine == there and row.number in here])
        for there in {row.machine for row in rows} - {None, machine}
    }
    return [_moved(row, here.get(row.number), moved[row.machine]) if row.machine in moved else row for row in rows]


def _moved(row: TrialRow, here: Values | None, factors: Mapping[str, float]) -> TrialRow:
    if here is not None:
        changes = {name: here[name] for name in row.values if name in here}
    else:
        changes = {name: value * factors[name] for name, value in row.values.items() if name in factors}
    return replace(row, values={**row.values, **changes})


def _factors(pairs: Sequence[tuple[Values, Values]]) -> dict[str, float]:
    """How many times what belongs to a machine is there of what it was, by its name."""
    return {name: factor_of(pairs, name) for name in MACHINE_BOUND}


def factor_of(pairs: Sequence[tuple[Values, Values]], name: str) -> float:
    """How many times a cost of the second ones is that of the first ones, in the geometric mean; 1 where none tells."""
    both = [(one.get(name, 0.0), other.get(name, 0.0)) for one, other in pairs]
    logs = [math.log(other / one) for one, other in both if one > 0 and other > 0]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0
