"""Which mask may be whose: every way in which names, or folders, go together, whatever it means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from segsearch.pairing.tokens import (
    FORMS,
    MASK_NAMES,
    Core,
    Tokens,
    ends_by_group,
    find_inside,
    index_starts,
    left_over,
    tokens_of,
)
from segsearch.pairing.types import Alike, Place, SplitName


class Key(NamedTuple):
    """What masks of one family have in common: the word of their folder, and what their names have beside."""

    word: str
    prefix: str
    suffix: str


class Hit(NamedTuple):
    """An image and a mask by their numbers, and the prefix and suffix that the image has beside what both share."""

    image: int
    mask: int
    own: tuple[str, str] = ("", "")


Hits = dict[Key, list[Hit]]


def _named(alike: Alike, images: Sequence[Place], masks: Sequence[Place]) -> Hits:
    """Every way in which a mask's name holds what is an image's own, whatever it means."""
    form = FORMS[alike]
    groups = defaultdict[str | None, list[int]](list)
    for index, image in enumerate(images):
        groups[image.split].append(index)
    names = [form(image.stem) for image in images]
    ends = ends_by_group({split: [names[index] for index in members] for split, members in groups.items()})
    shelves = {
        split: _Shelf.of(
            [(index, images[index].rest, core) for index in members for core in ends[split].strip(names[index])]
        )
        for split, members in groups.items()
    }
    hits = Hits()
    for index, mask in enumerate(masks):
        name = form(mask.stem)
        for split, shelf in shelves.items():
            if mask.split is not None and split not in (None, mask.split):
                continue
            for found, core, start, stop in shelf.look_up(name, mask.rest):
                (prefix, suffix), own = left_over(core, name, start, stop)
                if alike == "words" and (prefix or suffix or not (prefix := _word_of(mask))):
                    continue
                hits.setdefault(Key(mask.word, prefix, suffix), []).append(Hit(found, index, own))
    return hits


@dataclass(frozen=True)
class _Shelf:
    """Images of one split by the tokens of their own, in each folder (`rest`) and, under None, in any.

    Of images that cannot be told apart two are kept: enough to refuse.
    """

    starts: Mapping[Tokens, frozenset[int]]
    by_core: Mapping[tuple[Tokens, str | None], list[tuple[int, Core]]]

    @classmethod
    def of(cls, images: Sequence[tuple[int, str, Core]]) -> _Shelf:
        by_core = defaultdict[tuple[Tokens, str | None], list[tuple[int, Core]]](list)
        for index, rest, core in images:
            for shelf in (by_core[core.core, rest], by_core[core.core, None]):
                if len(shelf) < 2 or all(core != other for _, other in shelf):
                    shelf.append((index, core))
        return cls(index_starts(core.core for _, _, core in images), dict(by_core))

    def look_up(self, name: Tokens, rest: str) -> list[tuple[int, Core, int, int]]:
        """The images whose own tokens lie in the name, with where they lie; folders agree where both have some."""
        found = []
        for start, stop in find_inside(name, self.starts):
            slice_ = name[start:stop]
            here = self.by_core.get((slice_, rest), [])
            beside = self.by_core.get((slice_, "" if rest else None), [])
            for index, core in here + [other for other in beside if other not in here]:
                found.append((index, core, start, stop))
        return found


def _word_of(mask: Place) -> str:
    return "".join(token for token in tokens_of(mask.stem) if token.casefold() in MASK_NAMES)


def _by_folder(images: Sequence[Place], masks: Sequence[Place]) -> Hits:
    """One image a folder, or a folder of masks that is called as the image, and masks that have the same name in each:
    `7/img.png` and `7/label.png`, `7.png` and `7/label.png`.
    """
    only, named, hits = _only_ones(images), _only_names(images), Hits()
    for index, mask in enumerate(masks):
        above, _, last = mask.rest.rpartition("/")
        image_index = only.get((mask.split, mask.rest))
        if image_index is None and last:
            image_index = named.get((mask.split, above, last))
        if image_index is not None:
            hits.setdefault(Key(mask.word, mask.stem, ""), []).append(Hit(image_index, index))
    return hits


def _one_a_folder(images: Sequence[Place], masks: Sequence[Place]) -> Hits:
    """One image and one mask a folder, in every folder that holds masks, whatever they are called."""
    image_of, mask_of = _only_ones(images), _only_ones(masks)
    if len(mask_of) < 2 or any(mask is None or image_of.get(folder) is None for folder, mask in mask_of.items()):
        return Hits()
    hits = Hits()
    for folder, mask in mask_of.items():
        image = image_of[folder]
        if image is not None and mask is not None:
            hits.setdefault(Key(masks[mask].word, "", ""), []).append(Hit(image, mask))
    return hits


def _only_ones(places: Sequence[Place]) -> dict[tuple[SplitName | None, str], int | None]:
    """The place of each folder that has one, by its number; None of a folder that has more, and of no folder."""
    only: dict[tuple[SplitName | None, str], int | None] = {}
    for index, place in enumerate(places):
        folder = place.split, place.rest
        only[folder] = index if place.rest and folder not in only else None
    return only


def _only_names(images: Sequence[Place]) -> dict[tuple[SplitName | None, str, str], int | None]:
    """The image of each name in its folder, by its number; None where two have it."""
    named: dict[tuple[SplitName | None, str, str], int | None] = {}
    for index, image in enumerate(images):
        name = image.split, image.rest, image.stem
        named[name] = index if name not in named else None
    return named


def _way(alike: Alike) -> Callable[[Sequence[Place], Sequence[Place]], Hits]:
    return lambda images, masks: _named(alike, images, masks)


WAYS: tuple[tuple[Alike, Callable[[Sequence[Place], Sequence[Place]], Hits]], ...] = (
    *((alike, _way(alike)) for alike in FORMS),
    ("folder", _by_folder),
    ("folder", _one_a_folder),
)
