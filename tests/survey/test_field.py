"""Folders of the field, each with what is right: every one becomes a study whose data opens as it was understood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.datasets import Dataset, open_dataset
from segsearch.datasets.decode import read_image
from segsearch.datasets.types import UInt8
from segsearch.errors import DataError
from segsearch.readings.types import Wanted
from segsearch.study import Study, read_study
from segsearch.survey.look import Found, look
from segsearch.survey.scaffold import write_study
from tests.survey.trees import COLOURS, palette_mask, save, scene, write


def names_of(found: Found, split: str) -> list[str]:
    return [pair.image.stem for pair in found.splits.of(split)]  # type: ignore[arg-type]


def opened(root: Path, tmp_path: Path, **wanted: object) -> tuple[Found, Study, Dataset]:
    """Look, write, read back and open by the code of a run."""
    found = look(root, Wanted(**wanted))  # type: ignore[arg-type]
    out = tmp_path / "studies" / "mine.toml"
    write_study(found, out, force=True)
    study = read_study(out)
    dataset = open_dataset(study.data, cache=tmp_path / "cache")
    assert dataset.classes == found.reading.classes
    counts = len(found.splits.train), len(found.splits.validation)
    assert (len(dataset.train), len(dataset.validation)) == counts
    return found, study, dataset


def counts_of(found: Found) -> tuple[int, int, int]:
    return len(found.splits.train), len(found.splits.validation), len(found.splits.test)


# ---- layouts


def test_folders_of_images_and_annotations_by_split(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(8):
        image, label = scene(seed)
        split = "train" if seed < 6 else "val"
        save(root / f"img_dir/{split}/img-{seed}_gray_0_0.png", image)
        save(root / f"ann_dir/{split}/img-{seed}_gray_0_0.png", label)
    found, study, _ = opened(root, tmp_path)
    assert counts_of(found) == (6, 2, 0)
    assert (study.data.images, study.data.masks, study.data.train) == ("img_dir", "ann_dir", "train")


def test_cityscapes_as_downloaded_is_read_by_its_training_ids(tmp_path: Path) -> None:
    root = tmp_path / "data"
    seed = 0
    for split, city, count in (
        ("train", "aachen", 2),
        ("train", "bochum", 2),
        ("val", "munster", 2),
        ("test", "berlin", 1),
    ):
        for _ in range(count):
            image, label = scene(seed)
            stem = f"{city}_{seed:06d}_000019"
            ids, train_ids = np.array([7, 26, 24], np.uint8)[label], np.array([0, 13, 11], np.uint8)[label]
            ids[:3], train_ids[:3] = 1, 255
            save(root / f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png", image)
            folder = root / f"gtFine/{split}/{city}"
            save(folder / f"{stem}_gtFine_labelIds.png", ids)
            save(folder / f"{stem}_gtFine_labelTrainIds.png", train_ids)
            save(folder / f"{stem}_gtFine_color.png", np.dstack([image, np.full_like(label, 255)]))
            save(folder / f"{stem}_gtFine_instanceIds.png", ids.astype(np.uint16) * 1000)
            write(folder / f"{stem}_gtFine_polygons.json", '{"imgHeight": 48, "imgWidth": 64, "objects": []}')
            seed += 1
    found, _, dataset = opened(root, tmp_path)
    assert counts_of(found)[:2] == (4, 2)
    assert all(pair.mask.stem.endswith("_labelTrainIds") for pair in found.splits.train)
    assert dataset.void == 255
    assert len(dataset.classes) == 19
    assert (dataset.classes[0], dataset.classes[11], dataset.classes[13]) == ("road", "person", "car")


def test_cvat_masks_take_their_names_from_the_label_map(tmp_path: Path) -> None:
    root = tmp_path / "data"
    colours = [[0, 0, 0], [48, 112, 32], [176, 112, 32]]
    for seed in range(8):
        image, label = scene(seed)
        save(root / f"JPEGImages/frame_{seed:06d}.jpg", image)
        for folder in ("SegmentationClass", "SegmentationObject"):
            palette_mask(root / folder / f"frame_{seed:06d}.png", label, colours)
    write(root / "ImageSets/Segmentation/default.txt", "".join(f"frame_{seed:06d}\n" for seed in range(8)))
    write(
        root / "labelmap.txt",
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:48,112,32::\ndog:176,112,32::\n",
    )
    found, _, dataset = opened(root, tmp_path)
    assert dataset.classes == ("background", "cat", "dog")
    assert sum(counts_of(found)) == 8
    assert all(pair.mask.inner.startswith("SegmentationClass/") for pair in found.splits.train)


def test_the_users_own_lists_part_the_images(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for split, video, count in (("train", "a", 8), ("val", "b", 4)):
        lines = []
        for number in range(count):
            image, label = scene(number + 100 * (video == "b"))
            save(root / f"images/{video}_{number:03d}.jpg", image)
            save(root / f"labels/{video}_{number:03d}.png", label)
            lines.append(f"images/{video}_{number:03d}.jpg labels/{video}_{number:03d}.png\n")
        write(root / f"{split}.txt", "".join(lines))
    found, _, _ = opened(root, tmp_path)
    assert {name[0] for name in names_of(found, "train")} == {"a"}
    assert {name[0] for name in names_of(found, "validation")} == {"b"}


def test_nnunet_pairs_an_image_of_a_channel_with_its_label(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(8):
        image, label = scene(seed)
        save(root / f"imagesTr/vessel_{seed:03d}_0000.png", image[..., 0])
        save(root / f"labelsTr/vessel_{seed:03d}.png", label)
    save(root / "imagesTs/vessel_100_0000.png", scene(100)[0][..., 0])
    write(root / "dataset.json", '{"labels": {"background": 0, "a": 1, "b": 2}, "file_ending": ".png"}')
    found, _, dataset = opened(root, tmp_path)
    assert counts_of(found) == (6, 2, 0)
    assert dataset.classes == ("background", "a", "b")


def test_linked_folders_are_followed_and_hidden_ones_are_not(tmp_path: Path) -> None:
    root, disk = tmp_path / "data", tmp_path / "disk"
    for seed in range(10):
        image, label = scene(seed)
        place, part = (root, "seq1") if seed < 5 else (disk, "seq2")
        save(place / f"images/{part}/{seed:04d}.jpg", image)
        save(place / f"masks/{part}/{seed:04d}.png", label)
    for kind in ("images", "masks"):
        (root / kind / "seq2").symlink_to(disk / kind / "seq2", target_is_directory=True)
        save(root / kind / "seq1/.ipynb_checkpoints/0001-checkpoint.png", scene(1)[0])
        save(root / kind / "seq1/@eaDir/0001.png/SYNOPHOTO_THUMB_M.png", scene(1)[0][::4, ::4])
        (root / kind / "seq1" / "loop").symlink_to(root / kind, target_is_directory=True)
    found, _, _ = opened(root, tmp_path)
    assert sum(counts_of(found)) == 10
    assert any("4 pictures in hidden folders" in note for note in found.notes)
    assert any("2 linked folders were followed" in note for note in found.notes)


def test_hidden_copies_in_folders_of_splits_are_not_trained_on(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(8):
        image, label = scene(seed)
        split = "train" if seed < 6 else "val"
        save(root / f"images/{split}/{seed:04d}.png", image)
        save(root / f"masks/{split}/{seed:04d}.png", label)
    for kind, pixels in (("images", scene(7)[0]), ("masks", scene(7)[1])):
        save(root / f"{kind}/train/.ipynb_checkpoints/0007-checkpoint.png", pixels)
        save(root / f"{kind}/train/@eaDir/0001.png/SYNOPHOTO_THUMB_M.png", pixels[::4, ::4])
    found, study, _ = opened(root, tmp_path)
    assert counts_of(found) == (6, 2, 0)
    assert study.data.train == "train", "a run skips what was skipped here"


def test_one_picture_in_two_formats_counts_once(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(10):
        image, label = scene(seed)
        save(root / f"images/{seed:04d}.png", image)
        save(root / f"images/{seed:04d}.jpg", image, quality=90)
        save(root / f"masks/{seed:04d}.png", label)
    found, _, _ = opened(root, tmp_path)
    assert counts_of(found) == (8, 2, 0)
    assert any("10 pictures lie there in two formats" in note for note in found.notes)


def test_previews_of_colours_beside_masks_are_not_read(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(10):
        image, label = scene(seed)
        split = "train" if seed < 7 else "val"
        save(root / f"images/{split}/{seed:04d}.png", image)
        save(root / f"masks/{split}/{seed:04d}.png", label)
        save(root / f"masks/{split}/{seed:04d}_color.png", COLOURS[label])
    found, _, dataset = opened(root, tmp_path)
    assert counts_of(found) == (7, 3, 0)
    assert len(dataset.classes) == 3
    assert any("_color" in note and "not read" in note for note in found.notes)


def test_a_missing_mask_is_named_with_what_others_are_called(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(10):
        image, label = scene(seed)
        save(root / f"images/{seed:04d}.png", image)
        if seed != 7:
            save(root / f"masks/{seed:04d}_mask.png", label)
    with pytest.raises(
        DataError, match=r"0007\.png: every image must have a mask, got none for it in .*masks.*_mask\.png"
    ):
        look(root)
    found, _, _ = opened(root, tmp_path, unlabelled="skip")
    assert sum(counts_of(found)) == 9


# ---- what masks hold


def test_labelme_names_begin_after_the_one_to_ignore(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(8):
        image, label = scene(seed)
        label[:2] = 255
        save(root / f"images/{seed:04d}.jpg", image)
        save(root / f"masks/{seed:04d}.png", label)
    write(root / "labels.txt", "__ignore__\n_background_\ncat\ndog\n")
    _, _, dataset = opened(root, tmp_path)
    assert dataset.classes == ("_background_", "cat", "dog")
    assert dataset.void == 255
    assert int(dataset.validation.label(0)[0, 0]) == 255


def test_one_value_more_than_names_is_asked_for_not_guessed(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(8):
        image, label = scene(seed, classes=4)
        split = "training" if seed < 6 else "validation"
        save(root / f"images/{split}/ADE_{seed:08d}.jpg", image)
        save(root / f"annotations/{split}/ADE_{seed:08d}.png", label)
    write(root / "classes.txt", "wall\nbuilding\nsky\n")
    with pytest.raises(DataError) as caught:
        look(root)
    for option in ("--void 0", "--void 3", "--background first"):
        assert option in str(caught.value)
    _, _, dataset = opened(root, tmp_path, void=0)
    assert dataset.classes == ("wall", "building", "sky")
    label = scene(6, classes=4)[1]
    expected = np.where(label == 0, 255, label.astype(int) - 1)
    np.testing.assert_array_equal(dataset.validation.label(0), expected)
    _, _, dataset = opened(root, tmp_path, background="first")
    assert len(dataset.classes) == 4
    np.testing.assert_array_equal(dataset.validation.label(0), label)


def test_palettes_that_differ_are_refused_with_both_files_and_read_by_colour_where_asked(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(10):
        image, label = scene(seed)
        order = [0, 1, 2] if seed % 2 == 0 else [0, 2, 1]
        save(root / f"images/{seed:04d}.png", image)
        palette_mask(root / f"masks/{seed:04d}.png", np.argsort(order).astype(np.uint8)[label], COLOURS[order])
    with pytest.raises(DataError, match=r"--read") as caught:
        look(root)
    assert "0000.png" in str(caught.value)
    assert "0001.png" in str(caught.value)
    found, _, dataset = opened(root, tmp_path, by="colours")
    assert len(dataset.classes) == 3
    index = {name: number for number, name in enumerate(dataset.classes)}
    for number, pair in enumerate(found.splits.validation):
        label = scene(int(pair.image.stem))[1]
        wanted = np.array([index[f"#{red:02x}{green:02x}{blue:02x}"] for red, green, blue in COLOURS[:3]])
        np.testing.assert_array_equal(dataset.validation.label(number), wanted[label])


def test_twelve_bits_in_sixteen_keep_their_contrast(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(8):
        _, label = scene(seed)
        noise = np.random.default_rng(seed).integers(-200, 201, label.shape)
        grey = np.array([1000, 2000, 3000])[label] + noise
        save(root / f"images/{seed:04d}.png", grey.astype(np.uint16))
        save(root / f"masks/{seed:04d}.png", label)
    found, study, dataset = opened(root, tmp_path)
    assert study.data.levels is not None
    images = np.asarray(dataset.train.images)
    assert images.min() < 20
    assert images.max() > 235
    assert any("data.levels" in note for note in found.notes)


def turned(pixels: UInt8, orientation: int) -> UInt8:
    """As EXIF asks to show what is stored."""
    across = np.swapaxes(pixels, 0, 1)
    return {5: across, 6: across[:, ::-1], 7: across[::-1, ::-1], 8: across[::-1]}[orientation]


def sideways(root: Path, suffix: str, orientation: int, *, width: int = 64, masks_shown: bool = False) -> None:
    """Images whose EXIF turns them, and masks drawn on what is stored or on what is shown."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for seed in range(8):
        image, label = scene(seed, width=width)
        save(root / f"images/IMG_{seed:04d}.{suffix}", image, exif=exif, quality=95)
        save(root / f"masks/IMG_{seed:04d}.png", turned(label, orientation) if masks_shown else label)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
@pytest.mark.parametrize("shape", ["square", "wide"])
def test_exif_that_turns_images_and_not_masks_is_said(tmp_path: Path, shape: str, suffix: str) -> None:
    sideways(tmp_path / "data", suffix, 6, width=48 if shape == "square" else 64)
    found, study, _ = opened(tmp_path / "data", tmp_path)
    if shape == "square":
        assert any("8 of 8 images carry an EXIF orientation" in words for words in found.warnings)
        assert study.data.exif == "turn"
        assert opened(tmp_path / "data", tmp_path, exif="ignore")[1].data.exif == "ignore"
    else:
        assert study.data.exif == "ignore"
        assert any("EXIF" in note for note in found.notes)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("masks_shown", [False, True])
def test_images_that_lie_on_their_side_lie_under_their_masks(
    tmp_path: Path, suffix: str, orientation: int, masks_shown: bool
) -> None:
    sideways(tmp_path / "data", suffix, orientation, masks_shown=masks_shown)
    found, study, dataset = opened(tmp_path / "data", tmp_path)
    assert study.data.exif == ("turn" if masks_shown else "ignore")
    assert (found.image_height, found.image_width) == ((64, 48) if masks_shown else (48, 64))
    pair = found.splits.validation[0]
    image, label = scene(int(pair.image.stem[4:]))
    if masks_shown:
        image, label = turned(image, orientation), turned(label, orientation)
    assert np.abs(read_image(pair.image.path, exif=study.data.exif).astype(int) - image).mean() < 8
    np.testing.assert_array_equal(dataset.validation.label(0), label)


def test_copies_in_a_flat_folder_stay_on_one_side(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(20):
        image, label = scene(seed % 10)
        save(root / f"images/leaf_{seed:03d}.png", image)
        save(root / f"masks/leaf_{seed:03d}.png", label)
    found, _, _ = opened(root, tmp_path)
    sides = [{int(name[5:]) % 10 for name in names_of(found, split)} for split in ("train", "validation")]
    assert not sides[0] & sides[1]


def test_grey_masks_stored_as_colours_are_numbers(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(8):
        image, label = scene(seed)
        save(root / f"images/{seed:04d}.png", image)
        save(root / f"masks/{seed:04d}.png", np.dstack([label] * 3))
    found, _, dataset = opened(root, tmp_path)
    number = int(found.splits.validation[0].image.stem)
    np.testing.assert_array_equal(dataset.validation.label(0), scene(number)[1])


def test_blurred_binary_masks_are_read_by_a_threshold(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(8):
        image, label = scene(seed, classes=2)
        small = Image.fromarray(label * np.uint8(255)).resize((32, 24)).resize((64, 48), Image.Resampling.BILINEAR)
        save(root / f"images/{seed:04d}.png", image)
        save(root / f"masks/{seed:04d}.png", small)
    _, study, dataset = opened(root, tmp_path)
    assert len(dataset.classes) == 2
    assert study.data.map == {"0-127": 0, "128-255": 1}


def test_five_images_of_five_kinds(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed, kind in enumerate(("CMYK", "L", "LA", "P", "RGB")):
        image, label = scene(seed, height=48 + 8 * seed, width=96 - 8 * seed, classes=2)
        picture = Image.fromarray(image).convert(kind if kind != "P" else "RGB")
        picture = picture.quantize(64) if kind == "P" else picture
        (root / "images").mkdir(parents=True, exist_ok=True)
        picture.save(root / f"images/{seed}.{'JPEG' if kind in ('CMYK', 'RGB') else 'PNG'}")
        if seed % 3 == 1:
            palette_mask(root / f"masks/{seed}.png", label, [[0, 0, 0], [255, 255, 255]])
        else:
            save(root / f"masks/{seed}.png", label.astype(bool) if seed % 3 == 0 else label)
    found, _, dataset = opened(root, tmp_path)
    assert counts_of(found) == (4, 1, 0)
    assert len(dataset.classes) == 2


def test_a_folder_kept_for_testing_is_not_trained_on(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(10):
        image, label = scene(seed)
        split = "train" if seed < 7 else "test"
        save(root / f"{split}/images/{seed:04d}.png", image)
        save(root / f"{split}/masks/{seed:04d}.png", label)
    found, study, dataset = opened(root, tmp_path)
    assert counts_of(found) == (6, 1, 3)
    assert study.data.test is not None
    assert not {"0007", "0008", "0009"} & {
        name.rpartition("/")[2] for name in (*dataset.train.names, *dataset.validation.names)
    }
