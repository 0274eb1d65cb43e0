"""Layouts that people have, each with its only right pairing."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from segsearch.errors import DataError
from segsearch.pairing.matching import match
from segsearch.pairing.types import Matched
from tests.pairing.trees import ROOT, inner, matched, pairs

NUMBERS = range(12)


def _both(image: str, mask: str, numbers: Sequence[int] = NUMBERS) -> dict[str, str]:
    return {image.format(number): mask.format(number) for number in numbers}


@pytest.mark.parametrize(
    ("image", "mask", "prefix", "suffix"),
    [
        ("images/{:04}.jpg", "masks/{:04}.png", "", ""),
        ("images/{:04}_image.jpg", "masks/{:04}_annotation.png", "", "_annotation"),
        ("images/img_{}.jpg", "masks/mask_{}.png", "mask_", ""),
        ("images/{}_sat.jpg", "masks/{}_mask.png", "", "_mask"),
        ("images/{}.jpg", "masks/{}_segmentation.png", "", "_segmentation"),
        ("images/ISIC_{:07}.jpg", "gt/ISIC_{:07}_segmentation.png", "", "_segmentation"),
        ("imagesTr/vessel_{:03}_0000.png", "labelsTr/vessel_{:03}.png", "", ""),
        ("imagesTr/vessel_{:03}_0000.tif", "labelsTr/vessel_{:03}.tif", "", ""),
        ("images/Bäume (links) {}.v1.x.jpg", "masks/Bäume (links) {}.v1.x_maske.png", "", "_maske"),
        ("images/a\u0308 [{}].jpg", "masks/ä [{}].png", "", ""),
        ("images/frame {}.jpg", "masks/frame_{}_of_12.png", "frame_", "_of_12"),
        ("images/{}.jpg", "masks/{0}L.png", "", "L"),
        ("train/{}.png", "trainannot/{}.png", "", ""),
        ("images/train/{}.png", "masks/{}.png", "", ""),
        ("images/{}.png", "masks/validation/{}.png", "", ""),
        ("training/images/{}_training.tif", "training/1st_manual/{}_manual1.gif", "", "_manual1"),
        ("images/{}.png", "unheard of/{}_x.png", "", "_x"),
        ("a/images/b/{}.png", "a/masks/b/{}.png", "", ""),
        ("CameraRGB/{}.png", "CameraSeg/{}.png", "", ""),
    ],
)
def test_images_and_masks_in_folders(image: str, mask: str, prefix: str, suffix: str) -> None:
    expected = _both(image, mask)
    found = matched(*expected, *expected.values())
    (family,) = found.families
    assert pairs(family) == expected
    assert (family.prefix, family.suffix) == (prefix, suffix)
    assert family.folder == expected[image.format(0)].rpartition("/")[0]
    assert inner(found.images) == sorted(expected)
    assert (found.lonely, found.twins, found.others, found.alike) == ((), (), (), "name")


@pytest.mark.parametrize(
    ("image", "mask", "suffix"),
    [
        ("{}.jpg", "{}.png", ""),
        ("{}.png", "{}_mask.png", "_mask"),
        ("{}_sat.jpg", "{}_mask.png", "_mask"),
        ("{}_sat.png", "{}_mask.png", "_mask"),
        ("train/x{}_jpg.rf.0a{}.jpg", "train/x{}_jpg.rf.0a{}_mask.png", "_mask"),
        ("benign/benign ({}).png", "benign/benign ({})_mask.png", "_mask"),
        ("images/{}.png", "images/{}_GT.png", "_GT"),
        ("labels/{}.png", "labels/{}-labelIds.png", "-labelIds"),
        ("my_masks_{}.png", "my_masks_{}_seg.png", "_seg"),
    ],
)
def test_images_and_masks_side_by_side(image: str, mask: str, suffix: str) -> None:
    expected = {image.format(number, number): mask.format(number, number) for number in NUMBERS}
    found = matched(*expected, *expected.values())
    (family,) = found.families
    assert pairs(family) == expected
    assert (family.prefix, family.suffix) == ("", suffix)
    assert (inner(found.images), found.lonely, found.others) == (sorted(expected), (), ())


def test_a_word_of_masks_may_be_what_the_picture_shows() -> None:
    expected = _both("mask_{}.jpg", "mask_{}_seg.png") | _both("nomask_{}.jpg", "nomask_{}_seg.png")
    (family,) = matched(*expected, *expected.values()).families
    assert pairs(family) == expected


def test_the_four_masks_of_cityscapes_are_families_of_their_own() -> None:
    endings = ("color", "instanceIds", "labelIds", "labelTrainIds")
    cities = (("train", "aachen"), ("train", "aachen"), ("train", "bochum"), ("val", "munster"), ("test", "berlin"))
    stems = [f"{split}/{city}/{city}_{number:06}_000019" for number, (split, city) in enumerate(cities)]
    masks = [f"gtFine/{stem}_gtFine_{ending}.png" for stem in stems for ending in endings]
    found = matched(*(f"leftImg8bit/{stem}_leftImg8bit.png" for stem in stems), *masks)
    assert {(family.prefix, family.suffix, family.folder) for family in found.families} == {
        ("", f"_gtFine_{ending}", "gtFine") for ending in endings
    }
    for family in found.families:
        assert pairs(family) == {
            f"leftImg8bit/{stem}_leftImg8bit.png": f"gtFine/{stem}{family.suffix}.png" for stem in stems
        }


def test_test_images_of_nnunet_need_no_masks() -> None:
    expected = _both("imagesTr/v_{:03}_0000.png", "labelsTr/v_{:03}.png")
    found = matched(*expected, *expected.values(), "imagesTs/v_100_0000.png")
    assert pairs(found.families[0]) == expected
    assert "imagesTs/v_100_0000.png" in inner(found.images)


def test_camvid_as_segnet_has_it() -> None:
    expected = {
        f"{split}/{name}.png": f"{split}annot/{name}.png"
        for split, names in (("train", "abc"), ("val", "de"), ("test", "f"))
        for name in names
    }
    (family,) = matched(*expected, *expected.values()).families
    assert pairs(family) == expected


def test_folders_and_splits_agree_where_both_sides_have_them() -> None:
    expected = {
        f"images/{split}/{city}/1.png": f"masks/{split}/{city}/1_mask.png"
        for split in ("train", "val")
        for city in ("aachen", "bochum")
    }
    (family,) = matched(*expected, *expected.values()).families
    assert pairs(family) == expected
    cities = {
        f"images/{city}/{number}.png": f"masks/{other}/{number}.png"
        for city, other, numbers in (("aachen", "bochum", range(6)), ("ulm", "jena", range(6, 12)))
        for number in numbers
    }
    for apart in (cities, _both("train/images/{}.png", "val/masks/{}.png")):
        found = matched(*apart, *apart.values())
        assert found.families == ()
        assert (inner(found.images), inner(found.lonely)) == (sorted(apart), sorted(apart.values()))


def test_the_folder_that_agrees_goes_before_the_one_that_says_nothing() -> None:
    images = [f"images/{split}{number}.png" for split in ("", "train/") for number in NUMBERS]
    found = matched(*images, *(f"masks/train/{number}.png" for number in NUMBERS))
    assert pairs(found.families[0]) == _both("images/train/{}.png", "masks/train/{}.png")


def test_one_name_in_two_splits_and_one_mask_is_refused() -> None:
    files = [f"{folder}/{number}.png" for folder in ("images/train", "images/val", "masks") for number in NUMBERS]
    with pytest.raises(DataError) as caught:
        matched(*files)
    assert str(caught.value).startswith(f"{ROOT}/masks/0.png: a mask must belong to one image, got ")
    assert "images/train/0.png and images/val/0.png; " in str(caught.value)


def test_two_masks_of_one_kind_are_refused() -> None:
    first, others = "masks/{}.png", "masks/{}.bmp"
    files = [name.format(number) for name in ("images/{}.png", first, others) for number in NUMBERS]
    with pytest.raises(DataError) as caught:
        matched(*files)
    assert "an image must have one mask of a kind, got" in str(caught.value)
    assert first.format(0) in str(caught.value)
    assert others.format(0) in str(caught.value)
    assert "for images/0.png, too; remove or move one of them." in str(caught.value)


def test_two_folders_of_masks_with_one_image_in_common_stay_apart() -> None:
    files = [f"images/{number}.png" for number in NUMBERS]
    files += [f"masks/{'a' if number < 6 else 'b'}/{number}.png" for number in NUMBERS]
    assert [family.folder for family in matched(*files).families] == ["masks"]
    assert {family.folder: len(family.masks) for family in matched(*files, "masks/b/0.png").families} == {
        "masks/a": 6,
        "masks/b": 7,
    }


def test_one_image_in_common_of_several_folders_is_a_slip() -> None:
    files = [f"images/{number}.png" for number in NUMBERS]
    files += [f"masks/{'abc'[number // 4]}/{number}.png" for number in NUMBERS]
    with pytest.raises(DataError, match="one mask of a kind, got masks/b/0"):
        matched(*files, "masks/b/0.png")


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{0}.png", "labels/{1}/{0}.png"),
        ("images/seq1/{0}.png", "labels/{1}/seq1/{0}.png"),
        ("images/seq1/{0}.png", "labels/seq1/{1}/{0}.png"),
        ("images/train/{0}.png", "labels/{1}/train/{0}.png"),
        ("images/{0}.png", "labels/{0}/{1}.png"),
        ("images/{0}.png", "{1}/labels/{0}.png"),
        ("images/{0}.png", "labels/{0}_{1}.png"),
    ],
)
def test_what_two_people_drew_stays_apart(image: str, mask: str) -> None:
    images = [image.format(number) for number in NUMBERS]
    drawn = {who: [mask.format(number, who) for number in NUMBERS] for who in ("anna", "ben")}
    found = matched(*images, *drawn["anna"], *drawn["ben"])
    assert sorted(sorted(pairs(family).values()) for family in found.families) == sorted(map(sorted, drawn.values()))


@pytest.mark.parametrize("folder", ["image_2", "images"])
def test_rgb_in_a_longer_name_is_no_image_beside_folders_of_images(folder: str) -> None:
    """As KITTI has them: `semantic_rgb` are coloured masks."""
    numbers, colours = (
        _both(f"training/{folder}/{{:06}}_10.png", f"training/{masks}/{{:06}}_10.png")
        for masks in ("semantic", "semantic_rgb")
    )
    test = f"testing/{folder}/000000_10.png"
    found = matched(*numbers, *numbers.values(), *colours.values(), "training/instance/000000_10.png", test)
    assert {family.folder: pairs(family) for family in found.families} == {
        "training/semantic": numbers,
        "training/semantic_rgb": colours,
    }
    assert inner(found.images) == [test, *sorted(numbers)]


def test_a_picture_in_two_formats_is_one_image() -> None:
    expected = _both("images/{:04}.png", "masks/{:04}.png")
    copies = [f"images/{number:04}.jpg" for number in NUMBERS]
    found = matched(*expected, *expected.values(), *copies)
    assert pairs(found.families[0]) == expected
    assert (inner(found.images), inner(found.twins), found.others) == (sorted(expected), copies, ())


@pytest.mark.parametrize("ending", ["_color", "_mask"])
@pytest.mark.parametrize("folder", ["", "images/", "scene/"])
def test_a_label_beside_a_photo_of_its_name_is_never_the_image(folder: str, ending: str) -> None:
    """`0.png` holds class numbers: taken for `0.jpg` without loss, the mask would be the model's input."""
    plain = _both(folder + "{}.jpg", folder + "{}.png")
    second = _both(folder + "{}.jpg", f"{folder}{{}}{ending}.png")
    found = matched(*plain, *plain.values(), *second.values())
    assert {family.suffix: pairs(family) for family in found.families} == {"": plain, ending: second}
    assert (inner(found.images), found.twins, found.lonely) == (sorted(plain), (), ())


def test_a_label_beside_a_photo_is_a_mask_where_only_folders_of_masks_have_names() -> None:
    plain, coloured = _both("scene/{}.jpg", "scene/{}.png"), _both("scene/{}.jpg", "scene/masks/{}.png")
    found = matched(*plain, *plain.values(), *coloured.values())
    assert sorted(map(sorted, map(pairs, found.families))) == [sorted(plain)] * 2
    assert (inner(found.images), found.twins) == (sorted(plain), ())


def test_two_lossless_files_of_one_name_beside_masks_are_refused() -> None:
    with pytest.raises(DataError, match="what lies beside masks must have a name of its own, got 0"):
        matched(*(f"{number}{ending}" for number in NUMBERS for ending in (".tif", ".png", "_color.png")))


def test_a_mask_as_a_jpeg_file_goes_before_nothing() -> None:
    expected = _both("images/{:04}.jpg", "masks/{:04}.png")
    copies = [f"masks/{number:04}.jpg" for number in NUMBERS]
    found = matched(*expected, *expected.values(), *copies)
    assert pairs(found.families[0]) == expected
    assert (inner(found.twins), found.lonely) == (copies, ())


def test_coloured_previews_are_a_second_family() -> None:
    expected = _both("images/train/{}.png", "masks/train/{}.png")
    previews = _both("images/train/{}.png", "masks/train/{}_color.png")
    plain, coloured = matched(*expected, *expected.values(), *previews.values()).families
    assert (pairs(plain), plain.suffix) == (expected, "")
    assert (pairs(coloured), coloured.suffix) == (previews, "_color")


def test_masks_and_previews_beside_each_image() -> None:
    expected = _both("{}.png", "{}_mask.png")
    found = matched(*expected, *expected.values(), *(f"{number}_color.png" for number in NUMBERS))
    assert inner(found.images) == sorted(expected)
    assert [family.suffix for family in found.families] == ["_color", "_mask"]
    assert pairs(found.families[1]) == expected


def test_one_mask_is_missing_and_one_has_no_image() -> None:
    expected = _both("images/{:04}.png", "masks/{:04}_mask.png", [number for number in NUMBERS if number != 7])
    found = matched(*expected, *expected.values(), "images/0007.png", "masks/0099_mask.png", "masks/legend.png")
    assert pairs(found.families[0]) == expected
    assert "images/0007.png" in inner(found.images)
    assert inner(found.lonely) == ["masks/0099_mask.png", "masks/legend.png"]


def test_few_masks_of_many_images() -> None:
    expected = _both("JPEGImages/{}.jpg", "SegmentationClass/{}.png", range(3))
    augmented = _both("JPEGImages/{}.jpg", "SegmentationClassAug/{}.png", range(60))
    objects = [f"SegmentationObject/{number}.png" for number in range(3)]
    images = [f"JPEGImages/{number}.jpg" for number in range(100)]
    found = matched(*images, *expected.values(), *augmented.values(), *objects)
    assert [pairs(family) for family in found.families] == [augmented, expected]
    assert (len(found.images), found.lonely, inner(found.others)) == (100, (), objects)


def test_a_number_within_a_name_is_no_match() -> None:
    """`1` is in `x_1_2`, and `2` is, too: only what holds for all is a family."""
    expected = _both("images/{}.png", "masks/x_{}_2.png")
    (family,) = matched(*expected, *expected.values()).families
    assert (pairs(family), family.prefix, family.suffix) == (expected, "x_", "_2")
    unlike = matched(*expected, *(f"masks/scan{number}_{(7 * number) % 97}.png" for number in range(60)))
    assert unlike.families == ()
    assert len(unlike.lonely) == 60


def test_case_and_padding_are_the_last_resorts() -> None:
    for expected, alike in (
        ({f"images/{name}.JPG": f"masks/{name.lower()}_seg.png" for name in ("Anna", "BERTA", "carl")}, "case"),
        (_both("images/image_{}.png", "masks/mask_{:04}.png"), "padding"),
        (_both("images/{:02}.png", "masks/{}_mask.png"), "padding"),
    ):
        found = matched(*expected, *expected.values())
        assert pairs(found.families[0]) == expected
        assert (found.alike, len(found.families), found.lonely) == (alike, 1, ())
    both = _both("images/image_{}.png", "masks/mask_{}.png") | {"images/image_100.png": "masks/mask_100.png"}
    found = matched(*both, *both.values(), "images/image_0001.png", "masks/mask_00.png")
    assert (pairs(found.families[0]), found.alike) == (both, "name")


def test_padding_that_is_not_unique_is_refused() -> None:
    with pytest.raises(DataError, match="one mask of a kind, got masks/mask_01"):
        matched("images/image_1.png", "images/image_2.png", "masks/mask_001.png", "masks/mask_01.png")


def test_words_in_the_middle_of_names() -> None:
    expected = {
        f"images/patient{patient}_image_{number}.png": f"masks/patient{patient}_mask_{number}.png"
        for patient in range(3)
        for number in NUMBERS
    }
    found = matched(*expected, *expected.values())
    assert pairs(found.families[0]) == expected
    assert (found.alike, found.families[0].prefix) == ("words", "mask")


def test_a_folder_for_each_image() -> None:
    expected = _both("x{}_json/img.png", "x{}_json/label.png")
    found = matched(*expected, *expected.values(), *(f"x{number}_json/label_viz.png" for number in NUMBERS))
    assert [family.prefix for family in found.families] == ["label", "label_viz"]
    assert (pairs(found.families[0]), found.alike) == (expected, "folder")


def test_pictures_beside_the_folders_take_no_part() -> None:
    expected = _both("images/{}.png", "masks/{}.png")
    found = matched(*expected, *expected.values(), "logo.png", "docs/1.png", "instances/1.png")
    assert pairs(found.families[0]) == expected
    assert inner(found.others) == ["docs/1.png", "instances/1.png", "logo.png"]


def test_a_folder_of_masks_that_match_nothing_is_lonely_beside_pairs_in_another() -> None:
    expected = _both("train/{}.jpg", "train/{}_mask.png")
    found = matched(*expected, *expected.values(), "masks/legend.png", "masks/scale.png")
    assert pairs(found.families[0]) == expected
    assert (inner(found.lonely), found.others) == (["masks/legend.png", "masks/scale.png"], ())


def test_no_masks_at_all() -> None:
    found = matched(*(f"holiday/{number}.jpg" for number in NUMBERS))
    assert (len(found.images), found.families, found.lonely) == (12, (), ())
    assert match([]).images == ()


def test_names_that_lack_a_part_that_most_have() -> None:
    expected = _both("images/img_0_{}.png", "masks/mask_0_{}.png") | _both(
        "images/img_{}.png", "masks/mask_{}.png", [5]
    )
    expected |= {"images/cover.png": "masks/mask_cover.png"}
    found = matched(*expected, *expected.values(), "images/photo_77.png", "masks/mask_77.png")
    assert pairs(found.families[0]) == expected
    assert inner(found.lonely) == ["masks/mask_77.png"]


@pytest.mark.parametrize(
    "files",
    [
        {"images/a.png": "masks/a_mask.png"},
        {"images/a.png": "masks/a.png"},
        {"a.jpg": "a.png"},
        {"images/img_1.png": "masks/mask_1.png", "images/img_2.png": "masks/mask_2.png"},
        {"images/cat.png": "masks/cat.png", "images/dog.png": "masks/dog.png"},
    ],
)
def test_very_few_files(files: dict[str, str]) -> None:
    assert pairs(matched(*files, *files.values()).families[0]) == files


# ---- names whose common start and common end cross


@pytest.mark.parametrize(
    "stems",
    [
        ("1", "2_1"),
        ("a", "a_a"),
        ("aba", "aba_aba"),
        ("img_1", "img_img_1", "img_b"),
        ("img_1_2", "img_img", "img_2"),
        ("1_1", "1_img", "a_img"),
    ],
)
@pytest.mark.parametrize(
    ("image", "mask"),
    [("{}", "{}"), ("{}", "{}_m"), ("{}_i", "{}_m"), ("img_{}_i", "m_{}_k"), ("{}_image", "{}_mask"), ("i-{}", "m-{}")],
)
def test_names_whose_ends_cross_find_their_masks(stems: tuple[str, ...], image: str, mask: str) -> None:
    expected = {f"images/{image.format(stem)}.jpg": f"masks/{mask.format(stem)}.png" for stem in stems}
    assert pairs(matched(*expected, *expected.values()).families[0]) == expected


@pytest.mark.parametrize("seed", range(4))
def test_short_names_of_few_words_are_never_paired_wrongly(seed: int) -> None:
    dice = random.Random(seed)
    ways = [("{}_i", "{}_m"), ("img_{}_i", "m_{}_k"), ("{}_image", "{}_mask"), ("{}", "{}_m")]
    for _ in range(100):
        words = [dice.choices(["a", "b", "1", "2", "img"], k=dice.randint(1, 3)) for _ in range(dice.randint(3, 8))]
        stems = sorted({"_".join(word) for word in words})
        image, mask = dice.choice(ways)
        expected = {f"images/{image.format(stem)}.jpg": f"masks/{mask.format(stem)}.png" for stem in stems}
        lacking = dice.choice([None, *expected]) if len(expected) > 2 else None
        masks = [found for name, found in expected.items() if name != lacking]
        if (found := _or_refused(*expected, *masks)) is None:
            assert lacking is not None, stems
        else:
            assert pairs(found.families[0]) == {name: expected[name] for name in expected if name != lacking}


def _or_refused(*inners: str) -> Matched | None:
    try:
        return matched(*inners)
    except DataError:
        return None
