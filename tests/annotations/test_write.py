"""Masks as files: all of them or none, nothing outside of the folder, and nothing lost that was there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from segsearch.annotations import Asked, read_annotations
from segsearch.annotations import write as writing
from segsearch.annotations.outlines import rectangle
from segsearch.annotations.types import Annotated, Drawn, Legend, Shape
from segsearch.annotations.write import Written, in_words, write_masks
from segsearch.datasets.decode import read_stored
from segsearch.datasets.folders import read_classes
from segsearch.errors import DataError, StudyError
from tests.annotated import SCENE, as_json, box, golden, labelme_of, write_coco, write_labelme, write_yolo

MASK = golden("........ .111.... .111222. ...2222. ...2222. ........")


def write(path: Path, out: Path, *, force: bool = False) -> Written:
    found = read_annotations(path, Asked())[1]
    return write_masks(found, out, overlaps=found.overlaps, force=force)


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_masks_and_classes_as_segsearch_reads_them(tmp_path: Path) -> None:
    written = write(write_coco(tmp_path), tmp_path / "out" / "inner")
    out = tmp_path / "out" / "inner"
    assert everything(tmp_path) == [
        "instances.json", "out", "out/inner", "out/inner/classes.txt", "out/inner/masks", "out/inner/masks/a.png",
        "out/inner/masks/b.png",
    ]  # fmt: skip
    np.testing.assert_array_equal(read_stored(out / "masks" / "a.png").values, MASK)
    empty = read_stored(out / "masks" / "b.png").values
    assert empty is not None
    assert not empty.any()
    listed = (out / "classes.txt").read_text()
    assert read_classes(listed, out / "classes.txt", void=255, mapped=False) == ("background", "car", "road")
    assert (written.names, written.empty, written.disputed) == (("a", "b"), 1, 1)
    assert written.pixels[:3].tolist() == [96 - 17, 6, 11]
    assert dict(written.shapes) == {1: 1, 2: 1}
    assert (out.stat().st_mode & 0o777) == (tmp_path.joinpath("out").stat().st_mode & 0o777)


def test_folders_of_names_stay(tmp_path: Path) -> None:
    write(write_coco(tmp_path, {"x/y/a.png": SCENE["a.png"], "x/a.b.png": []}), tmp_path / "out")
    assert everything(tmp_path / "out" / "masks") == ["x", "x/a.b.png", "x/y", "x/y/a.png"]


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "images").mkdir(parents=True)
    with pytest.raises(StudyError, match=r"a new or an empty folder, got one with images in it; .* --force to replace"):
        write(write_coco(tmp_path), out)
    assert everything(out) == ["images"]
    (out / "images").rmdir()
    write(write_coco(tmp_path), out)
    assert everything(out) == ["classes.txt", "masks", "masks/a.png", "masks/b.png"]


def test_a_folder_on_its_way_is_no_content(tmp_path: Path) -> None:
    """A conversion that was killed leaves one in the empty folder that it was to fill."""
    out = tmp_path / "out"
    (out / ".segsearch-abc" / "made").mkdir(parents=True)
    for path in (out / ".segsearch-abc" / "made", out / ".segsearch-abc"):
        os.utime(path, (1e9, 1e9))
    write(write_coco(tmp_path), out)
    assert everything(out) == ["classes.txt", "masks", "masks/a.png", "masks/b.png"]


def test_force_replaces_masks_and_classes_and_leaves_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "masks" / "old").mkdir(parents=True)
    (out / "masks" / "old" / "x.png").touch()
    (out / "images").mkdir()
    (out / "images" / "a.png").touch()
    write(write_coco(tmp_path), out, force=True)
    assert everything(out) == ["classes.txt", "images", "images/a.png", "masks", "masks/a.png", "masks/b.png"]


def broken(after: int) -> Annotated:
    """Annotations whose stream ends in an error."""

    def stream() -> Iterator[Drawn]:
        for number in range(after):
            yield Drawn(f"{number}", f"{number}.png", 6, 8, (Shape(1, (rectangle(0, 0, 1, 1),)),))
        raise DataError("the third is broken")

    return Annotated(Legend(("background", "car"), {"car": 1}), stream(), 3, "later", (Path("x.json"),), ())


@pytest.mark.parametrize("there", [False, True])
def test_an_error_half_way_leaves_everything_as_it_was(there: bool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if there:
        write(write_coco(tmp_path), out)
    before = everything(tmp_path)
    with pytest.raises(DataError, match="the third is broken"):
        write_masks(broken(2), out, overlaps="later", force=True)
    assert everything(tmp_path) == before


def test_a_move_that_fails_half_way_puts_back_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write(write_coco(tmp_path, {"old.png": SCENE["a.png"]}), out)
    (out / "classes.txt").write_text("mine\n")
    replace = os.replace

    def fails(source: Path, target: Path) -> None:
        if target == out / "classes.txt" and source.parent.name == "made":
            raise OSError(28, "No space left on device", str(target))
        replace(source, target)

    monkeypatch.setattr(writing.os, "replace", fails)
    with pytest.raises(Exception, match="no room left"):
        write(write_coco(tmp_path), out, force=True)
    assert everything(out) == ["classes.txt", "masks", "masks/old.png"]
    assert (out / "classes.txt").read_text() == "mine\n"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"--out must be a folder, got a file"):
        write(write_coco(tmp_path), tmp_path / "file")
    with pytest.raises(
        StudyError, match=r"--out must be a folder that can be written, got: (Not a directory|File exists)"
    ):
        write(write_coco(tmp_path), tmp_path / "file" / "out")
    with pytest.raises(StudyError, match=r"--out must be a folder that can be written, got: File name too long"):
        write(write_coco(tmp_path, {f"{'a' * 300}.png": SCENE["a.png"]}), tmp_path / "out")
    assert everything(tmp_path) == ["file", "instances.json"]


@pytest.mark.parametrize("twin", ["a.jpg", "./a.png", "x/../a.png"])
def test_two_images_of_one_name_are_refused(twin: str, tmp_path: Path) -> None:
    words = r"every image must have a name of its own, got a\.png and .*, whose masks would both be a\.png|no \.\."
    with pytest.raises(DataError, match=words):
        write(write_coco(tmp_path, {"a.png": SCENE["a.png"], twin: []}), tmp_path / "out")
    assert everything(tmp_path) == ["instances.json"]


def test_two_labelme_files_of_one_image_are_refused(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        as_json(tmp_path / "data" / name, labelme_of("a.png", SCENE["a.png"]))
    with pytest.raises(DataError, match=r"got a\.png and a\.png, whose masks would both be a\.png"):
        write(tmp_path / "data", tmp_path / "out")


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "x/../../a.png"])
def test_nothing_is_written_outside_of_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a path below the folder of the images"):
        write(write_coco(tmp_path, {"b.png": SCENE["a.png"], name: []}), tmp_path / "deep" / "out")
    assert everything(tmp_path) == ["deep", "instances.json"]


def test_annotations_without_any_outline_are_refused(tmp_path: Path) -> None:
    data = write_yolo(tmp_path / "data", {"a.png": []})
    with pytest.raises(DataError, match=r"annotations must hold outlines, got none; export polygons or masks"):
        write(data, tmp_path / "out")
    (data / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n")
    with pytest.raises(DataError, match=r"must hold outlines, got 2 boxes without an outline"):
        write(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_read_is_never_replaced(tmp_path: Path) -> None:
    """Annotations in DIR/masks, or a list that says which class number is which in DIR/classes.txt."""
    write_labelme(tmp_path / "masks")
    with pytest.raises(StudyError, match=r"--out must not replace what is read, got .*masks/a\.json in it"):
        write(tmp_path / "masks", tmp_path, force=True)
    data = write_yolo(tmp_path / "yolo")
    (data / "data.yaml").unlink()
    (data / "classes.txt").write_text("car\nroad\n")
    with pytest.raises(StudyError, match=r"--out must not replace what is read, got .*classes\.txt in it"):
        write(data, data, force=True)
    assert (data / "classes.txt").read_text() == "car\nroad\n"


def test_a_link_to_a_folder_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(write_coco(tmp_path), tmp_path / "link")
    assert everything(tmp_path / "real") == ["classes.txt", "masks", "masks/a.png", "masks/b.png"]
    assert (tmp_path / "link").is_symlink()


def test_what_is_met_is_summed_over_images(tmp_path: Path) -> None:
    shapes = [
        ("car", box(-2, 0, 4, 2)),
        ("road", box(1.1, 1.1, 1.2, 1.2)),
        ("road", [(1, 1)]),
        ("road", box(3, 0, 5, 2)),
    ]
    written = write(write_labelme(tmp_path / "data", {"a.png": shapes, "b.png": shapes}), tmp_path / "out")
    assert (written.beyond, written.unseen, written.few, written.disputed) == (2, 2, 2, 4)
    assert dict(written.shapes) == {1: 2, 2: 4}


def test_kinds_are_told_in_words() -> None:
    assert in_words(Counter({"box without an outline": 2, "points": 2, "tag": 1})) == [
        "2 boxes without an outline", "2 points", "1 tag",
    ]  # fmt: skip
