"""Published tables, by values that were copied from them by hand."""

from __future__ import annotations

from collections import Counter

from segsearch.readings.tables import ADE20K, CAMVID, CAMVID_MERGED, CITYSCAPES, VOC, VOC_VOID_COLOUR, voc_colour


def _rgb(colour: int) -> tuple[int, int, int]:
    return colour >> 16, colour >> 8 & 255, colour & 255


def test_cityscapes_training_ids() -> None:
    assert [trained.name for trained in CITYSCAPES] == [
        *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"),
        *("terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
    ]
    label_ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert [trained.label_id for trained in CITYSCAPES] == label_ids
    colours = [_rgb(trained.colour) for trained in CITYSCAPES]
    assert colours[:4] == [(128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156)]
    assert colours[-4:] == [(0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32)]
    assert len(set(colours)) == 19


def test_voc_palette() -> None:
    assert [_rgb(voc_colour(index)) for index in (0, 1, 2, 3, 4, 8, 15, 20)] == [
        *((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)),
        *((64, 0, 0), (192, 128, 128), (0, 64, 128)),
    ]
    assert _rgb(voc_colour(255)) == (224, 224, 192) == _rgb(VOC_VOID_COLOUR)
    assert len({voc_colour(index) for index in range(256)}) == 256
    assert (len(VOC), VOC[0], VOC[15], VOC[20]) == (21, "background", "person", "tvmonitor")


def test_camvid_colours_and_where_they_go() -> None:
    colours = {painted.name: _rgb(painted.colour) for painted in CAMVID}
    assert len(colours) == len(set(colours.values())) == 32
    assert colours["Animal"] == (64, 128, 64)
    assert colours["SUVPickupTruck"] == (64, 128, 192)
    assert colours["LaneMkgsNonDriv"] == (192, 0, 64)
    assert colours["Wall"] == (64, 192, 0)
    assert [painted.name for painted in CAMVID if painted.merged is None] == ["Void"]
    assert Counter(painted.merged for painted in CAMVID if painted.merged) == {
        "sky": 1, "building": 5, "pole": 2, "road": 3, "pavement": 3, "tree": 2, "sign_symbol": 3, "fence": 1,
        "car": 5, "pedestrian": 4, "bicyclist": 2,
    }  # fmt: skip
    assert {painted.name for painted in CAMVID if painted.merged == "building"} == {
        *("Archway", "Bridge", "Building", "Tunnel", "Wall"),
    }
    assert {painted.merged for painted in CAMVID} - {None} == set(CAMVID_MERGED)
    assert [painted.name.lower() for painted in CAMVID] == sorted(painted.name.lower() for painted in CAMVID)


def test_ade20k_names() -> None:
    assert len(ADE20K) == len(set(ADE20K)) == 150
    assert {number: ADE20K[number - 1] for number in (1, 2, 13, 22, 59, 75, 90, 128, 131, 137, 150)} == {
        1: "wall", 2: "building", 13: "person", 22: "water", 59: "screen door", 75: "computer", 90: "television",
        128: "bicycle", 131: "screen", 137: "traffic light", 150: "flag",
    }  # fmt: skip
