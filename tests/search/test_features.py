"""Features: what they tell apart, and that no column drowns the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from segsearch.search.features import Array, design_numbers, features_of
from segsearch.settings.search import Scalar
from segsearch.space.candidate import Candidate
from segsearch.space.steps import Prune, Quantize
from tests import fakes


@pytest.fixture(autouse=True)
def either() -> None:
    """Nothing here asks a database."""


@dataclass(frozen=True)
class Row:
    candidate: Candidate
    params: Mapping[str, Scalar] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)


SAME = fakes.candidate(8, 1)


def apart(block: Array) -> Array:
    return np.asarray(((block[:, None] - block[None, :]) ** 2).sum(axis=2))


def test_costs_count_by_their_logarithm() -> None:
    (block,) = features_of([Row(SAME, values={"macs": value}) for value in (1e6, 1e7, 1e9)])
    assert (block[1] - block[0]) * 2 == pytest.approx(block[2] - block[1])


def test_two_rows_of_a_block_differ_by_one_in_the_mean() -> None:
    rows = [
        Row(fakes.candidate(8 * (one + 1), one % 3 + 1), {"a": one, "b": "xyz"[one % 3]}, {"macs": one + 1.0})
        for one in range(9)
    ]
    blocks = features_of(rows)
    assert len(blocks) == 3
    for block in blocks:
        assert apart(block).mean() == pytest.approx(1)
        assert block.mean(axis=0) == pytest.approx(0)


def test_a_cost_that_one_row_lacks_is_left_out_for_all() -> None:
    values: list[dict[str, float]] = [{"macs": 1.0, "latency_ms": 2.0}, {"macs": 2.0}, {"macs": 3.0, "latency_ms": 5.0}]
    (block,) = features_of([Row(SAME, values=one) for one in values])
    assert block.shape == (3, 1)


def test_what_is_the_same_everywhere_makes_no_column() -> None:
    rows = [Row(SAME, {"fixed": "x", "number": 3}, {"macs": 7.0})] * 4
    assert features_of(rows) == ()
    assert features_of(rows[:1]) == ()
    assert features_of([]) == ()


def test_what_a_branch_does_not_ask_for_is_a_value_of_its_own() -> None:
    found: list[dict[str, Scalar]] = [{"kernel": 3}, {"kernel": 5}, {"kernel": 7}, {}]
    (block,) = features_of([Row(SAME, params) for params in found])
    far = apart(block)
    assert far[3, 0] == pytest.approx(far[3, 2])
    assert far[3, 1] > 0, "nor is it the middle"


def test_numbers_are_ordered_and_words_are_not() -> None:
    (numbers,) = features_of([Row(SAME, {"a": value}) for value in (1, 2, 3)])
    (words,) = features_of([Row(SAME, {"a": value}) for value in ("1", "2", "3")])
    assert apart(numbers)[0, 2] > 2 * apart(numbers)[0, 1]
    assert apart(words)[0, 2] == pytest.approx(apart(words)[0, 1])


def test_neither_the_order_of_names_nor_a_mix_of_words_and_numbers_matters() -> None:
    found: list[dict[str, Scalar]] = [{"a": 1, "b": "x"}, {"b": "y", "a": "one"}, {"a": 2.5}]
    one = features_of([Row(SAME, params) for params in found])
    other = features_of([Row(SAME, dict(reversed(list(params.items())))) for params in found])
    assert all((left == right).all() for left, right in zip(one, other, strict=True))


def test_the_numbers_of_a_design() -> None:
    plain = fakes.candidate(24, 3, block="separable")
    found = design_numbers(
        replace(plain, before_export=(Prune(0.5), Prune(0.5)), after_export=(Quantize(float_convolutions=3),))
    )
    assert found["output_stride"] == 2  # 4, by its logarithm
    assert found["blocks"] == found["blocks of separable"] == 3
    assert found["bits"] == 3
    assert found["float_convolutions"] == 3
    assert found["pruned"] == pytest.approx(0.75)
    assert found["width"] == pytest.approx(math.log2(25))
    assert design_numbers(plain)["bits"] == 5
