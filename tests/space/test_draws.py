"""Draws: dice, a recorder, and what cannot matter taken out."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from segsearch.space.candidate import Named
from segsearch.space.draws import Dice, Facts, Recorder, settled
from segsearch.space.steps import Distill, Factorize, Prune
from tests.trial.studies import draw


def test_settled_takes_out_what_cannot_matter() -> None:
    candidate = replace(draw(Dice(random.Random(0))), distill=Distill(0.5), before_export=(Prune(0.25),))
    idle = replace(candidate, distill=Distill(0.0), before_export=(Prune(0.0), Factorize(1.0)))
    with_teacher = settled(lambda choose, facts: candidate, Facts(has_teacher=True))(Dice(random.Random(0)))
    without = settled(lambda choose, facts: candidate, Facts())(Dice(random.Random(0)))
    nothing = settled(lambda choose, facts: idle, Facts(has_teacher=True))(Dice(random.Random(0)))
    assert with_teacher == candidate
    assert without.distill is None
    assert without.before_export == (Prune(0.25),)
    assert (nothing.distill, nothing.before_export) == (None, ())


def test_dice_stay_in_range_and_on_their_steps() -> None:
    dice = Dice(random.Random(0))
    for _ in range(50):
        assert dice.suggest_int("a", 8, 32, step=8) in (8, 16, 24, 32)
        assert dice.suggest_float("b", 0.0, 0.5, step=0.125) in (0.0, 0.125, 0.25, 0.375, 0.5)
        assert 1.0 <= dice.suggest_float("c", 1.0, 6.0) <= 6.0
        assert dice.suggest_categorical("d", ("x", "y")) in ("x", "y")


def test_a_recorder_remembers_what_was_asked_and_passes_the_values_on() -> None:
    recorder = Recorder(Named({"width": 16, "ratio": 0.25, "block": "conv", "depth": 3}))
    assert recorder.suggest_int("width", 8, 32, step=8) == 16
    assert recorder.suggest_float("ratio", 0.0, 0.5) == 0.25
    assert recorder.suggest_categorical("block", ("conv", "separable")) == "conv"
    assert recorder.asked == {"width", "ratio", "block"}
    assert recorder.fault is None


@pytest.mark.parametrize(
    ("values", "error", "fault"),
    [
        ({}, KeyError, "'width' is missing"),
        ({"width": 64}, ValueError, "width must be a whole number in [8, 32], got 64"),
        ({"width": 12}, ValueError, "width must be 8 plus a multiple of 8, got 12"),
    ],
)
def test_a_recorder_remembers_what_was_wrong(values: dict[str, int], error: type[Exception], fault: str) -> None:
    recorder = Recorder(Named(values))
    with pytest.raises(error):
        recorder.suggest_int("width", 8, 32, step=8)
    assert recorder.fault == fault
    assert recorder.asked == {"width"}
