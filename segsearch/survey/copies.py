"""Kinds of masks that hold the same, pixel for pixel: there is nothing to choose between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from segsearch.datasets.decode import Fault, Stored, read_stored
from segsearch.datasets.folders import in_order
from segsearch.pairing.types import Family, Place


@dataclass(frozen=True)
class Kept:
    """A kind of masks, and others that hold what it holds."""

    family: Family
    copies: tuple[Family, ...]


def without_copies(families: Sequence[Family]) -> list[Kept]:
    """Of families that hold the same one: that with most masks, of equal ones one that has a palette.

    Masks are read up to the first that differs; only families that are copies of one another are read whole.
    """
    kept = list[Kept]()
    for family in sorted(families, key=lambda family: (-len(family.masks), not _has_palette(family))):
        index = next((index for index, other in enumerate(kept) if _same(other.family, family)), None)
        if index is None:
            kept.append(Kept(family, ()))
        else:
            kept[index] = replace(kept[index], copies=(*kept[index].copies, family))
    return kept


def _same(family: Family, other: Family) -> bool:
    """Whether each mask of the other family is one of this family, of the same image, with the same pixels."""
    if not other.masks.keys() <= family.masks.keys():
        return False
    pairs = [(family.masks[image], mask) for image, mask in other.masks.items()]
    return all(in_order(_read_alike, pairs))


def _read_alike(pair: tuple[Place, Place]) -> bool:
    """Whether two masks hold the same values, shown as the same colours where both have a palette."""
    try:
        one, other = (read_stored(mask.path, exif="ignore") for mask in pair)
    except Fault:
        return False
    if one.values is None or other.values is None:
        return one.colours is not None and other.colours is not None and np.array_equal(one.colours, other.colours)
    return np.array_equal(one.values, other.values) and _shown_alike(one, other)


def _shown_alike(one: Stored, other: Stored) -> bool:
    if one.palette is None or other.palette is None or one.values is None:
        return True
    used = np.unique(one.values).tolist()
    return all(one.palette[index : index + 1] == other.palette[index : index + 1] for index in used)


def _has_palette(family: Family) -> bool:
    try:
        return read_stored(next(iter(family.masks.values())).path, exif="ignore").palette is not None
    except Fault:
        return False
