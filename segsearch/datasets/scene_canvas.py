"""What a scene is painted on: pixels and classes, noise, and colours that no class has to itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsearch.datasets.types import UInt8

CLASSES = ("sky", "building", "road", "sidewalk", "vegetation", "car", "pole", "person")
SKY, BUILDING, ROAD, SIDEWALK, VEGETATION, CAR, POLE, PERSON = range(len(CLASSES))
VOID = 255
CAMERA_HEIGHT_M = 1.6

# Only arithmetic that IEEE 754 rounds one way is done on arrays (no sin, exp, pow, BLAS or float sums), and noise
# comes from integers: the same seed gives the same bytes on every processor.
Floats = NDArray[np.floating[Any]]
Region = NDArray[np.bool_]
Box = tuple[slice, slice]


@dataclass(frozen=True)
class Street:
    """Where things are: `horizon` and `vanishing` in pixels, `focal` in pixels a metre at 1 m, lengths in metres.

    Lateral positions are from the camera to the right; the road spans `left` to `right`, the sidewalks lie beside it.
    """

    horizon: float
    vanishing: float
    focal: float
    left: float
    right: float
    walk: float

    def edge(self, side: int) -> float:
        """Lateral position of the kerb, left (-1) or right (1)."""
        return self.left if side < 0 else self.right


@dataclass(frozen=True)
class Canvas:
    """`image` (height, width, 3) in 0..1 and `mask` (height, width), painted over; `rows` (height, 1) and `columns`
    (1, width) are pixel centres; `grain`, `blotches`, `clouds` (height, width) are noise in -1..1, fine to coarse."""

    random: np.random.Generator
    image: Floats
    mask: UInt8
    rows: Floats
    columns: Floats
    grain: Floats
    blotches: Floats
    clouds: Floats

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * float(self.random.random())

    def chance(self, probability: float) -> bool:
        return float(self.random.random()) < probability

    def paint(self, region: Region, colour: Floats, kind: int, *, box: Box = (slice(None), slice(None))) -> None:
        """Paint a region (h, w) of a box with one colour (3,) or one a pixel (h, w, 3)."""
        np.copyto(self.image[box], colour, where=region[..., None])
        np.copyto(self.mask[box], np.uint8(kind), where=region)

    def box(self, top: float, bottom: float, left: float, right: float) -> Box:
        """The whole pixels that a rectangle touches; empty where it lies outside."""
        height, width = self.mask.shape
        rows = slice(min(max(0, int(top)), height), min(max(0, int(bottom) + 1), height))
        return rows, slice(min(max(0, int(left)), width), min(max(0, int(right) + 1), width))


def blank_canvas(seed: tuple[int, ...], *, height: int, width: int) -> Canvas:
    random = np.random.default_rng(seed)
    return Canvas(
        random=random,
        image=np.zeros((height, width, 3), dtype=np.float32),
        mask=np.full((height, width), VOID, dtype=np.uint8),
        rows=(np.arange(height, dtype=np.float32) + np.float32(0.5))[:, None],
        columns=(np.arange(width, dtype=np.float32) + np.float32(0.5))[None, :],
        grain=noise(random, height, width, cell=1),
        blotches=noise(random, height, width, cell=max(2, height // 40)),
        clouds=noise(random, height, width, cell=max(4, height // 8)),
    )


def noise(random: np.random.Generator, height: int, width: int, *, cell: int) -> Floats:
    """Smooth noise in -1..1 with cells of that many pixels: (height, width)."""
    small = random.integers(0, 256, (height // cell + 2, width // cell + 2), dtype=np.uint8)
    sheet = Image.fromarray(small)
    if cell > 1:
        sheet = sheet.resize((small.shape[1] * cell, small.shape[0] * cell), Image.Resampling.BICUBIC)
    pixels = np.asarray(sheet)[:height, :width]
    return (pixels.astype(np.float32) - np.float32(127.5)) * np.float32(1 / 127.5)


def rgb(red: float, green: float, blue: float) -> Floats:
    return np.array([red, green, blue], dtype=np.float32)


def any_colour(canvas: Canvas) -> Floats:
    """Whatever cars are sprayed and clothes are dyed: grey as often as coloured."""
    if canvas.chance(0.5):
        return stone(canvas)
    return rgb(canvas.between(0.05, 0.95), canvas.between(0.05, 0.9), canvas.between(0.05, 0.9))


def stone(canvas: Canvas) -> Floats:
    """Asphalt, concrete, brick and plaster: one range for roads, sidewalks and walls alike."""
    grey, warm, green = canvas.between(0.2, 0.8), canvas.between(-0.08, 0.14), canvas.between(-0.04, 0.05)
    return rgb(grey + warm, grey + green, grey - warm)


def foliage(canvas: Canvas) -> Floats:
    """Green, olive, autumn or nearly black."""
    light, turned = canvas.between(0.2, 0.6), canvas.between(0.0, 1.0) * canvas.between(0.0, 1.0)
    return rgb(light * (0.55 + 0.6 * turned), light * (1.0 - 0.15 * turned), light * canvas.between(0.35, 0.9))


def heavens(canvas: Canvas) -> Floats:
    """Blue, overcast, dusk or a dull day."""
    moods = ((0.45, 0.65, 0.92), (0.78, 0.78, 0.8), (0.85, 0.72, 0.62), (0.55, 0.6, 0.66))
    red, green, blue = moods[int(canvas.random.random() * len(moods))]
    lift = canvas.between(-0.08, 0.1)
    return rgb(red + lift, green + lift, blue + lift)
