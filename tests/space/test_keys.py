"""Canonical JSON and content keys: there and back, equal exactly where the values are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from segsearch.space.architecture import (
    Architecture,
    Auxiliary,
    Context,
    ContextMap,
    EncoderPath,
    Feature,
    Head,
    Join,
    Joined,
    Merge,
    Stage,
    Stem,
)
from segsearch.space.candidate import Candidate
from segsearch.space.keys import content_key, from_json, to_json
from segsearch.space.steps import Distill, Factorize, Prune, Quantize
from tests.space.designs import SMALL

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
    st.lists(
        st.builds(Prune, st.floats(0, 0.99), st.sampled_from(["l1", "l2", "zeros"]), counts)
        | st.builds(Factorize, st.floats(0.01, 1), counts, st.floats(0, 0.99), counts),
        max_size=2,
    ).map(tuple),
    st.lists(st.builds(Quantize, st.just(8), st.booleans()), max_size=2).map(tuple),
)


PATH = SMALL.architecture.paths[0]


def test_maps_of_all_kinds_come_back_as_they_were() -> None:
    joins = (
        Join("add", ContextMap(0), 8, others=(Feature(0, 1), ContextMap(1))),
        Join("add", Joined(0), 8, others=(Joined(0),), depth=0),
    )
    paths = (replace(PATH, merges=(Merge(1, Feature(1, 0)),)), PATH)
    extra = (Auxiliary(ContextMap(1), 0.4, 8), Auxiliary(Joined(1), 0.4, 8))
    whole = replace(SMALL, architecture=Architecture(paths, joins, Head(8), extra))
    assert from_json(Candidate, to_json(whole)) == whole


def test_fields_that_came_later_are_not_written_where_they_say_nothing() -> None:
    """Content keys of what was stored before are made of such text."""
    path = replace(PATH, context=Context("aspp", 8, rates=(2,)))
    plain = Architecture((path,), (Join("concat", Feature(0, 1), 8, 4),), Head(8))
    written = json.loads(to_json(plain))
    assert set(written["paths"][0]) == {"stem", "stages", "context", "source", "scale"}
    assert set(written["paths"][0]["stem"]) == {"channels", "stride", "kernel", "depth"}
    assert set(written["paths"][0]["context"]) == {"kind", "channels", "bins", "rates", "image_pool"}
    assert set(written["joins"][0]) == {"kind", "feature", "channels", "reduce"}
    assert written["joins"][0]["feature"] == {"path": 0, "stage": 1}


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
        {"before_export": (Prune(0.5, "taylor"),)},
        {"before_export": (Factorize(0.5),)},
        {"before_export": (Factorize(0.5), Prune(0.5))},
        {"before_export": (Prune(0.5), Factorize(0.5))},
        {"after_export": (Quantize(),)},
        {"after_export": (Quantize(symmetric_activations=True),)},
        {"architecture": replace(SMALL.architecture, input_scale=0.5)},
        {"architecture": replace(SMALL.architecture, head=Head(16, dropout=0.1))},
        {"architecture": replace(SMALL.architecture, auxiliary=(Auxiliary(Feature(0, 1), 0.4, 8),))},
        {"architecture": replace(SMALL.architecture, auxiliary=(Auxiliary(ContextMap(0), 0.4, 8),))},
        {"architecture": replace(SMALL.architecture, paths=(replace(PATH, merges=(Merge(0, Feature(1, 0)),)),))},
        {"architecture": replace(SMALL.architecture, paths=(replace(PATH, stem=Stem(8, pool=True)),))},
        {"architecture": replace(SMALL.architecture, paths=(replace(PATH, context=Context(block="separable")),))},
        *(
            {"architecture": replace(SMALL.architecture, joins=(Join("add", Feature(0, 1), 8, **change),))}  # type: ignore[arg-type]
            for change in ({}, {"others": (Joined(0),)}, {"block": "conv"}, {"depth": 0}, {"upsample": "nearest"})
        ),
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
