"""Fronts of models whose mIoU is compared in pairs on the same images: what stays, in whatever order they come."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segsearch.evidence.objectives import Direction
from segsearch.evidence.resample import NORMAL
from segsearch.judging.paired import Paired, paired_front
from segsearch.judging.pareto import Intervals, front, knee, ties
from tests.judging.test_pareto import MAX, MIN, around

quick = settings(max_examples=40, deadline=None, derandomize=True)

Vector = NDArray[np.float32]
Pairs = tuple[list[tuple[float, ...]], list[Direction], list[Intervals], Paired]


@st.composite
def sampled(draw: Any, low: int = 0) -> Pairs:
    """Points whose first objective has resamples, some of them none: what all share, and a little of their own."""
    directions: list[Direction] = [draw(st.sampled_from([MIN, MAX])), MIN]
    points = draw(
        st.lists(st.tuples(st.integers(0, 8).map(float), st.integers(0, 4).map(float)), min_size=low, max_size=12)
    )
    margin = st.none() | st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0]))
    intervals: list[Intervals] = [(None, around(point[1], draw(margin))) for point in points]
    dice = np.random.default_rng(draw(st.integers(0, 1000)))
    shared = dice.normal(size=40)
    vectors = [
        None if own is None else (point[0] + 2.0 * shared + own * dice.normal(size=40)).astype(np.float32)
        for point, own in ((point, draw(st.none() | st.sampled_from([0.0, 0.3, 1.5]))) for point in points)
    ]
    return points, directions, intervals, Paired(0, vectors)


def in_pairs(one: int, other: int, cloud: Pairs) -> bool:
    """As it is written down: no worse beyond every interval, that of a difference where both have resamples."""
    points, directions, intervals, paired = cloud
    ahead = points[one][0] - points[other][0] if directions[0] == MAX else points[other][0] - points[one][0]
    mine, its = paired.vectors[one], paired.vectors[other]
    if mine is not None and its is not None:
        ahead -= NORMAL * float((mine - its).std(dtype=np.float64))
    worst, best = ((intervals[i][1] or (points[i][1],) * 2)[end] for i, end in ((one, 1), (other, 0)))
    return ahead >= 0 and worst <= best and (ahead > 0 or worst < best)


def members_of(cloud: Pairs) -> tuple[int, ...]:
    points, directions, intervals, paired = cloud
    return paired_front(points, directions, paired, intervals=intervals)


def flat(*offsets: float) -> Vector:
    return np.array(offsets, dtype=np.float32)


def test_a_hand_worked_front_in_pairs() -> None:
    # 1.96 times the standard deviation of the differences: 0 to 1 is 0.0196, 0 to 2 is 0, 1 to 2 is 0.0196.
    points = [(0.60, 4.0), (0.59, 5.0), (0.58, 6.0)]
    vectors = [flat(0.7, 0.5), flat(0.68, 0.5), flat(0.68, 0.48)]
    assert paired_front(points, [MAX, MIN], Paired(0, vectors)) == (0, 1)
    assert paired_front(points, [MAX, MIN], Paired(0, [None, *vectors[1:]])) == (0,)
    assert paired_front(points, [MAX, MIN], Paired(0, [None] * 3)) == (0,)


def test_wide_intervals_that_move_together_tie_nobody() -> None:
    """Unpaired intervals of the mIoU of real splits overlap nearly always: the same images are hard for all."""
    shared = np.linspace(-0.1, 0.1, 50).astype(np.float32)
    points = [(0.60, 4.0), (0.59, 5.0)]
    vectors = [(value + shared).astype(np.float32) for value, _ in points]
    spans: list[Intervals] = [((0.48, 0.72), None), ((0.47, 0.71), None)]
    assert front(points, [MAX, MIN], intervals=spans) == (0, 1)
    assert paired_front(points, [MAX, MIN], Paired(0, vectors)) == (0,)


def test_two_that_answer_alike_differ_in_the_rest_alone() -> None:
    vector = flat(0.7, 0.5, 0.6)
    points = [(0.6, 4.0), (0.6, 5.0), (0.6, 4.0)]
    assert paired_front(points, [MAX, MIN], Paired(0, [vector] * 3)) == (0, 2)


def test_ties_in_pairs_need_not_pass_on() -> None:
    """0 ties with 1 and 1 with 2, but 0 beats 2: 2 goes, whoever stands between them."""
    points = [(0.60, 4.0), (0.58, 4.0), (0.56, 4.0)]
    vectors = [flat(0.61, 0.59), flat(0.56, 0.60), flat(0.57, 0.55)]
    for order in permutations(range(3)):
        turned = Paired(0, [vectors[i] for i in order])
        found = paired_front([points[i] for i in order], [MAX, MIN], turned)
        assert sorted(order[i] for i in found) == [0, 1]


def test_a_plain_comparison_on_the_way_does_not_carry_a_paired_one() -> None:
    """1 has no resamples: it beats 2 and is beaten by 0 by the plain values; 0 and 2 are a tie. 2 goes because of 1."""
    points = [(0.60, 4.0), (0.595, 4.0), (0.59, 4.0)]
    vectors = [flat(0.65, 0.55), None, flat(0.54, 0.64)]
    assert paired_front(points, [MAX, MIN], Paired(0, vectors)) == (0,)
    assert paired_front(points[::2], [MAX, MIN], Paired(0, vectors[::2])) == (0, 1)


@given(sampled())
@quick
def test_a_front_in_pairs_is_what_nothing_beats_for_sure(cloud: Pairs) -> None:
    every = range(len(cloud[0]))
    naive = [index for index in every if not any(in_pairs(other, index, cloud) for other in every)]
    assert list(members_of(cloud)) == naive


@given(sampled(), st.randoms(use_true_random=False))
@quick
def test_a_front_in_pairs_does_not_depend_on_the_order(cloud: Pairs, shuffle: Any) -> None:
    points, directions, intervals, paired = cloud
    order = list(range(len(points)))
    shuffle.shuffle(order)
    turned = Paired(0, [paired.vectors[i] for i in order])
    found = paired_front([points[i] for i in order], directions, turned, intervals=[intervals[i] for i in order])
    assert sorted(order[index] for index in found) == list(members_of(cloud))


@given(sampled(low=1))
@quick
def test_members_in_pairs_that_are_tied_with_nobody_are_the_plain_front(cloud: Pairs) -> None:
    points, directions, _, _ = cloud
    members = members_of(cloud)
    beaten = ties([points[index] for index in members], directions)
    assert [index for index, by in zip(members, beaten, strict=True) if not by] == list(front(points, directions))
    kept = [points[index] for index in members]
    assert beaten[knee(kept, directions)] == ()
