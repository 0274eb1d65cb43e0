"""Candidates: frozen, what they say of themselves, and that a stored one's values answer as Optuna's own trials do."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial

from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.candidate import Draw, Named
from segsearch.space.steps import Quantize
from tests.space.designs import SMALL


def test_candidates_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SMALL.architecture.input_scale = 0.5  # type: ignore[misc]


def test_bits_are_those_that_ship() -> None:
    assert SMALL.bits == 32
    assert replace(SMALL, after_export=(Quantize(),)).bits == 8


def test_output_stride_counts_the_stem_and_every_stage_of_the_trunk() -> None:
    path = EncoderPath(
        Stem(8, stride=4, depth=2), (Stage("conv", 8, 1, 2), Stage("conv", 8, 2), Stage("conv", 8, 1, 2))
    )
    beside = EncoderPath(None, (Stage("conv", 8, 1, 2),))
    architecture = Architecture((path, beside), (), Head(8))
    assert architecture.output_stride == 16
    assert replace(architecture, trunk=1).output_stride == 2


# ---- replay: a stored candidate's values


def _toy(choose: Draw) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": choose.suggest_categorical("kind", ("a", "b"))}
    if found["kind"] == "a":
        found["width"] = choose.suggest_int("width", 8, 64, step=8)
    else:
        found["ratio"] = choose.suggest_float("ratio", 0.0, 0.8, step=0.2)
        found["scale"] = choose.suggest_float("scale", 0.1, 2.0)
    found["depth"] = choose.suggest_int("depth", 1, 4)
    return found


def _trials(count: int) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, BaseDistribution]]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = [study.ask() for _ in range(count)]
    return [(_toy(trial), dict(trial.params), dict(trial.distributions)) for trial in asked]


def test_replay_by_name_equals_the_real_trial_and_the_fixed_one() -> None:
    for found, params, _ in _trials(40):
        assert _toy(Named(params)) == found
        assert _toy(FixedTrial(params)) == found
        assert _toy(Named(json.loads(json.dumps(params)))) == found


def test_replay_answers_in_plain_types() -> None:
    named = Named({"x": 1, "n": 2})
    assert type(named.suggest_float("x", 0, 2)) is float
    assert type(named.suggest_int("n", 0, 2)) is int


def test_replay_ignores_values_that_are_not_asked_for() -> None:
    assert _toy(Named({"kind": "a", "width": 8, "depth": 1, "ratio": 99.0}))["width"] == 8


@pytest.mark.parametrize("values", [{}, {"kind": "a"}, {"kind": "a", "width": 8}])
def test_a_missing_value_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(KeyError, match=r"kind|width|depth"):
        _toy(Named(values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "c"}, "kind must be one of a, b, got 'c'"),
        ({"kind": True}, "kind must be one of a, b, got True"),
        ({"kind": "a", "width": 72}, r"width must be a whole number in \[8, 64\], got 72"),
        ({"kind": "a", "width": 7}, r"width must be a whole number in \[8, 64\], got 7"),
        ({"kind": "a", "width": 8.0}, r"width must be a whole number in \[8, 64\], got 8.0"),
        ({"kind": "a", "width": True}, r"width must be a whole number in \[8, 64\], got True"),
        ({"kind": "a", "width": "8"}, r"width must be a whole number in \[8, 64\], got '8'"),
        ({"kind": "b", "ratio": 0.9}, r"ratio must be a number in \[0.0, 0.8\], got 0.9"),
        ({"kind": "b", "ratio": False}, r"ratio must be a number in \[0.0, 0.8\], got False"),
        ({"kind": "b", "ratio": float("nan")}, r"ratio must be a number in \[0.0, 0.8\], got nan"),
        ({"kind": "b", "ratio": "0.2"}, r"ratio must be a number in \[0.0, 0.8\], got '0.2'"),
    ],
)
def test_a_value_outside_its_range_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _toy(Named(values))


@pytest.mark.parametrize("values", [{"kind": "a", "width": 9, "depth": 1}, {"kind": "b", "ratio": 0.3, "depth": 1}])
def test_a_value_between_two_steps_is_refused(values: dict[str, Any]) -> None:
    # Optuna's FixedTrial warns of it as out of range: no search could have drawn it.
    with pytest.raises(ValueError, match=r"width|ratio"):
        _toy(Named(values | {"scale": 1.0}))
