from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.objectives import Direction
from segsearch.pareto import costs, dominates, front, knee

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
