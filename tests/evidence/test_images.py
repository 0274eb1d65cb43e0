"""Counts of each image: they are the confusion's own pixels, and nothing else can be written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.evidence.images import PerImage
from segsearch.evidence.types import Confusion, Evidence
from segsearch.space.keys import from_json, to_json
from segsearch.trial.score import of_image
from tests import fakes

quick = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def counted(draw: Any) -> tuple[Confusion, PerImage]:
    """Confusions of a few images, most cells empty, pooled and image by image."""
    classes, images = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    cell = st.sampled_from([0, 0, 0, 1, 7, 12_345_678])
    flat = draw(st.lists(cell, min_size=images * classes**2, max_size=images * classes**2))
    matrices = np.array(flat, dtype=np.int64).reshape(images, classes, classes)
    pooled = Confusion(tuple(tuple(map(int, row)) for row in matrices.sum(axis=0)))
    return pooled, PerImage(tuple("abcde"[:classes]), tuple(map(of_image, matrices)))


@given(counted())
@quick
def test_the_pooled_miou_of_the_images_is_the_confusions_to_the_last_bit(found: tuple[Confusion, PerImage]) -> None:
    confusion, images = found
    assert images.pooled == confusion.sums
    if any(score is not None for score in confusion.class_iou):
        assert images.miou == confusion.miou
    else:
        for undefined in (images, confusion):
            with pytest.raises(ValueError, match="every pixel of the split is void"):
                _ = undefined.miou


@given(counted())
@quick
def test_counts_come_back_as_they_went(found: tuple[Confusion, PerImage]) -> None:
    assert from_json(PerImage, to_json(found[1])) == found[1]


def test_a_hand_worked_split() -> None:
    images = PerImage(("road", "bus"), (((0, 6, 8, 7), (1, 0, 2, 3)), ((0, 4, 4, 4),)))
    assert images.pooled == ((10, 12, 11), (0, 2, 3))
    assert images.miou == (10 / 13 + 0 / 5) / 2


def test_a_class_that_the_truth_lacks_is_in_no_mean() -> None:
    images = PerImage(("road", "bus"), (((0, 6, 8, 7), (1, 0, 0, 1)), ((0, 4, 4, 4),)))
    assert images.miou == 10 / 13


@pytest.mark.parametrize(
    "image",
    [
        ((2, 1, 1, 1),),  # no such class
        ((1, 1, 1, 1), (0, 1, 1, 1)),
        ((0, 1, 1, 1), (0, 1, 1, 1)),
        ((-1, 1, 1, 1),),
        ((0, 2, 1, 2),),  # more hits than truth
        ((0, 2, 2, 1),),
        ((0, -1, 1, 1),),
        ((0, 0, 0, 0),),  # left out, not written
    ],
)
def test_what_no_image_can_hold_cannot_be_written(image: Any) -> None:
    with pytest.raises(ValueError, match=r"PerImage\.images"):
        PerImage(("road", "bus"), (image,))


def test_evidence_holds_the_images_of_its_own_confusion_only() -> None:
    plain = fakes.evidence(miou=0.5)
    mine = PerImage(("a", "b"), (((0, 300, 400, 400),), ((0, 200, 350, 350), (1, 500, 750, 750))))
    whole = replace(plain, images=mine)
    assert from_json(Evidence, to_json(whole)) == whole
    assert "images" not in to_json(plain)
    other = PerImage(("a", "b"), (((0, 1, 1, 1),),))
    for wrong in ({"images": other}, {"images": mine, "confusion": None}):
        with pytest.raises(ValueError, match="image by image"):
            replace(plain, **wrong)
