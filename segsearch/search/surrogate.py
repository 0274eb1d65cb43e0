"""A Gaussian process of the error: what a training would find, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segsearch.search.features import Array

Sources = NDArray[np.int64]
T = TypeVar("T")

# Tried in turn, each from the best of the others. The largest leaves a block out.
_LENGTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 8.0, 64.0)
# Variance of the noise over that of the function.
_NOISES = np.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
# How far errors of another source go along with one's own, and how wide its differences are in one's own.
_KINSHIPS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995)
_STRETCHES = (0.5, 0.7, 1.0, 1.4, 2.0)
_ROUNDS = 3
_LEAST_ROWS = 4


class Unfit(ValueError):
    """A surrogate that nothing can be learned from; the message says why."""


@dataclass(frozen=True)
class Kin:
    """What a process assumes of the errors of another source: their correlation with one's own, once they are
    multiplied by `stretch`. Their level is its own."""

    correlation: float = 0.9
    stretch: float = 1.0


@dataclass(frozen=True)
class Scales:
    """What a Gaussian process assumes: a length for each block of features, the noise over the signal, its kin."""

    lengths: tuple[float, ...]
    noise: float
    kin: tuple[Kin, ...] = ()


def fit(
    blocks: Sequence[Array], errors: Array, sources: Sources | None = None, beliefs: Sequence[float] = ()
) -> Scales:
    """The scales under which the errors of these rows are likeliest, by a search without chance.

    `blocks` are (rows, columns) each. `sources` (rows,) says where each row was trained: 0 here, i elsewhere, whose
    correlation is believed to be near `beliefs[i - 1]`. Raises `Unfit` where there are too few rows, they are all
    alike, or not finite.
    """
    if len(errors) < _LEAST_ROWS:
        raise Unfit(f"{len(errors)} trained so far, {_LEAST_ROWS} are needed")
    if not np.isfinite(errors).all() or not all(np.isfinite(block).all() for block in blocks):
        raise Unfit("a number is not finite")
    if np.ptp(errors) < 1e-9 or not blocks:
        raise Unfit("all trained ones are alike")
    from_where = _sources(sources, len(errors))
    apart, leaning = [_apart(block, block) for block in blocks], _leaning(blocks, from_where)
    scales = Scales((1.0,) * len(blocks), 0.03, tuple(Kin(belief) for belief in beliefs))
    best, scales = _weighed(scales, apart, errors, leaning, from_where, beliefs)
    for _ in range(_ROUNDS):
        before = scales
        for change in _changes(scales):
            if (tried := change(scales)) != scales:
                likely, found = _weighed(tried, apart, errors, leaning, from_where, beliefs)
                if likely > best + 1e-9:
                    best, scales = likely, found
        if scales == before:
            break
    return scales


def _changes(scales: Scales) -> Iterator[Callable[[Scales], Scales]]:
    """All that is tried: a change of one number each, of whatever scales are the best by then."""
    for place in range(len(scales.lengths)):
        for length in _LENGTHS:
            yield lambda now, place=place, length=length: replace(  # type: ignore[misc]
                now, lengths=_put(now.lengths, place, length)
            )
    for place in range(len(scales.kin)):
        for name, numbers in (("correlation", _KINSHIPS), ("stretch", _STRETCHES)):
            for number in numbers:
                yield lambda now, place=place, name=name, number=number: replace(  # type: ignore[misc]
                    now, kin=_put(now.kin, place, replace(now.kin[place], **{name: number}))
                )


def _put(row: tuple[T, ...], place: int, one: T) -> tuple[T, ...]:
    return (*row[:place], one, *row[place + 1 :])


def _weighed(
    tried: Scales, apart: Sequence[Array], errors: Array, leaning: Array, sources: Sources, beliefs: Sequence[float]
) -> tuple[float, Scales]:
    """How likely the errors are under scales, less the doubt in these, and the scales with the best noise."""
    likely, noise = _likelihood(apart, tried, errors, leaning, sources)
    return likely - _doubt(tried, beliefs), replace(tried, noise=noise)


def predict(
    blocks: Sequence[Array], errors: Array, scales: Scales, sources: Sources | None = None
) -> tuple[Array, Array]:
    """Mean and standard deviation of the error of the rows that follow the known ones: (new rows,) each.

    `blocks` hold all rows, the `errors` are those of the first ones, and so are the `sources` (all of them come from
    here without); the new ones are trained here. The deviation is that of the function, without the noise of a
    training.
    """
    known = len(errors)
    from_where = _sources(sources, known)
    everywhere = np.concatenate([from_where, np.zeros(len(blocks[0]) - known, dtype=np.int64)])
    leaning, kinship = _leaning(blocks, everywhere), _kinship(everywhere, scales.kin)
    here = _matern([_apart(block[:known], block[:known]) for block in blocks], scales.lengths)
    there = _matern([_apart(block[:known], block[known:]) for block in blocks], scales.lengths)
    lower = np.linalg.cholesky(here * kinship[:known, :known] + scales.noise * np.eye(known))
    seen_here = errors * _stretched(from_where, scales.kin)
    whole = np.linalg.solve(lower, np.column_stack([leaning[:known], seen_here, there * kinship[:known, known:]]))
    many = leaning.shape[1]
    basis, seen, across = whole[:, :many], whole[:, many], whole[:, many + 1 :]
    inner = basis.T @ basis + 1e-9 * np.eye(many)
    slope = np.linalg.solve(inner, basis.T @ seen)
    rest = seen - basis @ slope
    # What is not known of the line itself is part of the deviation.
    off = leaning[known:].T - basis.T @ across
    left = 1 - (across**2).sum(axis=0) + (off * np.linalg.solve(inner, off)).sum(axis=0)
    return leaning[known:] @ slope + rest @ across, np.sqrt(rest @ rest / known * np.maximum(left, 1e-12))


def left_out(blocks: Sequence[Array], errors: Array, scales: Scales) -> Array:
    """What is predicted of each row from all the others: (rows,)."""
    inverse = _without_line(blocks, scales)
    return errors - (inverse @ errors) / np.maximum(np.diag(inverse), 1e-12)


def effect(blocks: Sequence[Array], errors: Array, scales: Scales, treated: Array) -> tuple[float, float]:
    """How much larger the error of `treated` rows (1, others 0) is, all else equal, and its standard error."""
    inverse = _without_line(blocks, scales)
    weight = float(treated @ inverse @ treated)
    if weight < 1e-9:
        raise Unfit("what is treated differs in all else, too")
    found = float(treated @ inverse @ errors) / weight
    rest = errors - found * treated
    variance = float(rest @ inverse @ rest) / max(1, len(errors) - 3)
    return found, float(np.sqrt(variance / weight))


def _without_line(blocks: Sequence[Array], scales: Scales) -> Array:
    """The inverse of the covariance, without what is a line of the costs: (rows, rows)."""
    rows = len(blocks[0])
    leaning = _leaning(blocks, _sources(None, rows))
    kernel = _matern([_apart(block, block) for block in blocks], scales.lengths) + scales.noise * np.eye(rows)
    inverse = np.linalg.inv(kernel)
    basis = inverse @ leaning
    away: Array = basis @ np.linalg.solve(leaning.T @ basis + 1e-9 * np.eye(leaning.shape[1]), basis.T)
    return inverse - away


def _sources(sources: Sources | None, rows: int) -> Sources:
    return np.zeros(rows, dtype=np.int64) if sources is None else sources


def _leaning(blocks: Sequence[Array], sources: Sources) -> Array:
    """What the mean is a line of: (rows, 2 + sources). Errors fall with the costs, beyond what was trained, too.

    Another source has a level of its own: its data or its schedule moves all of its errors.
    """
    elsewhere = [sources == other for other in range(1, int(sources.max(initial=0)) + 1)]
    return np.column_stack([np.ones(len(blocks[0])), blocks[0].sum(axis=1), *elsewhere]).astype(float)


def _kinship(sources: Sources, kin: Sequence[Kin]) -> Array:
    """How far the functions of two rows' sources go together: (rows, rows), 1 within one source."""
    each = np.array([1.0, *(one.correlation for one in kin)])[sources]
    together: Array = np.where(sources[:, None] == sources[None, :], 1.0, each[:, None] * each[None, :])
    return together


def _stretched(sources: Sources, kin: Sequence[Kin]) -> Array:
    stretches: Array = np.array([1.0, *(one.stretch for one in kin)])[sources]
    return stretches


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


def _likelihood(
    apart: Sequence[Array], scales: Scales, errors: Array, leaning: Array, sources: Sources
) -> tuple[float, float]:
    """The logarithm of the likelihood under the best noise, and that noise; line and variance are those that fit best.

    A weak belief stands beside it, that noise is near a thirtieth: a few rows say little.
    """
    kernel = _matern(apart, scales.lengths)
    stretches = _stretched(sources, scales.kin)
    values, vectors = np.linalg.eigh(kernel * _kinship(sources, scales.kin) if scales.kin else kernel)
    turned, basis = vectors.T @ (errors * stretches), vectors.T @ leaning
    spread = np.maximum(values, 0.0) + _NOISES[:, None]  # (noises, rows)
    inner = np.einsum("ij,nj,jk->nik", basis.T, 1 / spread, basis) + 1e-9 * np.eye(leaning.shape[1])
    slopes = np.linalg.solve(inner, ((turned / spread) @ basis)[:, :, None])[:, :, 0]  # (noises, columns)
    variance = ((turned - slopes @ basis.T) ** 2 / spread).mean(axis=1)
    likely = -0.5 * len(errors) * np.log(variance + 1e-300) - 0.5 * np.log(spread).sum(axis=1)
    likely -= 0.25 * np.log(_NOISES / 0.03) ** 2 / 2
    best = int(np.argmax(likely))
    return float(likely[best] + np.log(stretches).sum()), float(_NOISES[best])


def _doubt(scales: Scales, beliefs: Sequence[float]) -> float:
    """How far scales are from what is believed: lengths and stretches near 1, and of kin what was said of them."""
    doubt = sum(0.5 * np.log(length) ** 2 for length in scales.lengths) / 2
    for one, belief in zip(scales.kin, beliefs, strict=True):
        # By the share that does not go along: .98 is as far from .95 as .90 is from .75.
        doubt += 0.5 * np.log((1.02 - one.correlation) / (1.02 - belief)) ** 2 + np.log(one.stretch) ** 2
    return float(doubt)
