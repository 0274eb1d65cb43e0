from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from time import process_time

import numpy as np
import pytest
from PIL import Image

from segsearch.errors import DataError
from segsearch.pairing.places import place_of
from segsearch.survey.holdout import THUMB, HeldOut, Item, hold_out
from segsearch.survey.tally import read_images
from tests.survey.trees import save, scene

SHAPE = (THUMB, THUMB, 3)


def word(number: int) -> str:
    """A name without digits, in no order."""
    return hashlib.sha256(str(number).encode()).hexdigest().translate(str.maketrans("0123456789", "ghijklmnop"))[:8]


def noise(seed: int) -> np.ndarray:
    """A thumbnail that is like no other."""
    return np.random.default_rng(seed).integers(0, 256, SHAPE).astype(np.uint8)


def item(inner: str, *classes: int, thumb: object = None, digest: str | None = None) -> Item:
    """An image whose thumbnail and file are its own, unless they are given."""
    own = hashlib.sha256(inner.encode()).hexdigest()
    seen = noise(int(own[:8], 16)) if thumb is None else np.asarray(thumb, np.uint8)
    return Item(place_of(Path("/data"), inner), frozenset(classes or (0,)), digest or own, seen)


def frames(count: int, *, step: float = 1.0) -> list[np.ndarray]:
    """Thumbnails of a video: a window that moves over a long picture, by so many of its pixels a frame."""
    fine = 16
    rough = np.random.default_rng(1).integers(0, 256, (THUMB, int(step * count) // 4 + THUMB, 3)).astype(np.uint8)
    long = Image.fromarray(rough).resize((rough.shape[1] * 4 * fine, THUMB), Image.Resampling.BILINEAR)
    starts = [round(step * number * fine) for number in range(count)]
    windows = [long.crop((start, 0, start + THUMB * fine, THUMB)) for start in starts]
    return [np.asarray(window.resize((THUMB, THUMB), Image.Resampling.BOX)) for window in windows]


def inners(items: Sequence[Item], which: Collection[int]) -> list[str]:
    return [items[index].place.inner for index in which]


def classes_of(items: Sequence[Item], which: Collection[int]) -> set[int]:
    return {each for index in which for each in items[index].classes}


def demand_parts(items: Sequence[Item], found: HeldOut) -> None:
    assert sorted(found.train + found.validation) == list(range(len(items)))
    assert list(found.train) == sorted(found.train)
    assert list(found.validation) == sorted(found.validation)
    assert found.train
    assert found.validation


# ---- the share


@pytest.mark.parametrize(("count", "held"), [(4, 1), (5, 1), (10, 2), (13, 3), (100, 20), (333, 67)])
def test_a_fifth_is_held_out(count: int, held: int) -> None:
    items = [item(f"images/{word(number)}.png") for number in range(count)]
    found = hold_out(items)
    demand_parts(items, found)
    assert len(found.validation) == held
    assert found.copies == 0
    assert found.words == "A fifth of the images is held out, chosen by their names."


_SCRIPT = """
from tests.survey.test_holdout import hold_out, item, word
items = [item(f"images/{word(number)}.png", *{0, number % 7, 100 + number % 11}) for number in range(60)]
print(*hold_out(items).validation)
"""


def test_the_salt_of_hashes_changes_nothing() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": salt},
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        ).stdout
        for salt in ("0", "1", "77")
    ]
    assert said[0].strip()
    assert len(set(said)) == 1


def test_other_images_do_not_change_sides_where_some_are_added() -> None:
    items = [item(f"images/{word(number)}.png") for number in range(200)]
    before = set(inners(items, hold_out(items).validation))
    more = [*items, *(item(f"images/{word(1000 + number)}.png") for number in range(20))]
    after = set(inners(more, hold_out(more).validation))
    assert len(before - after) <= 8


# ---- copies


def test_copies_of_a_file_stay_on_one_side() -> None:
    items = [item(f"{word(number)}.png", thumb=noise(number % 12), digest=f"{number % 12}") for number in range(36)]
    found = hold_out(items)
    demand_parts(items, found)
    assert not {index % 12 for index in found.train} & {index % 12 for index in found.validation}
    assert found.copies == 24
    assert "24 copies stay with the pictures that they look like." in found.words


@pytest.mark.parametrize("quality", [95, 60])
@pytest.mark.parametrize("side", [128, 320, 530])
def test_a_jpeg_file_of_a_picture_is_its_copy(tmp_path: Path, quality: int, side: int) -> None:
    paths = []
    for seed in range(6):
        image, _ = scene(seed, height=side, width=side * 4 // 3, classes=5)
        for suffix in (".png", ".jpg"):
            paths.append(tmp_path / f"{word(seed)}{suffix}")
            save(paths[-1], image, **({"quality": quality} if suffix == ".jpg" else {}))
    items = [
        Item(place_of(tmp_path, record.path.name), frozenset((0,)), record.digest, record.thumb)
        for record in read_images(paths)
    ]
    found = hold_out(items)
    assert found.copies == 6
    assert {index // 2 for index in found.train}.isdisjoint(index // 2 for index in found.validation)


@pytest.mark.parametrize("colour", [(8, 8, 8), (128, 128, 128), (200, 40, 40), (8, 8, 240)])
def test_pictures_that_show_nearly_nothing_are_copies_only_where_their_files_are(colour: tuple[int, int, int]) -> None:
    flat = np.full(SHAPE, colour, np.uint8)
    pale = [flat + np.random.default_rng(number).integers(0, 3, SHAPE, dtype=np.uint8) for number in range(20)]
    found = hold_out([item(f"{word(number)}.png", thumb=pale[number]) for number in range(20)])
    assert (len(found.validation), found.copies) == (4, 0)
    same = [item(f"{word(number)}.png", thumb=pale[number], digest=f"{number // 2}") for number in range(20)]
    found = hold_out(same)
    assert (len(found.validation), found.copies) == (4, 10)
    assert {index // 2 for index in found.train}.isdisjoint(index // 2 for index in found.validation)


def test_pictures_of_one_colour_alone_are_one_picture() -> None:
    """A run refuses the same pixels in two splits, whatever the bytes of their files are."""
    blank = np.full(SHAPE, (7, 7, 7), np.uint8)
    thumbs = [blank if number < 4 else noise(number) for number in range(20)]
    items = [item(f"{word(number)}.png", thumb=thumbs[number]) for number in range(20)]
    found = hold_out(items)
    assert found.copies == 3
    assert set(range(4)) <= set(found.train) or set(range(4)) <= set(found.validation)


def test_views_of_one_thing_stay_on_one_side() -> None:
    """img_3, img_3_flip and img_3_dark: by their endings they are no three sequences."""
    names = [f"img_{number}{ending}.png" for number in range(12) for ending in ("", "_dark", "_flip")]
    items = [item(name, thumb=noise(index)) for index, name in enumerate(names)]
    found = hold_out(items)
    assert {index // 3 for index in found.train}.isdisjoint(index // 3 for index in found.validation)
    assert 4 <= len(found.validation) <= 9


@pytest.mark.parametrize("by", ["file", "thumb"])
def test_copies_of_one_picture_alone_are_refused(by: str) -> None:
    digests = {"digest": "same"} if by == "file" else {}
    items = [item(f"images/{number}.png", thumb=noise(1), **digests) for number in range(12)]
    with pytest.raises(DataError, match=r"0\.png: .*two must differ, got copies of one alone"):
        hold_out(items)


def test_a_camera_that_does_not_move_is_no_heap_of_copies() -> None:
    still = noise(5)
    items = [item(f"{word(number)}.png", number % 3, thumb=_dotted(still, number)) for number in range(30)]
    found = hold_out(items)
    demand_parts(items, found)
    assert 4 <= len(found.validation) <= 8


def _dotted(thumb: np.ndarray, number: int) -> np.ndarray:
    """One small thing at a place of its own: less than what makes two pictures differ."""
    dotted = thumb.astype(int)
    dotted[number % THUMB, number * 5 % THUMB] += 7 if dotted[number % THUMB, number * 5 % THUMB].max() < 240 else -7
    return dotted.clip(0, 255)


def test_thousands_of_frames_that_are_alike_take_seconds() -> None:
    still = noise(5)
    items = [item(f"{number:05d}.png", thumb=_dotted(still, number)) for number in range(2000)]
    start = process_time()  # whatever else runs here
    found = hold_out(items)
    assert process_time() - start < 30
    demand_parts(items, found)


# ---- sequences


def test_whole_sequences_of_names_that_count_up_are_held_out() -> None:
    items = [item(f"images/{letter}_{number:03d}.png", 0, 1) for letter in "abcde" for number in range(10)]
    found = hold_out(items)
    demand_parts(items, found)
    sides = [{name[7] for name in inners(items, side)} for side in (found.train, found.validation)]
    assert not sides[0] & sides[1]
    assert len(found.validation) == 10
    assert found.words == "Whole sequences of names that count up are held out."


def test_whole_folders_are_held_out() -> None:
    items = [item(f"images/{place}/{number:03d}.png") for place in ("bonn", "ulm", "zürich") for number in range(7)]
    found = hold_out(items)
    sides = [{name.split("/")[1] for name in inners(items, side)} for side in (found.train, found.validation)]
    assert not sides[0] & sides[1]
    assert found.words == "Whole folders are held out."


def test_a_copy_joins_two_sequences() -> None:
    items = [item(f"{letter}_{number:03d}.png") for letter in "abcde" for number in range(10)]
    for one, other in (("a_003", "b_007"), ("c_000", "d_009")):
        at = {each.place.stem: index for index, each in enumerate(items)}
        items[at[other]] = item(f"{other}.png", thumb=items[at[one]].thumb)
    found = hold_out(items)
    assert {name[0] for name in inners(items, found.validation)} in ({"e"}, {"a", "b"}, {"c", "d"})


def test_another_sequence_is_held_out_where_one_alone_has_a_class() -> None:
    for alone in "abcde":
        items = [
            item(f"{letter}_{number:03d}.png", 0, 1 + (letter == alone)) for letter in "abcde" for number in range(10)
        ]
        found = hold_out(items)
        held = {name[0] for name in inners(items, found.validation)}
        assert len(held) == 1
        assert held != {alone}


@pytest.mark.parametrize("name", ["{}_{:03d}.png", "{}/{:03d}.png"])
@pytest.mark.parametrize("kinds", [("cat", "dog"), ("bird", "cat", "dog", "horse", "sheep")])
def test_categories_are_not_held_out_whole(kinds: Sequence[str], name: str) -> None:
    items = [item(name.format(kind, number), 0, 1 + kinds.index(kind)) for kind in kinds for number in range(10)]
    found = hold_out(items)
    demand_parts(items, found)
    everything = set(range(len(kinds) + 1))
    assert classes_of(items, found.train) == everything
    assert classes_of(items, found.validation) == everything
    assert len(found.validation) == 2 * len(kinds)


def test_one_long_sequence_gives_its_end_where_it_cannot_be_held_out() -> None:
    items = [item(f"{letter}_{number:03d}.png") for letter in "ab" for number in range(50 if letter == "a" else 3)]
    found = hold_out(items)
    demand_parts(items, found)
    assert inners(items, found.validation) == [*(f"a_{number:03d}.png" for number in range(40, 50)), "b_002.png"]
    assert found.words == "The end of each sequence is held out, as neighbours are alike."


@pytest.mark.parametrize("step", [0.05, 0.3, 1.0])
def test_a_video_gives_its_end_without_a_gap(step: float) -> None:
    thumbs = frames(100, step=step)
    items = [item(f"frame_{number:04d}.png", thumb=thumb) for number, thumb in enumerate(thumbs)]
    found = hold_out(items)
    demand_parts(items, found)
    first = found.validation[0]
    assert list(found.validation) == list(range(first, 100))
    assert 10 <= len(found.validation) <= 40


def test_a_video_gives_another_part_where_its_end_alone_has_a_class() -> None:
    thumbs = frames(50)
    items = [
        item(f"frame_{number:04d}.png", 0, *((1,) if number >= 45 else ()), thumb=thumb)
        for number, thumb in enumerate(thumbs)
    ]
    found = hold_out(items)
    assert list(found.validation) == list(range(10))
    assert found.words.startswith("The beginning of each sequence")


def test_pictures_each_of_which_is_there_three_times_are_no_video() -> None:
    items = [item(f"{word(number // 3)}{'xyz'[number % 3]}.png", thumb=noise(number // 3)) for number in range(90)]
    assert hold_out(items).words.startswith("A fifth of the images is held out, chosen by their names.")


# ---- classes


@pytest.mark.parametrize("rare", [1, 6, 10])
def test_rare_classes_of_two_pictures_are_kept_on_both_sides(rare: int) -> None:
    items = []
    for number in range(100):
        classes = {0, *((1 + number // 7 % rare,) if number % 7 in (2, 5) and number // 7 < rare else ())}
        items.append(item(f"{word(number)}.png", *classes))
    counts = Counter(each for one in items for each in one.classes)
    assert all(counts[each] == 2 for each in range(1, rare + 1))
    found = hold_out(items)
    assert len(found.validation) == 20
    assert classes_of(items, found.train) == classes_of(items, found.validation) == set(range(rare + 1))


def test_many_rare_classes_all_stay_in_training() -> None:
    items = [item(f"{word(number)}.png", 0, 1 + number // 2) for number in range(300)]
    found = hold_out(items)
    assert classes_of(items, found.train) == set(range(151))
    assert len(found.validation) == 60


# ---- any set


def _random_items(seed: int) -> tuple[list[Item], list[int]]:
    """A set of some kind, and for each image the number of the picture that it shows."""
    random = np.random.default_rng(seed)
    count, kinds = int(random.integers(4, 80)), int(random.integers(1, 9))
    kind = int(random.integers(4))
    parts = int(random.integers(1, 8))
    pictures = list(range(count))
    for _ in range(int(random.integers(0, 6))):
        one, other = random.integers(0, count, 2)
        pictures[one] = pictures[other] = min(pictures[one], pictures[other])
    items = []
    for number, picture in enumerate(pictures):
        near = noise(1000 * seed + picture).astype(int) + random.integers(-3, 4, SHAPE)
        classes = {0, *(int(each) for each in random.geometric(0.5, 2) if each <= kinds)}
        digest = f"{picture}" if random.integers(2) else None
        items.append(
            item(_name(kind, number, number * parts // count), *classes, thumb=near.clip(0, 255), digest=digest)
        )
    return items, pictures


def _name(kind: int, number: int, part: int) -> str:
    """Words, names that count up, folders, or the frames of one video."""
    return (
        f"{word(number)}.png",
        f"{word(part)}_{number:03d}.png",
        f"{word(part)}/{number:03d}.png",
        f"f{number}.png",
    )[kind]


@pytest.mark.parametrize("seeds", [range(50), range(50, 100), range(100, 150), range(150, 200)])
def test_what_holds_for_any_set(seeds: range) -> None:
    for seed in seeds:
        items, pictures = _random_items(seed)
        found = hold_out(items)
        demand_parts(items, found)
        shown = [{pictures[index] for index in side} for side in (found.train, found.validation)]
        assert not shown[0] & shown[1], seed
        holders = Counter(each for picture in set(pictures) for each in classes_of(items, _showing(pictures, picture)))
        shared = {each for each, held in holders.items() if held > 1}
        assert shared <= classes_of(items, found.train), seed
        largest = max(Counter(pictures).values())
        target = max(1, round(0.2 * len(items)))
        assert len(found.validation) <= max(2 * target, 0.4 * len(items), largest), seed
        assert len(found.validation) >= min(target, 0.1 * len(items)) - largest + 1, seed
        assert found == hold_out(items), seed


def _showing(pictures: Sequence[int], picture: int) -> list[int]:
    return [index for index, other in enumerate(pictures) if other == picture]
