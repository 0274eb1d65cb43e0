"""Importance: who decides, who does nothing, and what is called chance."""

from __future__ import annotations

import pytest

from segsearch.figures.importance import GROUPS, importances
from tests.figures.trials import drawn, trial


def test_who_decides_and_who_does_nothing() -> None:
    found = {one.parameter: one for one in importances(drawn(300), "miou")}
    assert next(iter(found)) == "decides"
    assert found["decides"].share > 0.8
    assert found["decides"].clear
    assert found["idle"].share < 0.05
    assert found["idle"].groups == GROUPS
    assert not found["idle"].clear
    assert "same" not in found  # one value tells nothing
    assert found["inner"].trials == sum("inner" in one.params for one in drawn(300))


def test_a_parameter_that_alone_decides_is_all() -> None:
    trials = [trial(number, {"miou": number % 2 / 2}, params={"side": number % 2}) for number in range(40)]
    assert importances(trials, "miou")[0].share == pytest.approx(1.0)


def test_importance_by_hand() -> None:
    # Ranks 0 1 2 3 | 4 5 6 7: means 1.5 and 5.5, between 2 * 4 * 4 = 32 of 42; less chance: 1 - 10/42 * 7/6.
    trials = [trial(number, {"miou": number / 10}, params={"half": "ab"[number // 4]}) for number in range(8)]
    assert importances(trials, "miou")[0].share == pytest.approx(1 - 10 / 42 * 7 / 6)


def test_chance_is_called_chance() -> None:
    idle = [one for seed in range(60) for one in importances(drawn(80, seed), "miou") if one.parameter == "idle"]
    assert sum(one.clear for one in idle) <= 8  # about 1 of 20


def test_rejected_trials_tell_of_latency_and_machines_are_kept_apart() -> None:
    trials = [
        trial(number, {"latency_ms": 1.0 + number}, params={"w": number // 6}, state="rejected") for number in range(12)
    ]
    assert importances(trials, "latency_ms")[0].trials == 12
    assert importances(trials, "latency_ms", machine="another") == ()
    assert importances(trials[:3], "latency_ms") == ()
