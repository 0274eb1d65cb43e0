"""Rules that a value must keep: what the rule is, what was found, how it is cured."""

from __future__ import annotations


def demand(holds: bool, rule: str, got: object, cure: str = "") -> None:
    """Raise `ValueError` where a rule does not hold."""
    if not holds:
        raise ValueError(f"{rule}, got {got}" + (f"; {cure}." if cure else ""))


def demand_step(name: str, value: float, low: float, step: float | None) -> None:
    """Raise `ValueError` where a value is not `low` plus a multiple of `step`."""
    if step is not None and abs((value - low) / step - round((value - low) / step)) > 1e-8:
        raise ValueError(f"{name} must be {low} plus a multiple of {step}, got {value!r}")
