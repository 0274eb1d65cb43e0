"""One image and several files of masks: one file an object or a class, of which one alone must not be read unasked."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from segsearch.pairing.tokens import tokens_of
from segsearch.pairing.types import Family, Matched, Place

_NUMBER = re.compile(r"[\s_.\-]*\(?\d+\)?$")


def numbered(one: Family, other: Family) -> bool:
    """Whether two kinds of masks lie together and are called alike but for a number at the end (`_mask`, `_mask_1`)."""
    ends = [(family.prefix, family.suffix) for family in (one, other)]
    bare = [(prefix if suffix else _bare(prefix), _bare(suffix)) for prefix, suffix in ends]
    if ends[0] == ends[1] or bare[0] != bare[1]:
        return False
    return any(
        _folder(mask) == _folder(other.masks[image]) for image, mask in one.masks.items() if image in other.masks
    )


def numbered_beside(family: Family, others: Iterable[Family], lonely: Sequence[Place]) -> list[tuple[Place, Place]]:
    """Masks of the family, each with one of the same image beside it that is called so but for a number at the end.

    `lonely` are masks that belong to no kind, because few images have that many.
    """
    found = dict[Place, Place]()
    for other in others:
        if numbered(family, other):
            found |= {mask: other.masks[image] for image, mask in family.masks.items() if image in other.masks}
    counted = _bare(family.suffix or family.prefix) != (family.suffix or family.prefix)
    by_name = {(_folder(mask), mask.stem): mask for mask in family.masks.values()}
    if counted:
        by_name |= {(_folder(mask), _bare(mask.stem)): mask for mask in family.masks.values()}
    for mask in lonely:
        bare = _bare(mask.stem)
        if bare != mask.stem and (own := by_name.get((_folder(mask), bare))):
            found.setdefault(own, mask)
    return list(found.items())


def files_of_objects(matched: Matched) -> tuple[Place, tuple[Place, ...]] | None:
    """The image with most masks, where masks go with no image by their own names, but several with one by the folders
    that they lie in (`7/images/7.png`, `7/masks/a.png`) or by what their names begin with (`7-a.png`); None elsewhere.
    """
    by_folder, by_stem = defaultdict[tuple[object, str], list[Place]](list), dict[tuple[str, ...], Place]()
    for image in matched.images:
        by_folder[image.split, image.rest].append(image)
        by_stem.setdefault(tokens_of(image.stem), image)
    of_image = defaultdict[Place, list[Place]](list)
    for mask in matched.lonely:
        beside = by_folder.get((mask.split, mask.rest), []) if mask.rest else []
        above = by_stem.get(tokens_of(mask.rest.rpartition("/")[2]))
        if own := beside[0] if len(beside) == 1 else above or _begun(mask, by_stem):
            of_image[own].append(mask)
    if not of_image or 2 * sum(map(len, of_image.values())) < len(matched.lonely):
        return None
    image, masks = max(of_image.items(), key=lambda found: len(found[1]))
    return (image, tuple(masks)) if len(masks) > 1 else None


def _begun(mask: Place, by_stem: dict[tuple[str, ...], Place]) -> Place | None:
    """The image whose name a mask's begins with, the longest one."""
    name = tokens_of(mask.stem)
    return next((by_stem[name[:end]] for end in range(len(name) - 1, 0, -1) if name[:end] in by_stem), None)


def _bare(text: str) -> str:
    return _NUMBER.sub("", text)


def _folder(place: Place) -> str:
    return place.inner.rpartition("/")[0]
