"""Made-up validation splits of two models: scenes that are hard for both, classes that are in some images only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segsearch.evidence.images import PerImage

Mask, Whole, Real = NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]

# How often a class is in an image: all of them everywhere, and the rare ones of a street.
ALL = (1.0, 1.0, 0.9, 0.8)
FEW = (1.0, 1.0, 0.9, 0.8, 0.6, 0.4, 0.3, 0.2, 0.2, 0.1, 0.1)


def draw_two(dice: np.random.Generator, images: int, presence: Sequence[float]) -> tuple[PerImage, PerImage]:
    """The counts of two models on the same images; the second one is a little better."""
    shape = (images, len(presence))
    present = dice.random(shape) < np.array(presence)
    truth = dice.lognormal(6, 1, shape).astype(np.int64) + 1
    ease = (
        1.0 - 0.5 * np.arange(shape[1]) / shape[1] + 0.7 * dice.normal(size=(images, 1)) + 0.5 * dice.normal(size=shape)
    )
    return _counts(dice, present, truth, ease), _counts(dice, present, truth, ease + 0.15)


def _counts(dice: np.random.Generator, present: Mask, truth: Whole, ease: Real) -> PerImage:
    hits = np.round(truth / (1 + np.exp(-(ease + 0.3 * dice.normal(size=truth.shape))))).astype(np.int64)
    predicted = hits + (dice.random(truth.shape) * truth / 4).astype(np.int64)
    found = []
    for image in range(len(truth)):
        here = np.flatnonzero(present[image])
        columns = (here, hits[image, here], truth[image, here], predicted[image, here])
        found.append(tuple(zip(*(column.tolist() for column in columns), strict=True)))
    return PerImage(tuple(f"class {index}" for index in range(truth.shape[1])), tuple(found))
