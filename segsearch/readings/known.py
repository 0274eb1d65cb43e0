"""Published data sets, recognised by how their downloads lie and are named; what masks hold alone proves nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from segsearch.pairing.types import Family, Walked
from segsearch.readings.compose import compose
from segsearch.readings.names import bare
from segsearch.readings.tables import ADE20K, CAMVID, CAMVID_MERGED, CITYSCAPES, CITYSCAPES_LABEL_IDS, VOC, voc_colour
from segsearch.readings.types import ClassList, Reading, Seen

_CITYSCAPES_MASK = re.compile(r"[a-z]+_\d{6}_\d{6}_gt(?:Fine|Coarse)_(labelTrainIds|labelIds)")
_CITYSCAPES_IMAGE = re.compile(r"[a-z]+_\d{6}_\d{6}_leftImg8bit")
_VOC_MASK = re.compile(r"\d{4}_\d{6}")
_ADE20K_MASK = re.compile(r"ADE_(?:train|val)_\d{8}")
_CAMVID_MASK = re.compile(r"(?:0001TP|0006R0|0016E5|Seq05VD)_f?\d{5,6}(?:_[LP])?")
_CAMVID_VOID = 11
# What the merged classes are called, too.
_ALIKE = {"sign": "signsymbol", "trafficsign": "signsymbol", "columnpole": "pole", "sidewalk": "pavement"}


def known_reading(walked: Walked, seen: Seen, lists: Sequence[ClassList]) -> Reading | None:
    """The reading of a published data set: its masks must lie, be called and hold what its authors published.

    None where anything differs, and where a list of classes says something else.
    """
    if seen.lossy is not None or seen.at_odds is not None or not _masks(seen):
        return None
    for recognise in _KNOWN:
        reading = recognise(walked, seen, lists)
        if reading is not None:
            return replace(reading, words=f"{reading.words}; --as-found reads them without that")
    return None


def preferred(families: Sequence[Family]) -> Family | None:
    """The family that holds the classes where a data set has several; None where no name says so.

    Of Cityscapes these are the training ids, else the label ids; of VOC those of SegmentationClass.
    """
    for ending in ("_labelTrainIds", "_labelIds"):
        for family in families:
            if family.suffix.endswith(ending) and len(family.masks) == max(len(other.masks) for other in families):
                return family
    places = [set(family.folder.split("/")) for family in families]
    if any("SegmentationObject" in folders for folders in places):
        return next(
            (family for family, folders in zip(families, places, strict=True) if "SegmentationClass" in folders), None
        )
    return None


def _masks(seen: Seen) -> tuple[Path, ...]:
    """Some of the masks: the first of each value or colour."""
    return tuple({tally.first for tally in (seen.values or seen.colours or {}).values()})


def _called(walked: Walked, seen: Seen, pattern: re.Pattern[str], folder: Callable[[str], bool]) -> bool:
    """Whether all those masks are called like that and lie below a folder of such a name."""
    return all(pattern.fullmatch(mask.stem) and any(map(folder, _above(walked, mask))) for mask in _masks(seen))


def _above(walked: Walked, mask: Path) -> tuple[str, ...]:
    """The folders from the root, itself among them, down to a mask."""
    below = mask.relative_to(walked.root) if mask.is_relative_to(walked.root) else mask
    return (walked.root.name, *below.parent.parts)


def _folders(walked: Walked) -> set[str]:
    """The names of all folders below the root, and of the root."""
    return {walked.root.name, *(part for place in walked.places for part in place.inner.split("/")[:-1])}


def _cityscapes(walked: Walked, seen: Seen, lists: Sequence[ClassList]) -> Reading | None:
    """leftImg8bit/SPLIT/CITY and gtFine/SPLIT/CITY, masks of training ids or of label ids."""
    kinds = {found[1] for mask in _masks(seen) if (found := _CITYSCAPES_MASK.fullmatch(mask.stem))}
    if (
        len(kinds) != 1
        or not seen.values
        or not _called(walked, seen, _CITYSCAPES_MASK, {"gtFine", "gtCoarse"}.__contains__)
    ):
        return None
    classes = tuple(trained.name for trained in CITYSCAPES)
    if not any(_CITYSCAPES_IMAGE.fullmatch(place.stem) for place in walked.places) or not _agree(lists, classes):
        return None
    if kinds == {"labelTrainIds"}:
        assigned: dict[int, str | None] = dict(enumerate(classes))
        what = "training ids"
    else:
        assigned = dict.fromkeys(range(CITYSCAPES_LABEL_IDS))
        assigned |= {trained.label_id: trained.name for trained in CITYSCAPES}
        what = "label ids, which go to the training ids"
    assigned[255] = None
    if not seen.values.keys() <= assigned.keys():
        return None
    # Licence plates have the id -1, which no mask holds as a rule.
    if what != "training ids" and 255 not in seen.values:
        del assigned[255]
    tested = any(_CITYSCAPES_MASK.fullmatch(place.stem) and "test" in place.inner.split("/") for place in walked.places)
    after = "; the masks of its test split are dummies, not to be scored" if tested else ""
    return compose("", classes, assigned, before=f"Cityscapes' {what}: ", after=after)


def _voc(walked: Walked, seen: Seen, lists: Sequence[ClassList]) -> Reading | None:
    """JPEGImages, SegmentationClass and ImageSets/Segmentation/train.txt, val.txt; images are called YEAR_NUMBER."""
    split_lists = {path.name for path in walked.texts if path.parts[-3:-1] == ("ImageSets", "Segmentation")}
    if not {"train.txt", "val.txt"} <= split_lists or "JPEGImages" not in _folders(walked):
        return None
    if not _called(walked, seen, _VOC_MASK, lambda folder: folder.startswith("SegmentationClass")) or not _agree(
        lists, VOC
    ):
        return None
    if not seen.values or not seen.values.keys() <= {*range(len(VOC)), 255}:
        return None
    if any(seen.palette.get(value, voc_colour(value)) != voc_colour(value) for value in seen.values):
        return None
    return compose("", VOC, {**dict(enumerate(VOC)), 255: None}, before="PASCAL VOC: ")


def _ade20k(walked: Walked, seen: Seen, lists: Sequence[ClassList]) -> Reading | None:
    """images/ and annotations/, each with training and validation; images are called ADE_train_NUMBER."""
    if not {"images", "annotations"} <= _folders(walked) or not seen.values.keys() or max(seen.values) > len(ADE20K):
        return None
    if not _called(walked, seen, _ADE20K_MASK, {"training", "validation"}.__contains__) or not _agree(lists, ADE20K):
        return None
    numbers = range(1, len(ADE20K) + 1)
    if any(names.values is not None and names.values != tuple(numbers) for names in lists):
        return None
    return compose("", ADE20K, {0: None, **dict(zip(numbers, ADE20K, strict=True))}, before="ADE20K: ")


def _camvid(walked: Walked, seen: Seen, lists: Sequence[ClassList]) -> Reading | None:
    """Frames of its four videos; masks of its 32 colours, of as many indices, or of the 11 merged classes."""
    if not _called(walked, seen, _CAMVID_MASK, bool):
        return None
    merged = [painted.merged for painted in CAMVID]
    before = "CamVid, 32 classes merged to the customary 11: "
    if not seen.values:
        by_colour = {painted.colour: painted.merged for painted in CAMVID}
        tables = all(set(names.colours or ()) == by_colour.keys() for names in lists)
        if not tables or not (seen.colours or {}).keys() <= by_colour.keys():
            return None
        return compose("", CAMVID_MERGED, by_colour, by="colour", before=before)
    if lists and _agree(lists, [painted.name for painted in CAMVID]) and seen.values.keys() <= set(range(len(CAMVID))):
        return compose("", CAMVID_MERGED, dict(enumerate(merged)), before=before)
    annotated = all(mask.parent.name in ("trainannot", "valannot", "testannot") for mask in _masks(seen))
    if not (lists or annotated) or not seen.values.keys() <= {*range(_CAMVID_VOID + 1)}:
        return None
    if not _agree(lists, CAMVID_MERGED, more=("void", "unlabelled", "unlabeled")):
        return None
    classes = lists[0].names[:_CAMVID_VOID] if lists else CAMVID_MERGED
    return compose("", classes, {**dict(enumerate(classes)), _CAMVID_VOID: None}, before="CamVid, 11 classes: ")


def _agree(lists: Sequence[ClassList], names: Sequence[str], *, more: Collection[str] = ()) -> bool:
    """Whether all lists have these names in this order, but for their spelling; one of `more` may follow."""
    expected = [_alike(name) for name in names]
    for found in lists:
        given = [_alike(name) for name in found.names]
        if given[: len(expected)] != expected or any(name not in more for name in given[len(expected) :]):
            return False
    return True


def _alike(name: str) -> str:
    return _ALIKE.get(bare(name), bare(name))


_Recognise = Callable[[Walked, Seen, Sequence[ClassList]], Reading | None]
_KNOWN: tuple[_Recognise, ...] = (_cityscapes, _voc, _ade20k, _camvid)
