"""Folders as people have them, made small: pictures of rectangles, and masks that hold where those are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segsearch.datasets.types import UInt8

COLOURS = np.array(
    [[90, 90, 90], [200, 40, 40], [40, 180, 60], [40, 60, 220], [220, 200, 40], [180, 60, 200]], np.uint8
)


def scene(seed: int, *, height: int = 48, width: int = 64, classes: int = 3) -> tuple[UInt8, UInt8]:
    """A grey ground (0) with one rectangle of each other class: an image (height, width, 3) and its labels."""
    random = np.random.default_rng(seed)
    label = np.zeros((height, width), np.uint8)
    for value in range(1, classes):
        tall, wide = int(random.integers(height // 4, height // 2)), int(random.integers(width // 4, width // 2))
        top, left = int(random.integers(0, height - tall)), int(random.integers(0, width - wide))
        label[top : top + tall, left : left + wide] = value
    noise = random.integers(-25, 26, (height, width, 1))
    image: UInt8 = (COLOURS[label % len(COLOURS)].astype(int) + noise).clip(0, 255).astype(np.uint8)
    return image, label


def save(path: Path, pixels: object, **options: object) -> None:
    """Write a picture, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **options)  # type: ignore[arg-type]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def palette_mask(path: Path, label: UInt8, colours: object) -> None:
    """A mask of indices whose palette begins with the colours (count, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(label).convert("P")
    mask.putpalette([int(value) for colour in np.asarray(colours) for value in colour])
    mask.save(path)
