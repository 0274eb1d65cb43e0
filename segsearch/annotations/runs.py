"""Run lengths: how many pixels in turn are not and are of a thing, checked before pycocotools sees them.

It believes what it is given: counts that do not add up to the image make a mask that is wrong. They are unrolled here:
its own `decode` warns under the numpy of today that it will fail under the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_masks

from segsearch.annotations.types import Ring
from segsearch.annotations.values import short
from segsearch.datasets.types import UInt8
from segsearch.errors import DataError

# Five bits a letter: more than these are beyond any count of an image's pixels.
_MOST_LETTERS = 7


def runs_of_counts(counts: Any, size: Any, height: int, width: int, where: str) -> bytes:
    """COCO's compressed counts from a file's list or string. Raises `DataError` where they do not fit."""
    if size != [height, width]:
        raise DataError(
            f"{where}: the size of its run lengths must be the image's height and width, [{height}, {width}], got "
            f"{short(size)}; correct it."
        )
    numbers = _uncompressed(counts.encode("ascii", "replace")) if isinstance(counts, str) else _counts(counts)
    if numbers is None or (numbers < 0).any() or int(numbers.sum()) != height * width:
        total = "" if numbers is None else f" with a sum of {int(numbers.sum())}"
        raise DataError(
            f"{where}: run lengths must be counts that add up to the image's {height * width} pixels, got "
            f"{short(counts)}{total}; export the file again."
        )
    if isinstance(counts, str):
        return counts.encode("ascii")
    runs: bytes = coco_masks.frPyObjects({"size": [height, width], "counts": numbers.tolist()}, height, width)["counts"]
    return runs


def _counts(counts: Any) -> NDArray[np.int64] | None:
    try:
        numbers = np.asarray(counts)
    except ValueError:
        return None
    whole = numbers.ndim == 1 and numbers.dtype.kind in "iu" and not any(isinstance(count, bool) for count in counts)
    return numbers.astype(np.int64).clip(-1, 1 << 40) if whole else None


def _uncompressed(text: bytes) -> NDArray[np.int64] | None:
    """Counts from letters of five bits and one that says that more follow; from the fourth on they are differences
    to the count two before. None where the letters are no such numbers."""
    letters = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    if not len(letters) or ((letters < 0) | (letters > 63)).any() or letters[-1] & 32:
        return None
    ends = np.flatnonzero(letters & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_LETTERS:
        return None
    place = np.arange(len(letters)) - np.repeat(starts, lengths)
    numbers: NDArray[np.int64] = np.add.reduceat((letters & 31) << (5 * place), starts)
    numbers -= np.where(letters[ends] & 16, 1 << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def bitmap_of_counts(counts: list[int], height: int, width: int, where: str) -> UInt8:
    """Zeros and ones row by row, the zeros first: (height, width). Raises `DataError` where they do not fit."""
    numbers = _counts(counts)
    if numbers is None or (numbers < 0).any() or int(numbers.sum()) != height * width:
        raise DataError(
            f"{where}: run lengths must be counts that add up to the {width}x{height} pixels of their box, got "
            f"{short(counts)}; export the file again."
        )
    return np.repeat(np.arange(len(numbers)) % 2, numbers).astype(np.uint8).reshape(height, width)


def runs_of_bitmap(bitmap: UInt8, left: int, top: int, height: int, width: int) -> tuple[bytes, bool]:
    """Compressed counts of an image on which a small bitmap lies, and whether some of it was cut off."""
    canvas = np.zeros((height, width), dtype=np.uint8, order="F")
    inner = bitmap[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
    y, x = max(0, top), max(0, left)
    canvas[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    runs: bytes = coco_masks.encode(canvas)["counts"]
    return runs, int(np.count_nonzero(bitmap)) != int(np.count_nonzero(inner))


def runs_of_rings(rings: list[Ring], height: int, width: int) -> bytes:
    """Compressed counts of polygons of three points or more each: pixels whose centres lie in any of them."""
    runs: bytes = coco_masks.merge(coco_masks.frPyObjects(rings, height, width))["counts"]
    return runs


def bitmap_of_runs(runs: bytes, height: int, width: int) -> tuple[NDArray[np.bool_], int, int]:
    """The smallest bitmap that holds all of a thing's pixels, and where its first row and column lie."""
    left, top, columns, rows = (int(n) for n in coco_masks.toBbox({"size": [height, width], "counts": runs}))
    counts = _uncompressed(runs)
    assert counts is not None
    whole = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T
    return whole[top : top + rows, left : left + columns], top, left
