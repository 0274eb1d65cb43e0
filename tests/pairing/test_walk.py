"""Every picture is found once and in order; what programs leave is counted; links are followed and end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from segsearch.datasets.decode import SUFFIXES
from segsearch.datasets.tree import pictures_below
from segsearch.errors import DataError
from segsearch.pairing.walk import walk
from tests.pairing.trees import inner, touch


def test_pictures_of_all_kinds_in_order(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{number}{suffix}" for number, suffix in enumerate(SUFFIXES)))
    touch(tmp_path, "b/UPPER.JPEG", "a.TIF", "a.txt", "b/noise.pdf", "images/x.y.png")
    walked = walk(tmp_path)
    assert inner(walked.places) == sorted(inner(walked.places))
    assert len(walked.places) == len(SUFFIXES) + 3
    upper = next(place for place in walked.places if place.stem == "UPPER")
    assert (upper.path, upper.inner, upper.role) == (tmp_path / "b/UPPER.JPEG", "b/UPPER.JPEG", None)
    assert next(place for place in walked.places if place.stem == "x.y").role == "image"
    assert (walked.root, walked.hidden, walked.linked) == (tmp_path, 0, 0)


def test_what_programs_left_is_counted_and_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "images/.ipynb_checkpoints/a-checkpoint.png", "images/._a.png", "images/.notes.txt")
    touch(tmp_path, "images/@eaDir/a.png/SYNOPHOTO_THUMB_M.png", "__MACOSX/images/._a.png", "images/Thumbs.db")
    touch(tmp_path, "#recycle/old.jpg", "$RECYCLE.BIN/x/y.jpg", "lost+found/z.bmp", ".git/labels.txt")
    walked = walk(tmp_path)
    assert inner(walked.places) == ["images/a.png"]
    assert walked.hidden == 7
    assert walked.texts == ()


def test_the_names_above_the_root_do_not_matter(tmp_path: Path) -> None:
    touch(tmp_path / ".cache/masks", "a.png")
    place = walk(tmp_path / ".cache/masks").places[0]
    assert (place.inner, place.role) == ("a.png", None)


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "data/images/seq1/1.png", "disk/seq2/2.png", "disk/3.png")
    (tmp_path / "data/images/seq2").symlink_to(tmp_path / "disk/seq2", target_is_directory=True)
    (tmp_path / "data/images/3.png").symlink_to(tmp_path / "disk/3.png")
    walked = walk(tmp_path / "data")
    assert inner(walked.places) == ["images/3.png", "images/seq1/1.png", "images/seq2/2.png"]
    assert walked.places[-1].rest == "seq2"
    assert walked.linked == 1


def test_a_folder_of_two_names_is_walked_under_both(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.png")
    (tmp_path / "two").symlink_to("one", target_is_directory=True)
    assert inner(walk(tmp_path).places) == ["one/a.png", "two/a.png"]


def test_links_that_run_in_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "data/x/a.png", "data/y/b.png", "aside.png")
    (tmp_path / "data/x/up").symlink_to("..", target_is_directory=True)
    (tmp_path / "data/x/self").symlink_to(".", target_is_directory=True)
    (tmp_path / "data/x/above").symlink_to("../..", target_is_directory=True)
    (tmp_path / "data/x/y").symlink_to("../y", target_is_directory=True)
    (tmp_path / "data/y/x").symlink_to("../x", target_is_directory=True)
    (tmp_path / "data/itself").symlink_to("itself")
    walked = walk(tmp_path / "data")
    assert inner(walked.places) == ["x/a.png", "x/y/b.png", "y/b.png", "y/x/a.png"]
    assert walked.linked == 2


def test_links_to_nothing_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png")
    (tmp_path / "images/b.png").symlink_to("gone.png")
    (tmp_path / "masks").symlink_to("gone", target_is_directory=True)
    walked = walk(tmp_path)
    assert inner(walked.places) == ["images/a.png"]
    assert walked.linked == 0


def test_a_folder_called_like_a_picture_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a.png/b.png")
    assert inner(walk(tmp_path).places) == ["a.png/b.png"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png", ".cache/b.png")
    scandir = os.scandir

    def closed(path: Path) -> Iterator[os.DirEntry[str]]:
        if Path(path).name in ("masks", ".cache"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(DataError, match=r"masks: every folder must be readable, got: Permission denied; correct"):
        walk(tmp_path)


def test_the_root_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: DATA must be a folder with images and masks, got none there"):
        walk(tmp_path / "gone")


def test_texts_that_belong_to_pictures_do_not_crowd_out_lists(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number:04d}.{suffix}" for number in range(250) for suffix in ("png", "json")))
    touch(tmp_path, "zebra.names", "VOC/ImageSets/Segmentation/train.txt", "a/b/c/deep.csv", "a/b/c/d/e/f/too_deep.csv")
    touch(tmp_path, "labels.TXT", "readme.md", ".hidden.txt", ".hidden/labels.txt", "data.yaml/x.png")
    (tmp_path / "large.txt").write_bytes(b" " * (2 * 1024 * 1024))
    texts = [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path).texts]
    assert texts[:4] == ["labels.TXT", "zebra.names", "VOC/ImageSets/Segmentation/train.txt", "a/b/c/deep.csv"]
    assert texts[4:6] == ["0000.json", "0001.json"]
    assert len(texts) == 200


def test_progress_ends_at_its_total(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}/a.png" for number in range(250)))
    told: list[tuple[str, int, int]] = []
    walk(tmp_path, progress=lambda *step: told.append(step))
    assert told[-1] == ("looking into folders", 251, 251)
    assert len(told) == 3


def test_a_run_names_a_folder_that_it_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not seen would be left out of the data without a word."""
    touch(tmp_path, "images/a.png", "images/closed/b.png")
    scandir = os.scandir

    def closed(path: object) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(DataError, match="closed: every folder must be readable, got: Permission denied"):
        list(pictures_below(tmp_path / "images"))
