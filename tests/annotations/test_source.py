"""What is told from annotations before anything is read of them, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.annotations import Asked, read_annotations
from segsearch.annotations.source import open_source
from segsearch.errors import DataError
from tests.annotated import SCENE, WRITERS, as_json, labelme_of, picture, write_cvat, write_labelme, write_yolo


def refused(path: Path, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_annotations(path, Asked())


def test_no_annotations_say_what_was_tried(tmp_path: Path) -> None:
    tried = r"Tried: COCO JSON, LabelMe JSON, YOLO segmentation, CVAT XML for images 1\.1"
    refused(tmp_path, rf"of a known format, got an empty folder\.\n{tried}")
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "README.txt").write_text("3 images")
    refused(tmp_path, rf"of a known format, got README\.txt, images\.\n{tried}")
    refused(
        as_json(tmp_path / "a.json", {"name": "x"}), r"got JSON with neither `images` and `annotations` nor `shapes`"
    )
    (tmp_path / "voc.xml").write_text("<annotation><size/></annotation>")
    refused(tmp_path / "voc.xml", r"got XML whose root is <annotation>")
    refused(tmp_path / "images" / "a.png", r"got a \.png file")


def test_a_path_that_is_not_there_or_is_packed(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.json", r"nowhere\.json: annotations must be a file or a folder, got no such path")
    (tmp_path / "a.zip").write_bytes(b"PK")
    refused(tmp_path / "a.zip", r"got a ZIP file; unpack it")


@pytest.mark.parametrize("name", ["a.json", "a.xml", "a.bin"])
def test_an_empty_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    refused(tmp_path / name, rf"{name}: annotations must be a file with something in it, got an empty one")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "must be whole, got an empty file"),
        (b'{\n"shapes": [\n', r"must be whole, got .* on line 3"),
        (b'{"shapes": [], }', r"must be whole, got .* on line 1"),
        (b"\xff\xfe{\x00", r"must be UTF-8 text, got"),
        (b"[" * 100_000, r"must not be nested so deep"),
        (b"1" * 5000, r"must be readable, got"),
    ],
)
def test_broken_json_in_a_folder_is_refused_with_its_line(content: bytes, words: str, tmp_path: Path) -> None:
    write_labelme(tmp_path)
    (tmp_path / "c.json").write_bytes(content)
    refused(tmp_path, rf"c\.json: .*{words}")


def test_two_formats_in_a_folder_are_not_chosen_between(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    write_labelme(tmp_path)
    refused(tmp_path, r"annotations of one format, got LabelMe JSON and YOLO segmentation; name the file or the folder")
    write_cvat(tmp_path / "cvat")
    refused(tmp_path, r"got LabelMe JSON and YOLO segmentation and CVAT XML")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_is_as_good_as_its_file(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / "data", SCENE)
    assert read_annotations(tmp_path / "data", Asked())[1].count == 2


def test_hidden_files_are_nobodys(tmp_path: Path) -> None:
    write_labelme(tmp_path)
    (tmp_path / "._a.json").write_bytes(b"\x00\x05")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "a.json").write_text("{")
    assert len(open_source(tmp_path).jsons) == 2


def test_images_inside_of_labelme_files_are_not_kept(tmp_path: Path) -> None:
    path = as_json(tmp_path / "a.json", labelme_of("a.png", []))
    assert "imageData" not in open_source(path).jsons[path]


def test_a_mark_at_the_beginning_is_no_fault(tmp_path: Path) -> None:
    path = as_json(tmp_path / "a.json", labelme_of("a.png", []))
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert read_annotations(path, Asked())[1].count == 1


def test_progress_counts_the_files(tmp_path: Path) -> None:
    told = list[tuple[str, int, int]]()
    open_source(write_labelme(tmp_path), progress=lambda *step: told.append(step))
    assert told == [("reading annotations", 1, 2), ("reading annotations", 2, 2)]
