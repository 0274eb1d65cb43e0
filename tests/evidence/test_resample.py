"""Intervals of mIoU over images: whose spread can be seen, what resamples share, and whether they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.evidence.images import NOT_KEPT, NoSpread, PerImage, Spread
from segsearch.evidence.resample import (
    NORMAL,
    RESAMPLES,
    gap,
    moves,
    spread_of,
    stretch,
    student,
    vector_of,
    weights,
)
from tests.evidence.scenes import ALL, FEW, draw_two

quick = settings(max_examples=40, deadline=None, derandomize=True)


def road(*images: tuple[int, int, int]) -> PerImage:
    """Images of one class: (hits, truth, predicted)."""
    return PerImage(("road",), tuple(((0, *counts),) for counts in images))


def seen(images: PerImage) -> Spread:
    found = spread_of(images)
    assert isinstance(found, Spread)
    return found


# ---- whose spread cannot be seen


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (None, "scored before counts were kept for each image"),
        (road((5, 10, 10)), "one validation image alone has pixels that count"),
        (PerImage(("road",), (((0, 5, 10, 10),), ())), "one validation image alone has pixels that count"),
        (PerImage(("road",), ((), ())), "every pixel of the split is void"),
        (
            PerImage(("road", "bus"), (((0, 5, 9, 9), (1, 1, 2, 2)), ((0, 5, 9, 9), (1, 0, 0, 3)))),
            "class 'bus' lies in one validation image only",
        ),
        (
            PerImage(("road", "bus", "sky"), tuple(((index, 1, 1, 1),) for index in range(3))),
            "class 'road' lies in one validation image only (and so do 2 more classes)",
        ),
    ],
)
def test_what_cannot_be_seen_has_no_interval_and_a_reason(images: PerImage | None, reason: str) -> None:
    assert spread_of(images) == NoSpread(reason)


def test_a_class_that_no_image_holds_is_scored_neither_in_the_whole_nor_in_any_resample() -> None:
    """Whoever takes a pixel for it misses that pixel's own class; it has no truth to be hit."""
    images = PerImage(("road", "bus"), (((0, 5, 10, 8), (1, 0, 0, 3)), ((0, 9, 10, 10),), ((0, 2, 10, 9),)))
    alone = PerImage(("road",), tuple(image[:1] for image in images.images))
    assert images.miou == alone.miou
    assert spread_of(images) == spread_of(alone)


def test_models_that_take_pixels_for_an_absent_class_are_compared_over_the_classes_of_the_others() -> None:
    """One stray pixel in 1000 must not make a sure gap of a sixth."""
    clean = PerImage(("road", "bus"), tuple(((0, hit, 1000, 1000),) for hit in (600, 700, 800)))
    stray = PerImage(
        ("road", "bus"), (((0, 599, 1000, 999), (1, 0, 0, 1)), *(((0, hit, 1000, 1000),) for hit in (700, 800)))
    )
    found = gap(clean.miou, seen(clean), stray.miou, seen(stray))
    assert found is not None
    assert found.value == pytest.approx(2100 / 3900 - 2099 / 3900)
    assert found.low < 0 < found.high


def test_what_every_image_gets_right_has_an_interval_of_no_width() -> None:
    found = seen(road(*[(10, 10, 10)] * 4))
    assert (found.low, found.high) == (1.0, 1.0)
    assert set(vector_of(found)) == {1.0}


# ---- resamples


def test_weights_are_of_a_fixed_seed_and_the_number_of_images_alone() -> None:
    """These numbers are in every database: a change of them would pair what is not paired."""
    found = weights(3)
    assert found.shape == (RESAMPLES, 3)
    assert found[0] == pytest.approx(GOLDEN_WEIGHTS)
    assert np.array_equal(found, weights(3))
    assert found.min() > 0
    assert found.mean(axis=1) == pytest.approx(1.0)


GOLDEN_WEIGHTS = (0.2351400635256635, 0.6793234085061041, 2.0855365279682325)


def test_moves_are_what_leaving_an_image_out_changes_so_weighted() -> None:
    images = road((6, 10, 10), (2, 10, 10), (10, 10, 10))
    union = [14, 18, 10]
    whole = 18 / 42
    without = [(18 - hits) / (42 - one) for hits, one in zip((6, 2, 10), union, strict=True)]
    expected = [
        sum((weight - 1) * (whole - left) for weight, left in zip(row, without, strict=True)) for row in weights(3)
    ]
    assert moves(images) == pytest.approx(expected)


def test_a_vector_is_stretched_so_that_its_standard_deviation_is_the_intervals() -> None:
    images = road((6, 10, 10), (2, 10, 10), (10, 10, 10))
    found = seen(images)
    vector = vector_of(found)
    assert vector == pytest.approx(images.miou + 4.303 / NORMAL * moves(images), abs=1e-6)
    half = NORMAL * float(vector.std(dtype=np.float64))
    assert found.low == pytest.approx(max(0.0, images.miou - half))
    assert found.high == pytest.approx(min(1.0, images.miou + half))
    assert len(found.resampled) == 4 * RESAMPLES


def test_students_t_is_that_of_the_tables() -> None:
    for freedom, value in ((1, 12.706), (5, 2.571), (10, 2.228), (11, 2.201), (30, 2.042), (100, 1.984)):
        assert student(freedom) == pytest.approx(value, abs=3e-3)
    assert stretch(2) == pytest.approx(12.706 / NORMAL)
    assert 1 < stretch(1000) < 1.002


@given(st.permutations(range(5)), st.integers(0, 1000))
@quick
def test_the_order_of_classes_does_not_matter(order: list[int], seed: int) -> None:
    images, _ = draw_two(np.random.default_rng(seed), 6, (1.0,) * 5)
    turned = PerImage(
        tuple(images.classes[index] for index in order),
        tuple(
            tuple(sorted((order.index(index), *counts) for index, *counts in image))  # type: ignore[misc]
            for image in images.images
        ),
    )
    assert moves(turned) == pytest.approx(moves(images), abs=1e-12)


# ---- the difference of two models


def test_a_difference_is_paired_and_narrower_than_the_intervals() -> None:
    one, other = draw_two(np.random.default_rng(3), 40, ALL)
    mine, its = seen(one), seen(other)
    found = gap(one.miou, mine, other.miou, its)
    assert found is not None
    assert found.value == one.miou - other.miou
    assert found.high - found.low < 0.6 * (mine.high - mine.low)
    back = gap(other.miou, its, one.miou, mine)
    assert back is not None
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_two_files_that_answer_alike_differ_by_nothing_at_all() -> None:
    one, _ = draw_two(np.random.default_rng(3), 12, ALL)
    found = gap(one.miou, seen(one), one.miou, seen(one))
    assert found is not None
    assert (found.low, found.value, found.high, found.sure) == (0.0, 0.0, 0.0, False)


def test_what_has_no_resamples_has_no_difference() -> None:
    one, _ = draw_two(np.random.default_rng(3), 12, ALL)
    assert gap(0.5, NOT_KEPT, one.miou, seen(one)) is None
    assert gap(one.miou, seen(one), 0.5, NOT_KEPT) is None


# ---- whether intervals hold the long-run value


@pytest.mark.slow
@pytest.mark.parametrize(("count", "presence"), [(5, ALL), (16, ALL), (50, FEW)])
def test_intervals_hold_the_long_run_value_in_about_95_of_100_splits(count: int, presence: tuple[float, ...]) -> None:
    """Of 400 splits of one population 380, give or take three standard deviations of such a count."""
    dice = np.random.default_rng(0)
    one, other = draw_two(dice, 8000, presence)
    long_run, difference = one.miou, one.miou - other.miou
    held = apart = drawn = 0
    while drawn < 400:
        mine, its = draw_two(dice, count, presence)
        found = spread_of(mine)
        if isinstance(found, NoSpread):
            continue
        drawn += 1
        held += found.low <= long_run <= found.high
        between = gap(mine.miou, found, its.miou, spread_of(its))
        assert between is not None
        apart += between.low <= difference <= between.high
    assert 367 <= held <= 393
    assert 367 <= apart <= 393
