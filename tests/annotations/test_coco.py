"""COCO files: run lengths, crowds, ids, and everything that instances can lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from segsearch.annotations import Asked, read_annotations
from segsearch.annotations.coco import fits
from segsearch.annotations.source import open_source
from segsearch.errors import DataError
from tests.annotated import SCENE, as_json, box, coco_of, drawn, golden, painted


def with_outline(tmp_path: Path, outline: Any, **more: Any) -> Path:
    """A file of one image and one car."""
    content = coco_of({"a.png": [("car", box(0, 0, 1, 1))]})
    content["annotations"][0] |= {"segmentation": outline} | more
    return as_json(tmp_path / "instances.json", content)


def changed(tmp_path: Path, part: str, *, index: int = 0, without: str = "", **more: Any) -> Path:
    """A file with one object of its images, categories or annotations changed."""
    content = coco_of(SCENE)
    content[part][index] |= more
    content[part][index].pop(without, None)
    return as_json(tmp_path / "instances.json", content)


def test_classes_are_numbered_in_the_order_of_the_ids(tmp_path: Path) -> None:
    """Not of the list, in which the road (7) comes before the car (3)."""
    content = coco_of(SCENE)
    assert [category["id"] for category in content["categories"]] == [7, 3]
    legend = read_annotations(as_json(tmp_path / "a.json", content), Asked())[1].legend
    assert (legend.classes, legend.values) == (("background", "car", "road"), {"car": 1, "road": 2})


def test_run_lengths_in_both_spellings(tmp_path: Path) -> None:
    mask = golden("........ .1...... .1.1.... ...1.... ........ .......1")
    letters = coco_masks.encode(np.asfortranarray(mask))["counts"].decode()
    counts = [7, 2, 11, 2, 25, 1]
    for number, spelling in enumerate((letters, counts)):
        path = with_outline(tmp_path / str(number), {"size": [6, 8], "counts": spelling})
        np.testing.assert_array_equal(painted(path)["a"].mask, mask)


def test_crowds_and_what_is_to_be_ignored_are_void(tmp_path: Path) -> None:
    for number, key in enumerate(("iscrowd", "ignore")):
        path = with_outline(tmp_path / str(number), [[0, 0, 8, 0, 8, 1, 0, 1]], **{key: 1})
        np.testing.assert_array_equal(
            painted(path)["a"].mask, golden("vvvvvvvv ........ ........ ........ ........ ........")
        )


def test_a_box_without_an_outline_is_counted(tmp_path: Path) -> None:
    for number, outline in enumerate(([], None)):
        (image,) = drawn(with_outline(tmp_path / str(number), outline, bbox=[0, 0, 4, 4]))
        assert (image.shapes, image.skipped) == ((), {"box without an outline": 1})


@pytest.mark.parametrize(
    "outline", ["abc", 5, [1, 2, 3, 4, 5, 6], [["a", "b"]], [[1, 2, 3]], [[1, None, 2, 3]], [[True, False]], [[[1], 2]]]
)
def test_an_outline_that_is_none_is_refused(outline: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"annotation 0: .*(`segmentation`|a polygon) must be a list of"):
        drawn(with_outline(tmp_path, outline))


def test_run_lengths_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"annotation 0: the size of its run lengths must be .* \[6, 8\], got \[8, 6\]"):
        drawn(with_outline(tmp_path, {"size": [8, 6], "counts": [48]}))


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("annotations", {"category_id": 99}, r"annotation 0: its category_id must be the id of a category, got 99"),
        ("annotations", {"category_id": [3]}, r"its category_id must be the id of a category, got \[3\]"),
        ("annotations", {"image_id": 5}, r"its image_id must be the id of an? image, got 5"),
        ("annotations", {"without": "category_id"}, r"its category_id must be the id of a category, got None"),
        ("annotations", {"segments_info": []}, r"got panoptic annotations"),
        ("images", {"id": 1}, r"images must have ids of their own, got 1 twice"),
        ("images", {"without": "id"}, r"images must have ids of their own, got \{"),
        ("images", {"without": "file_name"}, r"image 0: an image must have a name, got None"),
        ("images", {"file_name": ""}, r"image 0: an image must have a name, got ''"),
        ("images", {"height": -6}, r"image 0: height and width must be whole numbers of pixels, got -6"),
        ("images", {"height": 6.5}, r"whole numbers of pixels, got 6.5"),
        ("images", {"height": "6"}, r"whole numbers of pixels, got '6'"),
        ("images", {"height": 10**9, "width": 10**9}, r"1 to 65535 pixels a side .* got 1000000000x1000000000"),
        ("categories", {"id": 3}, r"categories must have different ids, got 3 twice"),
        ("categories", {"id": "7"}, r"a whole id and a name, got \{'id': '7'"),
        ("categories", {"without": "name"}, r"a whole id and a name, got \{"),
        ("categories", {"name": "car"}, r"classes must have different names, got 'car' twice"),
        ("categories", {"name": "  "}, r"a class must have a name of one line, got ''"),
        ("categories", {"name": "a\nb"}, r"a class must have a name of one line, got 'a\\nb'"),
    ],
)
def test_what_a_file_may_not_hold(part: str, change: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        drawn(changed(tmp_path, part, **change))


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
def test_a_part_that_is_no_list_of_objects_is_refused(part: str, tmp_path: Path) -> None:
    for value, words in (({}, "must be a list, got"), ([5], "must hold objects, got 5")):
        with pytest.raises(DataError, match=rf"`{part}` {words}"):
            drawn(as_json(tmp_path / "a.json", coco_of(SCENE) | {part: value}))


def test_captions_have_no_categories(tmp_path: Path) -> None:
    content = {"images": [{"id": 1}], "annotations": [{"image_id": 1, "id": 1, "caption": "a road"}]}
    with pytest.raises(DataError, match=r"`categories` must be a list, got nothing; export instances"):
        drawn(as_json(tmp_path / "captions.json", content))


@pytest.mark.parametrize("count", [254, 255])
def test_a_mask_holds_254_classes_beside_background(count: int, tmp_path: Path) -> None:
    content = coco_of({"a.png": [("car", box(0, 0, 1, 1))]})
    content["categories"] = [{"id": number, "name": f"class {number}"} for number in range(3, count + 3)]
    content["annotations"][0]["category_id"] = count + 2
    path = as_json(tmp_path / "a.json", content)
    if count > 254:
        with pytest.raises(DataError, match=r"at most 254 classes beside background, got 255"):
            drawn(path)
    else:
        assert painted(path)["a"].mask[0, 0] == 254


def test_several_files_in_a_folder_are_not_chosen_between(tmp_path: Path) -> None:
    for name in ("instances_train.json", "instances_val.json"):
        as_json(tmp_path / name, coco_of(SCENE))
    with pytest.raises(DataError, match=r"one COCO file, got 2 JSON files, instances_train\.json of COCO among them"):
        drawn(tmp_path)
    (tmp_path / "instances_val.json").unlink()
    assert len(drawn(tmp_path)) == 2


def test_other_json_is_not_coco(tmp_path: Path) -> None:
    for content in ([], {}, {"images": []}, {"annotations": [], "shapes": []}, 5):
        assert not fits(open_source(as_json(tmp_path / "a.json", content)))
