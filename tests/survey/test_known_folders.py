"""Downloads of published data sets, made small: each becomes a study whose labels are those of its authors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from segsearch.datasets import Dataset, open_dataset
from segsearch.datasets.types import UInt8
from segsearch.readings.tables import ADE20K, CAMVID, CAMVID_MERGED, CITYSCAPES, VOC, voc_colour
from segsearch.readings.types import Wanted
from segsearch.study import Study, read_study
from segsearch.survey.look import Found, look
from segsearch.survey.scaffold import write_study
from tests.survey.trees import palette_mask, save, scene, write

VOID = 255


def opened(root: Path, tmp_path: Path, **wanted: object) -> tuple[Found, Study, Dataset]:
    """Look, write, read back and open by the code of a run; the user's folder stays as it was."""
    before = sorted(root.rglob("*"))
    found = look(root, Wanted(**wanted))  # type: ignore[arg-type]
    out = tmp_path / "studies" / "mine.toml"
    write_study(found, out, force=True)
    study = read_study(out)
    dataset = open_dataset(study.data, cache=tmp_path / "cache")
    assert dataset.classes == found.reading.classes
    assert (len(dataset.train), len(dataset.validation)) == (len(found.splits.train), len(found.splits.validation))
    assert sorted(root.rglob("*")) == before
    return found, study, dataset


def demand_labels(dataset: Dataset, expected: Mapping[str, UInt8], *, void: int = VOID) -> None:
    """Of each validation image, by its stem, the labels of all pixels."""
    assert {name.rpartition("/")[2] for name in dataset.validation.names} == expected.keys()
    assert dataset.void == void
    for index, name in enumerate(dataset.validation.names):
        np.testing.assert_array_equal(dataset.validation.label(index), expected[name.rpartition("/")[2]])


def counts_of(found: Found) -> tuple[int, int, int]:
    return len(found.splits.train), len(found.splits.validation), len(found.splits.test)


def colour(value: int) -> list[int]:
    return [value >> 16, value >> 8 & 255, value & 255]


# ---- Cityscapes

_CITIES = {"train": {"aachen": 3, "bochum": 3}, "val": {"frankfurt": 2, "munster": 1}, "test": {"berlin": 2}}
# Label ids that are road, person, car and, void when training, ego vehicle, parking, licence-free caravan.
_IDS = np.array([7, 24, 26, 1, 9, 29], np.uint8)
_TRAIN_IDS = np.array([0, 11, 13, 255, 255, 255], np.uint8)


def cityscapes(root: Path, *, train_ids: bool) -> dict[str, UInt8]:
    """The archives leftImg8bit_trainvaltest and gtFine_trainvaltest; test masks are dummies. Gives what is right."""
    right, seed = {}, 0
    for split, cities in _CITIES.items():
        for city, count in cities.items():
            for number in range(count):
                image, label = scene(seed, classes=6)
                stem = f"{city}_{number:06d}_{19 + (275 * (1 - number) if city == 'frankfurt' else 0):06d}"
                ids = _IDS[label] if split != "test" else np.zeros_like(label)
                folder = root / f"gtFine/{split}/{city}"
                save(root / f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png", image)
                save(folder / f"{stem}_gtFine_labelIds.png", ids)
                save(folder / f"{stem}_gtFine_instanceIds.png", ids.astype(np.uint16) * 1000)
                save(folder / f"{stem}_gtFine_color.png", np.dstack([image, np.full_like(label, 255)]))
                write(folder / f"{stem}_gtFine_polygons.json", '{"imgHeight": 48, "imgWidth": 64, "objects": []}')
                if train_ids:
                    mask = _TRAIN_IDS[label] if split != "test" else np.full_like(label, 255)
                    save(folder / f"{stem}_gtFine_labelTrainIds.png", mask)
                if split == "val":
                    right[f"{stem}_leftImg8bit"] = _TRAIN_IDS[label]
                seed += 1
    for name in ("README", "license.txt"):
        write(root / name, "The Cityscapes Dataset\n")
    return right


@pytest.mark.parametrize("train_ids", [True, False])
def test_cityscapes(tmp_path: Path, train_ids: bool) -> None:
    root = tmp_path / "cityscapes"
    right = cityscapes(root, train_ids=train_ids)
    found, study, dataset = opened(root, tmp_path)
    assert counts_of(found)[:2] == (6, 3)
    assert dataset.classes == tuple(trained.name for trained in CITYSCAPES)
    kind = "_labelTrainIds" if train_ids else "_labelIds"
    assert {pair.mask.stem.rpartition("_gtFine")[2] for pair in found.splits.train} == {kind}
    assert found.reading.plain == train_ids
    assert bool(study.data.map) != train_ids
    demand_labels(dataset, right)
    shown = {row.name: row.stored for row in found.rows}
    assert (shown["road"], shown["car"]) == (("0", "13") if train_ids else ("7", "26"))


def test_cityscapes_by_its_label_ids_where_they_are_wanted(tmp_path: Path) -> None:
    root = tmp_path / "cityscapes"
    right = cityscapes(root, train_ids=True)
    _, study, dataset = opened(root, tmp_path, masks="_gtFine_labelIds")
    assert study.data.map
    assert len(dataset.classes) == 19
    demand_labels(dataset, right)


# ---- PASCAL VOC


@pytest.mark.parametrize("above", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_voc_2012(tmp_path: Path, above: str) -> None:
    data = tmp_path / "voc"
    root = data / above
    values = np.array([0, 15, 1, 255], np.uint8)
    palette = [colour(voc_colour(index)) for index in range(256)]
    names = [f"2007_{number:06d}" for number in range(12)]
    for seed, name in enumerate(names):
        image, label = scene(seed, classes=4)
        save(root / f"JPEGImages/{name}.jpg", image, quality=95)
        if seed < 9:
            palette_mask(root / f"SegmentationClass/{name}.png", values[label], palette)
            palette_mask(root / f"SegmentationObject/{name}.png", label, palette)
        write(root / f"Annotations/{name}.xml", f"<annotation><filename>{name}.jpg</filename></annotation>\n")
    for part, which in {"train": names[:6], "val": names[6:9], "trainval": names[:9]}.items():
        write(root / f"ImageSets/Segmentation/{part}.txt", "".join(f"{name}\n" for name in which))
    for part, which in {"train": names[:8], "val": names[8:], "trainval": names}.items():
        write(root / f"ImageSets/Main/{part}.txt", "".join(f"{name}\n" for name in which))
        write(root / f"ImageSets/Main/person_{part}.txt", "".join(f"{name}  1\n" for name in which))
    found, _, dataset = opened(data, tmp_path)
    assert counts_of(found) == (6, 3, 0)
    assert dataset.classes == VOC
    assert (found.reading.plain, found.reading.void) == (True, 255)
    assert found.splits.words[0] == "The splits are those of train.txt, val.txt."
    assert "3 images are in no list and have no mask; they are not read." in found.notes
    assert all("SegmentationClass/" in pair.mask.inner for pair in found.splits.train)
    demand_labels(dataset, {names[seed]: values[scene(seed, classes=4)[1]] for seed in range(6, 9)})


@pytest.mark.parametrize("same_names", [False, True])
def test_two_years_of_pascal_voc_are_read_together_and_each_alone(tmp_path: Path, same_names: bool) -> None:
    root, right = tmp_path / "data", dict[str, UInt8]()
    for year, first in (("VOC2007", 0), ("VOC2012", 100)):
        stems = [f"{number + (0 if same_names else first):06d}" for number in range(8)]
        for seed, stem in enumerate(stems):
            image, label = scene(first + seed)
            save(root / f"VOCdevkit/{year}/JPEGImages/{stem}.jpg", image)
            for folder in ("SegmentationClass", "SegmentationObject"):
                colours = [colour(voc_colour(value)) for value in range(3)]
                palette_mask(root / f"VOCdevkit/{year}/{folder}/{stem}.png", label, colours)
            if seed > 4:
                right[f"{year}/{stem}"] = label
        save(root / f"VOCdevkit/{year}/JPEGImages/{first + 50:06d}.jpg", scene(first + 50)[0])
        for name, listed in (("train", stems[:5]), ("val", stems[5:]), ("trainval", stems)):
            text = "".join(f"{stem}\n" for stem in listed)
            write(root / f"VOCdevkit/{year}/ImageSets/Segmentation/{name}.txt", text)
    found, _, dataset = opened(root, tmp_path)
    assert counts_of(found) == (10, 6, 0)
    for index, name in enumerate(dataset.validation.names):
        year, _, stem = name.partition("VOCdevkit/")[2].partition("/JPEGImages/")
        np.testing.assert_array_equal(dataset.validation.label(index), right[f"{year}/{stem}"])
    assert any("VOC2007/ImageSets/Segmentation, train.txt, val.txt of VOC" in words for words in found.splits.words)
    alone, _, _ = opened(root, tmp_path, splits="VOCdevkit/VOC2012/ImageSets/Segmentation")
    assert counts_of(alone) == (5, 3, 0)
    assert all("VOC2012" in pair.image.inner for pair in alone.splits.train)


# ---- ADE20K

_SYNONYMS = {
    "building": "building, edifice", "bed": "bed ", "windowpane": "windowpane, window ", "earth": "earth, ground",
    "person": "person, individual, someone, somebody, mortal, soul", "streetlight": "streetlight, street lamp",
    "television": "television, television receiver, television set, tv, tv set, idiot box",
}  # fmt: skip


@pytest.mark.parametrize("with_list", [True, False])
def test_ade20k_as_of_the_scene_parsing_challenge(tmp_path: Path, with_list: bool) -> None:
    root = tmp_path / "ADEChallengeData2016"
    values, right = np.array([1, 13, 0, 150], np.uint8), {}
    for seed in range(9):
        image, label = scene(seed, classes=4)
        split, stem = ("training", f"ADE_train_{seed:08d}") if seed < 6 else ("validation", f"ADE_val_{seed:08d}")
        save(root / f"images/{split}/{stem}.jpg", image, quality=95)
        save(root / f"annotations/{split}/{stem}.png", values[label])
        if seed >= 6:
            right[stem] = np.array([0, 12, 255, 149], np.uint8)[label]
    if with_list:
        lines = [f"{n}\t0.1576\t11664\t1172\t1\t{_SYNONYMS.get(name, name)}\n" for n, name in enumerate(ADE20K, 1)]
        write(root / "objectInfo150.txt", "Idx\tRatio\tTrain\tVal\tStuff\tName\n" + "".join(lines))
    write(root / "sceneCategories.txt", "".join(f"ADE_train_{seed:08d} airport_terminal\n" for seed in range(6)))
    found, _, dataset = opened(root, tmp_path)
    assert counts_of(found) == (6, 3, 0)
    assert dataset.classes == ADE20K
    assert len(dataset.classes) == 150
    demand_labels(dataset, right)


# ---- CamVid

_FRAMES = [*(f"0001TP_{6690 + 30 * number:06d}" for number in range(5)), *(f"Seq05VD_f{30 * n:05d}" for n in range(5))]
_MERGED = {painted.name: painted.merged for painted in CAMVID}


@pytest.mark.parametrize("lists", [False, True])
def test_camvid_in_32_colours(tmp_path: Path, lists: bool) -> None:
    root = tmp_path / "CamVid"
    used = ("Road", "Car", "Child", "Void", "LaneMkgsDriv", "Truck_Bus")
    colours = np.array(
        [colour(painted.colour) for name in used for painted in CAMVID if painted.name == name], np.uint8
    )
    merged = [_MERGED[name] for name in used]
    indices = np.array([VOID if each is None else CAMVID_MERGED.index(each) for each in merged], np.uint8)
    assert indices.tolist() == [3, 8, 9, 255, 3, 8]
    right = {}
    for seed, frame in enumerate(_FRAMES):
        image, label = scene(seed, classes=6)
        save(root / f"701_StillsRaw_full/{frame}.png", image)
        save(root / f"LabeledApproved_full/{frame}_L.png", colours[label])
        right[frame] = indices[label]
    text = "".join("{} {} {}\t{}\n".format(*colour(painted.colour), painted.name) for painted in CAMVID)
    write(root / "label_colors.txt", text)
    if lists:
        write(root / "train.txt", "".join(f"{frame}.png\n" for frame in _FRAMES[:7]))
        write(root / "val.txt", "".join(f"{frame}.png\n" for frame in _FRAMES[7:]))
    found, study, dataset = opened(root, tmp_path)
    assert dataset.classes == CAMVID_MERGED
    assert len(study.data.colours or {}) >= 6
    parts = [{pair.image.stem for pair in there} for there in (found.splits.train, found.splits.validation)]
    if lists:
        assert parts[1] == set(_FRAMES[7:])
    assert parts[0] | parts[1] == set(_FRAMES)
    demand_labels(dataset, {frame: right[frame] for frame in parts[1]})


def test_camvid_by_its_32_classes_as_found(tmp_path: Path) -> None:
    root = tmp_path / "CamVid"
    colours = np.array([colour(painted.colour) for painted in CAMVID], np.uint8)
    right = {}
    for seed, frame in enumerate(_FRAMES):
        image, label = scene(seed, classes=6)
        save(root / f"images/{frame}.png", image)
        save(root / f"labels/{frame}_L.png", colours[label])
        right[frame] = label
    text = "".join("{} {} {}\t{}\n".format(*colour(painted.colour), painted.name) for painted in CAMVID)
    write(root / "label_colors.txt", text)
    found, _, dataset = opened(root, tmp_path, known=False)
    assert dataset.classes == tuple(painted.name for painted in CAMVID if painted.name != "Void")
    demand_labels(dataset, {pair.image.stem: right[pair.image.stem] for pair in found.splits.validation})


def test_camvid_in_11_classes_of_numbers(tmp_path: Path) -> None:
    root = tmp_path / "CamVid"
    values, right, seed = np.array([3, 0, 8, 11, 10], np.uint8), {}, 0
    lists: dict[str, str] = {}
    for split, count in (("train", 5), ("val", 3), ("test", 2)):
        for _ in range(count):
            image, label = scene(seed, classes=5)
            name = _FRAMES[seed]
            save(root / f"{split}/{name}.png", image)
            save(root / f"{split}annot/{name}.png", values[label])
            line = f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png\n"
            lists[split] = lists.get(split, "") + line
            if split == "val":
                right[name] = values[label]
            seed += 1
    for split, text in lists.items():
        write(root / f"{split}.txt", text)
    found, _, dataset = opened(root, tmp_path)
    assert counts_of(found) == (5, 3, 2)
    assert dataset.classes == CAMVID_MERGED
    assert (found.reading.plain, dataset.void) == (True, 11)
    assert [int(value) for value in np.unique(dataset.validation.label(0))] == [0, 3, 8, 10, 11]
    demand_labels(dataset, right, void=11)
