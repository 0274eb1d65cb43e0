"""Who trains, who judges and who is kept aside: as lists say, as folders say, else a part is held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsearch.errors import DataError
from segsearch.survey.chosen import Pair
from segsearch.survey.holdout import FEWEST, Item, hold_out
from segsearch.survey.lists import SplitList
from segsearch.survey.tally import ImageRecord
from segsearch.survey.types import SplitName, Wanted

Parts = Mapping[SplitName, tuple[Pair, ...]]


@dataclass(frozen=True)
class Splits:
    """The pairs of each split, `test` empty where there is none. `words` say where the splits come from.

    `held_out` says that validation was taken from training here.
    """

    train: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    test: tuple[Pair, ...]
    words: tuple[str, ...]
    held_out: bool

    def of(self, split: SplitName) -> tuple[Pair, ...]:
        """The pairs of a split by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


def split_up(
    pairs: Sequence[Pair],
    lists: Sequence[SplitList],
    images: Mapping[Pair, ImageRecord],
    held: Mapping[Pair, frozenset[int]],
    wanted: Wanted,
) -> Splits:
    """The splits of all pairs. `held` are the classes in each mask.

    Lists come before folders, and both before a part that is held out, which is taken from training images alone.
    Raises `DataError` where lists and folders disagree, or where the same file is in two splits.
    """
    by_folder, by_list = _by_folder(pairs), _by_list(pairs, lists)
    words = []
    if by_list is not None and (wanted.splits == "lists" or (wanted.splits is None and _agree(by_list, by_folder))):
        parts: Parts = by_list
        names = ", ".join(found.file.name for found in lists)
        words.append(f"The splits are those of {names}.")
    elif by_list is not None and wanted.splits is None:
        raise DataError(
            f"The lists ({', '.join(found.file.name for found in lists)}) and the folders' names part the images "
            f"differently: {_sizes(by_list)}, against {_sizes(by_folder)}. Choose with --splits lists or "
            "--splits folders."
        )
    else:
        parts = by_folder
        if parts.get("train") or parts.get("validation") or parts.get("test"):
            words.append("The splits are those of the folders.")
    train, validation, test = (tuple(parts.get(split, ())) for split in ("train", "validation", "test"))
    if not train:
        known = {*validation, *test}
        train = tuple(pair for pair in pairs if pair not in known and (by_list is None or pair.image.split is None))
    if not train:
        raise DataError(f"No images are left to train on: {_sizes(parts)}. Rename the folders or write train.txt.")
    if left := len([pair for pair in pairs if pair not in {*train, *validation, *test}]):
        words.append(f"{left} images are in no split and are not read.")
    held_out = not validation
    if held_out:
        train, validation, said = _held_out(train, images, held)
        words.append(said)
    if test:
        words.append(f"{len(test)} test images are kept aside; nothing is decided by them.")
    _demand_apart({"train": train, "validation": validation, "test": test}, images)
    return Splits(train, validation, test, tuple(words), held_out)


def _by_folder(pairs: Sequence[Pair]) -> Parts:
    found: dict[SplitName, list[Pair]] = {}
    for pair in pairs:
        split = pair.image.split or pair.mask.split
        if split is not None:
            found.setdefault(split, []).append(pair)
    return {split: tuple(there) for split, there in found.items()}


def _by_list(pairs: Sequence[Pair], lists: Sequence[SplitList]) -> Parts | None:
    """What lists of splits say; None where none of them says who trains."""
    by_image = {pair.image: pair for pair in pairs}
    found: dict[SplitName, tuple[Pair, ...]] = {}
    for each in lists:
        if each.split != "all":
            found[each.split] = tuple(dict.fromkeys(by_image[place] for place in each.images if place in by_image))
    return found if found.get("train") else None


def _agree(by_list: Parts, by_folder: Parts) -> bool:
    """Whether folders tell no other splits than lists do."""
    where = {pair: split for split, there in by_folder.items() for pair in there}
    return all(where.get(pair, split) == split for split, there in by_list.items() for pair in there)


def _held_out(
    train: tuple[Pair, ...], images: Mapping[Pair, ImageRecord], held: Mapping[Pair, frozenset[int]]
) -> tuple[tuple[Pair, ...], tuple[Pair, ...], str]:
    if len(train) < FEWEST:
        raise DataError(
            f"{train[0].image.path.parent}: at least {FEWEST} images with masks are needed to hold some out for "
            f"validation, got {len(train)}."
        )
    items = [Item(pair.image, held[pair], images[pair].digest, images[pair].thumb) for pair in train]
    found = hold_out(items)
    return tuple(train[one] for one in found.train), tuple(train[one] for one in found.validation), found.words


def _demand_apart(parts: Parts, images: Mapping[Pair, ImageRecord]) -> None:
    first: dict[str, tuple[SplitName, Pair]] = {}
    for split, there in parts.items():
        for pair in there:
            other, twin = first.setdefault(images[pair].digest, (split, pair))
            if other != split:
                raise DataError(
                    f"{pair.image.path}: no image may be in two splits, got the same file as {twin.image.path} in "
                    f"{split} and {other}; remove one of them."
                )


def _sizes(parts: Parts) -> str:
    return ", ".join(f"{len(there)} {split}" for split, there in parts.items() if there) or "no split"
