"""Shapes to masks: what a pixel belongs to, whose it is, and what is counted."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from segsearch.annotations.draw import paint
from segsearch.annotations.outlines import circle, ellipse, rectangle, turned
from segsearch.annotations.runs import runs_of_bitmap
from segsearch.annotations.types import VOID, Drawn, Ring, Shape
from tests.annotated import golden, theirs


def image(*shapes: Shape, height: int = 6, width: int = 8) -> Drawn:
    return Drawn("a", "a.png", height, width, shapes, Counter())


def ring(*numbers: float) -> Ring:
    return np.array(numbers, dtype=np.float64)


def test_a_pixel_is_of_a_polygon_where_its_centre_lies_in_it() -> None:
    """Not where an edge touches it: columns 1 to 3 have their centres between 1.4 and 4.4."""
    found = paint(image(Shape(1, (rectangle(1.4, 1, 4.4, 3),))), "later")
    np.testing.assert_array_equal(found.mask, golden("........ .111.... .111.... ........ ........ ........"))
    assert found.mask.dtype == np.uint8


def test_neighbours_that_share_an_edge_dispute_nothing() -> None:
    left = ring(0, 0, 5.3, 0, 2.1, 6, 0, 6)
    right = ring(5.3, 0, 8, 0, 8, 6, 2.1, 6)
    found = paint(image(Shape(1, (left,)), Shape(2, (right,))), "later")
    assert found.disputed == 0
    assert (found.mask > 0).all()


def test_polygons_are_drawn_as_pycocotools_does() -> None:
    generator = np.random.default_rng(3)
    for _ in range(30):
        rings = tuple(generator.uniform(-10, 60, 2 * generator.integers(3, 9)) for _ in range(2))
        runs = coco_masks.merge(coco_masks.frPyObjects([list(one) for one in rings], 41, 52))["counts"]
        np.testing.assert_array_equal(
            paint(image(Shape(1, rings), height=41, width=52), "later").mask, theirs(runs, 41, 52)
        )


def test_parts_of_a_shape_are_all_its_own() -> None:
    """Also where they overlap: several polygons are a union, and no hole."""
    found = paint(image(Shape(1, (rectangle(0, 0, 4, 4), rectangle(2, 2, 6, 6)))), "later")
    assert np.count_nonzero(found.mask) == 16 + 16 - 4
    assert found.disputed == 0


def test_later_shapes_lie_over_earlier_ones() -> None:
    whole, part = Shape(1, (rectangle(0, 0, 8, 6),)), Shape(2, (rectangle(1, 1, 3, 2),))
    assert (paint(image(part, whole), "later").mask == 1).all()
    assert np.count_nonzero(paint(image(whole, part), "later").mask == 2) == 2


def test_smaller_shapes_lie_over_larger_ones_by_their_pixels() -> None:
    """Whatever their order; what a file says of areas is not asked."""
    whole, part = Shape(1, (rectangle(0, 0, 8, 6),)), Shape(2, (rectangle(1, 1, 3, 2),))
    for shapes in ((part, whole), (whole, part)):
        found = paint(image(*shapes), "smaller")
        assert np.count_nonzero(found.mask == 2) == 2
        assert found.disputed == 2


def test_a_class_disputes_nothing_with_itself() -> None:
    found = paint(image(Shape(1, (rectangle(0, 0, 4, 4),)), Shape(1, (rectangle(2, 2, 6, 6),))), "later")
    assert found.disputed == 0


def test_background_that_is_drawn_is_disputed_like_a_class() -> None:
    found = paint(image(Shape(1, (rectangle(0, 0, 4, 4),)), Shape(0, (rectangle(2, 2, 6, 6),))), "later")
    assert found.disputed == 4
    assert np.count_nonzero(found.mask) == 12


@pytest.mark.parametrize("overlaps", ["later", "smaller"])
def test_a_crowd_takes_what_nobody_else_has(overlaps: str) -> None:
    crowd = Shape(VOID, (rectangle(0, 0, 4, 2),), beneath=True)
    thing = Shape(1, (rectangle(0, 0, 8, 1),))
    for shapes in ((crowd, thing), (thing, crowd)):
        found = paint(image(*shapes), overlaps)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.mask, golden("11111111 vvvv.... ........ ........ ........ ........"))
        assert found.disputed == 0


def test_void_that_is_drawn_is_a_shape_like_others() -> None:
    found = paint(image(Shape(1, (rectangle(0, 0, 4, 1),)), Shape(VOID, (rectangle(2, 0, 8, 1),))), "later")
    assert found.mask[0].tolist() == [1, 1, 255, 255, 255, 255, 255, 255]
    assert found.disputed == 2


def test_a_rim_within_half_a_pixel_is_not_beyond() -> None:
    assert paint(image(Shape(1, (rectangle(-0.4, 0, 8.4, 6),))), "later").beyond == 0
    assert paint(image(Shape(1, (rectangle(-0.6, 0, 8, 6),))), "later").beyond == 1


def test_corners_far_outside_cost_nothing_and_change_nothing() -> None:
    """pycocotools walks along every pixel of an edge: of a million million it would never return."""
    far = paint(image(Shape(1, (ring(4, 3, 9e11, 3, 4, 9e11),))), "later")
    near = paint(image(Shape(1, (ring(4, 3, 20, 3, 20, 20, 4, 20),))), "later")
    np.testing.assert_array_equal(far.mask, near.mask)
    assert (far.beyond, np.count_nonzero(far.mask)) == (1, 12)
    around = paint(image(Shape(1, (rectangle(-1e9, -1e9, 1e9, 1e9),))), "later")
    assert (around.mask == 1).all()


def test_a_slanted_far_edge_cuts_where_it_did() -> None:
    """From (-1e6, -1e6) to (1e6, 1e6): the half above the diagonal."""
    half = paint(image(Shape(1, (ring(-1e6, -1e6, 1e6, 1e6, 1e6, -1e6),)), height=6, width=6), "later").mask
    rows, columns = np.indices((6, 6))
    assert (half[columns > rows] == 1).all()
    assert (half[columns < rows] == 0).all()


def test_a_shape_far_outside_holds_no_pixel() -> None:
    found = paint(image(Shape(1, (rectangle(1e6, 1e6, 2e6, 2e6),)), Shape(2, (rectangle(9, 0, 12, 6),))), "later")
    assert (found.unseen, found.beyond) == (2, 2)
    assert not found.mask.any()


def test_run_lengths_and_polygons_lie_on_one_mask() -> None:
    runs, _ = runs_of_bitmap(np.ones((2, 3), dtype=np.uint8), 5, 4, 6, 8)
    found = paint(image(Shape(1, (rectangle(0, 0, 8, 5),)), Shape(2, runs=runs)), "later")
    np.testing.assert_array_equal(found.mask[3:], golden("11111111 11111222 .....222"))
    assert found.disputed == 3


def test_circles_and_ellipses_have_the_area_they_should() -> None:
    for outline, area in ((circle(50, 50, 90, 50), math.pi * 40**2), (ellipse(50, 50, 45, 20), math.pi * 45 * 20)):
        found = paint(image(Shape(1, (outline,)), height=100, width=100), "later")
        assert np.count_nonzero(found.mask) == pytest.approx(area, rel=0.005)


def test_a_rectangle_is_turned_clockwise_about_its_centre() -> None:
    """A flat one of 6x2 by 90 degrees stands; by 45 its upper left corner goes up."""
    np.testing.assert_allclose(turned(rectangle(1, 2, 7, 4), 90, 4, 3), [5, 0, 5, 6, 3, 6, 3, 0], atol=1e-12)
    root = math.sqrt(2)
    np.testing.assert_allclose(
        turned(rectangle(-1, -1, 1, 1), 45, 0, 0), [0, -root, root, 0, 0, root, -root, 0], atol=1e-12
    )
