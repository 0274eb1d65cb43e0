"""How well somebody's network does on a few validation images by each way of giving it pixels."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from segsearch.datasets import Dataset
from segsearch.evidence.types import Confusion
from segsearch.runtimes import Image
from segsearch.settings.network import PRESETS
from segsearch.space.own import Pixels
from segsearch.trial.score import classes_of, count, nearest, to_input

# Validation images that each way is scored on, and about how long all of it may take.
SCORED_IMAGES = 12
SECONDS = 40.0

# What a network says, the scores (1, classes, h, w), of an image of RGB 0..255 that it is given in such a way.
Says = Callable[[Image, Pixels], Image]


def by_pixels(says: Says, dataset: Dataset, said: Pixels | None) -> tuple[tuple[tuple[str, float], ...], int]:
    """mIoU on a few validation images by each way of giving pixels, the said one first; and how many images."""
    ways = dict(PRESETS)
    if said is not None:
        ways = {"as said": said, **{name: pixels for name, pixels in ways.items() if pixels != said}}
    split, classes = dataset.validation, len(dataset.classes)
    chosen = np.unique(np.linspace(0, len(split) - 1, min(SCORED_IMAGES, len(split))).astype(int))
    began = time.monotonic()
    counts = {name: np.zeros((classes, classes), dtype=np.int64) for name in ways}
    done = 0
    for index in chosen:
        if done and time.monotonic() - began > SECONDS:
            break
        image, label = to_input(split.images[index]), split.label(index)
        for name, pixels in ways.items():
            counts[name] += count(label, nearest(classes_of(says(image, pixels)), label.shape), classes=classes)
        done += 1
    return tuple((name, _miou(found)) for name, found in counts.items()), done


def _miou(counts: NDArray[np.int64]) -> float:
    return Confusion(tuple(tuple(int(value) for value in row) for row in counts)).miou if counts.any() else 0.0
