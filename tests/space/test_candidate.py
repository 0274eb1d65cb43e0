from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial
from pydantic import ValidationError

from segsearch.space.candidate import (
    Architecture,
    Auxiliary,
    Candidate,
    Context,
    Distill,
    Draw,
    EncoderPath,
    Feature,
    Head,
    Join,
    Named,
    Prune,
    Quantize,
    Stage,
    Stem,
)
from segsearch.space.keys import content_key, from_json, to_json

quick = settings(max_examples=40, deadline=None, derandomize=True)

numbers = st.floats(0.1, 8, allow_nan=False)
counts = st.integers(1, 64)
features = st.builds(Feature, st.integers(0, 2), st.integers(0, 4))
stages = st.builds(
    Stage,
    st.sampled_from(["conv", "residual", "grouped"]),
    counts,
    counts,
    st.integers(1, 2),
    st.sampled_from([3, 5]),
    st.lists(st.integers(1, 8), min_size=1, max_size=3).map(tuple),
    numbers,
    st.integers(1, 8),
    st.sampled_from(["stride", "max_pool", "mean_pool"]),
    st.booleans(),
)
contexts = st.builds(
    Context,
    st.sampled_from(["none", "aspp", "pyramid_pooling"]),
    counts,
    st.lists(counts, max_size=3).map(tuple),
    st.lists(counts, max_size=3).map(tuple),
    st.booleans(),
)
paths = st.builds(
    EncoderPath,
    st.none() | st.builds(Stem, counts, counts, counts, counts),
    st.lists(stages, max_size=3).map(tuple),
    contexts,
    st.none() | features,
    numbers,
)
architectures = st.builds(
    Architecture,
    st.lists(paths, min_size=1, max_size=2).map(tuple),
    st.lists(st.builds(Join, st.sampled_from(["add", "concat"]), features, counts, counts), max_size=2).map(tuple),
    st.builds(Head, counts, counts, st.sampled_from(["conv", "separable"]), numbers),
    st.lists(st.builds(Auxiliary, features, numbers, counts), max_size=2).map(tuple),
    numbers,
)
candidates = st.builds(
    Candidate,
    architectures,
    st.none() | st.builds(Distill, st.floats(0, 1), st.floats(0.1, 100)),
    st.lists(st.builds(Prune, st.floats(0, 0.99), st.sampled_from(["l1", "l2"]), counts), max_size=2).map(tuple),
    st.lists(st.builds(Quantize, st.just(8), st.booleans()), max_size=2).map(tuple),
)

SMALL = Candidate(Architecture((EncoderPath(Stem(8), (Stage("conv", 16, 1, stride=2),)),), (), Head(16)))


@given(candidates)
@quick
def test_json_gives_back_an_equal_candidate(candidate: Candidate) -> None:
    text = to_json(candidate)
    back = from_json(Candidate, text)
    assert back == candidate
    assert to_json(back) == text
    assert back.key == candidate.key
    assert hash(back) == hash(candidate)


@given(candidates, candidates)
@quick
def test_keys_are_equal_exactly_where_candidates_are(one: Candidate, other: Candidate) -> None:
    assert (one.key == other.key) == (one == other)
    assert (to_json(one) == to_json(other)) == (one == other)


@pytest.mark.parametrize(
    "change",
    [
        {"distill": Distill(0.5)},
        {"before_export": (Prune(0.5),)},
        {"before_export": (Prune(0.5, "l2"),)},
        {"after_export": (Quantize(),)},
        {"after_export": (Quantize(symmetric_activations=True),)},
        {"architecture": replace(SMALL.architecture, input_scale=0.5)},
        {"architecture": replace(SMALL.architecture, head=Head(16, dropout=0.1))},
        {"architecture": replace(SMALL.architecture, auxiliary=(Auxiliary(Feature(0, 1), 0.4, 8),))},
    ],
    ids=str,
)
def test_every_change_changes_the_key(change: dict[str, Any]) -> None:
    assert replace(SMALL, **change).key != SMALL.key


def test_a_key_is_the_same_on_every_machine() -> None:
    # A stored database names its stages by these keys: a change of this value makes every finished stage run again.
    assert content_key(Prune(0.5)) == content_key(from_json(Prune, '{"ratio":0.5}'))
    assert to_json(Prune(0.5)) == '{"criterion":"l1","kind":"prune","ratio":0.5,"round_to":8}'
    assert content_key(Prune(0.5)) == "caabfed5df6bf8e3f724a51f28fac9786d9cd8b52d0167ffb208506c4942ddae"


@pytest.mark.parametrize(
    ("whole", "real"),
    [
        (Stage("conv", 8, 1, expansion=2), Stage("conv", 8, 1, expansion=2.0)),
        (Distill(1, 2), Distill(1.0, 2.0)),
        (Prune(0), Prune(0.0)),
        (replace(SMALL.architecture, input_scale=1), replace(SMALL.architecture, input_scale=1.0)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_whole_number_where_a_real_one_is_meant_has_the_same_key(whole: object, real: object) -> None:
    assert whole == real
    assert to_json(whole) == to_json(real)


def test_content_key_keeps_the_order_and_the_borders_of_its_values() -> None:
    assert content_key(["a"], ["b"]) != content_key(["b"], ["a"])
    assert content_key(["a", "b"]) != content_key(["a"], ["b"])
    assert content_key("ab", "c") != content_key("a", "bc")
    assert content_key("a\0", "b") != content_key("a", "\0b")
    assert content_key({"x": 1, "y": 2}) == content_key({"y": 2, "x": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_json_refuses_what_is_not_a_number(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json(replace(SMALL.architecture, input_scale=value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"ratio":1.5}',
        '{"ratio":0.5,"criterion":"l3"}',
        '{"criterion":"l1"}',
        '{"ratio":NaN}',
        '{"ratio":0.5,"kind":"quantize"}',
    ],
)
def test_from_json_refuses_anything_else(text: str) -> None:
    with pytest.raises(ValidationError):
        from_json(Prune, text)


def test_from_json_refuses_a_key_it_does_not_know() -> None:
    plain = json.loads(to_json(SMALL)) | {"surprise": 1}
    with pytest.raises(ValidationError):
        from_json(Candidate, json.dumps(plain))


def test_candidates_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SMALL.architecture.input_scale = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Prune(1.2), r"Prune.ratio must lie in \[0, 1\), got 1.2; use 0 for no pruning."),
        (lambda: Prune(1.0), r"Prune.ratio must lie in \[0, 1\), got 1.0"),
        (lambda: Prune(-0.1), r"Prune.ratio must lie in \[0, 1\), got -0.1"),
        (lambda: Prune(float("nan")), r"Prune.ratio must lie in \[0, 1\), got nan"),
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


# Replay: a stored candidate's values answer as Optuna's own trials do.


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


@pytest.mark.parametrize("ratio", [0.2, 0.4, 0.6, 0.6000000000000001, 0.8, 0])
def test_a_step_is_met_within_rounding(ratio: float) -> None:
    assert Named({"x": ratio}).suggest_float("x", 0.0, 0.8, step=0.2) == pytest.approx(ratio)
