from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from segsearch.errors import DataError
from segsearch.pairing.matching import match
from segsearch.pairing.types import Place
from segsearch.pairing.walk import walk
from segsearch.readings.types import Wanted
from segsearch.survey.listed import Listed, listed_in
from tests.survey.trees import save, scene, write


def listed(root: Path, **wanted: object) -> Listed | None:
    walked = walk(root)
    return listed_in(walked, match(walked.places), Wanted(**wanted))[0]  # type: ignore[arg-type]


def some(root: Path, **wanted: object) -> Listed:
    found = listed(root, **wanted)
    assert found is not None
    return found


def flat(root: Path, count: int) -> None:
    for seed in range(count):
        image, label = scene(seed)
        save(root / f"images/{seed:03d}.jpg", image)
        save(root / f"masks/{seed:03d}.png", label)


def in_folders(root: Path, **counts: int) -> None:
    """images/SPLIT and masks/SPLIT, numbered through."""
    number = 0
    for split, count in counts.items():
        for _ in range(count):
            image, label = scene(number)
            save(root / f"images/{split}/{number:03d}.jpg", image)
            save(root / f"masks/{split}/{number:03d}.png", label)
            number += 1


def lines(numbers: Iterable[int], form: str = "{:03d}") -> str:
    return "".join(form.format(number) + "\n" for number in numbers)


def stems(places: Iterable[Place]) -> list[int]:
    return sorted(int(place.stem) for place in places)


def test_without_lists_there_is_nothing(tmp_path: Path) -> None:
    flat(tmp_path, 4)
    assert listed(tmp_path) is None


def test_lists_that_are_wanted_must_be_there(tmp_path: Path) -> None:
    flat(tmp_path, 4)
    with pytest.raises(DataError, match="--splits lists needs lists of images, got none"):
        listed(tmp_path, splits="lists")


def test_lists_of_splits(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    write(tmp_path / "train.txt", lines(range(5)))
    write(tmp_path / "val.txt", lines((6, 5)))
    found = some(tmp_path)
    assert {split: stems(places) for split, places in found.splits.items()} == {
        "train": [0, 1, 2, 3, 4],
        "validation": [5, 6],
    }
    assert (stems(found.all), found.names, found.masks, found.notes) == (list(range(7)), "train.txt, val.txt", {}, ())
    assert listed(tmp_path, splits="folders") is None


def test_the_list_that_is_called_most_plainly_counts(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    write(tmp_path / "train.txt", lines(range(4)))
    write(tmp_path / "trainaug.txt", lines(range(6)))
    write(tmp_path / "trainval.txt", lines(range(8)))
    write(tmp_path / "val.txt", lines(range(4, 8)))
    found = some(tmp_path)
    assert (stems(found.splits["train"]), stems(found.splits["validation"])) == ([0, 1, 2, 3], [4, 5, 6, 7])
    assert found.notes == ("Beside them lie trainaug.txt, trainval.txt, which are not read.",)


@pytest.mark.parametrize("name", ["trainval", "default", "all"])
def test_a_list_of_no_split_says_who_counts(tmp_path: Path, name: str) -> None:
    flat(tmp_path, 8)
    write(tmp_path / f"{name}.txt", lines(range(6)))
    found = some(tmp_path)
    assert (found.splits, stems(found.all)) == ({}, [0, 1, 2, 3, 4, 5])


def test_the_shallowest_lists_count(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    write(tmp_path / "train.txt", lines(range(4)))
    write(tmp_path / "lists/train.txt", lines(range(4, 8)))
    assert stems(some(tmp_path).splits["train"]) == [0, 1, 2, 3]


@pytest.mark.parametrize("more", [1, 2])
def test_a_line_that_names_nothing_is_refused_with_its_number(tmp_path: Path, more: int) -> None:
    flat(tmp_path, 8)
    write(tmp_path / "train.txt", "# first\n\n" + lines(range(5)) + lines(range(70, 70 + more)))
    with pytest.raises(DataError) as caught:
        listed(tmp_path)
    assert "train.txt, line 8: a line must name a picture in the folder, got '070'" in str(caught.value)
    assert ("(and 1 more like it)" in str(caught.value)) == (more == 2)
    assert listed(tmp_path, splits="folders") is None


def test_an_image_in_two_lists_is_refused_and_one_that_is_there_twice_is_not(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    write(tmp_path / "train.txt", lines((0, 1, 2, 2)))
    write(tmp_path / "val.txt", lines((3, 4)))
    assert stems(some(tmp_path).splits["train"]) == [0, 1, 2]
    write(tmp_path / "val.txt", lines((2, 3)))
    with pytest.raises(DataError, match=r"val\.txt: an image may be in one split, got images/002\.jpg in train\.txt"):
        listed(tmp_path)


def test_masks_that_lines_name(tmp_path: Path) -> None:
    flat(tmp_path, 4)
    write(tmp_path / "train.txt", lines(range(3), "images/{0:03d}.jpg masks/{0:03d}.png"))
    found = some(tmp_path)
    assert {image.inner: mask.inner for image, mask in found.masks.items()} == {
        f"images/{number:03d}.jpg": f"masks/{number:03d}.png" for number in range(3)
    }


def test_absolute_paths_of_another_machine_name_what_has_their_end(tmp_path: Path) -> None:
    in_folders(tmp_path, train=4, val=2)
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        form = f"/home/someone/set/images/{split}/{{0:03d}}.jpg /home/someone/set/masks/{split}/{{0:03d}}.png"
        write(tmp_path / f"{split}.txt", lines(numbers, form))
    found = some(tmp_path)
    assert (stems(found.splits["train"]), stems(found.splits["validation"])) == ([0, 1, 2, 3], [4, 5])
    assert len(found.masks) == 6


@pytest.mark.parametrize("strays", [1, 4, 9])
def test_lists_of_another_machine_do_not_count_beside_folders_of_splits(tmp_path: Path, strays: int) -> None:
    in_folders(tmp_path, train=4, val=2)
    write(tmp_path / "train.txt", lines(range(4)) + lines(range(strays), "/mnt/other/{}.jpg"))
    assert listed(tmp_path) is None
    if strays <= 4:
        with pytest.raises(DataError, match=r"train\.txt, line 5: a line must name a picture"):
            listed(tmp_path, splits="lists")


def test_splits_that_no_list_names_are_those_of_folders(tmp_path: Path) -> None:
    in_folders(tmp_path, train=6, val=2, test=2)
    write(tmp_path / "train.txt", lines(range(4)))
    found = some(tmp_path)
    assert {split: stems(places) for split, places in found.splits.items()} == {
        "train": [0, 1, 2, 3],
        "validation": [6, 7],
        "test": [8, 9],
    }
    assert stems(found.all) == [0, 1, 2, 3, 6, 7, 8, 9]
    assert "No list names the validation split: it is what folders say." in found.notes
    assert some(tmp_path, splits="lists").splits.keys() == {"train"}


def test_a_list_of_everything_leaves_splits_to_folders(tmp_path: Path) -> None:
    in_folders(tmp_path, train=6, val=2)
    write(tmp_path / "default.txt", lines(range(8)))
    found = some(tmp_path)
    assert {split: stems(places) for split, places in found.splits.items()} == {"validation": [6, 7]}


def test_lists_that_are_passed_over_are_said(tmp_path: Path) -> None:
    in_folders(tmp_path, train=4, val=2)
    write(tmp_path / "train.txt", lines(range(4)) + lines(range(2), "/mnt/other/{}.jpg"))
    walked = walk(tmp_path)
    found, notes = listed_in(walked, match(walked.places), Wanted())
    assert found is None
    assert notes == ("train.txt: 2 lines name no file here, so that the folders' splits count.",)


# ---- lists of several folders


def test_lists_of_folders_that_name_different_images_are_read_together(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    for folder, numbers in (("a/lists", range(4)), ("b/lists", range(4, 8))):
        write(tmp_path / folder / "train.txt", lines(numbers[:3]))
        write(tmp_path / folder / "val.txt", lines(numbers[3:]))
    found = some(tmp_path)
    assert {split: stems(places) for split, places in found.splits.items()} == {
        "train": [0, 1, 2, 4, 5, 6],
        "validation": [3, 7],
    }
    assert found.names == "train.txt, val.txt of a/lists, train.txt, val.txt of b/lists"
    assert "These folders' lists name different images and are read together" in found.notes[0]
    found = some(tmp_path, splits="b/lists")
    assert {split: stems(places) for split, places in found.splits.items()} == {"train": [4, 5, 6], "validation": [7]}


def test_lists_of_two_folders_that_part_the_same_images_are_asked_for(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    for folder, count in (("here/lists", 6), ("here/splits", 5)):
        write(tmp_path / folder / "train.txt", lines(range(count)))
        write(tmp_path / folder / "val.txt", lines(range(count, 8)))
    with pytest.raises(DataError) as caught:
        listed(tmp_path)
    assert str(caught.value).splitlines()[1:] == [
        "  --splits here/lists   6 train, 2 validation",
        "  --splits here/splits   5 train, 3 validation",
    ]
    with pytest.raises(DataError, match="Lists of 2 folders part the same images"):
        listed(tmp_path, splits="lists")
    assert stems(some(tmp_path, splits="here/splits").splits["train"]) == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match="must be lists, folders or a folder of lists, got 'x'; there are lists in: 'h"):
        listed(tmp_path, splits="x")


def test_lists_that_say_the_same_twice_are_no_question(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    for folder in ("lists", "splits"):
        write(tmp_path / folder / "train.txt", lines(range(6)))
    assert some(tmp_path).names == "train.txt"


def test_deeper_lists_of_other_images_are_said(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    write(tmp_path / "train.txt", lines(range(4)))
    write(tmp_path / "lists/train.txt", lines(range(4, 8)))
    assert some(tmp_path).notes == ("Lists in lists name other images and are not read.",)


def test_a_list_names_pictures_of_the_data_set_that_it_lies_in(tmp_path: Path) -> None:
    """Both have a picture of each name, so that a line alone says neither."""
    for name in "ab":
        flat(tmp_path / name, 6)
        write(tmp_path / name / "lists/train.txt", lines(range(4)))
        write(tmp_path / name / "lists/val.txt", lines((4, 5)))
    found = some(tmp_path)
    assert sorted(place.inner for place in found.splits["validation"]) == [
        f"{name}/images/{number:03d}.jpg" for name in "ab" for number in (4, 5)
    ]


# ---- what trainval says of validation


@pytest.mark.parametrize("name", ["trainval", "train_val", "trainval_list"])
def test_without_a_list_of_its_own_validation_is_the_rest_of_trainval(tmp_path: Path, name: str) -> None:
    flat(tmp_path, 9)
    write(tmp_path / "train.txt", lines(range(5)))
    write(tmp_path / f"{name}.txt", lines(range(8)))
    write(tmp_path / "test.txt", lines((8,)))
    found = some(tmp_path)
    assert {split: stems(places) for split, places in found.splits.items()} == {
        "train": [0, 1, 2, 3, 4],
        "validation": [5, 6, 7],
        "test": [8],
    }
    assert found.names == f"train.txt, {name}.txt, test.txt"
    assert found.notes == (
        f"No list names the validation split: it is the 3 images that {name}.txt has beside the others.",
    )


@pytest.mark.parametrize(("train", "everything"), [(range(6), range(6)), (range(6), range(1, 8))])
def test_trainval_that_has_no_rest_or_lacks_training_images_says_nothing(
    tmp_path: Path, train: range, everything: range
) -> None:
    flat(tmp_path, 8)
    write(tmp_path / "train.txt", lines(train))
    write(tmp_path / "trainval.txt", lines(everything))
    found = some(tmp_path)
    assert found.splits.keys() == {"train"}
    assert found.notes == ("Beside them lie trainval.txt, which are not read.",)


def test_a_line_of_trainval_that_names_nothing_is_refused_where_it_counts(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    write(tmp_path / "train.txt", lines(range(5)))
    write(tmp_path / "trainval.txt", lines((*range(8), 70)))
    with pytest.raises(DataError, match=r"trainval\.txt, line 9: a line must name a picture in the folder, got '070'"):
        listed(tmp_path)
