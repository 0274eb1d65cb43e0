from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsearch.errors import DataError
from segsearch.pairing.matching import match
from segsearch.pairing.walk import walk
from segsearch.readings.types import Wanted
from segsearch.survey.chosen import Chosen, pairs_of
from segsearch.survey.listed import listed_in
from tests.survey.test_listed import flat, in_folders, lines
from tests.survey.trees import COLOURS, save, scene, write


def chosen(root: Path, **wanted: object) -> Chosen:
    walked = walk(root)
    matched = match(walked.places)
    said = Wanted(**wanted)  # type: ignore[arg-type]
    return pairs_of(walked, matched, listed_in(walked, matched, said)[0], said)


def masks(found: Chosen) -> list[str]:
    return [pair.mask.inner for pair in found.pairs]


def test_numbers_in_names_are_in_their_order(tmp_path: Path) -> None:
    for number in (1, 2, 9, 10, 100):
        image, label = scene(number)
        save(tmp_path / f"images/frame_{number}.png", image)
        save(tmp_path / f"masks/frame_{number}.png", label)
    assert [pair.image.stem for pair in chosen(tmp_path).pairs] == [f"frame_{number}" for number in (1, 2, 9, 10, 100)]


# ---- several kinds of masks


def test_masks_in_two_folders_are_asked_for(tmp_path: Path) -> None:
    folders = ("masks_anna", "masks_ben")
    for seed in range(6):
        image, label = scene(seed)
        save(tmp_path / f"images/{seed:03d}.png", image)
        for turn, folder in enumerate(folders):
            save(tmp_path / folder / f"{seed:03d}.png", np.roll(label, turn))
    with pytest.raises(DataError, match=r"--masks masks_anna +such as .*\n.*--masks masks_ben +such as"):
        chosen(tmp_path)
    for folder in folders:
        found = chosen(tmp_path, masks=folder)
        assert masks(found) == [f"{folder}/{seed:03d}.png" for seed in range(6)]
        assert found.notes[0] == f"Masks are those of {folder}."


@pytest.mark.parametrize("few", [(4,), (3, 4), (2, 3, 4)])
def test_two_annotators_who_share_some_images_are_asked_for(tmp_path: Path, few: tuple[int, ...]) -> None:
    """Anna drew the first five of eight, Ben the others and some of hers."""
    for seed in range(8):
        image, label = scene(seed)
        save(tmp_path / f"images/{seed:03d}.png", image)
        if seed < 5:
            save(tmp_path / f"labels/anna/{seed:03d}.png", label)
        if seed > 4 or seed in few:
            save(tmp_path / f"labels/ben/{seed:03d}.png", np.roll(label, 1))
    with pytest.raises(DataError) as caught:
        chosen(tmp_path)
    lines = str(caught.value).splitlines()
    assert {line.split()[1] for line in lines[1:3]} == {"labels/anna", "labels/ben"}
    assert lines[3].startswith(f"{len(few)} images have a mask in both, such as labels/")
    assert len(chosen(tmp_path, masks="labels/anna", unlabelled="skip").pairs) == 5
    for seed in few:
        (tmp_path / f"labels/ben/{seed:03d}.png").unlink()
    assert len(chosen(tmp_path).pairs) == 8


def test_masks_of_two_endings_are_asked_for(tmp_path: Path) -> None:
    for seed in range(6):
        image, label = scene(seed)
        save(tmp_path / f"images/{seed:03d}.png", image)
        for turn, ending in enumerate(("_lesion", "_vessel")):
            save(tmp_path / f"masks/{seed:03d}{ending}.png", np.roll(label, turn))
    with pytest.raises(DataError) as caught:
        chosen(tmp_path)
    assert str(caught.value).splitlines() == [
        "2 kinds of masks go with the images; choose one of them:",
        "  --masks _lesion   such as masks/000_lesion.png",
        "  --masks _vessel   such as masks/000_vessel.png",
    ]
    for ending in ("_lesion", "_vessel"):
        assert masks(chosen(tmp_path, masks=ending)) == [f"masks/{seed:03d}{ending}.png" for seed in range(6)]
    with pytest.raises(DataError, match="--masks must name an ending or a folder of masks, got 'x'; there are: '_les"):
        chosen(tmp_path, masks="x")


@pytest.mark.parametrize("ending", ["_color", "_instanceIds", "_labelIds"])
def test_masks_of_classes_are_taken_before_others(tmp_path: Path, ending: str) -> None:
    for seed in range(6):
        image, label = scene(seed)
        save(tmp_path / f"images/{seed:03d}.png", image)
        kinds = {
            "_color": COLOURS[label],
            "_instanceIds": label.astype(np.uint16) * 1000,
            "_labelIds": label * np.uint8(7),
        }
        save(tmp_path / f"masks/{seed:03d}_labelTrainIds.png", label)
        save(tmp_path / f"masks/{seed:03d}{ending}.png", kinds[ending])
    found = chosen(tmp_path)
    assert masks(found) == [f"masks/{seed:03d}_labelTrainIds.png" for seed in range(6)]
    assert found.notes == (f"Masks are those of _labelTrainIds; {ending} lie beside them and are not read.",)
    assert masks(chosen(tmp_path, masks=ending))[0] == f"masks/000{ending}.png"


def test_a_folder_that_is_named_means_its_plain_masks(tmp_path: Path) -> None:
    for seed in range(8):
        image, label = scene(seed)
        save(tmp_path / f"images/{seed:03d}.png", image)
        if seed < 6:
            save(tmp_path / f"masks/{seed:03d}.png", label)
        save(tmp_path / f"masks/{seed:03d}_color.png", COLOURS[label])
    found = chosen(tmp_path, masks="masks", unlabelled="skip")
    assert masks(found) == [f"masks/{seed:03d}.png" for seed in range(6)]


def test_a_kind_that_is_named_comes_before_the_masks_of_lists(tmp_path: Path) -> None:
    for seed in range(6):
        image, label = scene(seed)
        save(tmp_path / f"images/{seed:03d}.png", image)
        for ending in ("_a", "_b"):
            save(tmp_path / f"masks/{seed:03d}{ending}.png", label)
    write(tmp_path / "train.txt", lines(range(6), "images/{0:03d}.png masks/{0:03d}_a.png"))
    assert masks(chosen(tmp_path)) == [f"masks/{seed:03d}_a.png" for seed in range(6)]
    assert masks(chosen(tmp_path, masks="_b")) == [f"masks/{seed:03d}_b.png" for seed in range(6)]


# ---- lists


def test_lists_say_which_masks_are_meant(tmp_path: Path) -> None:
    flat(tmp_path, 6)
    write(tmp_path / "train.txt", "".join(f"images/{n:03d}.jpg masks/{(n + 1) % 6:03d}.png\n" for n in range(4)))
    found = chosen(tmp_path)
    assert [(pair.image.stem, pair.mask.stem) for pair in found.pairs] == [
        ("000", "001"), ("001", "002"), ("002", "003"), ("003", "004"),
    ]  # fmt: skip
    assert found.notes == ("Masks are those that train.txt name.",)


def test_lists_that_name_some_masks_are_right_in_those(tmp_path: Path) -> None:
    flat(tmp_path, 6)
    write(tmp_path / "train.txt", "".join(f"images/{n:03d}.jpg masks/{(n + 1) % 4:03d}.png\n" for n in range(4)))
    write(tmp_path / "val.txt", lines((4, 5)))
    found = chosen(tmp_path)
    assert [pair.mask.stem for pair in found.pairs] == ["001", "002", "003", "000", "004", "005"]
    assert "Masks of 4 images are those that lists name." in found.notes


def test_pairs_outside_lists_are_counted_and_not_read(tmp_path: Path) -> None:
    flat(tmp_path, 8)
    write(tmp_path / "masks/007.png", "broken")
    write(tmp_path / "train.txt", lines(range(6)))
    found = chosen(tmp_path)
    assert [pair.image.stem for pair in found.pairs] == [f"{number:03d}" for number in range(6)]
    assert "2 images with masks are in no list and are not read." in found.notes


def test_images_outside_lists_need_no_mask(tmp_path: Path) -> None:
    flat(tmp_path, 6)
    for seed in range(100, 103):
        save(tmp_path / f"images/{seed}.jpg", scene(seed)[0])
    write(tmp_path / "train.txt", lines(range(6)))
    assert "3 images are in no list and have no mask; they are not read." in chosen(tmp_path).notes


def test_a_listed_image_needs_a_mask(tmp_path: Path) -> None:
    flat(tmp_path, 6)
    save(tmp_path / "images/100.jpg", scene(100)[0])
    write(tmp_path / "train.txt", lines((0, 1, 2, 3, 4, 5, 100)))
    with pytest.raises(DataError, match=r"100\.jpg: every image must have a mask, got none for it in .*masks, where"):
        chosen(tmp_path)
    found = chosen(tmp_path, unlabelled="skip")
    assert len(found.pairs) == 6
    assert "1 images have no mask and are not read, such as images/100.jpg." in found.notes


# ---- images without masks


def test_test_images_without_masks_are_noted(tmp_path: Path) -> None:
    in_folders(tmp_path, train=4, val=2)
    for seed in range(100, 103):
        save(tmp_path / f"images/test/{seed}.jpg", scene(seed)[0])
    found = chosen(tmp_path)
    assert len(found.pairs) == 6
    assert found.notes == ("3 test images have no masks and are not read.",)


def test_test_images_of_a_list_without_masks_are_noted(tmp_path: Path) -> None:
    flat(tmp_path, 6)
    for seed in range(100, 103):
        save(tmp_path / f"images/{seed}.jpg", scene(seed)[0])
    write(tmp_path / "train.txt", lines(range(4)))
    write(tmp_path / "val.txt", lines((4, 5)))
    write(tmp_path / "test.txt", lines(range(100, 103)))
    found = chosen(tmp_path)
    assert len(found.pairs) == 6
    assert found.notes == ("3 test images have no masks and are not read.",)
    save(tmp_path / "masks/100.png", scene(100)[1])
    with pytest.raises(DataError, match=r"101\.jpg: every image must have a mask, got none for it and 1 others"):
        chosen(tmp_path)


def test_masks_without_images_are_counted(tmp_path: Path) -> None:
    flat(tmp_path, 6)
    (tmp_path / "images/005.jpg").unlink()
    assert chosen(tmp_path).notes == ("1 masks have no image and are not read, such as masks/005.png.",)


def test_what_is_in_an_empty_or_a_strange_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"DATA must hold .*got an empty folder"):
        chosen(tmp_path)
    for name in "abcde":
        write(tmp_path / f"{name}.md", "words")
    with pytest.raises(DataError, match=r"DATA must hold .*got a\.md, b\.md, c\.md, d\.md and more"):
        chosen(tmp_path)
    for seed in range(3):
        save(tmp_path / f"one/{seed}.png", scene(seed)[0])
    with pytest.raises(DataError, match=r"got 3 pictures such as one/0\.png, and neither names nor|every image"):
        chosen(tmp_path)


def test_each_kind_of_masks_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Two folders with the same ending, and a third ending: what is printed must choose one of them."""
    for number in range(6):
        image, label = scene(number)
        save(tmp_path / f"images/{number}.png", image)
        for turn, name in enumerate(("labels/v1/{}_m.png", "labels/v2/{}_m.png", "labels/v2/{}_x.png")):
            save(tmp_path / name.format(number), np.roll(label, turn))
    with pytest.raises(DataError, match="kinds of masks go with the images") as caught:
        chosen(tmp_path)
    names = [line.split()[1] for line in str(caught.value).splitlines()[1:]]
    assert len(names) == len(set(names)) == 3
    found = [chosen(tmp_path, masks=name).pairs[0].mask.inner for name in names]
    assert sorted(found) == ["labels/v1/0_m.png", "labels/v2/0_m.png", "labels/v2/0_x.png"]
