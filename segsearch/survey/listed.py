"""Which of the lists in a folder say who trains and who judges."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from segsearch.errors import DataError
from segsearch.pairing.lists import SplitList, find_lists
from segsearch.pairing.types import Matched, Place, SplitName, Walked
from segsearch.readings.types import Wanted


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
    """The lists to go by: those of the shallowest folder that has any; None where there are none, or folders count.

    With them a note of lists that are passed over because their lines name files that are not here.

    Raises `DataError` where a line of them names no picture, two lists share an image, or lists are wanted that are not
    there.
    """
    groups = [] if wanted.splits == "folders" else find_lists(walked, matched=matched)
    if not groups:
        if wanted.splits == "lists":
            raise DataError(
                f"{walked.root}: --splits lists needs lists of images, got none that names pictures of the folder; "
                "write train.txt and val.txt, or leave it out."
            )
        return None, ()
    chosen, notes = _chosen(groups[0].lists)
    strays = [stray for one in chosen for stray in one.strays]
    if strays:
        if any(image.split for image in matched.images) and wanted.splits is None:
            # Lists of another machine beside folders that say the same.
            names = ", ".join(one.file.name for one in chosen)
            note = f"{names}: {len(strays)} lines name no file here, so that the folders' splits count."
            return None, (note,)
        more = f" (and {len(strays) - 1} more like it)" if len(strays) > 1 else ""
        raise DataError(
            f"{strays[0].file}, line {strays[0].line}: a line must name a picture in the folder, got "
            f"{strays[0].text[:80]!r}{more}; correct the list, or part the images otherwise with --splits folders."
        )
    splits: dict[SplitName, tuple[Place, ...]] = {}
    masks: dict[Place, Place] = {}
    seen: dict[Place, SplitList] = {}
    for one in chosen:
        places = tuple(dict.fromkeys(line.image for line in one.listed))
        masks |= {line.image: line.mask for line in one.listed if line.mask is not None}
        if one.split is None:
            continue
        for place in places:
            if (other := seen.setdefault(place, one)) is not one:
                raise DataError(
                    f"{one.file}: an image may be in one split, got {place.inner} in {other.file.name} too; remove one."
                )
        splits[one.split] = places
    everything = frozenset(line.image for one in chosen for line in one.listed)
    if wanted.splits is None:
        unsplit = any(one.split is None for one in chosen)
        for split, places in _of_folders(matched, seen).items():
            if split not in splits and not (split == "train" and unsplit):
                splits[split] = places
                notes.append(f"No list names the {split} split: it is what folders say.")
    everything |= {place for places in splits.values() for place in places}
    return Listed(splits, masks, everything, ", ".join(one.file.name for one in chosen), tuple(notes)), ()


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


def _chosen(lists: Sequence[SplitList]) -> tuple[list[SplitList], list[str]]:
    """One list a split, the one that is called most plainly; lists of no split only where no other says who trains."""
    chosen: dict[SplitName, SplitList] = {}
    for one in sorted(lists, key=lambda one: (len(one.name), one.name)):
        if one.split is not None:
            chosen.setdefault(one.split, one)
    if "train" not in chosen:
        return [*chosen.values(), *(one for one in lists if one.split is None)], []
    others = [one.file.name for one in lists if one not in chosen.values()]
    notes = [f"Beside them lie {', '.join(others)}, which are not read."] if others else []
    return [chosen[split] for split in ("train", "validation", "test") if split in chosen], notes
