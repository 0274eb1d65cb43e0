"""Values, designs and times as a person reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.judging import words as in_text
from segsearch.judging.words import duration
from segsearch.space.architecture import (
    Architecture,
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
from segsearch.space.steps import Distill, Factorize, Prune, Quantize
from tests import fakes
from tests.judging.reports import ALIKE, CLOSE, alike_in, drawn, study_row, timing


def test_a_candidate_in_words() -> None:
    stages = (
        Stage("conv", 24, 2, stride=2),
        Stage("inverted_residual", 40, 3, stride=2, kernel=5, expansion=4.0, atrous=(1, 2)),
        Stage("grouped", 64, 1, groups=8),
    )
    path = EncoderPath(Stem(16), stages, Context("pyramid_pooling", 64, bins=(1, 2, 4)))
    architecture = Architecture((path,), (Join("concat", Feature(0, 1), 32),), Head(48), input_scale=0.75)
    one = Candidate(architecture, Distill(0.4, 2.0), (Prune(0.25, "l2"),), (Quantize(symmetric_activations=True),))
    assert in_text.describe(one) == (
        "input x0.75; stem 16, conv 2x24 /2, inverted_residual 3x40 /2 k5 e4 rates 1-2, grouped 1x64 g8; "
        "pyramid_pooling 1-2-4 (64); concat from stage 1 (32); head 48; taught 0.4 at T 2; pruned 25% by l2; "
        "int8 symmetric"
    )
    assert in_text.describe(fakes.candidate(8, 1)).endswith("head 16; fp32")
    steps = (Factorize(0.25), Prune(0.5, "batch_norm"), Factorize(1.0))
    assert in_text.describe(replace(one, distill=None, before_export=steps, after_export=())).endswith(
        "head 48; factorized to rank 25%; pruned 50% by batch norm; fp32"
    )
    head = Head(48, upsample="pixel_shuffle")
    other = Candidate(replace(architecture, head=head, answer_scale=0.25), Distill(0.7, 2.0, "channel"))
    assert in_text.describe(other).endswith(
        "head 48 pixel shuffle; classes at x0.25; taught 0.7 at T 2 by channel; fp32"
    )


def test_layers_that_a_step_left_are_named_by_their_reasons_and_the_rest_counted() -> None:
    one = replace(fakes.candidate(8, 1), before_export=(Factorize(0.25), Prune(0.5)))
    few = "8 channels are too few to lose 50%"
    left = [{}, {"stem.0": "it is protected", **{f"stages.{index}": few for index in range(6)}}]
    assert in_text.left_lines(one, left) == [
        (
            "pruned 50% by l1, but for stem.0 (it is protected); "
            f"stages.0, stages.1, stages.2, stages.3 and 2 more ({few})"
        )
    ]
    assert in_text.left_lines(one, []) == [], "stages of before kept none"


def test_what_stages_stems_and_contexts_are_beyond_the_plain_ones() -> None:
    stages = (
        Stage("mbconv", 24, 2, 2, expansion=4.0, squeeze=0.25, activation="hardswish"),
        Stage("conv", 40, 1, norm="none", activation="relu6"),
    )
    for context, words in (
        (Context("aspp", 64, rates=(2, 4), block="separable"), "aspp 2-4 (64) separable"),
        (Context("attention", 48), "attention (48)"),
        (Context("cascaded_pooling", 64, bins=(8, 4, 2)), "cascaded_pooling 8-4-2 (64)"),
    ):
        path = EncoderPath(Stem(16, 4, pool=True, activation="hardswish"), stages, context)
        assert in_text.describe(Candidate(Architecture((path,), (), Head(48)))) == (
            "stem 16 max pool hardswish, mbconv 2x24 /2 e4 se0.25 hardswish, conv 1x40 relu6 no norm; "
            f"{words}; head 48; fp32"
        )


def test_joins_of_several_maps_and_exchanged_ones() -> None:
    paths = (
        EncoderPath(Stem(16), (Stage("conv", 24, 1),), merges=(Merge(1, Feature(1, 1)),)),
        EncoderPath(None, (Stage("conv", 32, 1, 2),), source=Feature(0, 0), merges=(Merge(1, Feature(0, 1)),)),
    )
    joins = (
        Join(
            "add", Feature(1, 1), 16, others=(Feature(0, 1), ContextMap(1)), block="conv", depth=1, upsample="nearest"
        ),
        Join("concat", Joined(0), 8, others=(ContextMap(0),), block="conv", upsample="transposed"),
        Join("concat", Feature(0, 0), 8, depth=2),
        Join("add", Feature(0, 0), 8, block="conv"),  # no block, no word
    )
    assert in_text.describe(Candidate(Architecture(paths, joins, Head(48)))) == (
        "stem 16, conv 1x24; stage 1 plus stage 1 of path 1; path 1: conv 1x32 /2; stage 1 of path 1 plus stage 1; "
        "add from stage 1 of path 1 and stage 1 and context of path 1 (16) 1x conv nearest; "
        "concat from join 1 and context (8) conv transposed; concat from stage 0 (8) 2x separable; "
        "add from stage 0 (8); head 48; fp32"
    )


def test_what_scores_classes_has_no_channels_and_no_head() -> None:
    path = EncoderPath(Stem(16), (Stage("conv", 24, 1),), Context("aspp_scores", rates=(6, 12)))
    joins = (Join("score", Feature(0, 0), 0, upsample="transposed"),)
    plain = Architecture((path,), joins, Head(48, 0))
    assert in_text.describe(Candidate(plain)) == (
        "stem 16, conv 1x24; aspp_scores 6-12 (classes); score from stage 0 (classes) transposed; fp32"
    )
    shuffled = replace(plain, head=Head(48, 0, upsample="pixel_shuffle"))
    assert in_text.describe(Candidate(shuffled)).endswith("; head pixel shuffle; fp32")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("miou", 0.61234, "0.612"),
        ("latency_ms", 4.23456, "4.235"),
        ("size_bytes", 812, "812 B"),
        ("size_bytes", 812_345, "812 kB"),
        ("params", 1_234_567, "1.23 M"),
        ("macs", 2_500_000_000, "2.5 G"),
        ("peak_memory_bytes", 0, "0 B"),
        ("peak_memory_bytes", 50_000_000, "50 MB"),
        ("energy_mj", 0.123456, "0.1235"),
    ],
)
def test_values_in_words(name: str, value: float, words: str) -> None:
    assert in_text.in_words(name, value) == words


@pytest.mark.parametrize(
    ("value", "around", "words"),
    [
        (7.834, (7.77, 7.89), "7.834 ±0.06"),
        (7.8, None, "7.8"),
        (7.8, (7.8, 7.8), "7.8 ±0"),
        (1500.0, (1380.0, 1620.0), "1500 ±120"),
        (1500.0, (1450.2, 1649.4), "1500 ±100"),
        (1500.0, (1402.0, 1600.0), "1500 ±99"),
    ],
)
def test_a_value_stands_with_half_the_width_of_its_interval(
    value: float, around: tuple[float, float] | None, words: str, tmp_path: Path
) -> None:
    (row,) = drawn(study_row(tmp_path), CLOSE[:1], on=[timing(0, value, around)]).rows
    assert in_text.with_interval(row, "latency_ms") == words
    assert in_text.with_interval(row, "energy_mj") == "-"
    assert in_text.with_interval(row, "miou") == "0.400"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (3599, "1 h 00 min"), (11_100, "3 h 05 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_what_has_no_interval_is_said_with_its_reason(tmp_path: Path) -> None:
    assert in_text.unsure_lines(alike_in(tmp_path)) == [
        "miou of trial 4 has no interval: class 'bus' lies in one validation image only."
    ]
    assert in_text.unsure_lines(drawn(study_row(tmp_path), CLOSE)) == [
        "miou has no interval: scored before counts were kept for each image."
    ]
    assert in_text.unsure_lines(drawn(study_row(tmp_path), ALIKE[:4])) == []
    assert in_text.unsure_lines(drawn(study_row(tmp_path, objectives=["latency_ms"]), CLOSE)) == []


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ((4,), "trial 4"),
        ((1, 4, 9, 10), "trial 1, 4, 9, 10"),
        ((1, 4, 9, 10, 11), "trial 1, 4, 9, 10 and 1 more"),
    ],
)
def test_many_trials_are_counted(trials: tuple[int, ...], words: str) -> None:
    assert in_text.trial_names(trials) == words
