"""What folders say, and above all what they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.pairing.places import place_of, preferred, read_folders
from segsearch.pairing.types import Family, Role, SplitName
from tests.pairing.trees import ROOT, places


@pytest.mark.parametrize("name", ["images", "Image", "img_dir", "JPEGImages", "leftImg8bit", "RGB", "inputs", "photos"])
def test_folders_of_images(name: str) -> None:
    assert read_folders(name).role == "image"


@pytest.mark.parametrize(
    "name",
    [
        "masks",
        "ann_dir",
        "SegmentationClass",
        "SegmentationClassPNG",
        "gtFine",
        "GT",
        "ground_truth",
        "targets",
        "Label",
    ],
)
def test_folders_of_masks(name: str) -> None:
    assert read_folders(name).role == "mask"


@pytest.mark.parametrize(
    ("name", "role", "split", "word"),
    [
        ("trainannot", "mask", "train", "annot"),
        ("valannot", "mask", "validation", "annot"),
        ("imagesTr", "image", "train", "images"),
        ("labelsTs", "mask", "test", "labels"),
        ("train_masks", "mask", "train", "masks"),
        ("val-images", "image", "validation", "images"),
        ("testing images", "image", "test", "images"),
        ("train2017", None, "train", ""),
    ],
)
def test_a_split_may_be_glued_to_a_role(name: str, role: Role | None, split: SplitName, word: str) -> None:
    told = read_folders(name)
    assert (told.role, told.split, told.rest, told.word) == (role, split, "" if role or split else name, word)


@pytest.mark.parametrize("name", ["test_drive_2019", "trainstation", "valencia", "developed", "my_test", "trainval"])
def test_a_split_within_another_word_is_none(name: str) -> None:
    told = read_folders(f"images/{name}")
    assert (told.role, told.split, told.rest) == ("image", None, name)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("binary_masks", "mask"),
        ("CameraSeg", "mask"),
        ("CameraRGB", "image"),
        ("original_images", "image"),
        ("label_images_semantic", "mask"),
        ("images_and_masks", None),
        ("segmentation_dataset", None),
        ("label-studio-export", None),
        ("unlabelled", None),
        ("masked", None),
    ],
)
def test_a_word_in_a_longer_name_tells_the_role_where_no_folder_is_called_so(name: str, role: Role | None) -> None:
    assert read_folders(name).role == role
    assert read_folders(f"masks/{name}").role == "mask"
    assert read_folders(f"{name}/images").role == "image"


def test_the_deepest_word_wins() -> None:
    assert read_folders("images/train/masks/val/seq1").role == "mask"
    assert read_folders("images/train/masks/val/seq1").split == "validation"
    assert read_folders("images/train/masks/val/seq1").rest == "seq1"


def test_the_root_is_not_looked_at() -> None:
    place = place_of(Path("/masks/val"), "aachen/a.b.png")
    assert (place.role, place.split, place.rest, place.stem) == (None, None, "aachen", "a.b")
    assert place.path == Path("/masks/val/aachen/a.b.png")
    assert (place_of(ROOT, "a.png").rest, place_of(ROOT, "a.png").inner) == ("", "a.png")


@pytest.mark.parametrize("name", ["SegmentationObject", "instances", "train/instances", "masks/instances", "depth"])
def test_instances_are_neither_image_nor_mask(name: str) -> None:
    told = read_folders(name)
    assert told.role is None
    assert told.left_out
    assert not read_folders(f"{name}/images").left_out


def test_what_a_zip_file_was_called_is_the_same_on_both_sides() -> None:
    image = read_folders("leftImg8bit_trainvaltest/leftImg8bit/train/aachen")
    mask = read_folders("gtFine_trainvaltest/gtFine/train/aachen")
    assert (image.role, image.split, image.rest) == ("image", "train", "trainvaltest/aachen")
    assert (mask.role, mask.split, mask.rest) == ("mask", "train", "trainvaltest/aachen")


def _family(folder: str) -> Family:
    image, mask = places(["JPEGImages/a.jpg", f"VOC2012/{folder}/a.png"])
    return Family("", "", f"VOC2012/{folder}", {image: mask})


@pytest.mark.parametrize(
    ("folders", "left"),
    [
        (["Annotations", "SegmentationClassAug", "SegmentationClass"], ["SegmentationClass"]),
        (["SegmentationClassAug", "SegmentationClassPNG"], ["SegmentationClassPNG"]),
        (["Annotations", "SegmentationClassAug"], ["SegmentationClassAug"]),
        (["masks", "gt"], ["masks", "gt"]),
        (["Annotations", "masks", "SegmentationClass"], ["masks", "SegmentationClass"]),
        ([], []),
    ],
)
def test_of_folders_that_hold_the_same_masks_the_plainest_is_preferred(folders: list[str], left: list[str]) -> None:
    found = preferred([_family(folder) for folder in folders])
    assert [family.folder for family in found] == [f"VOC2012/{folder}" for folder in left]
