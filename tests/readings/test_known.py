from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.pairing.types import Family, Place, Walked
from segsearch.readings.known import known_reading, preferred
from segsearch.readings.tables import ADE20K, CAMVID, CAMVID_MERGED, CITYSCAPES, VOC, voc_colour
from segsearch.readings.types import ClassList, Reading, Seen, Tally
from tests.readings.held import mapped, names

ROOT = Path("/data/set")
FRAMES = ("0001TP_006690", "0006R0_f00930", "0016E5_00390", "Seq05VD_f00000")
TO = "; --as-found reads them without that"


def _walked(*inner: str, texts: Sequence[str] = ()) -> Walked:
    places = tuple(Place(ROOT / path, path, None, None, "", Path(path).stem) for path in inner)
    return Walked(ROOT, places, tuple(ROOT / text for text in texts), 0, 0)


def _seen(values: Sequence[int], *masks: str, colours: bool = False, palette: dict[int, int] | None = None) -> Seen:
    tallies = {value: Tally(100, 2, ROOT / masks[place % len(masks)]) for place, value in enumerate(values)}
    return Seen(8, {} if colours else tallies, tallies if colours else None, palette or {})


def _known(walked: Walked, seen: Seen, *lists: ClassList) -> Reading:
    reading = known_reading(walked, seen, lists)
    assert reading is not None
    assert reading.words.endswith(TO)
    return reading


# Cityscapes

STEM = "aachen_000000_000019"
STREET = (f"leftImg8bit/train/aachen/{STEM}_leftImg8bit.png", f"gtFine/train/aachen/{STEM}_gtFine_labelTrainIds.png")
TRAINED = _seen([0, 11, 13, 255], f"gtFine/train/aachen/{STEM}_gtFine_labelTrainIds.png")
LABELLED = _seen([1, 7, 24, 26], f"gtFine/train/aachen/{STEM}_gtFine_labelIds.png")


def test_cityscapes_training_ids_are_plain() -> None:
    reading = _known(_walked(*STREET), TRAINED)
    assert (reading.plain, reading.void, len(reading.classes)) == (True, 255, 19)
    assert reading.words == (
        "Cityscapes' training ids: 0 is road, 1 is sidewalk, 2 is building, ..., 255 is void (19 classes)" + TO
    )


def test_cityscapes_label_ids_go_to_training_ids() -> None:
    reading = _known(_walked(*STREET), LABELLED)
    assert reading.classes == tuple(trained.name for trained in CITYSCAPES)
    assert [rule.index for rule in reading.rules] == [
        *([None] * 7),
        *(0, 1, None, None, 2, 3, 4, None, None, None, 5, None, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        *(None, None, 16, 17, 18),
    ]
    assert not reading.plain
    assert reading.words.startswith(
        "Cityscapes' label ids, which go to the training ids: 0..6 is void, 7 is road, 8 is"
    )


def test_cityscapes_test_masks_are_called_dummies() -> None:
    test = f"gtFine/test/berlin/{STEM.replace('aachen', 'berlin')}_gtFine_labelTrainIds.png"
    assert "the masks of its test split are dummies" in _known(_walked(*STREET, test), TRAINED).words
    assert "dummies" not in _known(_walked(*STREET), TRAINED).words


@pytest.mark.parametrize(
    ("walked", "seen"),
    [
        (_walked(*STREET), _seen([0, 19, 255], f"gtFine/train/aachen/{STEM}_gtFine_labelTrainIds.png")),
        (_walked(*STREET), _seen([0, 11], f"masks/aachen/{STEM}_gtFine_labelTrainIds.png")),
        (_walked(*STREET), _seen([0, 11], "gtFine/train/aachen/a_gtFine_labelTrainIds.png")),
        (_walked(*STREET), _seen([7000, 26001], f"gtFine/train/aachen/{STEM}_gtFine_instanceIds.png")),
        (_walked(*STREET), _seen([0x804080, 0x464646], f"gtFine/a/{STEM}_gtFine_labelIds.png", colours=True)),
        (_walked("images/1.png", STREET[1]), TRAINED),
    ],
)
def test_what_only_looks_like_cityscapes(walked: Walked, seen: Seen) -> None:
    assert known_reading(walked, seen, ()) is None


def test_a_list_that_says_something_else_wins() -> None:
    assert known_reading(_walked(*STREET), TRAINED, [names("road", "car")]) is None
    assert _known(_walked(*STREET), TRAINED, names(*(trained.name.upper() for trained in CITYSCAPES))).plain


def test_lossy_masks_and_palettes_at_odds_are_nothing_known() -> None:
    assert known_reading(_walked(*STREET), replace(TRAINED, lossy=Path("a.jpg")), ()) is None
    assert known_reading(_walked(*STREET), replace(TRAINED, at_odds=(Path("a"), Path("b"), 1)), ()) is None
    assert known_reading(_walked(*STREET), Seen(0, {}, None, {}), ()) is None


# PASCAL VOC

PASCAL = ("JPEGImages/2007_000032.jpg", "SegmentationClass/2007_000032.png", "SegmentationObject/2007_000032.png")
LISTS = ("ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/val.txt")
PALETTE = {value: voc_colour(value) for value in (0, 1, 15, 255)}
AEROPLANES = _seen([0, 1, 15, 255], "SegmentationClass/2007_000032.png", palette=PALETTE)


@pytest.mark.parametrize("above", ["", "VOCdevkit/VOC2012/"])
def test_voc(above: str) -> None:
    walked = _walked(*(above + path for path in PASCAL), texts=[above + path for path in LISTS])
    seen = _seen([0, 1, 15, 255], f"{above}SegmentationClass/2007_000032.png", palette=PALETTE)
    reading = _known(walked, seen)
    assert (reading.plain, reading.void, reading.classes) == (True, 255, VOC)
    assert reading.words.startswith("PASCAL VOC: 0 is background, 1 is aeroplane, ")
    grey = _seen([0, 1, 15, 255], f"{above}SegmentationClassAug/2007_000032.png")
    assert _known(walked, grey).plain


@pytest.mark.parametrize(
    ("walked", "seen", "lists"),
    [
        (_walked(*PASCAL, texts=("ImageSets/Segmentation/default.txt", "labelmap.txt")), AEROPLANES, ()),
        (_walked(*PASCAL, texts=LISTS), AEROPLANES, (names("background", "cat"),)),
        (_walked(*PASCAL, texts=LISTS), replace(AEROPLANES, palette={**PALETTE, 1: 0x307020}), ()),
        (_walked(*PASCAL, texts=LISTS), _seen([0, 1, 2], "SegmentationObject/2007_000032.png"), ()),
        (_walked(*PASCAL, texts=LISTS), _seen([0, 1, 2], "SegmentationClass/frame_000001.png"), ()),
        (_walked(*PASCAL, texts=LISTS), _seen([0, 1, 21], "SegmentationClass/2007_000032.png"), ()),
        (_walked(*PASCAL[1:], texts=LISTS), AEROPLANES, ()),
    ],
)
def test_what_only_looks_like_voc(walked: Walked, seen: Seen, lists: tuple[ClassList, ...]) -> None:
    """labelme and CVAT write its folders and its palette for any classes."""
    assert known_reading(walked, seen, lists) is None


# ADE20K

SCENES = ("images/training/ADE_train_00000001.jpg", "annotations/training/ADE_train_00000001.png")
INFO = names(*ADE20K, values=tuple(range(1, 151)), file="objectInfo150.txt")


def test_ade20k_leaves_0_out() -> None:
    walked, seen = _walked(*SCENES), _seen([0, 1, 150], SCENES[1])
    for lists in ((), (INFO,)):
        reading = _known(walked, seen, *lists)
        held = mapped(reading)
        assert (held[0], held[1], held[150], len(reading.classes)) == (None, "wall", "flag", 150)
        assert reading.words == "ADE20K: 0 is void, 1 is wall, 2 is building, ..., 150 is flag (150 classes)" + TO


@pytest.mark.parametrize(
    ("walked", "seen", "lists"),
    [
        (_walked(*SCENES), _seen([0, 1, 151], SCENES[1]), ()),
        (_walked(*SCENES), _seen([0, 1, 2], SCENES[1]), (names("wall", "building", "sky"),)),
        (_walked(*SCENES), _seen([0, 1, 2], SCENES[1]), (names(*ADE20K, values=tuple(range(150))),)),
        (_walked(*SCENES), _seen([0, 1, 2], "annotations/training/ADE_00000001.png"), ()),
        (_walked(*SCENES), _seen([0, 1, 2], "masks/ADE_train_00000001.png"), ()),
        (_walked("a/1.jpg", "annotations/1.png"), _seen([0, 1, 2], SCENES[1]), ()),
    ],
)
def test_what_only_looks_like_ade20k(walked: Walked, seen: Seen, lists: tuple[ClassList, ...]) -> None:
    assert known_reading(walked, seen, lists) is None


# CamVid

DRIVE = _walked("train/0001TP_006690.png", "train_labels/0001TP_006690_L.png")
TABLE = names(
    *(painted.name for painted in CAMVID), colours=tuple(painted.colour for painted in CAMVID), file="class_dict.csv"
)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("lists", [(), (TABLE,), (names(*TABLE.names[::-1], colours=(TABLE.colours or ())[::-1]),)])
def test_camvids_colours_go_to_the_customary_classes(frame: str, lists: tuple[ClassList, ...]) -> None:
    seen = _seen([0x000000, 0x808080, 0x8000C0, 0xC08040], f"train_labels/{frame}_L.png", colours=True)
    reading = _known(DRIVE, seen, *lists)
    assert reading.classes == CAMVID_MERGED
    held = mapped(reading)
    assert len(held) == 32
    assert [held[colour] for colour in (0x000000, 0x808080, 0x8000C0, 0xC08040, 0x40C000)] == [
        *(None, "sky", "road", "pedestrian", "building"),
    ]
    assert reading.words.startswith("CamVid, 32 classes merged to the customary 11: #000000 is void, ")
    assert reading.by == "colour"


def test_camvids_indices_go_to_the_customary_classes() -> None:
    codes = names(*(painted.name for painted in CAMVID), file="codes.txt")
    reading = _known(DRIVE, _seen([0, 4, 17, 30], "labels/0016E5_00390_P.png"), codes)
    held = mapped(reading)
    assert [held[index] for index in (0, 4, 10, 17, 21, 30, 31)] == [
        *("pedestrian", "building", "road", "road", "sky", None, "building"),
    ]
    assert known_reading(DRIVE, _seen([0, 4, 17, 30], "labels/0016E5_00390_P.png"), ()) is None


@pytest.mark.parametrize(
    ("mask", "lists"),
    [
        ("trainannot/0001TP_006690.png", ()),
        ("masks/train/0001TP_006690.png", (names(*CAMVID_MERGED),)),
        ("trainannot/Seq05VD_f00000.png", (names(*CAMVID_MERGED, "void"),)),
    ],
)
def test_camvids_merged_masks_have_their_void_at_11(mask: str, lists: tuple[ClassList, ...]) -> None:
    reading = _known(DRIVE, _seen([0, 1, 3, 11], mask), *lists)
    assert (reading.plain, reading.void, reading.classes) == (True, 11, CAMVID_MERGED)


def test_a_list_in_another_spelling_keeps_its_names() -> None:
    listed = [*CAMVID_MERGED[:6], "sign", *CAMVID_MERGED[7:]]
    reading = _known(DRIVE, _seen([0, 11], "masks/val/0016E5_07959.png"), names(*listed))
    assert reading.classes == tuple(listed)


@pytest.mark.parametrize(
    ("seen", "lists"),
    [
        (_seen([0x000000, 0x808080], "train_labels/a_L.png", colours=True), ()),
        (_seen([0x000000, 0x808081], "train_labels/0001TP_006690_L.png", colours=True), ()),
        (_seen([0x000000, 0x808080], "train_labels/0001TP_006690_L.png", colours=True), (names("a", "b"),)),
        (_seen([0, 1, 11], "masks/0001TP_006690.png"), ()),
        (_seen([0, 1, 12], "trainannot/0001TP_006690.png"), ()),
        (_seen([0, 1, 11], "trainannot/0001TP_006690.png"), (names(*CAMVID_MERGED[::-1]),)),
        (_seen([0, 1, 11], "trainannot/0001TP_006690.png"), (names(*CAMVID_MERGED, "road_marking"),)),
    ],
)
def test_what_only_looks_like_camvid(seen: Seen, lists: tuple[ClassList, ...]) -> None:
    assert known_reading(DRIVE, seen, lists) is None


# Families


def _family(suffix: str, folder: str = "gtFine", count: int = 1) -> Family:
    place = Place(ROOT, "a", None, None, "", "a")
    return Family("", suffix, folder, {replace(place, inner=str(number)): place for number in range(count)})


def test_training_ids_come_before_label_ids() -> None:
    kinds = [_family(f"_gtFine_{kind}") for kind in ("color", "instanceIds", "labelIds", "labelTrainIds")]
    assert preferred(kinds) is kinds[3]
    assert preferred(kinds[:3]) is kinds[2]
    assert preferred(kinds[:2]) is None
    assert preferred([]) is None
    half = [_family("_gtFine_labelIds", count=2), _family("_gtFine_labelTrainIds", count=1)]
    assert preferred(half) is half[0]


def test_classes_come_before_objects() -> None:
    families = [_family("", "SegmentationObject"), _family("", "VOC2012/SegmentationClass")]
    assert preferred(families) is families[1]
    assert preferred(families[1:]) is None
