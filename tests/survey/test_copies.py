"""Two folders of masks that hold the same are no question; two that differ in one pixel are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsearch.errors import DataError
from tests.survey.test_chosen import chosen, masks
from tests.survey.trees import COLOURS, palette_mask, save, scene, write


def labelme(root: Path, *folders: str, count: int = 6) -> None:
    """What labelme2voc leaves: masks of indices with a palette in each of the folders, and drawings of them."""
    for seed in range(count):
        image, label = scene(seed)
        save(root / f"JPEGImages/{seed:03d}.jpg", image)
        for folder in folders:
            palette_mask(root / folder / f"{seed:03d}.png", label, COLOURS)
        save(root / f"SegmentationClassVisualization/{seed:03d}.jpg", COLOURS[label])


@pytest.mark.parametrize("other", ["SegmentationClassPNG", "SegmentationClassAug", "masks"])
def test_masks_that_are_there_twice_are_read_once(tmp_path: Path, other: str) -> None:
    labelme(tmp_path, "SegmentationClass", other)
    for seed in range(6):
        write(tmp_path / f"SegmentationClassNpy/{seed:03d}.npy", "numbers")
    found = chosen(tmp_path)
    assert masks(found) == [f"SegmentationClass/{seed:03d}.png" for seed in range(6)]
    if other != "SegmentationClassAug":  # which gives way by its name alone
        same = (
            f"Masks of {other} are the same as those of SegmentationClass, pixel for pixel; SegmentationClass are read."
        )
        assert found.notes == (same,)


def test_drawings_of_masks_are_no_masks(tmp_path: Path) -> None:
    labelme(tmp_path, "SegmentationClassPNG")
    assert masks(chosen(tmp_path)) == [f"SegmentationClassPNG/{seed:03d}.png" for seed in range(6)]


def test_one_pixel_makes_a_question(tmp_path: Path) -> None:
    labelme(tmp_path, "SegmentationClass", "SegmentationClassPNG")
    _, label = scene(5)
    label[0, 0] = 2
    palette_mask(tmp_path / "SegmentationClassPNG/005.png", label, COLOURS)
    with pytest.raises(DataError, match=r"--masks SegmentationClass +such.*\n.*--masks SegmentationClassPNG +such"):
        chosen(tmp_path)


def test_one_palette_that_differs_makes_a_question(tmp_path: Path) -> None:
    labelme(tmp_path, "SegmentationClass", "SegmentationClassPNG")
    palette_mask(tmp_path / "SegmentationClassPNG/005.png", scene(5)[1], COLOURS[::-1])
    with pytest.raises(DataError, match="2 kinds of masks"):
        chosen(tmp_path)


def test_a_mask_that_cannot_be_read_is_no_copy(tmp_path: Path) -> None:
    labelme(tmp_path, "SegmentationClass", "SegmentationClassPNG")
    write(tmp_path / "SegmentationClassPNG/005.png", "broken")
    with pytest.raises(DataError, match="2 kinds of masks"):
        chosen(tmp_path)


def test_of_copies_the_one_with_most_masks_is_read(tmp_path: Path) -> None:
    labelme(tmp_path, "SegmentationClass", "SegmentationClassPNG")
    (tmp_path / "SegmentationClass/003.png").unlink()
    assert masks(chosen(tmp_path)) == [f"SegmentationClassPNG/{seed:03d}.png" for seed in range(6)]
    (tmp_path / "SegmentationClassPNG/004.png").unlink()
    with pytest.raises(DataError, match="2 kinds of masks"):
        chosen(tmp_path)


def test_of_copies_the_one_with_a_palette_is_read(tmp_path: Path) -> None:
    labelme(tmp_path, "masks_b")
    for seed in range(6):
        save(tmp_path / f"masks_a/{seed:03d}.png", scene(seed)[1])
    assert masks(chosen(tmp_path)) == [f"masks_b/{seed:03d}.png" for seed in range(6)]


def test_copies_of_colours_are_copies_and_a_third_kind_is_asked_for(tmp_path: Path) -> None:
    for seed in range(6):
        image, label = scene(seed)
        save(tmp_path / f"images/{seed:03d}.png", image)
        for folder in ("masks_a", "masks_b"):
            save(tmp_path / folder / f"{seed:03d}.png", COLOURS[label])
    assert masks(chosen(tmp_path)) == [f"masks_a/{seed:03d}.png" for seed in range(6)]
    for seed in range(6):
        save(tmp_path / f"masks_c/{seed:03d}.png", COLOURS[np.flip(scene(seed)[1])])
    with pytest.raises(DataError) as caught:
        chosen(tmp_path)
    assert [line.split()[1] for line in str(caught.value).splitlines()[1:]] == ["masks_a", "masks_c"]
