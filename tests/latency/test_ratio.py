from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.evidence.timing import Block, Comparison
from segsearch.latency.ratio import FEWEST_SESSIONS, LUCK, PROCESS_SPREAD, Ratio, of_one_process, ratio_of

quick = settings(max_examples=60, deadline=None, derandomize=True)


def blocks_of(*sessions: list[float]) -> list[Block]:
    """A block for each ratio, the reference's time a different one in each."""
    return [
        Block(number, 2, ratio * (1.0 + index), 1.0 + index)
        for number, ratios in enumerate(sessions)
        for index, ratio in enumerate(ratios)
    ]


@st.composite
def measured(draw: Any, sessions: int = 8) -> list[Block]:
    """Blocks of some sessions, as many in each as it happens; now and then one that something else disturbed."""
    ratio = st.floats(0.9, 1.1) | st.sampled_from([1.0, 0.01, 50.0])
    return blocks_of(*draw(st.lists(st.lists(ratio, min_size=1, max_size=5), min_size=1, max_size=sessions)))


@st.composite
def clean(draw: Any) -> list[Block]:
    ratio = st.floats(0.9, 1.1)
    return blocks_of(*draw(st.lists(st.lists(ratio, min_size=1, max_size=5), min_size=1, max_size=12)))


def simulated(seed: int, *, sessions: int, session_luck: float, noise: float) -> list[Block]:
    """Blocks of a model that takes 2.5 times as long as the reference, on a machine that grows up to half slower."""
    draw = np.random.default_rng(seed)
    found = []
    for session in range(sessions):
        luck = np.exp(draw.normal(0, session_luck))
        for _ in range(4):
            reference = 1 + 0.5 * draw.random()
            found.append(Block(session, 2, 2.5 * reference * luck * np.exp(draw.normal(0, noise)), reference))
    return found


# ---- worked by hand


def test_the_value_is_the_median_of_the_ratios_of_blocks() -> None:
    # Ratios 2, 4 and 3 of times that the drift of the machine multiplied; ratios of means or medians would be others.
    blocks = [Block(0, 2, 2.0, 1.0), Block(0, 9, 40.0, 10.0), Block(1, 1, 300.0, 100.0)]
    assert ratio_of(blocks).value == 3.0
    assert ratio_of([*blocks, Block(1, 1, 5.0, 1.0)]).value == 3.5


def test_the_runs_of_a_block_do_not_weigh() -> None:
    blocks = blocks_of([1.0, 1.1, 1.2], [1.3])
    heavy = [replace(block, runs=1000 * block.runs) for block in blocks]
    assert ratio_of(heavy) == ratio_of(blocks)


def test_blocks_that_agree_have_an_interval_of_no_width_once_sessions_are_enough() -> None:
    assert ratio_of(blocks_of(*[[1.5, 1.5]] * FEWEST_SESSIONS)) == Ratio(1.5, 1.5, 1.5)


def test_one_disturbed_block_of_many_moves_nothing() -> None:
    calm = ratio_of(blocks_of(*[[1.5] * 4] * 8))
    disturbed = ratio_of(blocks_of([40.0, *[1.5] * 3], *[[1.5] * 4] * 7))
    assert (disturbed.value, disturbed.low, disturbed.high) == (calm.value, calm.low, calm.high)


def test_the_interval_of_two_sessions_spans_both_and_more() -> None:
    # Of two sessions drawn from two, a quarter is the first twice and a quarter the second twice; the square root of
    # 2 / (2 - 1) stretches that, as a factor.
    found = ratio_of(blocks_of([0.8] * 3, [1.25] * 3))
    assert found.value == pytest.approx(1.025)
    assert found.low == pytest.approx(1.025 * (0.8 / 1.025) ** 2**0.5)
    assert found.high == pytest.approx(1.025 * (1.25 / 1.025) ** 2**0.5)


def test_width_is_relative() -> None:
    assert Ratio(2.0, 1.9, 2.2).width == pytest.approx(0.15)
    assert Ratio(2.0, 2.0, 2.0).width == 0.0


def test_nothing_measured_has_no_ratio() -> None:
    with pytest.raises(ValueError, match="at least one block, got none"):
        ratio_of([])


# ---- few sessions


@pytest.mark.parametrize("count", range(1, FEWEST_SESSIONS))
def test_few_sessions_that_agree_may_all_have_been_lucky(count: int) -> None:
    found = ratio_of(blocks_of(*[[1.5] * 20] * count))
    assert found.low == pytest.approx(1.5 / (1 + LUCK / count**0.5))
    assert found.high == pytest.approx(1.5 * (1 + LUCK / count**0.5))


def test_more_blocks_of_one_session_do_not_make_it_surer() -> None:
    widths = [ratio_of(blocks_of([1.0] * count)).width for count in (1, 10, 100)]
    assert widths == [widths[0]] * 3
    assert widths[0] == pytest.approx(2 * LUCK, rel=0.02)


def test_more_sessions_do_make_it_surer() -> None:
    widths = [ratio_of(blocks_of(*[[0.99, 1.0, 1.01]] * count)).width for count in (1, 2, 4, 8, 16)]
    assert widths == sorted(widths, reverse=True)


@given(clean())
@quick
def test_an_interval_is_never_narrower_than_the_luck_of_its_few_sessions(blocks: list[Block]) -> None:
    count = len({block.session for block in blocks})
    found = ratio_of(blocks, resamples=50)
    if count < FEWEST_SESSIONS:
        assert found.width >= LUCK / count**0.5
    if count == 1:
        assert found.high / found.low == pytest.approx((1 + LUCK) ** 2) or found.width > 2 * LUCK * 0.98


# ---- properties


@given(measured())
@quick
def test_the_value_lies_in_its_interval_and_the_interval_above_zero(blocks: list[Block]) -> None:
    found = ratio_of(blocks, resamples=50)
    assert 0 < found.low <= found.value <= found.high < float("inf")
    # It can always be stored: the rules of the evidence are the same.
    assert Comparison("r", 1.0, tuple(blocks), found.value, found.low, found.high, "time").ratio == found.value


def test_wildly_different_sessions_have_an_interval_above_zero() -> None:
    found = ratio_of(blocks_of([0.01], [1.0], [1.0]))
    assert 0 < found.low < 0.01  # stretched as a difference it would reach -0.2
    assert found.value == 1.0


@given(measured())
@quick
def test_the_same_blocks_have_the_same_interval(blocks: list[Block]) -> None:
    assert ratio_of(blocks, resamples=50) == ratio_of(list(blocks), resamples=50)


@given(measured(), st.sampled_from([0.125, 0.5, 2.0, 1024.0]))
@quick
def test_a_model_that_takes_twice_as_long_has_twice_the_interval(blocks: list[Block], factor: float) -> None:
    """Powers of two, so that nothing is rounded."""
    found = ratio_of(blocks, resamples=50)
    slower = ratio_of([replace(block, model_ms=block.model_ms * factor) for block in blocks], resamples=50)
    assert slower.value == found.value * factor
    assert (slower.low, slower.high) == pytest.approx((found.low * factor, found.high * factor), rel=1e-12)
    assert slower.width == pytest.approx(found.width, rel=1e-9, abs=1e-12)


@given(measured(), st.data())
@quick
def test_drift_that_both_see_cancels(blocks: list[Block], data: st.DataObject) -> None:
    drift = data.draw(
        st.lists(st.sampled_from([0.25, 0.5, 2.0, 4.0, 32.0]), min_size=len(blocks), max_size=len(blocks))
    )
    drifting = [
        replace(block, model_ms=block.model_ms * slow, reference_ms=block.reference_ms * slow)
        for block, slow in zip(blocks, drift, strict=True)
    ]
    assert ratio_of(drifting, resamples=50) == ratio_of(blocks, resamples=50)


@given(measured(), st.randoms(use_true_random=False))
@quick
def test_the_value_does_not_depend_on_the_order_of_blocks_and_sessions(blocks: list[Block], shuffle: Any) -> None:
    shuffled = list(blocks)
    shuffle.shuffle(shuffled)
    assert ratio_of(shuffled, resamples=50).value == ratio_of(blocks, resamples=50).value


@given(measured())
@quick
def test_only_which_blocks_share_a_session_counts_not_its_number(blocks: list[Block]) -> None:
    renamed = [replace(block, session=1000 - 7 * block.session) for block in blocks]
    assert ratio_of(renamed, resamples=50) == ratio_of(blocks, resamples=50)


def test_the_order_of_blocks_within_a_session_moves_the_interval_by_its_own_noise_alone() -> None:
    """Other blocks stand where the generator points: not the same to the last digit, and the same to a reader."""
    sessions = [[0.97, 1.0, 1.02], [0.99, 1.01, 1.04], [0.98, 1.0, 1.01]]
    plain = ratio_of(blocks_of(*sessions))
    for order in permutations(range(3)):
        found = ratio_of(blocks_of(*([ratios[index] for index in order] for ratios in sessions)))
        assert found.value == plain.value
        assert found.width == pytest.approx(plain.width, rel=0.15)


def test_blocks_that_are_alike_in_a_session_count_as_one() -> None:
    """The spread between sessions is what is seen: more blocks of the same luck add nothing."""
    lucks = (0.97, 1.0, 1.03, 0.99, 1.01, 1.02)
    short, long = (ratio_of(blocks_of(*([luck] * count for luck in lucks))) for count in (1, 9))
    assert long.value == short.value
    assert (long.low, long.high) == pytest.approx((short.low, short.high), abs=0.003)


# ---- coverage


@pytest.mark.parametrize(
    ("sessions", "session_luck", "noise", "least"),
    [(12, 0.01, 0.01, 180), (6, 0.02, 0.005, 180), (6, 0.0, 0.02, 180), (3, 0.01, 0.01, 180), (1, 0.01, 0.002, 180)],
)
def test_about_95_of_100_intervals_hold_the_truth(sessions: int, session_luck: float, noise: float, least: int) -> None:
    """Of 200 simulated measurements; few resamples cost some of the 190. One session knows nothing of its luck."""
    held = widths = 0.0
    for seed in range(200):
        found = ratio_of(simulated(seed, sessions=sessions, session_luck=session_luck, noise=noise), resamples=150)
        held += found.low <= 2.5 <= found.high
        widths += found.width / 200
    assert held >= least
    assert widths < 0.06  # ... and not because they are wide


def test_blind_to_sessions_far_fewer_intervals_would_hold_the_truth() -> None:
    held = {True: 0, False: 0}
    for seed in range(200):
        blocks = simulated(seed, sessions=12, session_luck=0.02, noise=0.002)
        for knows in held:
            told = blocks if knows else [replace(block, session=i) for i, block in enumerate(blocks)]
            found = ratio_of(told, resamples=100)
            held[knows] += found.low <= 2.5 <= found.high
    assert held[True] >= 175 > 150 > held[False]


def test_what_one_process_cannot_see_widens_the_interval() -> None:
    exact = of_one_process(Ratio(2.0, 2.0, 2.0))
    unseen = 1.96 * PROCESS_SPREAD
    assert math.log(exact.high / 2) == pytest.approx(unseen)
    assert math.log(2 / exact.low) == pytest.approx(unseen)
    wide = of_one_process(Ratio(2.0, 2.0 * math.exp(-0.03), 2.0 * math.exp(0.04)))
    assert math.log(2 / wide.low) == pytest.approx((0.03**2 + unseen**2) ** 0.5)
    assert math.log(wide.high / 2) == pytest.approx((0.04**2 + unseen**2) ** 0.5)
