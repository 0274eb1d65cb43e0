"""Limits as sliders: where each one ranges, and what a person reads beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from segsearch.dashboard.state import State
from segsearch.evidence.objectives import OBJECTIVES, Limit, Objective
from segsearch.judging.fronts import Report
from segsearch.judging.words import in_words

STEPS = 200
# Above this ratio of the largest to the smallest value a slider counts in powers.
WIDE = 20.0


@dataclass(frozen=True)
class Scale:
    """The range of one slider in steps from 0 to `STEPS`, even in the value or in its logarithm."""

    goal: Objective
    low: float
    high: float

    @property
    def logarithmic(self) -> bool:
        return self.low > 0 and self.high / self.low > WIDE

    def value(self, step: float) -> float:
        """The bound at a step in a few digits, rounded so that it keeps rather more than less."""
        share = min(max(step / STEPS, 0.0), 1.0)
        if self.logarithmic:
            exact, even = self.low * (self.high / self.low) ** share, 1e-3
            unit = 10.0 ** math.floor(math.log10(exact * even))
        else:
            exact = self.low + (self.high - self.low) * share
            unit = 10.0 ** math.floor(math.log10((self.high - self.low) / STEPS / 4)) if self.high > self.low else 1.0
        toward = math.floor if self.goal.direction == "maximize" else math.ceil
        digits = max(0, -round(math.log10(unit)))
        # What is a whole number of units already must not go to the next one for a last bit.
        bound = round(float(toward(round(exact / unit, 6)) * unit), digits)
        return min(max(bound, self.low), self.high)

    def step(self, bound: float) -> float:
        """The nearest step to a bound."""
        if self.high <= self.low:
            return float(self.open)
        inside = min(max(bound, self.low), self.high)
        if self.logarithmic:
            return round(STEPS * math.log(inside / self.low) / math.log(self.high / self.low))
        return round(STEPS * (inside - self.low) / (self.high - self.low))

    @property
    def open(self) -> int:
        """The end of the slider where nothing is left out."""
        return 0 if self.goal.direction == "maximize" else STEPS

    def limit(self, step: float, before: Limit | None) -> Limit | None:
        """The limit that a slider at this step means. One that stands there already stays, digits and all."""
        if before is not None and self.step(before.bound) == step:
            return before
        if step == self.open:
            return None
        return Limit(self.goal.name, ">=" if self.goal.direction == "maximize" else "<=", self.value(step))


def scales(report: Report) -> dict[str, Scale]:
    """A scale for each objective that the models differ in, the study's own first."""
    names = [goal.name for goal in report.objectives]
    names += [name for name in OBJECTIVES if name not in names]
    found = {}
    for name in names:
        values = [row.values[name] for row in report.rows if name in row.values]
        if values and (max(values) > min(values) or OBJECTIVES[name] in report.objectives):
            found[name] = Scale(OBJECTIVES[name], min(values), max(values))
    return found


def slider_words(scale: Scale, state: State, report: Report) -> str:
    """`latency at most 7.83 ms; 12 models keep it`."""
    limit = state.limit(scale.goal.name)
    if limit is None:
        return f"{in_unit(scale.goal, scale.low)} to {in_unit(scale.goal, scale.high)}"
    kept = sum(limit.objective in row.values and limit.excess(row.values[limit.objective]) <= 0 for row in report.rows)
    bound = "at least" if limit.operator == ">=" else "at most"
    return f"{bound} {in_unit(scale.goal, limit.bound)}; {kept} keep it"


def in_unit(goal: Objective, value: float) -> str:
    """A value as a person reads it, with its unit."""
    unit = {"ms": " ms", "mj": " mJ"}.get(goal.unit, "")
    return f"{in_words(goal.name, value)}{unit}"


def left_words(report: Report, limits: Sequence[Limit]) -> str:
    """How many models meet all limits."""
    left = sum(not row.broken for row in report.rows)
    under = " under your limits" if limits else ""
    return f"{left} of {len(report.rows)} models left{under}, {len(report.front)} on the front"
