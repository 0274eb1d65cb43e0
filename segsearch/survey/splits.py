"""Who trains, who judges and who is kept aside: as lists say, as folders say, else a part is held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsearch.errors import DataError
from segsearch.pairing.types import SplitName
from segsearch.readings.types import Wanted
from segsearch.survey.chosen import Pair
from segsearch.survey.holdout import FEWEST, Item, hold_out
from segsearch.survey.listed import Listed
from segsearch.survey.tally import ImageRecord

Parts = Mapping[SplitName, tuple[Pair, ...]]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


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
    listed: Listed | None,
    images: Mapping[Pair, ImageRecord],
    held: Mapping[Pair, frozenset[int]],
    wanted: Wanted,
) -> Splits:
    """The splits of all pairs. `held` are the classes in each mask.

    Lists come before folders, and both before a part that is held out, which is taken from training images alone.
    Raises `DataError` where lists and folders disagree, or where the same file is in two splits.
    """
    by_folder, by_list = _by_folder(pairs), _by_list(pairs, listed)
    words = []
    if listed is not None and by_list is not None and wanted.splits != "folders":
        if wanted.splits is None and not _agree(by_list, by_folder):
            raise DataError(
                f"The lists ({listed.names}) and the folders' names part the images differently: {_sizes(by_list)}, "
                f"against {_sizes(by_folder)}. Choose with --splits lists or --splits folders."
            )
        parts: Parts = by_list
        words += [f"The splits are those of {listed.names}.", *listed.notes]
        pool: Sequence[Pair] = [pair for pair in pairs if pair.image in listed.all]
    else:
        parts, pool = by_folder, [pair for pair in pairs if _split_of(pair) is None]
        if parts:
            words.append("The splits are those of the folders.")
    train, validation, test = (tuple(parts.get(split, ())) for split in SPLITS)
    if not train:
        known = {*validation, *test}
        train = tuple(pair for pair in pool if pair not in known)
    if not train:
        raise DataError(f"No images are left to train on: {_sizes(parts)}. Rename the folders or write train.txt.")
    if left := len(pairs) - len({*train, *validation, *test}):
        words.append(f"{left} images are in no split and are not read.")
    held_out = not validation
    if held_out:
        train, validation, said = _held_out(train, images, held)
        words.append(said)
    if test:
        words.append(f"{len(test)} test images are kept aside; nothing is decided by them.")
    _demand_apart({"train": train, "validation": validation, "test": test}, images)
    return Splits(train, validation, test, tuple(words), held_out)


def _split_of(pair: Pair) -> SplitName | None:
    return pair.image.split or pair.mask.split


def _by_folder(pairs: Sequence[Pair]) -> Parts:
    found: dict[SplitName, list[Pair]] = {}
    for pair in pairs:
        split = _split_of(pair)
        if split is not None:
            found.setdefault(split, []).append(pair)
    return {split: tuple(there) for split, there in found.items()}


def _by_list(pairs: Sequence[Pair], listed: Listed | None) -> Parts | None:
    """What lists of splits say, with the masks that they name where they do; None without lists."""
    if listed is None:
        return None
    by_image = {pair.image: pair for pair in pairs}
    return {
        split: tuple(by_image[place] for place in places if place in by_image)
        for split, places in listed.splits.items()
    }


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
