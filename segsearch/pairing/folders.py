"""Folders of images and masks as wholes: those that need not agree, that are one set, and what to call them by."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from posixpath import commonpath

from segsearch.pairing.types import Family, Place


def loosened(images: Sequence[Place], masks: Sequence[Place]) -> tuple[Sequence[Place], Sequence[Place]]:
    """Without folders that all of one side lie in and none of the other: `images/10k`, `labels/sem_seg/masks`.

    They tell no picture from another; a side is all images, or the masks in folders of one word.
    """
    of_images, of_masks = {image.rest for image in images}, defaultdict[str, set[str]](set)
    for mask in masks:
        of_masks[mask.word].add(mask.rest)
    image_names, mask_names = _names(of_images), _names(rest for rests in of_masks.values() for rest in rests)
    image_ends = _always(of_images) - mask_names
    mask_ends = {word: _always(rests) - image_names for word, rests in of_masks.items()}
    return (
        [_without(image, image_ends) for image in images],
        [_without(mask, mask_ends[mask.word]) for mask in masks],
    )


def of_shared_folders(images: Sequence[Place], masks: Sequence[Place]) -> list[Place]:
    """The masks without folders that hold no image: `seq1` of `labels/anna/seq1` and of `labels/ben/seq1`."""
    rests = {image.rest for image in images} - {""}
    others = _names({mask.rest for mask in masks}) - _names(rests)
    bare = [_without(mask, others) for mask in masks]
    return [left if left.rest in rests else mask for mask, left in zip(masks, bare, strict=True)]


def _names(rests: Iterable[str]) -> set[str]:
    return {name for rest in rests for name in rest.split("/")}


def _always(rests: Collection[str]) -> set[str]:
    return set.intersection(*(set(rest.split("/")) for rest in rests)) - {""} if rests else set()


def _without(place: Place, names: Collection[str]) -> Place:
    return (
        replace(place, rest="/".join(name for name in place.rest.split("/") if name not in names)) if names else place
    )


def joined(families: Iterable[Family]) -> list[Family]:
    """Families of one ending as one where no image has a mask of two of them: `masks_a` and `masks_b` are parts.

    Where some image has two, nobody knows which belong together (`fine_train`, `fine_val`, `coarse_train`).
    """
    by_ending = defaultdict[tuple[str, str], list[Family]](list)
    for family in families:
        by_ending[family.prefix, family.suffix].append(family)
    kept = list[Family]()
    for (prefix, suffix), parts in by_ending.items():
        together = {image: mask for part in parts for image, mask in part.masks.items()}
        if len(parts) > 1 and len(together) == sum(len(part.masks) for part in parts):
            kept.append(Family(prefix, suffix, common_folder(together.values()), together))
        else:
            kept.extend(parts)
    return kept


def told_apart(families: Sequence[Family]) -> list[Family]:
    """Families that nothing tells apart are called by the folders that all their masks lie in: `v2.0/labels`, where
    those of `train/v2.0/labels` and `val/v2.0/labels` have no folder in common.
    """
    count = Counter((family.prefix, family.suffix, family.folder) for family in families)
    return [
        replace(family, folder=_shared_folders(family.masks.values()))
        if count[family.prefix, family.suffix, family.folder] > 1
        else family
        for family in families
    ]


def _shared_folders(masks: Iterable[Place]) -> str:
    above = sorted({mask.inner.rpartition("/")[0] for mask in masks})
    shared = set.intersection(*(set(folder.split("/")) for folder in above))
    return "/".join(name for name in above[0].split("/") if name in shared)


def common_folder(masks: Iterable[Place]) -> str:
    return commonpath({mask.inner.rpartition("/")[0] for mask in masks})
