"""Draws: dice, a recorder, and what cannot matter taken out."""

from __future__ import annotations

import random
from dataclasses import replace

from segsearch.space.candidate import Distill, Prune
from segsearch.space.draws import Dice, settled
from tests.trial.studies import draw


def test_settled_takes_out_what_cannot_matter() -> None:
    candidate = replace(draw(Dice(random.Random(0))), distill=Distill(0.5), before_export=(Prune(0.25),))
    idle = replace(candidate, distill=Distill(0.0), before_export=(Prune(0.0),))
    with_teacher = settled(lambda choose: candidate, has_teacher=True)(Dice(random.Random(0)))
    without = settled(lambda choose: candidate, has_teacher=False)(Dice(random.Random(0)))
    nothing = settled(lambda choose: idle, has_teacher=True)(Dice(random.Random(0)))
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
