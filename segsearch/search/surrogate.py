"""A Gaussian process of the error: what a training would find, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segsearch.search.features import Array

# Tried in turn, each from the best of the others. The largest leaves a block out.
_LENGTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 8.0, 64.0)
# Variance of the noise over that of the function.
_NOISES = np.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
_ROUNDS = 3
_LEAST_ROWS = 4


class Unfit(ValueError):
    """A surrogate that nothing can be learned from; the message says why."""


@dataclass(frozen=True)
class Scales:
    """What a Gaussian process assumes: a length for each block of features, and the noise over the signal."""

    lengths: tuple[float, ...]
    noise: float


def fit(blocks: Sequence[Array], errors: Array) -> Scales:
    """The scales under which the errors of these rows are likeliest, by a search without chance.

    `blocks` are (rows, columns) each. Raises `Unfit` where there are too few rows, they are all alike, or not finite.
    """
    if len(errors) < _LEAST_ROWS:
        raise Unfit(f"{len(errors)} trained so far, {_LEAST_ROWS} are needed")
    if not np.isfinite(errors).all() or not all(np.isfinite(block).all() for block in blocks):
        raise Unfit("a number is not finite")
    if np.ptp(errors) < 1e-9 or not blocks:
        raise Unfit("all trained ones are alike")
    apart = [_apart(block, block) for block in blocks]
    lengths, leaning = [1.0] * len(blocks), _leaning(blocks)
    best, noise = _likelihood(apart, lengths, errors, leaning)
    for _ in range(_ROUNDS):
        before = list(lengths)
        for index in range(len(blocks)):
            for length in _LENGTHS:
                tried = [*lengths[:index], length, *lengths[index + 1 :]]
                if tried != lengths:
                    likely, noisy = _likelihood(apart, tried, errors, leaning)
                    if likely > best + 1e-9:
                        best, noise, lengths = likely, noisy, tried
        if lengths == before:
            break
    return Scales(tuple(lengths), noise)


def predict(blocks: Sequence[Array], errors: Array, scales: Scales) -> tuple[Array, Array]:
    """Mean and standard deviation of the error of the rows that follow the known ones: (new rows,) each.

    `blocks` hold all rows, the `errors` are those of the first ones. The deviation is that of the function, without
    the noise of a training.
    """
    known, leaning = len(errors), _leaning(blocks)
    here = _matern([_apart(block[:known], block[:known]) for block in blocks], scales.lengths)
    there = _matern([_apart(block[:known], block[known:]) for block in blocks], scales.lengths)
    lower = np.linalg.cholesky(here + scales.noise * np.eye(known))
    whole = np.linalg.solve(lower, np.column_stack([leaning[:known], errors, there]))
    basis, seen, across = whole[:, :2], whole[:, 2], whole[:, 3:]
    inner = basis.T @ basis + 1e-9 * np.eye(2)
    slope = np.linalg.solve(inner, basis.T @ seen)
    rest = seen - basis @ slope
    # What is not known of the line itself is part of the deviation.
    off = leaning[known:].T - basis.T @ across
    left = 1 - (across**2).sum(axis=0) + (off * np.linalg.solve(inner, off)).sum(axis=0)
    return leaning[known:] @ slope + rest @ across, np.sqrt(rest @ rest / known * np.maximum(left, 1e-12))


def _leaning(blocks: Sequence[Array]) -> Array:
    """What the mean is a line of: (rows, 2). Errors fall with the costs, beyond what was trained, too."""
    return np.column_stack([np.ones(len(blocks[0])), blocks[0].sum(axis=1)])


def _apart(left: Array, right: Array) -> Array:
    """Squared distances of all pairs."""
    squares: Array = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :] - 2 * left @ right.T
    return np.maximum(squares, 0.0)


def _matern(apart: Sequence[Array], lengths: Sequence[float]) -> Array:
    """Matern 5/2 of the distance over all blocks."""
    squares = np.zeros_like(apart[0])
    for one, length in zip(apart, lengths, strict=True):
        squares += one / length**2
    far: Array = np.sqrt(5 * squares)
    near: Array = (1 + far + far**2 / 3) * np.exp(-far)
    return near


def _likelihood(apart: Sequence[Array], lengths: Sequence[float], errors: Array, leaning: Array) -> tuple[float, float]:
    """The logarithm of the likelihood under the best noise, and that noise; line and variance are those that fit best.

    A weak belief stands beside it, that lengths are near 1 and noise near a thirtieth: a few rows say little.
    """
    values, vectors = np.linalg.eigh(_matern(apart, lengths))
    turned, basis = vectors.T @ errors, vectors.T @ leaning
    spread = np.maximum(values, 0.0) + _NOISES[:, None]  # (noises, rows)
    inner = np.einsum("ij,nj,jk->nik", basis.T, 1 / spread, basis) + 1e-9 * np.eye(2)
    slopes = np.linalg.solve(inner, ((turned / spread) @ basis)[:, :, None])[:, :, 0]  # (noises, 2)
    variance = ((turned - slopes @ basis.T) ** 2 / spread).mean(axis=1)
    likely = -0.5 * len(errors) * np.log(variance + 1e-300) - 0.5 * np.log(spread).sum(axis=1)
    likely -= 0.25 * np.log(_NOISES / 0.03) ** 2 / 2 + sum(0.5 * np.log(length) ** 2 for length in lengths) / 2
    best = int(np.argmax(likely))
    return float(likely[best]), float(_NOISES[best])
