"""What every annotation format becomes: classes, and a stream of images with the shapes drawn on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segsearch.pairing.types import SplitName

# Corners of a polygon in turn, x, y, x, y, ... in pixels: the first pixel reaches from 0 to 1.
Ring = NDArray[np.float64]
# Which shape a pixel belongs to that lies in several: the one drawn later, or the one of fewer pixels.
Overlaps = Literal["later", "smaller"]

BACKGROUND, VOID = 0, 255
LEAST_NUMBERS = 6  # three points


@dataclass(frozen=True)
class Shape:
    """One thing drawn on an image, as the mask's `value`: polygons, all of whose pixels belong to it, or run lengths.

    `runs` are COCO's compressed counts over the whole image. `beneath` is a region that is nobody's in particular (a
    crowd): it lies below every other shape and disputes nothing. `beyond`: some of it was cut off already.
    """

    value: int
    rings: tuple[Ring, ...] = ()
    runs: bytes | None = None
    beneath: bool = False
    beyond: bool = False

    @property
    def polygons(self) -> tuple[Ring, ...]:
        """The rings of three points or more."""
        return tuple(ring for ring in self.rings if ring.size >= LEAST_NUMBERS)

    @property
    def has_outline(self) -> bool:
        return self.runs is not None or bool(self.polygons)


@dataclass(frozen=True)
class Drawn:
    """An image and its shapes, the lowest first.

    `name` is its path without the suffix, slashes between folders, `file` what the annotations call it; `skipped`
    counts by kind what has no area (points, lines) or no outline (boxes). `split` is whose its file is, where several
    are drawn together.
    """

    name: str
    file: str
    height: int
    width: int
    shapes: tuple[Shape, ...]
    skipped: Counter[str] = field(default_factory=Counter)
    split: SplitName | None = None


@dataclass(frozen=True)
class Legend:
    """`classes` by mask value, background first; `values` is the mask value of each name in the annotations."""

    classes: tuple[str, ...]
    values: Mapping[str, int]


@dataclass(frozen=True)
class Annotated:
    """Annotations that were opened: `images` are read while they are walked through, `count` of them.

    `overlaps` is what the format means, `notes` what a person should be told, `read` the files that were read, `places`
    the folders in which the images may lie.
    """

    legend: Legend
    images: Iterable[Drawn]
    count: int
    overlaps: Overlaps
    read: tuple[Path, ...]
    places: tuple[Path, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A file or folder that may hold annotations; `root` is the folder. JSON files are parsed, others are only named.

    `strange` are JSON files that hold annotations of no known kind.
    """

    path: Path
    root: Path
    jsons: Mapping[Path, Any]
    xmls: tuple[Path, ...]
    texts: tuple[Path, ...]
    strange: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What the user says beside the path: where the images lie, and which classes are void."""

    images: Path | None = None
    void: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """One way to write annotations: what it is called, which source is of it, how it is read."""

    title: str
    fits: Callable[[Source], bool]
    read: Callable[[Source, Asked], Annotated]
