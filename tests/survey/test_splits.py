from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from segsearch.errors import DataError
from segsearch.readings.types import Wanted
from segsearch.survey.look import Found, look
from segsearch.survey.splits import SPLITS
from tests.survey.test_listed import flat, in_folders, lines
from tests.survey.trees import save, scene, write


def looked(root: Path, **wanted: object) -> Found:
    return look(root, Wanted(**wanted))  # type: ignore[arg-type]


def numbers(found: Found) -> dict[str, list[int]]:
    return {
        split: [int(pair.image.stem) for pair in found.splits.of(split)] for split in SPLITS if found.splits.of(split)
    }


def both(root: Path, train: Iterable[int], validation: Iterable[int]) -> None:
    write(root / "train.txt", lines(train))
    write(root / "val.txt", lines(validation))


def test_lists_come_before_a_part_that_is_held_out(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    both(tmp_path, (7, 0, 2, 1), (5,))
    found = looked(tmp_path)
    assert numbers(found) == {"train": [7, 0, 2, 1], "validation": [5]}
    assert (found.splits.held_out, found.splits.words) == (False, ("The splits are those of train.txt, val.txt.",))
    assert "3 images with masks are in no list and are not read." in found.notes


def test_lists_that_agree_with_folders_come_before_them(tmp_path: Path) -> None:
    in_folders(tmp_path, train=6, val=2)
    both(tmp_path, range(5), range(6, 8))
    found = looked(tmp_path)
    assert numbers(found) == {"train": [0, 1, 2, 3, 4], "validation": [6, 7]}
    assert "1 images with masks are in no list and are not read." in found.notes


def test_lists_and_folders_that_disagree_are_asked_for(tmp_path: Path) -> None:
    in_folders(tmp_path, train=6, val=2)
    both(tmp_path, range(2, 8), range(2))
    with pytest.raises(DataError) as caught:
        looked(tmp_path)
    assert str(caught.value) == (
        "The lists (train.txt, val.txt) and the folders' names part the images differently: 6 train, 2 validation, "
        "against 6 train, 2 validation. Choose with --splits lists or --splits folders."
    )
    assert numbers(looked(tmp_path, splits="lists")) == {"train": [2, 3, 4, 5, 6, 7], "validation": [0, 1]}
    found = looked(tmp_path, splits="folders")
    assert numbers(found) == {"train": [0, 1, 2, 3, 4, 5], "validation": [6, 7]}
    assert found.splits.words == ("The splits are those of the folders.",)


def test_validation_is_taken_from_a_train_list_that_is_alone(tmp_path: Path) -> None:
    flat(tmp_path, 14)
    write(tmp_path / "train.txt", lines(range(10)))
    found = looked(tmp_path)
    parts = numbers(found)
    assert (len(parts["train"]), len(parts["validation"])) == (8, 2)
    assert sorted(parts["train"] + parts["validation"]) == list(range(10))
    assert found.splits.held_out
    assert "4 images with masks are in no list and are not read." in found.notes


@pytest.mark.parametrize("name", ["trainval", "default"])
def test_a_list_of_no_split_is_parted_here(tmp_path: Path, name: str) -> None:
    flat(tmp_path, 14)
    write(tmp_path / f"{name}.txt", lines(range(10)))
    write(tmp_path / "test.txt", lines((10, 11)))
    found = looked(tmp_path)
    parts = numbers(found)
    assert (len(parts["train"]), len(parts["validation"]), parts["test"]) == (8, 2, [10, 11])
    assert "2 test images are kept aside; nothing is decided by them." in found.splits.words


def test_trainval_without_validation_is_for_training(tmp_path: Path) -> None:
    flat(tmp_path, 10)
    write(tmp_path / "trainval.txt", lines(range(10)))
    write(tmp_path / "val.txt", lines((3, 7)))
    assert numbers(looked(tmp_path)) == {"train": [0, 1, 2, 4, 5, 6, 8, 9], "validation": [3, 7]}


def test_a_list_of_everything_does_not_mix_the_splits_of_folders(tmp_path: Path) -> None:
    in_folders(tmp_path, train=6, val=2)
    write(tmp_path / "default.txt", lines(range(8)))
    found = looked(tmp_path)
    assert numbers(found) == {"train": [0, 1, 2, 3, 4, 5], "validation": [6, 7]}
    assert not found.splits.held_out


def test_a_train_list_beside_a_folder_of_validation_needs_no_part_held_out(tmp_path: Path) -> None:
    in_folders(tmp_path, train=6, val=2)
    write(tmp_path / "train.txt", lines(range(5)))
    found = looked(tmp_path)
    assert numbers(found) == {"train": [0, 1, 2, 3, 4], "validation": [6, 7]}
    assert "No list names the validation split: it is what folders say." in found.splits.words


def test_lists_of_another_machine_beside_folders_of_splits(tmp_path: Path) -> None:
    in_folders(tmp_path, train=4, val=2)
    for split, which in (("train", range(4)), ("val", range(4, 6))):
        write(tmp_path / f"{split}.txt", lines(which, "C:\\sets\\mine\\{:03d}.bmp"))
    assert numbers(looked(tmp_path)) == {"train": [0, 1, 2, 3], "validation": [4, 5]}
    for split, which in (("train", range(4)), ("val", range(4, 6))):
        write(tmp_path / f"{split}.txt", lines(which, f"C:\\sets\\mine\\images\\{split}\\{{:03d}}.jpg"))
    found = looked(tmp_path)
    assert numbers(found) == {"train": [0, 1, 2, 3], "validation": [4, 5]}
    assert found.splits.words == ("The splits are those of train.txt, val.txt.",)


def test_validation_alone_is_nothing_to_train_on(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    write(tmp_path / "val.txt", lines(range(4)))
    with pytest.raises(
        DataError, match=r"No images are left to train on: 4 validation\. Rename .* or write train\.txt"
    ):
        looked(tmp_path)


@pytest.mark.parametrize("by", ["folders", "lists"])
def test_the_same_file_in_two_splits_is_refused(tmp_path: Path, by: str) -> None:
    if by == "folders":
        in_folders(tmp_path, train=5, val=2)
        one, other = "images/train/003.jpg", "images/val/006.jpg"
    else:
        flat(tmp_path, 8)
        both(tmp_path, range(5), range(5, 8))
        one, other = "images/003.jpg", "images/006.jpg"
    (tmp_path / other).write_bytes((tmp_path / one).read_bytes())
    with pytest.raises(DataError, match=rf"{other}: no image may be in two splits, got the same file as .*{one} in"):
        looked(tmp_path)


def test_the_same_file_twice_in_one_split_is_none_of_ours(tmp_path: Path) -> None:
    in_folders(tmp_path, train=5, val=2)
    (tmp_path / "images/train/003.jpg").write_bytes((tmp_path / "images/train/002.jpg").read_bytes())
    assert len(looked(tmp_path).splits.train) == 5


def test_images_with_masks_beside_folders_of_splits_are_counted(tmp_path: Path) -> None:
    in_folders(tmp_path, train=5, val=2)
    for seed in range(100, 103):
        save(tmp_path / f"images/{seed}.jpg", scene(seed)[0])
        save(tmp_path / f"masks/{seed}.png", scene(seed)[1])
    found = looked(tmp_path)
    assert numbers(found) == {"train": [0, 1, 2, 3, 4], "validation": [5, 6]}
    assert "3 images are in no split and are not read." in found.splits.words


def test_images_outside_folders_train_where_no_folder_is_for_training(tmp_path: Path) -> None:
    in_folders(tmp_path, test=3)
    for seed in range(100, 110):
        save(tmp_path / f"images/{seed}.jpg", scene(seed)[0])
        save(tmp_path / f"masks/{seed}.png", scene(seed)[1])
    parts = numbers(looked(tmp_path))
    assert (len(parts["train"]), len(parts["validation"]), parts["test"]) == (8, 2, [0, 1, 2])


def test_splits_of_masks_count_where_images_have_none(tmp_path: Path) -> None:
    for seed in range(8):
        image, label = scene(seed)
        save(tmp_path / f"images/{seed:03d}.jpg", image)
        save(tmp_path / f"masks/{'train' if seed < 6 else 'val'}/{seed:03d}.png", label)
    assert numbers(looked(tmp_path)) == {"train": [0, 1, 2, 3, 4, 5], "validation": [6, 7]}


def test_three_images_are_too_few_to_hold_one_out(tmp_path: Path) -> None:
    flat(tmp_path, 3)
    with pytest.raises(DataError, match=r"at least 4 images with masks are needed to hold some out .*got 3"):
        looked(tmp_path)


def test_test_images_of_a_list_without_masks_are_left_out(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    both(tmp_path, range(6), (6, 7))
    save(tmp_path / "images/100.jpg", scene(100)[0])
    write(tmp_path / "test.txt", lines((100,)))
    found = looked(tmp_path)
    assert numbers(found) == {"train": [0, 1, 2, 3, 4, 5], "validation": [6, 7]}
    assert "1 test images have no masks and are not read." in found.notes
