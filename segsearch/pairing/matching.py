"""Which picture is whose mask: by what names share, whatever their endings are called."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segsearch.errors import DataError
from segsearch.pairing.families import LOSSY, Found, find_families
from segsearch.pairing.places import by_whole_names, says_images_firmly
from segsearch.pairing.tokens import MASK_NAMES, has_mask_word, tokens_of
from segsearch.pairing.types import Matched, Place

# The formats of a picture that is there twice, the one to keep first.
_FORMATS = (".png", ".tif", ".tiff", ".bmp", ".webp", ".jpg", ".jpeg", ".gif")


@dataclass(frozen=True)
class _Sides:
    """Pictures taken for images and for masks, and those in a second format that are neither."""

    images: tuple[Place, ...]
    masks: tuple[Place, ...]
    twins: tuple[Place, ...]


def match(places: Sequence[Place]) -> Matched:
    """Pair images with masks, in time that grows with their number only.

    Folders say which is which; where they name one kind only, the other lies in those that say nothing; where no such
    pair is found, both lie side by side and names tell; where that finds none either, words in longer names of folders
    (`image_0/img`, `image_0/label`) tell no role. Splits and folders agree where both sides have them. Raises
    `DataError` naming the files where an image could have two masks of one kind, or a mask two images.
    """
    matched = _match(places)
    if not matched.families and (anew := by_whole_names(places)) != list(places):
        again = _match(anew)
        return again if again.families else matched
    return matched


def _match(places: Sequence[Place]) -> Matched:
    images, masks, others = _roles(places)
    found = list[tuple[_Sides, Found]]()
    for image_side, mask_side in _apart(images, masks, others):
        # Folders that say nothing may hold masks beside the images.
        sides = _without_twins(image_side, mask_side) if images else _beside_masks(image_side, mask_side)
        found.append((sides, find_families(sides.images, sides.masks)))
    told = bool(images and masks and found[0][1].families)
    if not told and not (found and 2 * found[0][1].covered >= len(found[0][0].images)):
        found.extend(_side_by_side(images or others or masks))
    if not found:
        sides = _without_twins(images or others, masks)
        found.append((sides, Found((), sides.masks, (), "name")))
    return _matched(places, *max(found, key=lambda one: one[1].covered))


def _roles(places: Sequence[Place]) -> tuple[list[Place], list[Place], list[Place]]:
    """Images, masks and others by their folders; beside other folders of images, `semantic_rgb` holds none."""
    firm, weak, masks, others = list[Place](), list[Place](), list[Place](), list[Place]()
    for place in places:
        if place.left_out:
            continue
        if place.role == "image":
            (firm if says_images_firmly(place) else weak).append(place)
        else:
            (masks if place.role == "mask" else others).append(place)
    if not firm:
        return weak, masks, others
    return firm, masks, [*others, *weak]


def _apart(
    images: Sequence[Place], masks: Sequence[Place], others: Sequence[Place]
) -> list[tuple[Sequence[Place], Sequence[Place]]]:
    """The sides that folders tell, if they do: two named ones, or a named one and those that say nothing."""
    sides = (images, masks) if images and masks else (others, masks) if masks else (images, others)
    return [sides] if all(sides) else []


def _without_twins(images: Sequence[Place], masks: Sequence[Place]) -> _Sides:
    """Keep one of the images that differ in their format only, the one that lost nothing."""
    by_name = defaultdict[str, list[Place]](list)
    for image in images:
        by_name[_name(image)].append(image)
    kept, twins = list[Place](), list[Place]()
    for same in by_name.values():
        first, *others = sorted(same, key=_loss) if len(same) > 1 else same
        kept.append(first)
        twins.extend(others)
    return _Sides(tuple(kept), tuple(masks), tuple(twins))


def _beside_masks(images: Sequence[Place], masks: Sequence[Place]) -> _Sides:
    """Where masks may lie beside images, `1.png` beside `1.jpg` is its mask, never the same picture again.

    Raises `DataError` where two lossless files have one name: either might be a mask.
    """
    photos = {_name(image) for image in images if image.path.suffix.lower() in LOSSY}
    kept, labels, lossless = list[Place](), list[Place](), dict[str, Place]()
    for image in images:
        if image.path.suffix.lower() in LOSSY:
            kept.append(image)
            continue
        other = lossless.setdefault(_name(image), image)
        if other is not image:
            raise DataError(
                f"{image.path}: what lies beside masks must have a name of its own, got {other.inner}, too, and either "
                "might be a mask; remove one, or move images and masks into folders images/ and masks/."
            )
        (labels if _name(image) in photos else kept).append(image)
    return _without_twins(kept, [*masks, *labels])


def _name(place: Place) -> str:
    return place.inner.rpartition(".")[0]


def _loss(place: Place) -> tuple[int, str]:
    suffix = place.path.suffix.lower()
    return _FORMATS.index(suffix) if suffix in _FORMATS else len(_FORMATS), place.inner


def _matched(places: Sequence[Place], sides: _Sides, found: Found) -> Matched:
    twins = (*sides.twins, *found.twins)
    taken = {place.inner for side in (sides.images, sides.masks, twins) for place in side}
    left = [place for place in places if place.inner not in taken]
    lonely = (*found.lonely, *(place for place in left if place.role == "mask"))
    others = tuple(place for place in left if place.role != "mask")
    return Matched(sides.images, found.families, lonely, twins, others, found.alike)


# ---- images and masks in one folder


def _side_by_side(places: Sequence[Place]) -> list[tuple[_Sides, Found]]:
    """The division into images and masks that explains most of the pictures, none where none explains any.

    Of two that explain as many: that with more images, and then that whose masks are called as images are, and more.
    Raises `DataError` where the only divisions are ambiguous.
    """
    best, most, refused = list[tuple[_Sides, Found]](), (0, 0, 0), None
    for images, masks in _divisions(places):
        try:
            sides = _beside_masks(images, masks)
            found = find_families(sides.images, sides.masks)
        except DataError as error:
            refused = refused or error
            continue
        paired = {image.inner for family in found.families for image in family.masks}
        explained = len(paired) + len(sides.twins) + len(sides.masks) - len(found.lonely)
        longer = sum(image.stem in mask.stem for image, mask in found.families[0].masks.items()) if paired else 0
        if (explained, found.covered, longer) > most and paired:
            best, most = [(sides, found)], (explained, found.covered, longer)
        if longer == found.covered and 2 * longer + len(sides.twins) == len(places):
            break
    if refused and not best:
        raise refused
    return best


def _divisions(places: Sequence[Place]) -> Iterator[tuple[list[Place], list[Place]]]:
    """Masks have a word that images lack (any of those there, or one of them), or are lossless beside a JPEG file."""
    names = [tokens_of(place.stem) for place in places]
    counts = Counter(word for name in names for word in {token.casefold() for token in name} & MASK_NAMES)
    words = sorted((word for word, count in counts.items() if count < len(places)), key=lambda word: -counts[word])
    choices = [frozenset(words), *(frozenset((word,)) for word in words)] if len(words) > 1 else [frozenset(words)]
    for chosen in filter(None, choices):
        said = [has_mask_word(name, chosen) for name in names]
        yield (
            [place for place, is_mask in zip(places, said, strict=True) if not is_mask],
            [place for place, is_mask in zip(places, said, strict=True) if is_mask],
        )
    lossy = [place for place in places if place.path.suffix.lower() in LOSSY]
    if lossy and len(lossy) < len(places):
        yield lossy, [place for place in places if place.path.suffix.lower() not in LOSSY]
