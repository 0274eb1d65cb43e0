"""Annotations of several files: drawn together where their classes agree, refused with both lists where not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from segsearch.annotations import Asked
from segsearch.annotations.draw import paint
from segsearch.annotations.together import read_together, split_of
from segsearch.annotations.types import Annotated
from segsearch.annotations.write import write_masks
from segsearch.errors import DataError
from segsearch.readings.types import Wanted
from segsearch.survey.look import look
from tests.annotated import SCENE, WRITERS, as_json, box, coco_of, cvat_of, golden, write_coco, write_cvat
from tests.survey.trees import save

OTHER = {"c.png": [("road", box(0, 0, 8, 6))]}
MASK = golden("........ .111.... .111222. ...2222. ...2222. ........")


def together(*paths: Path) -> Annotated:
    return read_together(paths, Asked())[1]


def two(folder: Path, kind: str, first: str = "train", second: str = "val") -> Sequence[Path]:
    """SCENE and OTHER, each as a file or folder of a kind."""
    paths = [WRITERS[kind](folder / name, scene) for name, scene in ((first, SCENE), (second, OTHER))]
    return [
        path.rename(path.with_name(f"{path.parent.name}{path.suffix}")) if path.is_file() else path for path in paths
    ]


@pytest.mark.parametrize("kind", ["coco", "cvat", "yolo"])
def test_two_files_are_drawn_as_one(tmp_path: Path, kind: str) -> None:
    found = together(*two(tmp_path, kind))
    drawn = list(found.images)
    assert ([one.name for one in drawn], found.count) == (["a", "b", "c"], 3)
    assert [one.split for one in drawn] == ["train", "train", "validation"]
    np.testing.assert_array_equal(paint(drawn[0], "smaller").mask, MASK)
    assert (paint(drawn[2], "smaller").mask == 2).all()
    assert found.legend.classes == ("background", "car", "road")


@pytest.mark.parametrize("kind", ["coco", "cvat"])
def test_other_classes_are_refused_with_both_lists(tmp_path: Path, kind: str) -> None:
    first, second = two(tmp_path, kind)
    if kind == "coco":
        content = coco_of(OTHER)
        content["categories"].insert(0, {"id": 1, "name": "bike"})
        as_json(second, content)
    else:
        second.write_text(cvat_of("", labels=("bike", "car", "road")))
    words = rf"{second}: annotations .* order, got 'background', 'bike', 'car', 'road'\nhere and 'background', "
    with pytest.raises(DataError, match=words + rf"'car', 'road' in {first}; give both"):
        together(first, second)


def test_ids_of_categories_may_differ_where_their_order_does_not(tmp_path: Path) -> None:
    content = coco_of(OTHER)
    for category in content["categories"]:
        category["id"] += 10
    for annotation in content["annotations"]:
        annotation["category_id"] += 10
    found = together(write_coco(tmp_path / "train"), as_json(tmp_path / "val/instances.json", content))
    assert (paint(list(found.images)[2], "smaller").mask == 2).all()


def test_another_format_and_the_same_file_are_refused(tmp_path: Path) -> None:
    coco = write_coco(tmp_path)
    with pytest.raises(DataError, match=r"must be of one format, got CVAT XML for images 1\.1, and COCO JSON in "):
        together(coco, write_cvat(tmp_path, OTHER))
    with pytest.raises(DataError, match="must be named once, got this path twice"):
        together(coco, tmp_path / "." / coco.name)


def test_an_image_of_both_files_is_refused_with_both(tmp_path: Path) -> None:
    paths = [write_coco(tmp_path / name) for name in ("train", "val")]
    with pytest.raises(DataError, match=r"got a\.png of .*train/instances\.json and a\.png of .*val/instances\.json"):
        write_masks(together(*paths), tmp_path / "out", overlaps="smaller")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("instances_train2017.json", "train"),
        ("x/val.json", "validation"),
        ("valid/_annotations.coco.json", "validation"),
        ("train/test.json", "test"),
        ("training/trainval.json", "train"),
        ("train_val.json", None),
        ("a/b.json", None),
    ],
)
def test_whose_split_a_file_is(path: str, split: str | None) -> None:
    assert split_of(Path(path)) == split


def test_the_splits_of_the_files_become_those_of_a_study(tmp_path: Path) -> None:
    scenes = {
        split: {f"{split}_{number}.png": [("car", box(number, 1, number + 2, 5))] for number in range(count)}
        for split, count in (("train", 5), ("val", 3), ("test", 2))
    }
    paths = [as_json(tmp_path / f"instances_{split}2017.json", coco_of(scene)) for split, scene in scenes.items()]
    out = tmp_path / "out"
    written = write_masks(together(*paths), out, overlaps="smaller")
    assert written.lists == ("train.txt", "val.txt", "test.txt")
    assert (out / "val.txt").read_text() == "val_0\nval_1\nval_2\n"
    for number, name in enumerate(name for scene in scenes.values() for name in scene):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        save(out / "images" / name, pixels)
    splits = look(out, Wanted()).splits
    assert [len(splits.of(split)) for split in ("train", "validation", "test")] == [5, 3, 2]


@pytest.mark.parametrize("names", [("a", "b"), ("train", "more"), ("val", "test"), ("train1", "train2")])
def test_without_training_and_other_files_no_list_is_written_and_that_is_said(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    found = together(*two(tmp_path, "coco", *names))
    assert found.notes[-1].startswith("the files' names do not say who trains and who judges")
    assert write_masks(found, tmp_path / "out", overlaps="smaller").lists == ()


def test_lists_are_replaced_with_the_masks(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        write_masks(together(*two(tmp_path / "data", "coco")), out, overlaps="smaller", force=True)
        assert sorted(path.name for path in out.iterdir()) == ["classes.txt", "masks", "train.txt", "val.txt"]
