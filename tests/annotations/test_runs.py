"""Run lengths: read as pycocotools reads them where they fit, refused where it would make a wrong mask of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from segsearch.annotations.runs import bitmap_of_counts, bitmap_of_runs, runs_of_bitmap, runs_of_counts
from segsearch.errors import DataError
from tests.annotated import golden, theirs

SIZE = [6, 8]


def test_counts_go_down_the_columns_and_begin_outside() -> None:
    mask = theirs(runs_of_counts([2, 3, 43], SIZE, 6, 8, "x"), 6, 8)
    np.testing.assert_array_equal(mask, golden("........ ........ 1....... 1....... 1....... ........"))
    assert theirs(runs_of_counts([0, 48], SIZE, 6, 8, "x"), 6, 8).all()


def test_letters_are_read_as_pycocotools_writes_them() -> None:
    generator = np.random.default_rng(5)
    for share in (0.02, 0.2, 0.5, 0.98):
        mask = np.asfortranarray(generator.random((120, 130)) < share, dtype=np.uint8)
        letters = coco_masks.encode(mask)["counts"]
        assert runs_of_counts(letters.decode(), [120, 130], 120, 130, "x") == letters


@pytest.mark.parametrize(
    "counts",
    [
        "zzz",  # the last letter says that more follow
        "05",  # 5 of 48
        "05[1P",
        "05é",
        "",
        "0" + "o" * 40 + "0",  # a number of more than 32 bits
        [0, 5, 42],
        [0, 5, 44],
        [50, -2],
        [5.5, 42.5],
        [True, 47],
        [[48]],
        ["48"],
        [],
        [2**70],
        None,
        48,
    ],
)
def test_counts_that_do_not_fit_are_refused(counts: Any) -> None:
    with pytest.raises(DataError, match=r"^x: run lengths must be counts that add up to the image's 48 pixels, got "):
        runs_of_counts(counts, SIZE, 6, 8, "x")


@pytest.mark.parametrize("size", [[8, 6], [6], None, "6x8", [6, 8, 1]])
def test_the_size_must_be_the_images(size: Any) -> None:
    with pytest.raises(DataError, match=r"height and width, \[6, 8\], got"):
        runs_of_counts([48], size, 6, 8, "x")


def test_a_bitmap_goes_along_the_rows() -> None:
    np.testing.assert_array_equal(bitmap_of_counts([1, 2, 3], 2, 3, "x"), [[0, 1, 1], [0, 0, 0]])
    with pytest.raises(DataError, match=r"add up to the 3x2 pixels of their box, got \[1, 2\]"):
        bitmap_of_counts([1, 2], 2, 3, "x")


@pytest.mark.parametrize(
    ("left", "top", "rows", "beyond"),
    [
        (5, 4, "........ ........ ........ ........ .....111 .....111", False),
        (6, 5, "........ ........ ........ ........ ........ ......11", True),
        (-1, -1, "11...... ........ ........ ........ ........ ........", True),
        (8, 0, "........ ........ ........ ........ ........ ........", True),
        (-3, 9, "........ ........ ........ ........ ........ ........", True),
    ],
)
def test_a_bitmap_lies_where_it_should_and_is_cut_off(left: int, top: int, rows: str, beyond: bool) -> None:
    runs, cut = runs_of_bitmap(np.ones((2, 3), dtype=np.uint8), left, top, 6, 8)
    np.testing.assert_array_equal(theirs(runs, 6, 8), golden(rows))
    assert cut is beyond


def test_the_smallest_bitmap_of_runs() -> None:
    runs, _ = runs_of_bitmap(np.array([[0, 1], [1, 0]], dtype=np.uint8), 3, 2, 6, 8)
    bitmap, top, left = bitmap_of_runs(runs, 6, 8)
    assert (top, left) == (2, 3)
    np.testing.assert_array_equal(bitmap, [[0, 1], [1, 0]])


def test_a_run_across_columns_keeps_its_first_and_last_pixels() -> None:
    runs = runs_of_counts([4, 4, 40], SIZE, 6, 8, "x")  # the foot of column 0 and the head of column 1
    bitmap, top, left = bitmap_of_runs(runs, 6, 8)
    canvas = np.zeros((6, 8), dtype=np.uint8)
    canvas[top : top + bitmap.shape[0], left : left + bitmap.shape[1]] = bitmap
    np.testing.assert_array_equal(canvas, theirs(runs, 6, 8))
