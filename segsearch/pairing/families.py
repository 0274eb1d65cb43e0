"""Which masks are named after which images: the families of names that explain most, one mask an image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from segsearch.errors import DataError
from segsearch.pairing.folders import common_folder, joined, loosened, told_apart
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
from segsearch.pairing.types import Alike, Family, Place, SplitName

# A family stays if it covers so much of what the best one of its folder does, and that folder of what the best does ...
LEAST_SHARE = 1 / 2
# ... and one whose masks have names of their own must cover so much of all that could be covered: `1` is in `x_1_2`.
LEAST_COVERED = 1 / 10
LOSSY = (".jpg", ".jpeg")


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


@dataclass(frozen=True)
class Found:
    """Families of masks, the best first, the masks in none of them, and masks that are there in a second format."""

    families: tuple[Family, ...]
    lonely: tuple[Place, ...]
    twins: tuple[Place, ...]
    alike: Alike

    @property
    def covered(self) -> int:
        """How many images the best family covers."""
        return len(self.families[0].masks) if self.families else 0


def find_families(images: Sequence[Place], masks: Sequence[Place]) -> Found:
    """Pair by the strictest way of holding names alike that covers most images.

    Raises `DataError` where an image has two masks of one family, or a mask two images.
    """
    best, refused = Found((), tuple(masks), (), "name"), None
    origin = {place.inner: place for place in (*images, *masks)}
    images, masks = loosened(images, masks)
    for alike, hits_of in _WAYS:
        if best.families and (alike in ("words", "folder") or best.covered == len(images) or not best.lonely):
            continue
        try:
            found = _kept(hits_of(images, masks), images, masks, alike)
        except DataError as error:
            if alike == "name":
                raise
            refused = refused or error
            continue
        best = found if found.covered > best.covered else best
    if refused and not best.families:
        raise refused
    return _restored(best, origin)


def _restored(found: Found, origin: Mapping[str, Place]) -> Found:
    """With the places as they were given."""
    return Found(
        tuple(
            replace(family, masks={origin[image.inner]: origin[mask.inner] for image, mask in family.masks.items()})
            for family in found.families
        ),
        tuple(origin[mask.inner] for mask in found.lonely),
        tuple(origin[mask.inner] for mask in found.twins),
        found.alike,
    )


# ---- which names lie in which


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
    """One image a folder, and masks that have the same name in each: `7/img.png` and `7/label.png`."""
    only, hits = _only_ones(images), Hits()
    for index, mask in enumerate(masks):
        if (image_index := only.get((mask.split, mask.rest))) is not None:
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


def _way(alike: Alike) -> Callable[[Sequence[Place], Sequence[Place]], Hits]:
    return lambda images, masks: _named(alike, images, masks)


_WAYS: tuple[tuple[Alike, Callable[[Sequence[Place], Sequence[Place]], Hits]], ...] = (
    *((alike, _way(alike)) for alike in FORMS),
    ("folder", _by_folder),
    ("folder", _one_a_folder),
)


# ---- which families stay


def _kept(hits: Hits, images: Sequence[Place], masks: Sequence[Place], alike: Alike) -> Found:
    in_folder = Counter(mask.word for mask in masks)
    best = Hits()
    for word, count in in_folder.items():
        best |= _best({key: hit for key, hit in hits.items() if key.word == word}, images=len(images), masks=count)
    covered = {key: len({hit.image for hit in found}) for key, found in best.items()}
    explained = Counter[str]()
    for key, count in covered.items():
        explained[key.word] += count
    families, twins = list[Family](), list[Place]()
    for key, count in covered.items():
        # A folder of few masks that all have images is no accident: VOC has 2,913 for 17,125 images.
        if count >= LEAST_SHARE * max(covered.values()) or explained[key.word] >= LEAST_SHARE * in_folder[key.word]:
            for settled, left_out in _settled_by_folder(best[key], images, masks):
                twins.extend(left_out)
                families.append(Family(key.prefix, key.suffix, common_folder(settled.values()), settled))
    families = told_apart(joined(families))
    families.sort(key=lambda family: (-len(family.masks), family.folder, family.prefix + family.suffix))
    taken = {mask.inner for family in families for mask in family.masks.values()} | {twin.inner for twin in twins}
    return Found(tuple(families), tuple(mask for mask in masks if mask.inner not in taken), tuple(twins), alike)


def _best(hits: Hits, *, images: int, masks: int) -> Hits:
    """Of one folder's families those that cover much, each mask in the one that covers most."""
    covered = {key: len({hit.image for hit in found}) for key, found in hits.items()}
    most = max((count for key, count in covered.items() if _counts(key, count, images, masks)), default=0)
    left = {key: hits[key] for key, count in covered.items() if most and count >= LEAST_SHARE * most}
    best, used = Hits(), set[int]()
    while left:
        left = {key: [hit for hit in found if hit.mask not in used] for key, found in left.items()}
        covered = {key: len({hit.image for hit in found}) for key, found in left.items()}
        left = {
            key: found
            for key, found in left.items()
            if covered[key] >= LEAST_SHARE * most and _counts(key, covered[key], images, masks)
        }
        if left:
            key = min(left, key=lambda key: (-covered[key], len(key.prefix + key.suffix), key))
            best[key] = left.pop(key)
            used.update(hit.mask for hit in best[key])
    return best


def _counts(key: Key, covered: int, images: int, masks: int) -> bool:
    """Whether so many pairs are no accident."""
    if not key.prefix and not key.suffix:
        return covered > 0
    return covered >= LEAST_COVERED * min(images, masks) and (covered > 1 or 2 * covered >= masks)


Settled = tuple[dict[Place, Place], list[Place]]


def _settled_by_folder(hits: Sequence[Hit], images: Sequence[Place], masks: Sequence[Place]) -> list[Settled]:
    """One mask an image, and where two folders both hold one (`v1.2/labels`, `v2.0/labels`), one of each of them.

    That two folders have an image or two in common is a slip, which is refused.
    """
    try:
        return [_settled(hits, images, masks)]
    except DataError as error:
        refused = error
    above = {hit.mask: masks[hit.mask].rest.split("/") for hit in hits}
    for depth in range(max(map(len, above.values()))):
        parts = defaultdict[str, list[Hit]](list)
        for hit in hits:
            parts["".join(above[hit.mask][depth : depth + 1])].append(hit)
        of_part = [{hit.image for hit in part} for part in parts.values()]
        shared = sum(count > 1 for count in Counter(image for found in of_part for image in found).values())
        if shared < LEAST_SHARE * min(map(len, of_part)):
            continue
        try:
            return [_settled(part, images, masks) for part in parts.values()]
        except DataError:
            continue
    raise refused


def _settled(hits: Sequence[Hit], images: Sequence[Place], masks: Sequence[Place]) -> Settled:
    """One mask an image: first where folders agree most, then where images are called as most of them are.

    Left out are masks that are there as a JPEG file, too.
    """
    called = Counter(hit.own for hit in hits)
    by_rank = defaultdict[tuple[int, int], list[tuple[int, int]]](list)
    for hit in sorted(set(hits)):
        image, mask = images[hit.image], masks[hit.mask]
        agreed = (image.split == mask.split) + (image.rest == mask.rest)
        by_rank[agreed, called[hit.own]].append((hit.image, hit.mask))
    of_image, of_mask = dict[int, list[int]](), dict[int, int]()
    for _, pairs in sorted(by_rank.items(), reverse=True):
        now = [pair for pair in pairs if pair[0] not in of_image and pair[1] not in of_mask]
        for image_index, mask_index in now:
            other = of_mask.setdefault(mask_index, image_index)
            if other != image_index:
                raise DataError(
                    f"{masks[mask_index].path}: a mask must belong to one image, got {images[other].inner} and "
                    f"{images[image_index].inner}; put masks into folders as images are, or rename or move one of them."
                )
            of_image.setdefault(image_index, []).append(mask_index)
    settled, twins = dict[Place, Place](), list[Place]()
    for image_index, found in sorted(of_image.items()):
        kept, left_out = _only(images[image_index], [masks[index] for index in found])
        settled[images[image_index]] = kept
        twins.extend(left_out)
    return settled, twins


def _only(image: Place, found: list[Place]) -> tuple[Place, list[Place]]:
    """The mask that is left without JPEG files, and those."""
    if len(found) == 1:
        return found[0], []
    lossless = [mask for mask in found if mask.path.suffix.lower() not in LOSSY]
    kept = lossless or found
    if len(kept) > 1 or len({mask.path.parent / mask.stem for mask in found}) > 1:
        first, second = sorted(found, key=lambda mask: mask.inner)[:2]
        raise DataError(
            f"{first.path}: an image must have one mask of a kind, got {second.inner} for {image.inner}, too; "
            "remove or move one of them."
        )
    return kept[0], [mask for mask in found if mask is not kept[0]]
