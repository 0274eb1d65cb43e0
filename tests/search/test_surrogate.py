"""The Gaussian process: against the textbook's formula, and what it refuses to learn from."""

from __future__ import annotations

import numpy as np
import pytest

from segsearch.search.features import Array
from segsearch.search.surrogate import Scales, Unfit, fit, predict


@pytest.fixture(autouse=True)
def either() -> None:
    """Nothing here asks a database."""


def made(rows: int, columns: int, *, seed: int = 0) -> Array:
    """Rows that differ by a squared distance of 1 in the mean."""
    thrown: Array = np.random.default_rng(seed).normal(size=(rows, columns))
    scaled: Array = thrown / np.sqrt(2 * columns)
    return scaled


def test_mean_and_deviation_are_the_textbooks() -> None:
    left, right, scales = made(7, 2), made(7, 3, seed=1), Scales((0.7, 2.0), noise=0.05)
    errors = np.array([0.5, 0.3, 0.4, 0.8, 0.35])

    def kernel(i: int, j: int) -> float:
        squared = ((left[i] - left[j]) ** 2).sum() / 0.7**2 + ((right[i] - right[j]) ** 2).sum() / 2.0**2
        far = np.sqrt(5 * squared)
        return float((1 + far + far**2 / 3) * np.exp(-far))

    known = np.linalg.inv([[kernel(i, j) + 0.05 * (i == j) for j in range(5)] for i in range(5)])
    line = np.column_stack([np.ones(7), left.sum(axis=1)])  # the mean is one of the first block
    inner = np.linalg.inv(line[:5].T @ known @ line[:5])
    means = line @ inner @ line[:5].T @ known @ errors
    rest = errors - means[:5]
    variance = rest @ known @ rest / 5
    mean, deviation = predict([left, right], errors, scales)
    for new in range(2):
        near = np.array([kernel(i, 5 + new) for i in range(5)])
        off = line[5 + new] - near @ known @ line[:5]
        left_over = 1 - near @ known @ near + off @ inner @ off
        assert mean[new] == pytest.approx(means[5 + new] + near @ known @ rest)
        assert deviation[new] == pytest.approx(np.sqrt(variance * left_over))


def test_it_finds_which_block_matters_and_how_much_is_noise() -> None:
    rows = 60
    matters, other = made(rows + 40, 2), made(rows + 40, 2, seed=1)
    truth = np.sin(3 * matters[:, 0]) + matters[:, 1]
    noisy = truth[:rows] + np.random.default_rng(2).normal(size=rows) * 0.05
    scales = fit([matters[:rows], other[:rows]], noisy)
    assert scales.lengths[1] >= 2 * scales.lengths[0]
    assert scales.noise <= 0.03
    mean, deviation = predict([matters, other], noisy, scales)
    wrong = mean - truth[rows:]
    assert np.sqrt((wrong**2).mean()) < 0.3 * truth.std()
    assert (np.abs(wrong) < 3 * deviation + 0.05).mean() > 0.9
    nothing = fit([matters[:rows], other[:rows]], np.random.default_rng(3).normal(size=rows))
    assert nothing.noise >= 0.3


def test_far_from_all_rows_it_knows_little_but_that_costs_pay() -> None:
    costs, other = np.array([[0.0], [0.1], [0.2], [0.3], [0.15], [0.6]]), np.zeros((6, 1))
    other[5] = 9.0
    mean, deviation = predict([costs, other], np.array([0.4, 0.31, 0.29, 0.2]), Scales((0.5, 0.5), noise=0.01))
    assert mean == pytest.approx([0.3, 0.0], abs=0.06)
    assert deviation[0] < 0.3 * deviation[1]


@pytest.mark.parametrize(
    ("block", "errors", "why"),
    [
        (made(3, 2), [0.1, 0.2, 0.3], "3 trained"),
        (made(5, 2), [0.4] * 5, "alike"),
        (made(5, 2), [0.1, 0.2, np.nan, 0.3, 0.4], "finite"),
        (np.full((5, 1), np.inf), [0.1, 0.2, 0.3, 0.4, 0.5], "finite"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(block: Array, errors: list[float], why: str) -> None:
    with pytest.raises(Unfit, match=why):
        fit([block], np.array(errors))


def test_rows_without_any_feature_are_refused() -> None:
    with pytest.raises(Unfit, match="alike"):
        fit([], np.array([0.1, 0.2, 0.3, 0.4, 0.5]))


def test_equal_rows_with_different_errors_can_be_fitted() -> None:
    block = np.repeat(made(3, 2), 4, axis=0)
    errors = np.array([0.3, 0.31, 0.29, 0.3, 0.5, 0.52, 0.5, 0.48, 0.4, 0.4, 0.41, 0.39])
    mean, _ = predict([np.vstack([block, block[4:5]])], errors, fit([block], errors))
    assert mean[0] == pytest.approx(0.5, abs=0.03)
