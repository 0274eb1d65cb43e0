"""Folders that complete one another, rival one another, or say nothing."""

from __future__ import annotations

import pytest

from tests.pairing.trees import matched, pairs


@pytest.mark.parametrize(
    "masks", ["{split}/v1.2/labels/{n}.png {split}/v2.0/labels/{n}.png", "masks/v1.2/{n}.png masks/v2.0/{n}.png"]
)
def test_two_folders_of_masks_of_the_same_images_are_two_families(masks: str) -> None:
    keys = [(split, number) for split, numbers in (("train", range(8)), ("val", range(8, 12))) for number in numbers]
    old, new = (
        {f"{split}/images/{n}.jpg": mask.format(split=split, n=n) for split, n in keys} for mask in masks.split()
    )
    first, second = matched(*old, *old.values(), *new.values()).families
    assert (pairs(first), pairs(second)) == (old, new)
    folders = "v1.2/labels v2.0/labels" if "labels" in masks else "masks/v1.2 masks/v2.0"
    assert (first.folder, second.folder) == tuple(folders.split())


def test_folders_that_all_of_one_side_lie_in_need_not_agree() -> None:
    """As BDD100K has them: `10k` and `sem_seg` tell no picture from another, cities do."""
    keys = [(split, f"{number:x}-q") for split in ("train", "val") for number in range(12)]
    numbers, colours = (
        {f"images/10k/{split}/{n}.jpg": f"labels/sem_seg/{folder}/{split}/{n}.png" for split, n in keys}
        for folder in ("masks", "colormaps")
    )
    found = matched(*numbers, *numbers.values(), *colours.values(), "images/10k/test/99-t.jpg")
    assert {family.folder: pairs(family) for family in found.families} == {
        "labels/sem_seg/masks": numbers,
        "labels/sem_seg/colormaps": colours,
    }
    assert (len(found.images), found.lonely) == (len(keys) + 1, ())
    cities = {f"images/aachen/{number}.png": f"masks/aachen/{number}.png" for number in range(12)}
    more = matched(*cities, *cities.values(), *(f"images/ulm/{number}.png" for number in range(12)))
    assert pairs(more.families[0]) == cities


@pytest.mark.parametrize(
    ("image", "mask"),
    [("{0}/img/{1}.png", "{0}/masks_{0}/{1}.png"), ("images/{0}{1}.png", "masks_{0}/{0}{1}.png")],
)
def test_folders_that_complete_one_another_are_one_family(image: str, mask: str) -> None:
    numbers = [(part, number) for part, count in (("day", 8), ("dusk", 3), ("night", 6)) for number in range(count)]
    expected = {image.format(*number): mask.format(*number) for number in numbers}
    (family,) = matched(*expected, *expected.values()).families
    assert (pairs(family), family.folder) == (expected, "")


def test_folders_that_complete_one_another_in_two_ways_stay_apart() -> None:
    """Fine masks of training images and coarse ones of validation images are no set."""
    files = [f"images/{name}{number}.png" for name in "tv" for number in range(6)]
    files += [f"masks_{kind}{name}/{name}{number}.png" for kind in "cf" for name in "tv" for number in range(6)]
    assert [family.folder for family in matched(*files).families] == ["masks_ct", "masks_cv", "masks_ft", "masks_fv"]
