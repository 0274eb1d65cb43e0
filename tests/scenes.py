"""A data set of sixteen tiny pictures, made in memory: two halves and a square, with void borders."""

from __future__ import annotations

import functools

import numpy as np

from segsearch.datasets import Dataset, Split

HEIGHT, WIDTH = 64, 96


def tiny_split(count: int, *, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, HEIGHT, WIDTH), dtype=np.uint8)
    for mask in masks:
        mask[rng.integers(24, 40) :] = 1
        top, left = rng.integers(8, 40), rng.integers(8, 70)
        mask[top : top + 16, left : left + 18] = 2
        mask[:, :2] = 255
    colours = np.array([[90, 120, 200], [90, 90, 90], [180, 60, 60]], dtype=np.float64)
    pixels = colours[np.minimum(masks, 2)] + rng.normal(0, 12, (count, HEIGHT, WIDTH, 3))
    return Split(
        names=tuple(f"scene{index}" for index in range(count)),
        images=pixels.clip(0, 255).astype(np.uint8),
        masks=masks,
        labels_flat=masks.reshape(-1),
        label_starts=np.arange(count, dtype=np.int64) * HEIGHT * WIDTH,
        label_shapes=np.tile(np.array([HEIGHT, WIDTH], dtype=np.int64), (count, 1)),
    )


@functools.cache
def tiny_dataset() -> Dataset:
    return Dataset("tiny", ("sky", "road", "box"), 255, tiny_split(12, seed=0), tiny_split(4, seed=1))
