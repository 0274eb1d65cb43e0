"""The expected gain: golden values by hand, and against many throws of the error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segsearch.search.features import Array
from segsearch.search.gain import behind, expected_gains, front_of, improvements, most_gains, volume


@pytest.fixture(autouse=True)
def either() -> None:
    """Nothing here asks a database."""


FRONT = np.array([[0.5, 1.0], [0.3, 2.0]])
REFERENCE = np.array([1.0, 3.0])


def gain(cost: list[float], mean: float, deviation: float, front: Array = FRONT, reference: Array = REFERENCE) -> float:
    found = expected_gains(np.array([cost]), np.array([mean]), np.array([deviation]), front, reference)
    return float(found[0])


def test_a_sure_error_gains_the_steps_it_lies_below() -> None:
    assert gain([1.5], 0.4, 0) == pytest.approx(0.5 * 0.1)  # from 1.5 to 2, below 0.5
    assert gain([0.5], 0.2, 0) == pytest.approx(0.5 * 0.8 + 1.0 * 0.3 + 1.0 * 0.1)
    assert gain([2.5], 0.4, 0) == 0  # the second member costs less and is better
    assert gain([3.5], 0.1, 0) == 0, "beyond the reference"


def test_an_unsure_error_gains_the_sum_of_width_times_expected_improvement() -> None:
    mean, deviation = 0.35, 0.1

    def improvement(level: float) -> float:
        z = (level - mean) / deviation
        density = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return deviation * (z * 0.5 * (1 + math.erf(z / math.sqrt(2))) + density)

    by_hand = 0.25 * improvement(1.0) + 1.0 * improvement(0.5) + 1.0 * improvement(0.3)
    assert gain([0.75], mean, deviation) == pytest.approx(by_hand)


def test_two_known_costs_are_boxes() -> None:
    front, reference = np.array([[0.5, 1.0, 1.0]]), np.array([1.0, 2.0, 2.0])
    # Of an area of 4 the member has 1: there it is better by 0.1, elsewhere by 0.6.
    assert gain([0.0, 0.0], 0.4, 0, front, reference) == pytest.approx(1 * 0.1 + 3 * 0.6)


def test_without_a_cost_it_is_the_expected_improvement() -> None:
    front = np.array([[0.3]])
    assert gain([], 0.25, 0, front, np.array([1.0])) == pytest.approx(0.05)
    assert gain([], 0.35, 0, front, np.array([1.0])) == 0


def test_with_nothing_trained_all_that_is_below_the_reference_counts() -> None:
    assert gain([1.0], 0.25, 0, np.empty((0, 2))) == pytest.approx(0.75 * 2)


@pytest.mark.parametrize("costs", [0, 1, 2, 3])
def test_it_is_the_mean_over_many_errors(costs: int) -> None:
    source = np.random.default_rng(costs)
    front, reference = front_of(source.uniform(0, 1, (8, 1 + costs))), np.full(1 + costs, 0.95)
    candidates, mean = source.uniform(0, 0.6, (4, costs)), np.array([0.1, 0.2, 0.4, 0.6])
    deviation = np.array([0.0, 0.05, 0.1, 0.3])
    expected = expected_gains(candidates, mean, deviation, front, reference)
    before = volume(front[(front < reference).all(axis=1)], reference)
    for cost, middle, spread, found in zip(candidates, mean, deviation, expected, strict=True):
        thrown = [np.array([error, *cost]) for error in source.normal(middle, spread, 2000)]
        grown = [volume(np.minimum(np.vstack([front, one]), reference), reference) - before for one in thrown]
        assert found == pytest.approx(np.mean(grown), abs=4 * float(np.std(grown)) / math.sqrt(2000) + 2e-5)
    most = most_gains(candidates, mean, deviation, front, reference)
    assert (most >= expected - 1e-12).all()


def test_a_bound_is_never_below_the_gain() -> None:
    source = np.random.default_rng(7)
    for _ in range(20):
        front = front_of(source.uniform(0, 1, (10, 3)))
        parts = source.uniform(0, 1, (30, 2)), source.uniform(0, 1, 30), source.uniform(0, 0.3, 30)
        reference = np.array([0.9, 0.8, 1.0])
        assert (most_gains(*parts, front, reference) >= expected_gains(*parts, front, reference) - 1e-12).all()


def test_the_front_and_what_lies_behind_it() -> None:
    points = np.array([[0.3, 2.0], [0.5, 1.0], [0.3, 2.0], [0.4, 2.0], [0.6, 3.0], [0.9, 0.5]])
    front = front_of(points)
    assert front.tolist() == [[0.3, 2.0], [0.5, 1.0], [0.9, 0.5]]
    assert behind(points, front) == pytest.approx([0, 0, 0, 0.1, 0.3, 0])


def test_a_sure_improvement_needs_no_deviation() -> None:
    assert improvements(np.array([0.5, 0.2]), np.array([0.3, 0.3]), np.zeros(2)) == pytest.approx([0.2, 0.0])
