"""LabelMe files: kinds of shapes, names of images and classes, and a folder with other things in it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segsearch.annotations import Asked, read_annotations
from segsearch.errors import DataError
from tests.annotated import SCENE, as_json, box, drawn, golden, labelme_of, painted, write_labelme

EMPTY = golden("........ ........ ........ ........ ........ ........")


def one(tmp_path: Path, **shape: Any) -> Path:
    """A file of one image with one shape."""
    content = labelme_of("a.png", [("car", box(0, 0, 1, 1))])
    content["shapes"][0] |= shape
    return as_json(tmp_path / "a.json", content)


def png(mask: np.ndarray[Any, Any]) -> str:
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


@pytest.mark.parametrize(
    "points", [[[1, 1], [4, 3]], [[4, 3], [1, 1]], [[1, 3], [4, 1]], list(map(list, box(1, 1, 4, 3)))]
)
def test_a_rectangle_lies_between_its_corners(points: Any, tmp_path: Path) -> None:
    mask = painted(one(tmp_path, shape_type="rectangle", points=points))["a"].mask
    np.testing.assert_array_equal(mask, golden("........ .111.... .111.... ........ ........ ........"))


def test_a_circle_is_a_centre_and_a_point_on_it(tmp_path: Path) -> None:
    mask = painted(one(tmp_path, shape_type="circle", points=[[3, 3], [3, 1]]))["a"].mask
    np.testing.assert_array_equal(mask, golden("........ ..11.... .1111... .1111... ..11.... ........"))


def test_a_mask_lies_in_its_box_both_corners_in_it(tmp_path: Path) -> None:
    mask = np.array([[0, 255, 0], [255, 255, 255]], dtype=np.uint8)
    for number, stored in enumerate((mask, mask > 0)):
        path = one(tmp_path / str(number), shape_type="mask", points=[[6, 2], [8, 3]], mask=png(stored))
        found = painted(path)["a"]
        np.testing.assert_array_equal(found.mask, golden("........ ........ .......1 ......11 ........ ........"))
        assert found.beyond == 1


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (png(np.ones((2, 2), dtype=np.uint8)), "a mask must have the size of its box, 3x2, got 2x2"),
        ("####", "a mask must be a PNG file in base64"),
        (base64.b64encode(b"GIF89a").decode(), "a mask must be a PNG file in base64"),
        (None, "a mask must be a PNG file in base64"),
    ],
)
def test_a_mask_that_is_none_is_refused(mask: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"a\.json, shape 1: {words}"):
        drawn(one(tmp_path, shape_type="mask", points=[[1, 1], [3, 2]], mask=mask))


@pytest.mark.parametrize("kind", ["point", "line", "linestrip", "points"])
def test_what_has_no_area_is_counted(kind: str, tmp_path: Path) -> None:
    (image,) = drawn(one(tmp_path, shape_type=kind, points=[[1, 1]]))
    assert (image.shapes, image.skipped) == ((), {kind: 1})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape_type": "cube"}, r"must be a polygon, rectangle, circle or mask .*, got 'cube'"),
        ({"shape_type": "circle"}, r"a circle must have two points, got 4"),
        ({"shape_type": "rectangle", "points": [[1, 1]]}, r"a rectangle must have two points, got 1"),
        ({"points": [[1, 2, 3]]}, r"a polygon must be a list of x and y in turn, got \[\[1, 2, 3\]\]"),
        ({"points": None}, r"a polygon must be a list of x and y in turn, got None"),
        ({"points": "1,2"}, r"a polygon must be a list of x and y in turn, got '1,2'"),
        ({"label": None}, r"a shape must have a label, got None"),
        ({"label": ""}, r"a class must have a name of one line, got ''"),
    ],
)
def test_a_shape_that_is_none_is_refused(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        drawn(one(tmp_path, **change))


def test_a_missing_kind_is_a_polygon(tmp_path: Path) -> None:
    assert painted(one(tmp_path, shape_type=None))["a"].mask[0, 0] == 1


def test_without_a_list_classes_go_by_the_alphabet_and_that_is_said(tmp_path: Path) -> None:
    write_labelme(tmp_path, {"a.png": [("road", box(0, 0, 1, 1)), ("car", box(1, 0, 2, 1))]})
    found = read_annotations(tmp_path, Asked())[1]
    assert found.legend.classes == ("background", "car", "road")
    assert any("no labels.txt or classes.txt" in note and "alphabet" in note for note in found.notes)


def test_a_list_says_the_order_what_is_void_and_what_is_background(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nroad\ncar\nbike\n")
    shapes = [("road", box(0, 0, 8, 6)), ("__ignore__", box(0, 0, 8, 1)), ("_background_", box(0, 5, 8, 6))]
    write_labelme(tmp_path, {"a.png": [*shapes, ("car", box(0, 1, 8, 2))]})
    found = read_annotations(tmp_path, Asked())[1]
    assert found.legend.classes == ("background", "road", "car", "bike")
    assert found.notes == ()
    np.testing.assert_array_equal(
        painted(tmp_path)["a"].mask, golden("vvvvvvvv 22222222 11111111 11111111 11111111 ........")
    )
    (tmp_path / "labels.txt").write_text("road\n")
    with pytest.raises(DataError, match=r"a\.json: labels must be in .*labels\.txt, got '__ignore__' beside 'road'"):
        drawn(tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("b.jpg", "sub/b"),
        ("..\\photos\\b.jpg", "sub/b"),
        ("../photos/b.jpg", "sub/b"),
        ("/home/somebody/b.v1.png", "sub/b.v1"),
        (None, "sub/a"),
        ("", "sub/a"),
    ],
)
def test_a_mask_is_named_after_the_image_and_the_folder_of_its_file(path: Any, name: str, tmp_path: Path) -> None:
    as_json(tmp_path / "sub" / "a.json", labelme_of("a.png", SCENE["a.png"]) | {"imagePath": path})
    assert [image.name for image in drawn(tmp_path)] == [name]


@pytest.mark.parametrize("path", ["..", "x/..", 5, "a\u0000.png", "\ud800.png"])
def test_a_name_that_is_none_is_refused(path: Any, tmp_path: Path) -> None:
    as_json(tmp_path / "a.json", labelme_of("a.png", SCENE["a.png"]) | {"imagePath": path})
    with pytest.raises(DataError, match=r"imagePath: an image"):
        drawn(tmp_path)


def test_one_file_alone(tmp_path: Path) -> None:
    path = as_json(tmp_path / "a.json", labelme_of("a.png", SCENE["a.png"]))
    as_json(tmp_path / "b.json", labelme_of("b.png", []))
    assert [image.name for image in drawn(path)] == ["a"]


def test_json_of_another_kind_is_left_out_and_said(tmp_path: Path) -> None:
    write_labelme(tmp_path)
    as_json(tmp_path / "package.json", {"name": "x"})
    found = read_annotations(tmp_path, Asked())[1]
    assert found.count == 2
    assert f"{tmp_path / 'package.json'}: JSON of another kind, left out" in found.notes


@pytest.mark.parametrize("shapes", [None, {}, ["a"], 5])
def test_shapes_must_be_a_list_of_objects(shapes: Any, tmp_path: Path) -> None:
    as_json(tmp_path / "a.json", labelme_of("a.png", []) | {"shapes": shapes})
    with pytest.raises(DataError, match=r"a\.json: `shapes` must be a list of objects, got"):
        drawn(tmp_path)


def test_an_image_without_shapes_is_all_background(tmp_path: Path) -> None:
    write_labelme(tmp_path)
    np.testing.assert_array_equal(painted(tmp_path)["b"].mask, EMPTY)
