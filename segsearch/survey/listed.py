"""Which of the lists in a folder say who trains and who judges."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from segsearch.errors import DataError
from segsearch.pairing.lists import Lists, SplitList, find_lists
from segsearch.pairing.types import Matched, Place, SplitName, Walked
from segsearch.readings.types import Wanted

_ORDER: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Listed:
    """The images of each split as lists say them; a split that no list names is what folders say.

    `all` are the images in any list or split, `names` the files in words, `masks` those that lines name beside their
    image.
    """

    splits: Mapping[SplitName, tuple[Place, ...]]
    masks: Mapping[Place, Place]
    all: frozenset[Place]
    names: str
    notes: tuple[str, ...]


def listed_in(walked: Walked, matched: Matched, wanted: Wanted) -> tuple[Listed | None, tuple[str, ...]]:
    """The lists to go by: those of the shallowest folder that has any, of several such where they name different
    images; None where there are none, or folders count.

    With them a note of lists that are passed over because their lines name files that are not here.

    Raises `DataError` where a line of them names no picture, two lists share an image, lists of two folders do, or
    lists are wanted that are not there.
    """
    groups = () if wanted.splits == "folders" else find_lists(walked, matched=matched)
    if not groups:
        if wanted.splits is not None and wanted.splits != "folders":
            raise DataError(
                f"{walked.root}: --splits {shlex.quote(wanted.splits)} needs lists of images, got none that names "
                "pictures of the folder; write train.txt and val.txt, or leave it out."
            )
        return None, ()
    counting = _groups(walked, groups, wanted)
    chosen, names, notes = list[SplitList](), list[str](), list[str]()
    for group in counting:
        where = f" of {group.folder or walked.root}" if len(counting) > 1 else ""
        of_group, said = _chosen(group.lists, where)
        chosen += of_group
        names.append(", ".join(one.file.name for one in of_group) + where)
        notes += said
    notes += _notes_on_groups(counting, groups, wanted)
    strays = [stray for one in chosen for stray in one.strays]
    if strays:
        if any(image.split for image in matched.images) and wanted.splits is None:
            # Lists of another machine beside folders that say the same.
            words = f"{', '.join(names)}: {len(strays)} lines name no file here, so that the folders' splits count."
            return None, (words,)
        more = f" (and {len(strays) - 1} more like it)" if len(strays) > 1 else ""
        raise DataError(
            f"{strays[0].file}, line {strays[0].line}: a line must name a picture in the folder, got "
            f"{strays[0].text[:80]!r}{more}; correct the list, or part the images otherwise with --splits folders."
        )
    splits, seen = _splits(chosen)
    masks = {line.image: line.mask for one in chosen for line in one.listed if line.mask is not None}
    everything = _images(chosen)
    if wanted.splits is None:
        unsplit = any(one.split is None for one in chosen)
        for split, places in _of_folders(matched, seen).items():
            if split not in splits and not (split == "train" and unsplit):
                splits[split] = places
                notes.append(f"No list names the {split} split: it is what folders say.")
    everything |= {place for places in splits.values() for place in places}
    return Listed(splits, masks, everything, ", ".join(names), tuple(notes)), ()


# ---- which folder's lists


def _groups(walked: Walked, groups: Sequence[Lists], wanted: Wanted) -> tuple[Lists, ...]:
    """The folders whose lists count. Raises `DataError` where two might, or where the wanted one has none."""
    if wanted.splits is not None and wanted.splits != "lists":
        folder = wanted.splits.strip("/")
        found = [group for group in groups if group.folder == ("" if folder == "." else folder)]
        if not found:
            known = ", ".join(repr(group.folder or ".") for group in groups)
            raise DataError(
                f"{walked.root}: --splits must be lists, folders or a folder of lists, got {wanted.splits!r}; "
                f"there are lists in: {known}."
            )
        return tuple(found)
    first = [group for group in groups if group.depth == groups[0].depth]
    different = list[Lists]()
    for group in first:
        if _said(group) not in [_said(other) for other in different]:
            different.append(group)
    if any(_images(one.lists) & _images(other.lists) for one, other in combinations(different, 2)):
        lines = "".join(
            f"\n  --splits {shlex.quote(group.folder or '.')}   {_sizes(_chosen(group.lists, '')[0])}"
            for group in different
        )
        raise DataError(f"Lists of {len(different)} folders part the same images; choose one of them:{lines}")
    return tuple(different)


def _said(group: Lists) -> dict[str, frozenset[Place]]:
    return {one.name: _images([one]) for one in group.lists}


def _images(lists: Iterable[SplitList]) -> frozenset[Place]:
    return frozenset(line.image for one in lists for line in one.listed)


def _sizes(lists: Sequence[SplitList]) -> str:
    return ", ".join(f"{len(_images([one]))} {one.split or one.name}" for one in lists)


def _notes_on_groups(counting: Sequence[Lists], groups: Sequence[Lists], wanted: Wanted) -> list[str]:
    notes = []
    if len(counting) > 1:
        notes.append("These folders' lists name different images and are read together; --splits FOLDER takes one.")
    read = _images(one for group in counting for one in group.lists)
    others = [group.folder for group in groups if wanted.splits is None and _images(group.lists) - read]
    if others:
        notes.append(f"Lists in {', '.join(others)} name other images and are not read.")
    return notes


# ---- which lists of a folder


def _chosen(lists: Sequence[SplitList], where: str) -> tuple[list[SplitList], list[str]]:
    """One list a split, the one that is called most plainly; lists of no split only where no other says who trains.

    Where only the validation images have no list of their own, they are those of `trainval` that do not train. `where`
    names the folder in notes.
    """
    chosen: dict[SplitName, SplitList] = {}
    for one in sorted(lists, key=lambda one: (len(one.name), one.name)):
        if one.split is not None:
            chosen.setdefault(one.split, one)
    if "train" not in chosen:
        return [*chosen.values(), *(one for one in lists if one.split is None)], []
    notes = list[str]()
    if "validation" not in chosen and (rest := _validation_of(lists, chosen)):
        chosen["validation"] = rest
        notes.append(
            f"No list names the validation split{where}: it is the {len(_images([rest]))} images that "
            f"{rest.file.name} has beside the others."
        )
    used = {one.file for one in chosen.values()}
    if others := [one.file.name for one in lists if one.file not in used]:
        notes.append(f"Beside them lie {', '.join(others)}{where}, which are not read.")
    return [chosen[split] for split in _ORDER if split in chosen], notes


def _validation_of(lists: Sequence[SplitList], chosen: Mapping[SplitName, SplitList]) -> SplitList | None:
    """What `trainval` lists beside all of the training images; None where there is no such list, or nothing is left."""
    others = _images(chosen.values())
    for one in lists:
        if one.split is None and re.sub(r"[\s_.\-]", "", one.name).startswith("trainval"):
            left = tuple(line for line in one.listed if line.image not in others)
            if left and _images([chosen["train"]]) <= _images([one]):
                return replace(one, split="validation", listed=left)
    return None


def _splits(chosen: Sequence[SplitList]) -> tuple[dict[SplitName, tuple[Place, ...]], dict[Place, SplitList]]:
    """The images of each split, and the list of each image. Raises `DataError` where two lists share one."""
    splits: dict[SplitName, tuple[Place, ...]] = {}
    seen: dict[Place, SplitList] = {}
    for one in chosen:
        if one.split is None:
            continue
        places = tuple(dict.fromkeys(line.image for line in one.listed))
        for place in places:
            if (other := seen.setdefault(place, one)) is not one:
                raise DataError(
                    f"{one.file}: an image may be in one split, got {place.inner} in {other.file.name} too; remove one."
                )
        splits[one.split] = (*splits.get(one.split, ()), *places)
    return splits, seen


def _of_folders(matched: Matched, listed: Collection[Place]) -> dict[SplitName, tuple[Place, ...]]:
    """The images with masks of each split by the names of folders, those that lists of splits name left out."""
    masks: dict[Place, Place] = {}
    for family in matched.families:
        masks = {**family.masks, **masks}
    found: dict[SplitName, list[Place]] = {}
    for image in matched.images:
        if image in masks and image not in listed and (split := image.split or masks[image].split):
            found.setdefault(split, []).append(image)
    return {split: tuple(places) for split, places in found.items()}
