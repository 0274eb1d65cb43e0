"""What every annotation format must do: the same scene, the same mistakes, the same words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsearch.annotations import FORMATS, Asked, read_annotations
from segsearch.errors import DataError, StudyError
from tests.annotated import SCENE, WRITERS, Points, box, drawn, golden, painted, picture

LATER = golden("""
    ........
    .111....
    .112222.
    ...2222.
    ...2222.
    ........
""")
SMALLER = golden("""
    ........
    .111....
    .111222.
    ...2222.
    ...2222.
    ........
""")

formats = pytest.mark.parametrize("kind", WRITERS)


def test_every_format_is_held_to_the_contract() -> None:
    assert WRITERS.keys() == FORMATS.keys()


@formats
def test_the_same_scene_is_the_same_mask(kind: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path / "data", SCENE)
    for rule, mask in (("later", LATER), ("smaller", SMALLER)):
        found = painted(path, rule)  # type: ignore[arg-type]
        assert list(found) == ["a", "b"]
        np.testing.assert_array_equal(found["a"].mask, mask)
        assert found["a"].disputed == 1
        assert not found["b"].mask.any()
        assert found["b"].mask.shape == mask.shape


@formats
def test_the_format_is_recognized_and_has_its_rule(kind: str, tmp_path: Path) -> None:
    format_, found = read_annotations(WRITERS[kind](tmp_path / "data", SCENE), Asked())
    assert format_ is FORMATS[kind]
    assert found.overlaps == ("smaller" if kind == "coco" else "later")
    assert found.count == 2
    assert found.legend.classes == ("background", "car", "road")


@formats
def test_slanted_outlines_are_alike_to_the_pixel(kind: str, tmp_path: Path) -> None:
    star: Points = [(0.3, 0.4), (7.7, 1.2), (4.4, 5.8), (3.1, 2.9), (0.2, 5.1)]
    there = painted(WRITERS[kind](tmp_path / kind, {"a.png": [("car", star)]}))
    other = painted(WRITERS["coco"](tmp_path / "other", {"a.png": [("car", star)]}))
    np.testing.assert_array_equal(there["a"].mask, other["a"].mask)
    assert 0 < np.count_nonzero(there["a"].mask) < 40


@formats
def test_folders_of_images_stay(kind: str, tmp_path: Path) -> None:
    scene = {"train/a.png": SCENE["a.png"], "val/a.png": [("road", box(0, 0, 8, 6))]}
    found = painted(WRITERS[kind](tmp_path / "data", scene))
    assert list(found) == ["train/a", "val/a"]
    assert (found["val/a"].mask == 2).all()


@formats
def test_what_reaches_beyond_is_cut_off_and_counted(kind: str, tmp_path: Path) -> None:
    found = painted(
        WRITERS[kind](tmp_path / "data", {"a.png": [("car", box(-2, 4, 10, 9)), ("road", box(0, 0, 8, 1))]})
    )
    assert (found["a"].beyond, found["a"].few, found["a"].unseen) == (1, 0, 0)
    np.testing.assert_array_equal(
        found["a"].mask,
        golden("22222222 ........ ........ ........ 11111111 11111111"),
    )


@formats
def test_fewer_than_three_points_are_counted_and_not_drawn(kind: str, tmp_path: Path) -> None:
    # Not two points: YOLO has a box as well as two points in four numbers.
    found = painted(WRITERS[kind](tmp_path / "data", {"a.png": [("car", [(1, 1)]), ("road", box(0, 0, 2, 1))]}))
    assert found["a"].few == 1
    assert np.count_nonzero(found["a"].mask) == 2


@formats
def test_a_shape_between_all_centres_is_said(kind: str, tmp_path: Path) -> None:
    found = painted(WRITERS[kind](tmp_path / "data", {"a.png": [("car", box(1.1, 1.1, 1.3, 1.3))]}))
    assert found["a"].unseen == 1
    assert not found["a"].mask.any()


@formats
@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
def test_numbers_that_are_none_are_refused(kind: str, number: float, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path / "data", {"a.png": [("car", [(1, 1), (number, 2), (3, 3)])]})
    with pytest.raises(DataError, match=r"(finite number|shares of).*, got .*(nan|inf|e\+)"):
        drawn(path)


@formats
def test_a_class_of_background_is_background_and_a_void_one_void(kind: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path / "data", SCENE)
    text = {
        file: file.read_text() for file in (tmp_path / "data").rglob("*") if file.suffix in (".json", ".xml", ".yaml")
    }
    for file, content in text.items():
        file.write_text(content.replace("car", "Background"))
    found = painted(path, "later", void=("road",))
    np.testing.assert_array_equal(found["a"].mask, golden("........ ........ ...vvvv. ...vvvv. ...vvvv. ........"))
    with pytest.raises(StudyError, match=r"--void must name a class, got 'rood'; the classes are .*'road'"):
        drawn(path, void=("rood",))


@formats
def test_a_name_that_sounds_void_is_said_with_the_option(kind: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path / "data", SCENE)
    for file in (tmp_path / "data").rglob("*"):
        if file.suffix in (".json", ".xml", ".yaml"):
            file.write_text(file.read_text().replace("road", "unlabelled"))
    notes = read_annotations(path, Asked())[1].notes
    assert "'unlabelled' is drawn as class 2; --void 'unlabelled' makes its pixels void" in notes
    assert not any("unlabelled" in note for note in read_annotations(path, Asked(void=("unlabelled",)))[1].notes)


@formats
def test_images_must_be_a_folder(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: --images must be a folder, got none there"):
        drawn(WRITERS[kind](tmp_path / "data", SCENE), images=tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["coco", "cvat"])
@pytest.mark.parametrize(
    "name", ["/etc/a.png", "../a.png", "x/../../a.png", "..\\a.png", "C:\\a.png", "\\\\host\\a.png"]
)
def test_a_name_that_leads_elsewhere_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a path below the folder of the images \(no / before it, no \.\.\), got"):
        drawn(WRITERS[kind](tmp_path, {name: SCENE["a.png"]}))


@pytest.mark.parametrize("kind", ["coco", "labelme", "cvat"])
def test_a_missing_size_is_the_images(kind: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path / "data", {"a.png": SCENE["a.png"]})
    file = path if path.is_file() else path / "a.json"
    text = file.read_text()
    for key, value in (("height", 6), ("width", 8), ("imageHeight", 6), ("imageWidth", 8)):
        text = text.replace(f'"{key}": {value}', f'"{key}": null').replace(f' {key}="{value}"', "")
    assert text != file.read_text()
    file.write_text(text)
    with pytest.raises(DataError, match=r"its image's size must be known, got none, and no image a\.jpg.*--images"):
        drawn(path)
    picture(tmp_path / "elsewhere" / "a.jpg")
    np.testing.assert_array_equal(painted(path, "later", images=tmp_path / "elsewhere")["a"].mask, LATER)
    picture(tmp_path / "data" / "images" / "a.png")
    np.testing.assert_array_equal(painted(path, "later")["a"].mask, LATER)
