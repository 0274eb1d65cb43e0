"""Which masks are named after which images: the families of names that explain most, one mask an image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from segsearch.errors import DataError
from segsearch.pairing.folders import common_folder, joined, loosened, of_shared_folders, told_apart
from segsearch.pairing.hits import WAYS, Hit, Hits, Key
from segsearch.pairing.types import Alike, Family, Place

# A family stays if it covers so much of what the best one of its folder does, and that folder of what the best does ...
LEAST_SHARE = 1 / 2
# ... and one whose masks have names of their own must cover so much of all that could be covered: `1` is in `x_1_2`.
LEAST_COVERED = 1 / 10
LOSSY = (".jpg", ".jpeg")


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
    origin = {place.inner: place for place in (*images, *masks)}
    images, masks = loosened(images, masks)
    best = _best_way(images, masks)
    if not best.families and (apart := of_shared_folders(images, masks)) != list(masks):
        best = _best_way(images, apart)
    return _restored(best, origin)


def _best_way(images: Sequence[Place], masks: Sequence[Place]) -> Found:
    best, refused = Found((), tuple(masks), (), "name"), None
    for alike, hits_of in WAYS:
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
    return best


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

    That two of several folders have an image or two in common is a slip, which is refused.
    """
    try:
        return [_settled(hits, images, masks)]
    except DataError as error:
        refused = error
    above = {hit.mask: masks[hit.mask].inner.split("/")[:-1] for hit in hits}
    for depth in range(max(map(len, above.values()))):
        parts = defaultdict[str, list[Hit]](list)
        for hit in hits:
            parts["".join(above[hit.mask][depth : depth + 1])].append(hit)
        of_part = [{hit.image for hit in part} for part in parts.values()]
        shared = sum(count > 1 for count in Counter(image for found in of_part for image in found).values())
        if not shared or (len(parts) > 2 and shared < LEAST_SHARE * min(map(len, of_part))):
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
