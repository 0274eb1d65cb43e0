from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.evidence.objectives import Direction
from segsearch.judging.pareto import Intervals, costs, dominates, front, knee, ties

quick = settings(max_examples=40, deadline=None, derandomize=True)

MIN: Direction = "minimize"
MAX: Direction = "maximize"


@st.composite
def clouds(draw: Any, low: int = 0) -> tuple[list[tuple[float, ...]], list[Direction]]:
    """Points on a coarse grid, so that ties and equal points are common; and their directions."""
    width = draw(st.integers(1, 4))
    directions = draw(st.lists(st.sampled_from([MIN, MAX]), min_size=width, max_size=width))
    value = st.sampled_from([-3.0, -1.0, -0.0, 0.0, 0.1, 0.3, 0.5, 1.0, 2.0, 1e9])
    point = st.tuples(*[value] * width)
    return draw(st.lists(point, min_size=low, max_size=14)), directions


def test_a_hand_worked_front_of_quality_and_latency() -> None:
    points = [(0.6, 10.0), (0.5, 5.0), (0.55, 11.0), (0.4, 5.0), (0.7, 30.0), (0.6, 12.0)]
    assert front(points, [MAX, MIN]) == (0, 1, 4)


def test_equal_points_all_stay_and_ties_in_one_objective_do_not() -> None:
    points = [(1.0, 2.0), (1.0, 2.0), (1.0, 3.0), (0.5, 2.0), (2.0, 1.0)]
    assert front(points, [MIN, MIN]) == (3, 4)
    assert front(points, [MAX, MAX]) == (2, 4)
    assert front([(1.0, 1.0)] * 3, [MIN, MAX]) == (0, 1, 2)


def test_a_front_of_three_objectives() -> None:
    points = [(1, 1, 3), (1, 3, 1), (3, 1, 1), (2, 2, 2), (3, 3, 3), (1, 1, 3), (1, 2, 3)]
    assert front(points, [MIN, MIN, MIN]) == (0, 1, 2, 3, 5)
    assert front(points, [MAX, MAX, MAX]) == (4,)


def test_one_objective_has_its_best_alone() -> None:
    assert front([(3.0,), (1.0,), (2.0,), (1.0,)], [MIN]) == (1, 3)
    assert front([(3.0,), (1.0,), (2.0,)], [MAX]) == (0,)


def test_no_points_no_front() -> None:
    assert front([], [MIN, MAX]) == ()
    with pytest.raises(ValueError, match="at least one point, got none"):
        knee([], [MIN, MAX])


def test_points_and_directions_must_be_of_one_width() -> None:
    with pytest.raises(ValueError, match="zip"):
        front([(1.0, 2.0)], [MIN])
    with pytest.raises(ValueError, match="zip"):
        front([(1.0, 2.0), (1.0,)], [MIN, MIN])


def test_dominates_needs_one_better_and_none_worse() -> None:
    assert dominates((1, 2), (1, 3))
    assert not dominates((1, 3), (1, 2))
    assert not dominates((1, 2), (1, 2))
    assert not dominates((0, 3), (1, 2))


def test_costs_turn_what_is_maximised() -> None:
    assert costs([(0.5, 3.0)], [MAX, MIN]) == [(-0.5, 3.0)]


@given(clouds())
@quick
def test_a_front_is_exactly_what_nothing_dominates(cloud: tuple[list[tuple[float, ...]], list[Direction]]) -> None:
    points, directions = cloud
    turned = costs(points, directions)
    members = front(points, directions)
    naive = [index for index, point in enumerate(turned) if not any(dominates(other, point) for other in turned)]
    assert list(members) == naive
    for index in set(range(len(points))) - set(members):
        assert any(dominates(turned[member], turned[index]) for member in members)


@given(clouds(), st.randoms(use_true_random=False))
@quick
def test_a_front_does_not_depend_on_the_order(
    cloud: tuple[list[tuple[float, ...]], list[Direction]], shuffle: Any
) -> None:
    points, directions = cloud
    order = list(range(len(points)))
    shuffle.shuffle(order)
    shuffled = front([points[index] for index in order], directions)
    assert sorted(order[index] for index in shuffled) == list(front(points, directions))


@given(clouds())
@quick
def test_the_front_of_a_front_is_itself(cloud: tuple[list[tuple[float, ...]], list[Direction]]) -> None:
    points, directions = cloud
    members = [points[index] for index in front(points, directions)]
    assert front(members, directions) == tuple(range(len(members)))


@given(clouds(low=1))
@quick
def test_turning_a_direction_and_its_sign_changes_nothing(
    cloud: tuple[list[tuple[float, ...]], list[Direction]],
) -> None:
    points, directions = cloud
    other: list[Direction] = [MIN if direction == MAX else MAX for direction in directions]
    turned = [tuple(-value for value in point) for point in points]
    assert front(turned, other) == front(points, directions)
    assert knee(turned, other) == knee(points, directions)


# ---- fronts with intervals


Cloud = tuple[list[tuple[float, ...]], list[Direction], list[Intervals]]


@st.composite
def blurred(draw: Any, low: int = 0) -> Cloud:
    """Points with an interval around some of their values, on a grid so coarse that ends often meet."""
    width = draw(st.integers(1, 3))
    directions = draw(st.lists(st.sampled_from([MIN, MAX]), min_size=width, max_size=width))
    value = st.integers(0, 8).map(float)
    points = draw(st.lists(st.tuples(*[value] * width), min_size=low, max_size=12))
    margin = st.none() | st.tuples(st.sampled_from([0.0, 1.0, 3.0]), st.sampled_from([0.0, 1.0, 2.0]))
    return points, directions, [[around(number, draw(margin)) for number in point] for point in points]


def around(value: float, margin: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if margin is None else (value - margin[0], value + margin[1])


def surely_better(one: int, other: int, cloud: Cloud) -> bool:
    """As it is written down: at its worst no worse in anything than the other at its best, and better in something."""
    points, directions, intervals = cloud
    better = False
    for axis, direction in enumerate(directions):
        (low, high), (least, most) = (intervals[i][axis] or (points[i][axis],) * 2 for i in (one, other))
        worst, best = (high, least) if direction == MIN else (-low, -most)
        if worst > best:
            return False
        better |= worst < best
    return better


def test_a_model_within_the_intervals_of_a_better_one_stays() -> None:
    points = [(0.6, 8.0), (0.5, 8.1), (0.4, 9.0)]
    plain = front(points, [MAX, MIN])
    assert plain == (0,)
    narrow: list[Intervals] = [(None, (7.9, 8.15)), (None, (8.0, 8.2)), (None, (8.9, 9.1))]
    assert front(points, [MAX, MIN], intervals=narrow) == (0, 1)
    wide: list[Intervals] = [(None, (7.0, 9.5)), (None, (7.0, 9.5)), (None, (8.0, 10.0))]
    assert front(points, [MAX, MIN], intervals=wide) == (0, 1, 2)


def test_intervals_that_only_touch_tell_two_apart_where_something_else_is_better() -> None:
    touching: list[Intervals] = [(None, (1.0, 3.0)), (None, (3.0, 5.0))]
    assert front([(0.6, 2.0), (0.5, 4.0)], [MAX, MIN], intervals=touching) == (0,)
    assert front([(0.5, 2.0), (0.5, 4.0)], [MAX, MIN], intervals=touching) == (0, 1)
    apart: list[Intervals] = [(None, (1.0, 2.9)), (None, (3.0, 5.0))]
    assert front([(0.5, 2.0), (0.5, 4.0)], [MAX, MIN], intervals=apart) == (0,)


def test_an_interval_of_something_maximised_is_turned_with_it() -> None:
    points = [(10.0, 1.0), (8.0, 1.0)]
    overlapping: list[Intervals] = [((7.5, 11.0), None), ((7.0, 8.5), None)]
    assert front(points, [MAX, MIN], intervals=overlapping) == (0, 1)
    assert front(points, [MAX, MIN], intervals=[((9.0, 11.0), None), ((7.0, 8.5), None)]) == (0,)
    assert front(points, [MIN, MIN], intervals=[((9.0, 11.0), None), ((7.0, 8.5), None)]) == (1,)


def test_one_model_with_a_wide_interval_does_not_shield_the_others() -> None:
    # 1 is better than 2 for sure; 0 may be better or worse than both.
    spans: list[Intervals] = [((1.0, 9.0),), ((2.0, 3.0),), ((4.0, 5.0),)]
    assert front([(5.0,), (2.5,), (4.5,)], [MIN], intervals=spans) == (0, 1)


def test_intervals_must_be_of_the_points_shape() -> None:
    with pytest.raises(ValueError, match="zip"):
        front([(1.0, 2.0)], [MIN, MIN], intervals=[])
    with pytest.raises(ValueError, match="zip"):
        front([(1.0, 2.0)], [MIN, MIN], intervals=[(None,)])
    assert front([], [MIN, MAX], intervals=[]) == ()


def test_ties_of_a_hand_worked_front() -> None:
    points = [(0.6, 8.0), (0.5, 8.1), (0.5, 8.2), (0.7, 20.0), (0.6, 8.0)]
    assert ties(points, [MAX, MIN]) == ((), (0, 4), (0, 1, 4), (), ())
    assert ties([], [MAX, MIN]) == ()
    assert ties([(1.0, 1.0)] * 3, [MIN, MIN]) == ((), (), ())


@given(blurred())
@quick
def test_a_front_with_intervals_is_what_nothing_beats_for_sure(cloud: Cloud) -> None:
    points, directions, intervals = cloud
    every = range(len(points))
    naive = [index for index in every if not any(surely_better(other, index, cloud) for other in every)]
    assert list(front(points, directions, intervals=intervals)) == naive
    for index in set(every) - set(naive):  # and some member is the reason
        assert any(surely_better(member, index, cloud) for member in naive)


@given(clouds())
@quick
def test_intervals_of_no_width_change_nothing(cloud: tuple[list[tuple[float, ...]], list[Direction]]) -> None:
    points, directions = cloud
    exact = [[(value, value) for value in point] for point in points]
    nothing = [[None] * len(point) for point in points]
    assert front(points, directions, intervals=exact) == front(points, directions)
    assert front(points, directions, intervals=nothing) == front(points, directions)


@given(blurred(low=1), st.data())
@quick
def test_wider_intervals_never_remove_a_member(cloud: Cloud, data: st.DataObject) -> None:
    points, directions, intervals = cloud
    before = set(front(points, directions, intervals=intervals))
    assert set(front(points, directions)) <= before
    chosen = data.draw(st.integers(0, len(points) - 1))
    wider = list(intervals)
    wider[chosen] = [
        (min(low, value) - 1.0, max(high, value) + 2.0)
        for value, (low, high) in (
            (value, span or (value, value)) for value, span in zip(points[chosen], intervals[chosen], strict=True)
        )
    ]
    assert before <= set(front(points, directions, intervals=wider))


@given(blurred(), st.randoms(use_true_random=False))
@quick
def test_a_front_with_intervals_does_not_depend_on_the_order(cloud: Cloud, shuffle: Any) -> None:
    points, directions, intervals = cloud
    order = list(range(len(points)))
    shuffle.shuffle(order)
    shuffled = front([points[i] for i in order], directions, intervals=[intervals[i] for i in order])
    assert sorted(order[index] for index in shuffled) == list(front(points, directions, intervals=intervals))


@given(blurred())
@quick
def test_members_that_are_tied_with_nobody_are_the_plain_front(cloud: Cloud) -> None:
    points, directions, intervals = cloud
    members = front(points, directions, intervals=intervals)
    beaten = ties([points[index] for index in members], directions)
    untied = [index for index, by in zip(members, beaten, strict=True) if not by]
    assert untied == list(front(points, directions))
    for index, by in zip(members, beaten, strict=True):
        assert all(not surely_better(members[other], index, cloud) for other in by)


@given(blurred(low=1))
@quick
def test_the_knee_of_a_front_with_intervals_is_tied_with_nobody(cloud: Cloud) -> None:
    points, directions, intervals = cloud
    members = [points[index] for index in front(points, directions, intervals=intervals)]
    assert ties(members, directions)[knee(members, directions)] == ()


# ---- knees


def test_a_hand_worked_knee() -> None:
    # Scaled to [0, 1]: (0, 1), (0.2, 0.25), (1, 0); the middle one is nearest to the corner.
    points = [(0.4, 5.0), (0.56, 10.0), (0.6, 25.0)]
    assert knee(points, [MAX, MIN]) == 1
    assert knee([(7.0, 7.0)], [MAX, MIN]) == 0


def test_a_knee_among_equal_distances_does_not_depend_on_the_order() -> None:
    points = [(0.0, 1.0), (1.0, 0.0)]
    chosen = {points[knee(points, [MIN, MIN])], points[::-1][knee(points[::-1], [MIN, MIN])]}
    assert chosen == {(0.0, 1.0)}
    for order in permutations([(0.0, 3.0), (1.0, 1.0), (3.0, 0.0), (1.0, 1.0)]):
        assert order[knee(order, [MIN, MIN])] == (1.0, 1.0)


def test_an_objective_that_does_not_differ_does_not_count() -> None:
    assert knee([(1.0, 5.0, 0.0), (0.0, 5.0, 0.4), (0.5, 5.0, 1.0)], [MIN, MAX, MIN]) == 1


@given(clouds(low=1))
@quick
def test_the_knee_is_on_the_front(cloud: tuple[list[tuple[float, ...]], list[Direction]]) -> None:
    points, directions = cloud
    assert knee(points, directions) in front(points, directions)
