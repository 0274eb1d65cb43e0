"""The interval of Kendall's tau: golden values by hand, brute force over all orders, and what few models cannot say."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import pytest

from segsearch.judging.agreement import chances, tau_interval


def turned(order: tuple[int, ...]) -> int:
    return sum(one > other for one, other in combinations(order, 2))


@pytest.mark.parametrize("steep", [-1.5, 0.0, 0.7])
def test_chances_are_those_of_all_orders_of_two_groups(steep: float) -> None:
    weights = [0.0] * 8
    for first in permutations(range(4)):
        for second in permutations(range(2)):
            weights[turned(first) + turned(second)] += math.exp(-steep * (turned(first) + turned(second)))
    assert chances([4, 2], steep) == pytest.approx([weight / sum(weights) for weight in weights])


def test_chances_by_hand() -> None:
    """Three models, each turned pair half as likely: 1, 2/2, 2/4 and 1/8 of 2.625."""
    assert chances([3], math.log(2)) == pytest.approx([1 / 2.625, 1 / 2.625, 0.5 / 2.625, 0.125 / 2.625])


def test_an_interval_by_hand() -> None:
    """Two models in order, at 2.5 %: the turned order is 39 times as likely, and its mean is 1/40 - 39/40."""
    assert tau_interval(1.0, [2]) == pytest.approx((-0.95, 1.0))
    assert tau_interval(-1.0, [2]) == pytest.approx((-1.0, 0.95))


def test_a_perfect_order_of_few_models_is_not_certain() -> None:
    lows = [tau_interval(1.0, [count])[0] for count in (3, 4, 6, 8, 20)]
    assert lows == sorted(lows)
    assert lows[1] < 0 < lows[2] < 0.5 < lows[4]
    assert (round(lows[1], 2), round(lows[3], 2)) == (-0.12, 0.68)


@pytest.mark.parametrize("steep", [0.0, 0.3, 1.0, 2.0])
def test_an_interval_holds_the_truth_in_19_of_20_rankings_or_more(steep: float) -> None:
    """Counted over all numbers of turned pairs, each with its chance: nothing is drawn."""
    found = chances([8], steep)
    truth = 1 - 2 * sum(count * chance for count, chance in enumerate(found)) / 28
    ends = [tau_interval(1 - 2 * count / 28, [8]) for count in range(29)]
    held = sum(chance for chance, (low, high) in zip(found, ends, strict=True) if low - 1e-9 <= truth <= high + 1e-9)
    assert held >= 0.95


def test_an_interval_turns_with_its_order_and_holds_it() -> None:
    for tau in (-0.6, 0.0, 0.2, 0.9):
        low, high = tau_interval(tau, [9])
        assert low < tau < high
        assert tau_interval(-tau, [9]) == pytest.approx((-high, -low), abs=0.06)  # 36 pairs: rounded


def test_many_models_take_no_time_to_speak_of_and_say_more() -> None:
    (low, high), (lower, higher) = tau_interval(0.5, [40]), tau_interval(0.5, [8])
    assert lower < low < 0.5 < high < higher


def test_nothing_to_compare_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least two models"):
        tau_interval(1.0, [1, 1])
