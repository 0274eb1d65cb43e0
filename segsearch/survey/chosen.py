"""Which mask of an image is meant, where it has several, and what to say of images that have none."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsearch.errors import DataError
from segsearch.pairing.places import preferred
from segsearch.pairing.types import Family, Matched, Place, Walked
from segsearch.readings.types import Wanted
from segsearch.survey.copies import without_copies
from segsearch.survey.listed import Listed
from segsearch.survey.several import files_of_objects, numbered, numbered_beside
from segsearch.survey.tally import MaskRecord, read_masks

# Masks of a family that are looked into to tell what kind they are.
SAMPLED = 4
# Masks that are named as their images are, where others have an ending.
PLAIN = "same-name"
_COUNTED = "\nWhere the numbers are objects or classes, draw those of an image into one mask first."


@dataclass(frozen=True)
class Pair:
    """An image and the mask that is read for it."""

    image: Place
    mask: Place


@dataclass(frozen=True)
class Chosen:
    """All pairs in the order of the images' names, and what is worth knowing of how they were found."""

    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]


def pairs_of(walked: Walked, matched: Matched, listed: Listed | None, wanted: Wanted) -> Chosen:
    """Each image with its mask. `listed` says which images count, and their masks, where there are lists.

    A kind of masks that is named comes before the masks that lists name. Raises `DataError` where there are no pairs,
    where several kinds of masks could be meant, and where an image lacks its mask.
    """
    families = [family for family in matched.families if family.masks]
    named = listed.masks if listed is not None and wanted.masks is None else {}
    if listed is not None and listed.all <= named.keys():
        pairs = tuple(Pair(image, listed.masks[image]) for image in _in_order(listed.all))
        return Chosen(pairs, (f"Masks are those that {listed.names} name.",))
    if not families:
        raise _nothing(walked, matched)
    usual = preferred(families)
    largest = max(usual, key=lambda family: len(family.masks))
    full = [
        family
        for family in usual
        if 2 * len(family.masks) >= len(largest.masks) or _complete_one_another(family, largest)
    ]
    family, notes = _one_of(full, families, matched.lonely, wanted)
    masks = {**family.masks, **named}
    without = [image for image in matched.images if image not in masks]
    notes += _demand_masks(walked, family, without, listed, wanted)
    if named:
        notes.append(f"Masks of {len(named)} images are those that lists name.")
    pairs = tuple(Pair(image, masks[image]) for image in _in_order(masks) if listed is None or image in listed.all)
    if left := len(masks) - len(pairs):
        notes.append(f"{left} images with masks are in no list and are not read.")
    if not pairs:
        raise _nothing(walked, matched)
    if matched.alike != "name":
        first = pairs[0]
        notes.append(f"Names of images and masks differ: {first.image.inner} goes with {first.mask.inner}.")
    if matched.lonely:
        some = matched.lonely[0].inner
        notes.append(f"{len(matched.lonely)} masks have no image and are not read, such as {some}.")
    return Chosen(pairs, tuple(notes))


def _in_order(images: Iterable[Place]) -> list[Place]:
    """Images by their paths, numbers in them as numbers: frame_10 comes after frame_9."""

    def key(place: Place) -> list[tuple[int, int, str]]:
        parts = re.split(r"(\d+)", place.inner)
        return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]

    return sorted(images, key=key)


def _one_of(
    full: Sequence[Family], families: Sequence[Family], lonely: Sequence[Place], wanted: Wanted
) -> tuple[Family, list[str]]:
    if wanted.masks is not None:
        named = [family for family in families if wanted.masks == _name(family, families)] or [
            family for family in families if wanted.masks in (family.suffix, family.prefix, family.folder)
        ]
        if len(named) != 1:
            known = ", ".join(repr(_name(family, families)) for family in families)
            raise DataError(
                f"--masks must name an ending or a folder of masks, got {wanted.masks!r}; there are: {known}."
            )
        return named[0], [f"Masks are those of {wanted.masks}."]
    left = list(full)
    if len(left) > 1:
        kinds = {id(family): _kind(family) for family in left}
        best = min(kinds.values())
        left = [family for family in left if kinds[id(family)] == best]
    copies: tuple[Family, ...] = ()
    if len(left) > 1:
        kept = without_copies(left)
        left, copies = [one.family for one in kept], kept[0].copies
    if len(left) > 1:
        lines = "".join(
            f"\n  --masks {_name(family, families)}   such as {next(iter(family.masks.values())).inner}"
            for family in left
        )
        counted = _COUNTED if any(numbered(left[0], family) for family in left[1:]) else ""
        both = _in_common(*left) if len(left) == 2 else ""
        raise DataError(f"{len(left)} kinds of masks go with the images; choose one of them:{lines}{counted}{both}")
    taken = _name(left[0], families)
    if beside := numbered_beside(left[0], [family for family in families if family not in copies], lonely):
        own, other = beside[0]
        raise DataError(
            f"{other.path}: an image must have one mask, got {own.inner} too, and so for {len(beside)} images: numbers "
            "tell objects or classes apart, and one file alone would be read. Draw those of an image into one mask, or "
            f"choose with --masks {shlex.quote(taken)}."
        )
    if len(families) == 1:
        return left[0], []
    same = ", ".join(_name(family, families) for family in copies)
    others = ", ".join(_name(family, families) for family in families if family not in (left[0], *copies))
    notes = [f"Masks are those of {taken}; {others} lie beside them and are not read."] if others else []
    if same:
        notes.append(f"Masks of {same} are the same as those of {taken}, pixel for pixel; {taken} are read.")
    return left[0], notes


def _complete_one_another(one: Family, other: Family) -> bool:
    """Whether masks of one name lie in two folders, and each holds some of images that the other lacks."""
    named = (one.prefix, one.suffix) == (other.prefix, other.suffix)
    return named and bool(one.masks.keys() - other.masks.keys()) and bool(other.masks.keys() - one.masks.keys())


def _in_common(one: Family, other: Family) -> str:
    """What to do where two folders are one set but for images that have masks in both."""
    both = [image for image in one.masks if image in other.masks]
    if not both or not _complete_one_another(one, other):
        return ""
    first, second = one.masks[both[0]], other.masks[both[0]]
    return (
        f"\n{len(both)} images have a mask in both, such as {first.inner} and {second.inner}; without one of each, all "
        "others are read together."
    )


def _name(family: Family, families: Sequence[Family]) -> str:
    """What tells a family from the others: its ending, else its beginning, else its folder."""
    others = [other for other in families if other is not family]
    if family.suffix and family.suffix not in {other.suffix for other in others}:
        return family.suffix
    if family.prefix and family.prefix not in {other.prefix for other in others}:
        return family.prefix
    alike = [other for other in others if (other.prefix, other.suffix) == (family.prefix, family.suffix)]
    plain = not family.prefix and not family.suffix
    if family.folder and (plain or family.folder not in {other.folder for other in others}):
        return family.folder if family.folder not in {other.folder for other in alike} else PLAIN
    return f"{family.folder}/{family.prefix}*{family.suffix}".lstrip("/") if family.prefix or family.suffix else PLAIN


def _kind(family: Family) -> int:
    """How likely masks hold classes, the likeliest first: training ids, numbers, colours, one number an object."""
    words = f"{family.prefix} {family.suffix}".lower()
    if "trainids" in words.replace("_", "").replace("-", ""):
        return 0
    if "instance" in words:
        return 4
    masks = list(family.masks.values())
    step = max(1, len(masks) // SAMPLED)
    records: Sequence[MaskRecord] = read_masks([mask.path for mask in masks[::step][:SAMPLED]])
    if any(record.values and max(record.values) > 255 for record in records):
        return 3
    return 1 if all(record.values for record in records) else 2


def _demand_masks(
    walked: Walked, family: Family, without: Sequence[Place], listed: Listed | None, wanted: Wanted
) -> list[str]:
    """Notes of images without masks that may be left out; `DataError` where they may not."""
    notes = []
    in_list = listed.splits.get("test", ()) if listed is not None else ()
    of_lists = set() if any(image in family.masks for image in in_list) else set(in_list)
    tests = [
        image
        for image in without
        if image in of_lists or (image.split == "test" and (listed is None or image not in listed.all))
    ]
    if tests:
        notes.append(f"{len(tests)} test images have no masks and are not read.")
    left = [image for image in without if image not in set(tests)]
    unlisted = [image for image in left if listed is not None and image not in listed.all]
    if unlisted:
        notes.append(f"{len(unlisted)} images are in no list and have no mask; they are not read.")
    left = [image for image in left if image not in set(unlisted)]
    if not left:
        return notes
    if wanted.unlabelled == "skip":
        return [*notes, f"{len(left)} images have no mask and are not read, such as {left[0].inner}."]
    mask = next(iter(family.masks.values()))
    others = f" and {len(left) - 1} others" if len(left) > 1 else ""
    raise DataError(
        f"{left[0].path}: every image must have a mask, got none for it{others} in {walked.root / family.folder}, "
        f"where others are called as {mask.path.name}. Add {'them' if others else 'it'}, or leave "
        f"{'them' if others else 'it'} out with --unlabelled skip or by lists of the splits (train.txt, val.txt)."
    )


def _nothing(walked: Walked, matched: Matched) -> DataError:
    layouts = (
        "images/ and masks/ (each flat, or with train/ and val/ inside), train/images and train/masks, or images "
        "beside masks of the same name"
    )
    if not walked.places:
        return DataError(f"{walked.root}: DATA must hold {layouts}; got {_contents(walked.root)}.")
    if found := files_of_objects(matched):
        image, masks = found
        return DataError(
            f"{masks[0].path.parent}: an image must have one mask, got {len(masks)} files for {image.inner}, such as "
            f"{masks[0].path.name} and {masks[1].path.name}: one file an object, it seems, as in the Data Science Bowl "
            "2018. Draw those of an image into one mask of its name (for one class 1 in any of them, else 0)."
        )
    if matched.images:
        image = matched.images[0]
        lonely = f", where masks are called as {matched.lonely[0].inner}" if matched.lonely else ""
        return DataError(
            f"{image.path}: every image must have a mask whose name shares something with it, got none in "
            f"{walked.root}{lonely}. Rename them, or write lists `image mask` as train.txt and val.txt."
        )
    return DataError(
        f"{walked.root}: DATA must hold {layouts}; got {len(walked.places)} pictures such as {walked.places[0].inner}, "
        "and neither names nor folders tell images from masks. Rename the folders, or write lists `image mask`."
    )


def _contents(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return f"{', '.join(names[:4])}{' and more' if len(names) > 4 else ''}" if names else "an empty folder"
