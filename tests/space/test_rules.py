"""Rules: what is refused, in words, and what is within rounding."""

from __future__ import annotations

from typing import Any

import pytest

from segsearch.space.candidate import Named
from segsearch.space.steps import Distill, Factorize, Prune


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Prune(1.2), r"Prune.ratio must lie in \[0, 1\), got 1.2; use 0 for no pruning."),
        (lambda: Prune(1.0), r"Prune.ratio must lie in \[0, 1\), got 1.0"),
        (lambda: Prune(-0.1), r"Prune.ratio must lie in \[0, 1\), got -0.1"),
        (lambda: Prune(float("nan")), r"Prune.ratio must lie in \[0, 1\), got nan"),
        (lambda: Factorize(0.0), r"Factorize.ratio must lie in \(0, 1\], got 0.0; use 1 for no factorization."),
        (lambda: Factorize(1.5), r"Factorize.ratio must lie in \(0, 1\], got 1.5"),
        (lambda: Factorize(0.5, least_saving=1.0), r"Factorize.least_saving must lie in \[0, 1\), got 1.0"),
        (lambda: Factorize(0.5, least_macs=-1), "Factorize.least_macs must be at least 0, got -1"),
        (lambda: Factorize(0.5, round_to=0), "Factorize.round_to must be at least 1, got 0"),
        (lambda: Prune(0.5, round_to=0), "Prune.round_to must be at least 1, got 0"),
        (lambda: Distill(1.1), r"Distill.weight must lie in \[0, 1\], got 1.1"),
        (lambda: Distill(float("nan")), r"Distill.weight must lie in \[0, 1\], got nan"),
        (lambda: Distill(0.5, 0.0), r"Distill.temperature must lie in \(0, 1000\), got 0.0"),
        (lambda: Distill(0.5, float("inf")), r"Distill.temperature must lie in \(0, 1000\), got inf"),
    ],
)
def test_rules_state_what_was_found_and_the_cure(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("ratio", [0.2, 0.4, 0.6, 0.6000000000000001, 0.8, 0])
def test_a_step_is_met_within_rounding(ratio: float) -> None:
    assert Named({"x": ratio}).suggest_float("x", 0.0, 0.8, step=0.2) == pytest.approx(ratio)
