"""YOLO folders: where labels, images and names may lie, and lines that are no outlines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.annotations import Asked, read_annotations
from segsearch.errors import DataError
from tests.annotated import SCENE, drawn, golden, painted, picture, write_yolo

LINE = "0 0 0 0.5 0 0.5 0.5 0 0.5"
CORNER = golden("1111.... 1111.... 1111.... ........ ........ ........")


def flat(folder: Path, line: str = LINE, *, names: str = "car\nroad\n") -> Path:
    """An image and its label side by side, and classes.txt."""
    picture(folder / "a.png")
    (folder / "a.txt").write_text(line)
    (folder / "classes.txt").write_text(names)
    return folder


def test_labels_beside_their_images(tmp_path: Path) -> None:
    np.testing.assert_array_equal(painted(flat(tmp_path))["a"].mask, CORNER)


def test_labels_inside_of_each_split(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        picture(tmp_path / split / "images" / "a.jpg")
        (tmp_path / split / "labels").mkdir()
        (tmp_path / split / "labels" / "a.txt").write_text(LINE)
    (tmp_path / "data.yaml").write_text("names:\n  0: car\n  1: road\n")
    (tmp_path / "README.dataset.txt").write_text("exported\n")
    found = painted(tmp_path)
    assert list(found) == ["train/a", "valid/a"]
    np.testing.assert_array_equal(found["train/a"].mask, CORNER)


@pytest.mark.parametrize("inner", ["labels", "labels/train"])
def test_the_folder_of_the_labels_alone(inner: str, tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "data", {"train/a.png": SCENE["a.png"]})
    assert [image.name for image in drawn(root / inner)] == ["train/a"]


def test_a_path_with_dots_is_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_yolo(tmp_path / "data")
    monkeypatch.chdir(root / "labels")
    for path in (Path(), Path(".."), Path("../labels/../labels")):
        assert [image.name for image in drawn(path)] == ["a", "b"]


def test_images_elsewhere(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "data")
    (root / "images").rename(tmp_path / "photos")
    with pytest.raises(
        DataError, match=r"a\.txt: its image's size must be known, got none, and no image a\.jpg.*--images"
    ):
        drawn(root)
    assert len(drawn(root, images=tmp_path / "photos")) == 2


def test_two_images_of_one_label_are_refused(tmp_path: Path) -> None:
    picture(flat(tmp_path) / "a.jpg")
    with pytest.raises(DataError, match=r"an image's name must be one image's, got .*a\.jpg and .*a\.png"):
        drawn(tmp_path)


def test_a_broken_image_is_refused(tmp_path: Path) -> None:
    (flat(tmp_path) / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png: an image must be readable, got: cannot identify"):
        drawn(tmp_path)


def test_an_image_on_its_side_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    flat(tmp_path)
    (tmp_path / "a.png").unlink()
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=exif)
    assert painted(tmp_path)["a"].mask.shape == (8, 6)


def test_images_without_a_label_file_have_no_mask_and_that_is_said(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "labels" / "b.txt").unlink()
    found = read_annotations(root, Asked())[1]
    assert found.notes == ("1 image has no label file: no mask is drawn for it",)
    assert [image.name for image in found.images] == ["a"]


def test_an_empty_label_file_is_all_background(tmp_path: Path) -> None:
    found = painted(write_yolo(tmp_path))
    assert not found["b"].mask.any()
    (tmp_path / "labels" / "a.txt").write_text("\n \n")
    assert [image.shapes for image in drawn(tmp_path)] == [(), ()]


def test_boxes_are_counted(tmp_path: Path) -> None:
    (image,) = drawn(flat(tmp_path, f"0 0.5 0.5 0.2 0.2\n{LINE}\n1 0.5 0.5 0.2 0.2\n"))
    assert (len(image.shapes), image.skipped) == (1, {"box without an outline": 2})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2 0 0 1 0 1 1", r"line 2: a line must begin with a class number from 0 to 1, got '2'"),
        ("-1 0 0 1 0 1 1", r"a class number from 0 to 1, got '-1'"),
        ("car 0 0 1 0 1 1", r"a class number from 0 to 1, got 'car'"),
        ("0.0 0 0 1 0 1 1", r"a class number from 0 to 1, got '0.0'"),
        ("0 0 0 1 0 1", r"line 2: after the class there must be x and y in turn"),
        ("0 0 0 1 0 1 x", r"x and y in turn, finite numbers, got \['0', '0', '1'"),
        ("0 0 0 320 0 320 240", r"line 2: coordinates must be shares of the image's sides, 0 to 1, got 320"),
        ("0 0 0 1 0 1 -5.5", r"shares of the image's sides, 0 to 1, got -5.5"),
    ],
)
def test_a_line_that_is_none_is_refused(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        drawn(flat(tmp_path, f"{LINE}\n{line}\n"))


def test_a_broken_first_line_beside_data_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "labels" / "a.txt").write_text("car 0 0 1 0 1 1\n")
    with pytest.raises(DataError, match=r"a\.txt, line 1: a line must begin with a class number"):
        drawn(root)


def test_labels_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (flat(tmp_path) / "a.txt").write_bytes(b"\xff\xfe0\x00")
    with pytest.raises(DataError, match=r"a\.txt: labels must be readable UTF-8 text"):
        drawn(tmp_path)


def test_classes_must_be_named(tmp_path: Path) -> None:
    (flat(tmp_path) / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"got neither data\.yaml with `names` nor classes\.txt"):
        drawn(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: {0: car, 2: road}", r"`names` must be a list of classes, or their names by number from 0, got \{0: "),
        ("names: []", r"`names` must be a list"),
        ("names: [[a]]", r"`names` must be a list"),
        ("nc: 2", r"`names` must be a list .*, got None"),
        ("- a", r"`names` must be a list"),
        ("", r"`names` must be a list"),
        ("a: 1\nnames: [car", r"must be YAML, got an error on line 2"),
        ("names: !!python/object/apply:os.getcwd []", r"must be YAML, got an error on line 1"),
        ("names: [car]\nkpt_shape: [17, 3]", r"got key points"),
        ("names: [car, car]", r"classes must have different names, got 'car' twice"),
    ],
)
def test_a_data_file_that_is_none_is_refused(text: str, words: str, tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=words):
        drawn(root)


def test_lists_that_name_other_classes_are_not_chosen_between(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "classes.txt").write_text("road\ncar\n")
    with pytest.raises(DataError, match=r"files that name the classes must agree, got others in .*classes\.txt"):
        drawn(root)
    (root / "classes.txt").write_text("car\nroad\n")
    assert len(drawn(root)) == 2


def test_one_file_of_a_data_set_is_refused_with_its_folder(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    for file in (root / "data.yaml", root / "labels" / "a.txt"):
        with pytest.raises(DataError, match=rf"must be named by its folder, got one file of it; give {file.parent}"):
            drawn(file)
