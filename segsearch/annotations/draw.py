"""Shapes to a mask. A pixel is of a polygon where its centre lies in it, as pycocotools has it, in every format.

Drawing programs colour every pixel that an edge touches: a disc of 20 pixels' radius then has 5 % more of them, and
neighbours that share an edge overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_masks

from segsearch.annotations.runs import bitmap_of_runs, runs_of_rings
from segsearch.annotations.types import BACKGROUND, LEAST_NUMBERS, Drawn, Overlaps, Ring, Shape
from segsearch.datasets.types import UInt8

_UNCLAIMED = -1


@dataclass(frozen=True)
class Painted:
    """A mask, (height, width), and what was met on the way.

    `disputed` pixels lie in shapes of two values; `beyond` shapes reach out of the image by more than half a pixel,
    `few` polygons have fewer than three points, `unseen` shapes hold no pixel's centre.
    """

    mask: UInt8
    disputed: int
    beyond: int
    few: int
    unseen: int


def paint(drawn: Drawn, overlaps: Overlaps) -> Painted:
    """The mask of an image: later shapes over earlier ones, or smaller over larger, and crowds below all others."""
    height, width = drawn.height, drawn.width
    few = sum(len(shape.rings) - len(shape.polygons) for shape in drawn.shapes)
    outlined = [shape for shape in drawn.shapes if shape.has_outline]
    things = [(shape, *_runs_and_area(shape, height, width)) for shape in outlined]
    if overlaps == "smaller":
        things.sort(key=lambda thing: -thing[2])
    things.sort(key=lambda thing: thing[0].beneath)  # crowds come last: they take what is left
    canvas = np.full((height, width), _UNCLAIMED, dtype=np.int16, order="F")
    disputed = np.zeros((height, width), dtype=np.bool_, order="F")
    for shape, runs, area in things:
        if area == 0:
            continue
        bitmap, top, left = bitmap_of_runs(runs, height, width)
        box = slice(top, top + bitmap.shape[0]), slice(left, left + bitmap.shape[1])
        below = canvas[box]
        here = bitmap & (below == _UNCLAIMED) if shape.beneath else bitmap
        if not shape.beneath:
            disputed[box] |= here & (below != shape.value) & (below != _UNCLAIMED)
        below[here] = shape.value
    canvas[canvas == _UNCLAIMED] = BACKGROUND
    return Painted(
        mask=np.ascontiguousarray(canvas, dtype=np.uint8),
        disputed=int(np.count_nonzero(disputed)),
        beyond=sum(
            shape.beyond or any(_reaches_out(ring, height, width) for ring in shape.polygons) for shape in outlined
        ),
        few=few,
        unseen=sum(area == 0 for *_, area in things),
    )


def _runs_and_area(shape: Shape, height: int, width: int) -> tuple[bytes, int]:
    """Compressed counts of a shape on its image, and its pixels."""
    runs = shape.runs
    if runs is None:
        rings = [_near(ring, height, width) for ring in shape.polygons]
        rings = [ring for ring in rings if ring.size >= LEAST_NUMBERS]
        if not rings:
            return b"", 0
        runs = runs_of_rings(rings, height, width)
    return runs, int(coco_masks.area({"size": [height, width], "counts": runs}))


def _reaches_out(ring: Ring, height: int, width: int) -> bool:
    x, y = ring[0::2], ring[1::2]
    return bool(min(x.min(), y.min()) < -0.5 or x.max() > width + 0.5 or y.max() > height + 0.5)


def _near(ring: Ring, height: int, width: int) -> Ring:
    """The polygon within three images' width and height: pycocotools walks along every pixel of an edge.

    What is cut off lies outside of the image, and so does the new edge.
    """
    for axis, length in ((0, width), (1, height)):
        if ring.size and ring[axis::2].min() < -length:
            ring = _cut(ring, axis, -float(length), 1.0)
        if ring.size and ring[axis::2].max() > 2 * length:
            ring = _cut(ring, axis, 2.0 * length, -1.0)
    return ring


def _cut(ring: Ring, axis: int, at: float, keep: float) -> Ring:
    """The part of a polygon where x (axis 0) or y (axis 1) is above `at` (keep 1) or below it (keep -1)."""
    points = ring.reshape(-1, 2)
    kept = list[Ring]()
    for here, there in zip(points, np.roll(points, -1, axis=0), strict=True):
        inside, next_inside = (keep * (point[axis] - at) >= 0 for point in (here, there))
        if inside:
            kept.append(here)
        if inside != next_inside:
            share = (at - here[axis]) / (there[axis] - here[axis])
            crossing = here + share * (there - here)
            crossing[axis] = at
            kept.append(crossing)
    return np.concatenate(kept) if kept else np.empty(0)
