"""Trials of a study that went on elsewhere: what those of other machines would cost on this one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from segsearch.evidence.objectives import MACHINE_BOUND
from segsearch.evidence.timing import Machine
from segsearch.store.rows import TimingRow, TrialRow

Values = Mapping[str, float]


def timed_elsewhere(rows: Sequence[TrialRow], machine: str | None) -> bool:
    """Whether what some trial costs was found on another machine."""
    return machine is not None and any(row.machine not in (None, machine) for row in rows)


def as_here(
    rows: Sequence[TrialRow], timings: Sequence[TimingRow], machines: Sequence[Machine], here: str
) -> list[TrialRow]:
    """The rows with their latencies (and what else belongs to a machine) as the machine `here` has them.

    What was timed here, too, stands with that. What only another machine timed is moved by the mean factor of the
    models that both timed; where there are none, times move by that of the reference networks, and the rest stays.
    """
    timed: dict[str, dict[int, Values]] = {}
    for timing in timings:
        timed.setdefault(timing.machine, {})[timing.trial] = timing.values
    own = timed.get(here, {})
    named = {machine.key: dict(machine.references) for machine in machines}
    factors: dict[str, dict[str, float]] = {}
    for there in {row.machine for row in rows if row.machine is not None} - {here}:
        pairs = [(values, own[trial]) for trial, values in timed.get(there, {}).items() if trial in own]
        both = [(named[there], named[here])] if {there, here} <= set(named) else []
        factors[there] = {name: _factor(name, pairs, both) for name in MACHINE_BOUND}
    return [
        row if row.machine not in factors else _moved(row, own.get(row.number), factors[row.machine]) for row in rows
    ]


def _moved(row: TrialRow, here: Values | None, factors: Mapping[str, float]) -> TrialRow:
    if here is None:
        return replace(row, values={name: value * factors.get(name, 1.0) for name, value in row.values.items()})
    rest = {name: value for name, value in row.values.items() if name not in MACHINE_BOUND}
    return replace(row, values={**rest, **here})


def _factor(name: str, pairs: Sequence[tuple[Values, Values]], references: Sequence[tuple[Values, Values]]) -> float:
    if any(name in there and name in here for there, here in pairs):
        return factor_of(pairs, name)
    if not name.endswith("_ms"):
        return 1.0
    return mean_factor([(there[one], here[one]) for there, here in references for one in set(there) & set(here)])


def factor_of(pairs: Sequence[tuple[Values, Values]], name: str) -> float:
    """How many times a cost of the second ones is that of the first ones, in the geometric mean; 1 where none tells."""
    return mean_factor([(one.get(name, 0.0), other.get(name, 0.0)) for one, other in pairs])


def mean_factor(both: Sequence[tuple[float, float]]) -> float:
    logs = [math.log(other / one) for one, other in both if one > 0 and other > 0]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0
