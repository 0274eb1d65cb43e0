"""Pictures of masks, as PNG files in memory: layers that a browser lays over one another, and the classes' colours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsearch.masks.gallery import Gallery, UInt8

# No class has a colour like it, and it stands out for every kind of colour vision.
ERROR_COLOUR = "#FF1FD1"
# Right pixels are dimmed so far, wrong ones stand out.
_DIM = (16, 18, 20, 150)
# The longest side of a picture that is sent to a browser.
LONGEST = 960

# Told apart by hue and by lightness, so that they differ for colour-blind eyes too: Okabe and Ito's, then Tol's.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#F0E442", "#8C4A86", "#882255", "#DDCC77", "#332288",
    "#117733", "#88CCEE", "#661100", "#999933", "#AA4499", "#44AA99", "#6699CC", "#CC6677", "#C2C2C2", "#555555",
)  # fmt: skip
# What a person expects a thing to look like; the rest of the colours go by the order of the classes.
_EXPECTED = {
    "sky": "#88CCEE",
    "road": "#6E5C82",
    "tree": "#117733",
    "vegetation": "#117733",
    "building": "#B08A58",
    "car": "#0072B2",
    "person": "#D55E00",
    "pedestrian": "#D55E00",
    "sidewalk": "#DDCC77",
    "pavement": "#DDCC77",
    "background": "#555555",
}


@dataclass(frozen=True)
class ClassColour:
    """One entry of the legend. `share` is the class' part of the labelled pixels that it was made for."""

    name: str
    colour: str
    share: float = 0.0


def class_colours(names: Sequence[str]) -> tuple[str, ...]:
    """A colour of its own for every class, the same for the same names: `#rrggbb`."""
    return _colours(tuple(names))


@cache
def _colours(names: tuple[str, ...]) -> tuple[str, ...]:
    taken: dict[int, str] = {}
    for index, name in enumerate(names):
        wanted = _EXPECTED.get(name.lower().strip())
        if wanted is not None and wanted not in taken.values():
            taken[index] = wanted
    chosen = list(taken.values())
    for index in range(len(names)):
        if index not in taken:
            taken[index] = _farthest(chosen)
            chosen.append(taken[index])
    return tuple(taken[index] for index in range(len(names)))


def _farthest(chosen: Sequence[str]) -> str:
    """The colour of the list that is least like all that are chosen; when the list is empty, the next of the others."""
    free = [colour for colour in _COLOURS if colour not in chosen]
    if not free:
        return next(colour for colour in _more() if colour not in chosen)
    return max(free, key=lambda colour: min((_apart(colour, other) for other in chosen), default=0.0))


def _apart(one: str, other: str) -> float:
    """How different two colours look, roughly: lightness weighs most, since every eye sees it."""
    (r, g, b), (s, h, c) = _rgb(one), _rgb(other)
    light = 0.299 * (r - s) + 0.587 * (g - h) + 0.114 * (b - c)
    red, blue = (r - g) - (s - h), (b - (r + g) / 2) - (c - (s + h) / 2)
    return 2 * light**2 + 0.5 * red**2 + blue**2


@cache
def _more() -> tuple[str, ...]:
    """Colours beyond the list: hues by the golden angle, in turn light, dark and middling."""
    found = []
    for index in range(300):
        hue = index * 0.618033988749895 % 1
        value, saturation = ((0.92, 0.45), (0.45, 0.8), (0.7, 0.62))[index % 3]
        red, green, blue = (round(255 * part) for part in hsv_to_rgb(hue, saturation, value))
        found.append(f"#{red:02X}{green:02X}{blue:02X}")
    return tuple(dict.fromkeys(found))


def legend_of(gallery: Gallery, index: int | None = None) -> tuple[ClassColour, ...]:
    """The classes with their colours; of one image only those that its truth holds, the largest first."""
    colours = class_colours(gallery.classes)
    if index is None:
        return tuple(ClassColour(name, colour) for name, colour in zip(gallery.classes, colours, strict=True))
    label = gallery.split.label(index)
    counts = np.bincount(label[label < len(colours)].ravel(), minlength=len(colours))
    total = int(counts.sum()) or 1
    found = [
        ClassColour(name, colour, int(pixels) / total)
        for name, colour, pixels in zip(gallery.classes, colours, counts, strict=True)
        if pixels
    ]
    return tuple(sorted(found, key=lambda one: -one.share))


def picture_png(gallery: Gallery, index: int, *, longest: int = LONGEST) -> bytes:
    """The image itself, in the shape of its label, at most `longest` pixels a side."""
    return _saved(_picture(gallery, index, longest))


def classes_png(gallery: Gallery, classes: UInt8, *, longest: int = LONGEST) -> bytes:
    """A mask in the classes' colours, transparent where it is void: to lay over the picture at any opacity."""
    return _saved(_coloured(gallery, classes, longest))


def errors_png(gallery: Gallery, index: int, prediction: UInt8, *, longest: int = LONGEST) -> bytes:
    """Where a prediction is wrong in one striking colour; what is right is dimmed, what is void left as it is."""
    label = gallery.split.label(index)
    kinds = np.where(label >= len(gallery.classes), 2, label != prediction).astype(np.uint8)
    return _saved(_indexed(kinds, [_DIM, (*_rgb(ERROR_COLOUR), 255), (0, 0, 0, 0)], longest))


def blended_png(gallery: Gallery, index: int, classes: UInt8, *, opacity: float = 0.6, longest: int = LONGEST) -> bytes:
    """Picture and mask in one, where no browser lays them over one another."""
    picture = _picture(gallery, index, longest).convert("RGBA")
    over = _coloured(gallery, classes, longest).convert("RGBA")
    over.putalpha(over.getchannel("A").point([round(alpha * opacity) for alpha in range(256)]))
    return _saved(Image.alpha_composite(picture, over).convert("RGB"))


def _picture(gallery: Gallery, index: int, longest: int) -> Image.Image:
    height, width = (int(side) for side in gallery.split.label_shapes[index])
    image = Image.fromarray(np.ascontiguousarray(gallery.split.images[index]))
    return image.resize(_fitted(width, height, longest), Image.Resampling.BILINEAR)


def _coloured(gallery: Gallery, classes: UInt8, longest: int) -> Image.Image:
    table = [(*_rgb(colour), 255) for colour in class_colours(gallery.classes)]
    return _indexed(np.minimum(classes, len(table)).astype(np.uint8), [*table, (0, 0, 0, 0)], longest)


def _indexed(places: NDArray[np.uint8], table: Sequence[tuple[int, int, int, int]], longest: int) -> Image.Image:
    """A picture of few colours: a byte a pixel and a table, which compresses well."""
    image = Image.fromarray(places).convert("P")
    image.putpalette([part for colour in table for part in colour[:3]])
    image.info["transparency"] = bytes(colour[3] for colour in table)
    return image.resize(_fitted(image.width, image.height, longest), Image.Resampling.NEAREST)


def _fitted(width: int, height: int, longest: int) -> tuple[int, int]:
    shrink = min(1.0, longest / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _saved(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=4)
    return stream.getvalue()
