"""Lists of splits as people have them, and texts that only look like lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.errors import DataError
from segsearch.pairing.lists import Lists, SplitList, Stray, find_lists
from segsearch.pairing.matching import match
from segsearch.pairing.types import Walked
from segsearch.pairing.walk import walk
from tests.pairing.trees import touch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six images with masks in flat folders."""
    touch(tmp_path, *(f"images/{name}.jpg" for name in "abcdef"), *(f"labels/{name}.png" for name in "abcdef"))
    return tmp_path


def _write(root: Path, name: str, *lines: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _only(walked: Walked) -> SplitList:
    (lists,) = find_lists(walked)
    (found,) = lists.lists
    return found


def _named(found: SplitList) -> list[tuple[str, str | None]]:
    return [(listed.image.inner, listed.mask.inner if listed.mask else None) for listed in found.listed]


@pytest.mark.parametrize(
    "line",
    [
        "images/{0}.jpg labels/{0}.png",
        "images/{0}.jpg\tlabels/{0}.png",
        "images/{0}.jpg,labels/{0}.png",
        "images/{0}.jpg ; labels/{0}.png",
        "  ./images/{0}.jpg   ./labels/{0}.png  ",
        "/images/{0}.jpg /labels/{0}.png",
        "/home/me/sets/mine/images/{0}.jpg /home/me/sets/mine/labels/{0}.png",
        "C:\\Users\\me\\images\\{0}.jpg,C:\\Users\\me\\labels\\{0}.png",
        '"images/{0}.jpg","labels/{0}.png"',
        "{0}.jpg {0}.png",
        "{0} {0}",
        "images/{0}.tif labels/{0}.tif",
    ],
)
def test_lines_with_image_and_mask(root: Path, line: str) -> None:
    _write(root, "train.txt", "# mine", "", *(line.format(name) for name in "ab"), "   ")
    found = _only(walk(root))
    assert _named(found) == [("images/a.jpg", "labels/a.png"), ("images/b.jpg", "labels/b.png")]
    assert [listed.line for listed in found.listed] == [3, 4]
    assert (found.file, found.name, found.split, found.strays) == (root / "train.txt", "train", "train", ())


@pytest.mark.parametrize("line", ["{} 1 1 1", "{}.jpg 1 -1 0.5", "images/{}.jpg 3"])
def test_numbers_after_a_name_are_for_other_tasks(root: Path, line: str) -> None:
    """As Oxford pets have them, in `annotations`; a name may end in a number."""
    touch(root, "images/pet (1) 7.jpg", "labels/pet (1) 7.png")
    _write(root, "annotations/trainval.txt", *(line.format(name) for name in "ab"), "pet (1) 7")
    assert _named(_only(walk(root))) == [(f"images/{name}.jpg", None) for name in ("a", "b", "pet (1) 7")]


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_columns_tell_images_from_masks_where_neither_names_nor_folders_do(tmp_path: Path, ending: str) -> None:
    touch(tmp_path, *(f"a/p{number}.{ending}" for number in range(6)), *(f"b/p{number}.png" for number in range(6)))
    _write(tmp_path, "train.txt", *(f"a/p{number}.{ending} b/p{number}.png" for number in range(4)))
    _write(tmp_path, "val.txt", *(f"a/p{number}.{ending} b/p{number}.png" for number in (4, 5)))
    walked = walk(tmp_path)
    (lists,) = find_lists(walked, matched=match(walked.places))
    assert {found.split: _named(found) for found in lists.lists} == {
        "train": [(f"a/p{number}.{ending}", f"b/p{number}.png") for number in range(4)],
        "validation": [(f"a/p{number}.{ending}", f"b/p{number}.png") for number in (4, 5)],
    }


@pytest.mark.parametrize("line", ["images/{}.jpg", "{}.jpg", "{}", "./{}", "/data/images/{}.jpg", "{},", "images/{}"])
def test_lines_with_an_image_or_a_stem(root: Path, line: str) -> None:
    _write(root, "ImageSets/Segmentation/val.txt", *(line.format(name) for name in "ab"))
    found = _only(walk(root))
    assert _named(found) == [("images/a.jpg", None), ("images/b.jpg", None)]
    assert found.split == "validation"


def test_a_list_of_pascal_voc_names_images_not_their_masks_or_instances(tmp_path: Path) -> None:
    stems = [f"2007_{number:06}" for number in range(4)]
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
        touch(tmp_path / "VOCdevkit/VOC2012", *(f"{folder}/{stem}.png" for stem in stems))
    sets = "VOCdevkit/VOC2012/ImageSets"
    for name, listed in (("train", stems[:2]), ("val", stems[2:]), ("trainval", stems), ("trainaug", stems)):
        _write(tmp_path, f"{sets}/Segmentation/{name}.txt", *listed)
    _write(tmp_path, f"{sets}/Main/train.txt", *(f"{stem} -1" for stem in stems))
    assert [one.folder for one in find_lists(walk(tmp_path))] == ["VOCdevkit/VOC2012/ImageSets/Segmentation"]
    walked = walk(tmp_path / "VOCdevkit")
    (found,) = find_lists(walked)
    assert found.folder == "VOC2012/ImageSets/Segmentation"
    assert [(one.name, one.split, len(one.listed)) for one in found.lists] == [
        ("train", "train", 2),
        ("trainaug", "train", 4),
        ("trainval", None, 4),
        ("val", "validation", 2),
    ]
    assert _named(found.lists[0])[0] == ("VOC2012/JPEGImages/2007_000000.png", None)


def test_a_prefix_of_another_machine(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{folder}/{name}.png" for folder in ("train", "trainannot", "val", "valannot") for name in "ab"))
    for split in ("train", "val"):
        _write(
            tmp_path,
            f"{split}.txt",
            *(f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png" for name in "ab"),
        )
    (found,) = find_lists(walk(tmp_path))
    train, validation = found.lists
    assert _named(train) == [("train/a.png", "trainannot/a.png"), ("train/b.png", "trainannot/b.png")]
    assert _named(validation) == [("val/a.png", "valannot/a.png"), ("val/b.png", "valannot/b.png")]


def test_the_folder_that_holds_all_may_have_another_name_elsewhere(tmp_path: Path) -> None:
    touch(tmp_path, *(f"CamVid/{folder}/{name}.png" for folder in ("images", "labels") for name in "ab"))
    _write(tmp_path, "CamVid/train.txt", "/SegNet/images/a.png /SegNet/labels/a.png", "images/b.png labels/b.png")
    assert len(_only(walk(tmp_path)).listed) == 2


def test_lines_that_name_nothing_are_told_with_their_numbers(root: Path) -> None:
    path = _write(
        root, "val_list.txt", "images/a.jpg labels/a.png", "images/gone.jpg", "", "images/b.jpg labels/gone.png"
    )
    path = _write(root, "val_list.txt", *path.read_text().splitlines(), "c.jpg", "d", "too many columns")
    found = _only(walk(root))
    assert [image for image, _ in _named(found)] == ["images/a.jpg", "images/c.jpg", "images/d.jpg"]
    assert found.strays == (
        Stray(path, 2, "images/gone.jpg"),
        Stray(path, 4, "images/b.jpg labels/gone.png"),
        Stray(path, 7, "too many columns"),
    )


def test_a_picture_of_the_same_name_elsewhere_is_not_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/seq1/1.png", "images/train/seq1/2.png", "masks/train/seq1/1.png", "X/1.png")
    lines = ["images/train/seq1/1.png", "/disk/images/train/seq1/2.png"]
    wrong = ["images/val/seq1/1.png", "masks/train/seq1/1.png", "images/train/seq2/2.png", "masks/gone/1.png"]
    _write(tmp_path, "train.txt", *lines, *wrong[:2])
    _write(tmp_path, "test.txt", *lines, *wrong[2:])
    (found,) = find_lists(walk(tmp_path))
    for one in found.lists:
        assert [image for image, _ in _named(one)] == ["images/train/seq1/1.png", "images/train/seq1/2.png"]
    assert [stray.text for one in found.lists for stray in one.strays] == [*wrong[2:], *wrong[:2]]


def test_a_name_of_two_pictures_names_none(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{sequence}/{name}.png" for sequence in ("s1", "s2") for name in "ab"))
    path = _write(tmp_path, "train.txt", "a.png", "s1/b.png", "s2/b.png")
    found = _only(walk(tmp_path))
    assert [image for image, _ in _named(found)] == ["images/s1/b.png", "images/s2/b.png"]
    assert found.strays == (Stray(path, 1, "a.png"),)


def test_names_with_blanks_commas_and_dots(tmp_path: Path) -> None:
    names = ("frame 03", "a, b", "x.1", "(1) [2]", "Bäume")
    touch(tmp_path, *(f"my images/{name}.png" for name in names), *(f"masks/{name}_mask.png" for name in names))
    _write(tmp_path, "train.txt", *(f"my images/{name}.png masks/{name}_mask.png" for name in names))
    _write(tmp_path, "val.txt", *names)
    (found,) = find_lists(walk(tmp_path))
    expected = [(f"my images/{name}.png", f"masks/{name}_mask.png") for name in names]
    assert _named(found.lists[0]) == expected
    assert [image for image, _ in _named(found.lists[1])] == [image for image, _ in expected]


def test_the_mask_of_a_line_is_never_lost(tmp_path: Path) -> None:
    """`A/a.png B/gone.png` is no single name that ends in `gone.png`, nor is the image in it to be taken alone."""
    touch(tmp_path, "A/a.png", "A/b.png", "B/a.png", "B/c.png")
    _write(tmp_path, "train.txt", "A/a.png B/a.png", "A/b.png B/b.png", "A/c.png B/c.png", "A/b.png B/c.png")
    found = _only(walk(tmp_path))
    assert _named(found) == [("A/a.png", "B/a.png"), ("A/b.png", "B/c.png")]
    assert [stray.line for stray in found.strays] == [2, 3]


def test_what_is_matched_tells_images_from_masks_beside_them(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}.{suffix}" for name in "abc" for suffix in ("jpg", "png")))
    _write(tmp_path, "train.txt", "a", "b")
    walked = walk(tmp_path)
    assert find_lists(walked) == ()
    ((found,),) = (lists.lists for lists in find_lists(walked, matched=match(walked.places)))
    assert _named(found) == [("a.jpg", None), ("b.jpg", None)]


def test_the_second_format_of_a_picture_names_the_one_that_is_kept(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}.{suffix}" for name in ("images/1", "images/2") for suffix in ("jpg", "png")))
    touch(tmp_path, "masks/1.png", "masks/2.png")
    _write(tmp_path, "train.txt", "images/1.jpg masks/1.png")
    walked = walk(tmp_path)
    (lists,) = find_lists(walked, matched=match(walked.places))
    assert _named(lists.lists[0]) == [("images/1.png", "masks/1.png")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_of_windows(root: Path, encoding: str) -> None:
    (root / "val.txt").write_bytes("images\\a.jpg\tlabels\\a.png\r\nimages\\b.jpg\tlabels\\b.png\r\n".encode(encoding))
    found = _only(walk(root))
    assert _named(found) == [("images/a.jpg", "labels/a.png"), ("images/b.jpg", "labels/b.png")]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("training.txt", "train"),
        ("Train.TXT", "train"),
        ("lists/train_aug.txt", "train"),
        ("train_list.txt", "train"),
        ("valid.txt", "validation"),
        ("splits/validation.txt", "validation"),
        ("list/test.txt", "test"),
        ("ImageSets/trainval.txt", None),
        ("ImageSets/Segmentation/default.txt", None),
    ],
)
def test_names_of_lists(root: Path, name: str, split: str | None) -> None:
    _write(root, name, "a", "b")
    found = _only(walk(root))
    assert (found.split, found.name) == (split, Path(name).stem.lower())


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("classes.txt", ["a", "b"]),
        ("labels.txt", ["a", "b"]),
        ("cat_train.txt", ["a", "b"]),
        ("notes/train.txt", ["a", "b"]),
        ("train.yaml", ["a", "b"]),
        ("train.txt", ["road", "sky", "a"]),
        ("train.txt", []),
        ("val.txt", ["labels/a.png", "labels/b.png"]),
    ],
)
def test_texts_that_are_no_lists(root: Path, name: str, lines: list[str]) -> None:
    _write(root, name, *lines)
    assert find_lists(walk(root)) == ()


def test_half_of_the_lines_are_enough(root: Path) -> None:
    _write(root, "train.txt", "a", "gone", "b", "lost")
    assert len(_only(walk(root)).strays) == 2


def test_tables_have_a_head_and_masks_as_runs_are_no_lists(root: Path) -> None:
    _write(root, "train.csv", "image,mask", "images/a.jpg,labels/a.png", "images/b.jpg,labels/b.png")
    _write(root, "test.csv", "id,rle_mask", "a,1 5 7 2", "b,3 3")
    found = _only(walk(root))
    assert (len(found.listed), found.strays, found.split) == (2, (), "train")


def test_lists_of_several_folders_are_kept_apart(root: Path) -> None:
    for name in ("splits/train.txt", "train.txt", "val.txt", "lists/train.txt"):
        _write(root, name, "a", "b")
    found = find_lists(walk(root))
    assert [(lists.folder, [one.name for one in lists.lists]) for lists in found] == [
        ("", ["train", "val"]),
        ("lists", ["train"]),
        ("splits", ["train"]),
    ]
    assert all(isinstance(lists, Lists) for lists in found)


def test_a_list_that_cannot_be_read(root: Path) -> None:
    walked = walk(_write(root, "train.txt", "a").parent)
    (root / "train.txt").unlink()
    with pytest.raises(DataError, match=r"train\.txt: a list of a split must be readable, got: No such file"):
        find_lists(walked)


def test_bytes_that_are_no_text_name_nothing(root: Path) -> None:
    (root / "train.txt").write_bytes(b"a\nb\n\xff\xfe\x00\xd8\n")
    found = _only(walk(root))
    assert [stray.line for stray in found.strays] == [3]
