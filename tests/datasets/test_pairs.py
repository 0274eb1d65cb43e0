from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from segsearch.datasets.pairs import Pair, find_pairs
from segsearch.errors import DataError
from segsearch.settings.data import DataSettings
from segsearch.settings.texts import is_list, read_list
from tests.datasets.conftest import MakeSettings


def found(settings: DataSettings, split: str) -> tuple[Pair, ...]:
    texts = {split: read_list(Path(settings.root or "") / split)} if is_list(split) else {}
    return find_pairs(settings, split, texts)


def test_directories_pair_by_name_in_order(root: Path, settings: MakeSettings) -> None:
    pairs = found(settings(), "train")
    assert [pair.name for pair in pairs] == ["train0", "train1", "train2"]
    assert pairs[1].image == root / "images/train/train1.png"
    assert pairs[1].mask == root / "masks/train/train1.png"


def test_split_directories_may_come_first(root: Path, settings: MakeSettings) -> None:
    for kind in ("images", "masks"):
        (root / "train").mkdir(exist_ok=True)
        (root / kind / "train").rename(root / "train" / kind)
    assert found(settings(), "train")[0].mask == root / "train/masks/train0.png"


def test_folders_may_be_nested_and_suffixes_differ(root: Path, settings: MakeSettings) -> None:
    for kind, suffix in (("images", "JPEG"), ("masks", "bmp")):
        (root / kind / "train/berlin").mkdir()
        (root / kind / "train/train0.png").rename(root / kind / f"train/berlin/x.1.{suffix}")
    assert [pair.name for pair in found(settings(), "train")] == ["berlin/x.1", "train1", "train2"]


def test_hidden_and_foreign_files_are_no_data(root: Path, settings: MakeSettings) -> None:
    (root / "images/train/.hidden.png").write_bytes(b"")
    (root / "images/train/notes.txt").write_text("hello")
    assert len(found(settings(), "train")) == 3


def test_a_picture_of_a_rarer_kind_gives_way_to_one_of_the_same_name(root: Path, settings: MakeSettings) -> None:
    """Once such files were not read at all: a study of then goes on."""
    shutil.copy(root / "images/train/train0.png", root / "images/train/train0.tif")
    assert found(settings(), "train")[0].image.name == "train0.png"


@pytest.mark.parametrize(
    "lines",
    [
        "images/train/train2.png masks/train/train2.png\nimages/train/train0.png masks/train/train0.png\n",
        "images/train/train2.png\n\n  images/train/train0.png  \n",
        "\ufefftrain/train2.png\ntrain/train0\n",
        "images/train/train2.png\tmasks/train/train2.png\nimages/train/train0.png\t train/train0.png",
        "images\\train\\train2.png masks\\train\\train2.png\r\nimages\\train\\train0.png masks\\train/train0.png\r\n",
        "train\\train2.png\r\ntrain\\train0\r\n",
    ],
    ids=["two columns", "one column", "from the images folder", "tabs", "of Windows", "names of Windows"],
)
def test_list_files_keep_their_order(root: Path, settings: MakeSettings, lines: str) -> None:
    (root / "mine.txt").write_text(lines, encoding="utf-8")
    pairs = found(settings(), "mine.txt")
    assert [pair.image.name for pair in pairs] == ["train2.png", "train0.png"]
    assert [pair.mask for pair in pairs] == [root / "masks/train/train2.png", root / "masks/train/train0.png"]


def test_a_file_whose_name_holds_a_backslash_is_meant_where_it_is_there(root: Path, settings: MakeSettings) -> None:
    (root / "images/train/train0.png").rename(root / "images" / "train\\train1.png")
    (root / "mine.txt").write_text("train\\train1.png masks/train/train0.png\n")
    (pair,) = found(settings(), "mine.txt")
    assert pair.image == root / "images" / "train\\train1.png"
    assert pair.image.is_file()


def test_list_files_may_hold_paths_with_spaces_between_tabs(root: Path, settings: MakeSettings) -> None:
    (root / "images/train/train0.png").rename(root / "images/train/train 0.png")
    (root / "mine.txt").write_text("images/train/train 0.png\tmasks/train/train0.png\n")
    assert found(settings(), "mine.txt")[0].name == "images/train/train 0"


def test_bare_names_find_both_in_flat_folders(tmp_path: Path, settings: MakeSettings) -> None:
    for path in ("voc/JPEGImages/2007_1.5.jpg", "voc/SegmentationClass/2007_1.5.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "voc/train.txt").write_text("2007_1.5\n")
    made = settings(root=str(tmp_path / "voc"), images="JPEGImages", masks="SegmentationClass")
    assert found(made, "train.txt")[0].mask == tmp_path / "voc/SegmentationClass/2007_1.5.png"


def _refused(settings: MakeSettings, split: str, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        found(settings(), split)
    message = str(caught.value)
    assert re.search(".*".join(words), message, re.DOTALL), message
    assert message.count("\n") <= 1


def test_missing_root(root: Path, settings: MakeSettings) -> None:
    shutil.rmtree(root)
    _refused(settings, "train", "data: data.root must be a folder", "correct the path")


def test_missing_split_folder(settings: MakeSettings) -> None:
    _refused(settings, "test", "images of split 'test' must lie in images/test or test/images", "add it")


def test_missing_mask_folder(root: Path, settings: MakeSettings) -> None:
    shutil.rmtree(root / "masks")
    _refused(settings, "train", "masks/train: the masks of .*images/train must lie in this folder")


def test_empty_split(root: Path, settings: MakeSettings) -> None:
    shutil.rmtree(root / "images/train")
    (root / "images/train").mkdir()
    _refused(settings, "train", "images/train: a split must hold images", "an empty folder")


def test_split_of_other_files(root: Path, settings: MakeSettings) -> None:
    for path in (root / "images/train").iterdir():
        path.rename(path.with_suffix(".tga"))
    _refused(settings, "train", "a split must hold images", "3 other files such as train0.tga; convert them")


def test_image_without_mask(root: Path, settings: MakeSettings) -> None:
    (root / "masks/train/train1.png").unlink()
    _refused(settings, "train", "images/train/train1.png: every image must have a mask, got no .*train1.png; add it")


def test_images_without_masks_are_counted(root: Path, settings: MakeSettings) -> None:
    for path in (root / "masks/train").iterdir():
        path.unlink()
    _refused(settings, "train", "train0.png: every image must have a mask", r"\(and 2 more like it\)$")


def test_mask_without_image(root: Path, settings: MakeSettings) -> None:
    (root / "images/train/train1.png").unlink()
    _refused(settings, "train", "masks/train/train1.png: every mask must have an image", "remove the mask")


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_two_files_of_one_name(root: Path, settings: MakeSettings, kind: str) -> None:
    (root / kind / "train/train1.bmp").touch()
    _refused(settings, "train", "train1.bmp: a name must belong to one file, got train1.png beside it")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "a split must list images, got an empty list; add lines"),
        ("images/train/nope.png", "line 1: a listed image must be there, got no file .*nope.png"),
        ("images/train/train0.png masks/nope.png", "line 1: a listed mask must be there, got no file .*nope.png"),
        ("images\\train\\nope.png", r"line 1: a listed image must be there, got no file .*images\\train\\nope.png"),
        ("a b c", "line 1: a line must be `image mask` or `image`, got 3 columns"),
        ("train/train0\n\ntrain/train0", "line 3: an image must be listed once, .* on line 1 too"),
        ("a\nb\nc", r"line 1: a listed image .* \(and 2 more like it\)"),
    ],
)
def test_wrong_list_files(root: Path, settings: MakeSettings, lines: str, words: str) -> None:
    (root / "mine.txt").write_text(lines)
    _refused(settings, "mine.txt", "mine.txt", words)


def test_listed_image_without_mask(root: Path, settings: MakeSettings) -> None:
    (root / "masks/train/train0.png").unlink()
    (root / "mine.txt").write_text("images/train/train0.png")
    _refused(settings, "mine.txt", "train0.png: every image must have a mask, got no .*masks/train/train0.png")


def test_missing_and_unreadable_lists(root: Path, settings: MakeSettings) -> None:
    _refused(settings, "nope.txt", "nope.txt: the list of a split must be there, got no such file; add it")
    (root / "bad.txt").write_bytes(b"\xff\xfe\x00")
    _refused(settings, "bad.txt", "bad.txt: the list of a split must be UTF-8 text")
