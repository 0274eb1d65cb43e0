"""Objectives are functions of evidence; a limit is a bound on one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from segsearch.errors import SegsearchError, StudyError
from segsearch.evidence.timing import samples_needed
from segsearch.evidence.types import Evidence

Direction = Literal["maximize", "minimize"]

# What only a training tells. Every other objective is known once a candidate has passed the gate.
DEAR = "miou"


@dataclass(frozen=True)
class Objective:
    """A named number of the evidence. `of` answers None where the evidence does not hold it (an untrained gate)."""

    name: str
    unit: str
    direction: Direction
    of: Callable[[Evidence], float | None]
    title: str


OBJECTIVES: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("miou", "", "maximize", lambda e: e.confusion.miou if e.confusion else None, "mIoU"),
        Objective("latency_ms", "ms", "minimize", lambda e: e.timing.latency_ms, "latency"),
        # Of the samples that latency is made of: processor time at one thread, the machine's drift taken out.
        Objective("latency_p95_ms", "ms", "minimize", lambda e: e.timing.percentile_ms(0.95), "steady latency, p95"),
        Objective("latency_p99_ms", "ms", "minimize", lambda e: e.timing.percentile_ms(0.99), "steady latency, p99"),
        # Of the same runs on the wall clock, nothing taken out: what a camera waits for.
        Objective("wall_p95_ms", "ms", "minimize", lambda e: e.timing.wall_percentile_ms(0.95), "wall-clock time, p95"),
        Objective("wall_p99_ms", "ms", "minimize", lambda e: e.timing.wall_percentile_ms(0.99), "wall-clock time, p99"),
        Objective("load_ms", "ms", "minimize", lambda e: e.timing.steadied(e.timing.load_ms), "time to load"),
        Objective("first_run_ms", "ms", "minimize", lambda e: e.timing.steadied(e.timing.first_run_ms), "first run"),
        Objective(
            "peak_memory_bytes", "bytes", "minimize", lambda e: _float(e.timing.peak_memory_bytes), "peak memory"
        ),
        Objective("energy_mj", "mj", "minimize", lambda e: e.timing.net_energy_mj, "energy of a run, idle taken out"),
        Objective("size_bytes", "bytes", "minimize", lambda e: float(e.size_bytes), "file size"),
        Objective("params", "", "minimize", lambda e: float(e.params), "parameters"),
        Objective("macs", "", "minimize", lambda e: float(e.macs), "multiply-accumulates"),
    )
}


# What belongs to a machine, and is taken again on another one.
MACHINE_BOUND = (
    "latency_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "wall_p95_ms",
    "wall_p99_ms",
    "load_ms",
    "first_run_ms",
    "peak_memory_bytes",
    "energy_mj",
)
# The share of a percentile, for those that need many samples to mean anything.
PERCENTILES: Mapping[str, float] = {
    "latency_p95_ms": 0.95,
    "latency_p99_ms": 0.99,
    "wall_p95_ms": 0.95,
    "wall_p99_ms": 0.99,
}


def objective(name: str) -> Objective:
    """The objective of that name. Raises `StudyError` for a name that is not one."""
    if name not in OBJECTIVES:
        raise StudyError(f"An objective must be one of {', '.join(OBJECTIVES)}; got {name!r}.")
    return OBJECTIVES[name]


def values_of(evidence: Evidence) -> dict[str, float]:
    """Every objective that this evidence holds, by name."""
    found = {name: entry.of(evidence) for name, entry in OBJECTIVES.items()}
    return {name: value for name, value in found.items() if value is not None}


def intervals_of(evidence: Evidence) -> dict[str, tuple[float, float]]:
    """The 95 % confidence intervals of the objectives that have one, by name."""
    interval = evidence.timing.interval_ms
    return {} if interval is None else {"latency_ms": interval}


def samples_wanted(names: Iterable[str]) -> int:
    """Runs of a model that the percentiles among these objectives need; 0 where there is none among them."""
    return max((samples_needed(PERCENTILES[name]) for name in names if name in PERCENTILES), default=0)


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


@dataclass(frozen=True)
class Limit:
    """A bound on an objective; `str(limit)` is how a study file writes it."""

    objective: str
    operator: Literal["<=", ">="]
    bound: float

    def __str__(self) -> str:
        return f"{self.objective}{self.operator}{repr(self.bound).removesuffix('.0')}"

    def excess(self, value: float) -> float:
        """How far a value is beyond the bound, relative to it: at most 0 where the limit is met."""
        over = value - self.bound if self.operator == "<=" else self.bound - value
        return over / max(abs(self.bound), 1e-12)

    def sure_excess(self, value: float, interval: tuple[float, float] | None) -> float:
        """How far a value is beyond the bound at the least: by the end of its interval that lies nearest to the allowed
        side. Without an interval it is the value's own excess."""
        low, high = interval or (value, value)
        return self.excess(low if self.operator == "<=" else high)


_LIMIT = re.compile(r"\s*([a-z_0-9]+)\s*(<=|>=)\s*([-+0-9.eE_]+)\s*")


def read_limit(text: str) -> Limit:
    """Read `latency_ms<=12` or `miou>=0.5`. Raises `StudyError` on anything else."""
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise StudyError(f"A limit must look like latency_ms<=12 or miou>=0.5; got {text!r}.")
    name, operator, number = match.groups()
    objective(name)
    try:
        bound = float(number)
    except ValueError:
        raise StudyError(f"A limit must end in a number, as in latency_ms<=12; got {text!r}.") from None
    if not math.isfinite(bound):
        raise StudyError(f"A limit must end in a finite number; got {text!r}.")
    return Limit(name, "<=" if operator == "<=" else ">=", bound)


def demand_sense(limits: Iterable[Limit], *, where: str) -> None:
    """Raise `StudyError` for an upper bound on what is maximised, which keeps the best models out.

    A lower bound on a cost has a use: it narrows a search before anything is trained. Of what a person writes now:
    a stored study goes on as it began.
    """
    for limit in limits:
        if limit.operator == "<=" and OBJECTIVES[limit.objective].direction == "maximize":
            bound = str(limit).partition("<=")[2]
            raise StudyError(
                f"{where}: {limit} leaves out every model that is better than {bound}, and so the best. Write "
                f"{limit.objective}>={bound} where a model must reach that, and no limit where the best is wanted."
            )


def nearest_misses(limits: Sequence[Limit], found: Sequence[Evidence]) -> tuple[str, ...]:
    """Of each limit that some of these break: how many do, and which value of theirs is nearest to it."""
    told = []
    for limit in limits:
        name = limit.objective
        over = [
            (limit.sure_excess(values_of(one)[name], intervals_of(one).get(name)), one)
            for one in found
            if limit in broken_limits(limits, one)
        ]
        if over:
            nearest = min(over, key=lambda pair: pair[0])[1]
            reached = with_ends(values_of(nearest)[name], intervals_of(nearest).get(name))
            told.append(f"{limit} is broken by {len(over)}, of which the nearest has {reached}")
    return tuple(told)


def broken_limits(limits: Sequence[Limit], evidence: Evidence) -> tuple[Limit, ...]:
    """The limits that this evidence breaks beyond doubt: with the whole of a 95 % interval where there is one.

    The gate asks. By the value alone it would turn away half of the candidates that lie on a limit, unseen, while one
    that is let in is judged by its own, longer measurement. A limit on something that is not held yet is not broken.
    """
    values, intervals = values_of(evidence), intervals_of(evidence)
    return tuple(
        limit
        for limit in limits
        if (name := limit.objective) in values and limit.sure_excess(values[name], intervals.get(name)) > 0
    )


def with_ends(value: float, interval: tuple[float, float] | None) -> str:
    """A value as a rejection tells it: `20.9 (95 %: 20.4 to 21.4)`."""
    return f"{value:.6g}" + ("" if interval is None else f" (95 %: {interval[0]:.6g} to {interval[1]:.6g})")


class Rejected(SegsearchError):
    """A limit is broken: at the gate, before any training, or by a further file of one. The evidence comes along."""

    def __init__(self, evidence: Evidence, broken: tuple[Limit, ...]) -> None:
        found, ends = values_of(evidence), intervals_of(evidence)
        words = (with_ends(found[limit.objective], ends.get(limit.objective)) for limit in broken)
        super().__init__("; ".join(f"{limit} broken by {said}" for limit, said in zip(broken, words, strict=True)))
        self.evidence = evidence
        self.broken = broken
