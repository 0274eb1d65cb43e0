from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.datasets import open_dataset, open_test
from segsearch.datasets.decode import resize_image, resize_mask
from segsearch.datasets.folders import open_folders, read_classes
from segsearch.errors import DataError
from segsearch.settings.data import DataSettings
from segsearch.settings.texts import read_names
from tests.datasets.conftest import MakeSettings

CAMVID = Path(__file__).parents[2].parent / "shared" / "camvid"


def _refused(settings: DataSettings, cache: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_folders(settings, cache=cache)
    message = str(caught.value)
    assert message.count("\n") <= 1
    assert not list(cache.glob("*")), "a refused data set must leave nothing behind"
    return message


def test_pixels_are_those_of_the_files(root: Path, settings: MakeSettings, cache: Path) -> None:
    dataset = open_folders(settings(), cache=cache)
    assert dataset.classes == ("a", "b", "c")
    assert dataset.void == 255
    assert dataset.train.names == ("train0", "train1", "train2")
    assert dataset.train.images.shape == (3, 32, 36, 3)
    assert dataset.validation.masks.shape == (2, 32, 36)
    for split, folder in ((dataset.train, "train"), (dataset.validation, "val")):
        for index, name in enumerate(split.names):
            image = np.asarray(Image.open(root / "images" / folder / f"{name}.png"))
            mask = np.asarray(Image.open(root / "masks" / folder / f"{name}.png"))
            np.testing.assert_array_equal(split.images[index], resize_image(image, 32, 36))
            np.testing.assert_array_equal(split.masks[index], resize_mask(mask, 32, 36))


def test_validation_labels_keep_their_own_size_and_training_labels_the_masks(
    root: Path, settings: MakeSettings, cache: Path
) -> None:
    for kind in ("images", "masks"):
        picture = Image.open(root / kind / "val/val1.png")
        picture.resize((70, 50), Image.Resampling.NEAREST).save(root / kind / "val/val1.png")
    dataset = open_folders(settings(), cache=cache)
    assert [dataset.validation.label(index).shape for index in range(2)] == [(40, 48), (50, 70)]
    stored = np.asarray(Image.open(root / "masks/val/val1.png"))
    np.testing.assert_array_equal(dataset.validation.label(1), stored)
    np.testing.assert_array_equal(dataset.train.label(2), dataset.train.masks[2])


def test_progress_ends_at_its_total(settings: MakeSettings, cache: Path) -> None:
    told: list[tuple[str, int, int]] = []
    open_folders(settings(), cache=cache, progress=lambda *step: told.append(step))
    assert told[4] == ("checking files", 5, 5)
    assert told[-1] == ("decoding images", 5, 5)


def test_image_and_mask_turn_together(root: Path, settings: MakeSettings, cache: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = root / "images/val/val0.png"
    Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    upright = open_folders(settings(), cache=cache).validation.label(0)
    assert upright.shape == (40, 48)


def test_sizes_that_differ(root: Path, settings: MakeSettings, cache: Path) -> None:
    Image.new("L", (20, 10)).save(root / "masks/train/train1.png")
    message = _refused(settings(), cache)
    assert "masks/train/train1.png: a mask must have its image's size, 48x40 (train1.png), got 20x10" in message


def test_mask_value_outside_the_classes(root: Path, settings: MakeSettings, cache: Path) -> None:
    for name in ("train/train1", "val/val0"):
        mask = np.zeros((40, 48), np.uint8)
        mask[3, 5], mask[9, 9] = 7, 3
        Image.fromarray(mask).save(root / f"masks/{name}.png")
    message = _refused(settings(), cache)
    assert "train1.png: mask values must be classes 0..2 or void 255, got 3, 7 (first at row 3, column 5)" in message
    assert message.endswith("(and 1 more like it)")


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_unreadable_file(root: Path, settings: MakeSettings, cache: Path, kind: str) -> None:
    path = root / kind / "val/val1.png"
    path.write_bytes(path.read_bytes()[:200])
    assert f"{kind}/val/val1.png: the {kind[:-1]} must be a readable" in _refused(settings(), cache)


def test_colour_mask(root: Path, settings: MakeSettings, cache: Path) -> None:
    Image.new("RGB", (48, 40), "red").save(root / "masks/train/train0.png")
    assert "train0.png: a mask must hold one class index a pixel, got RGB colours" in _refused(settings(), cache)


def test_a_map_reads_other_numbers_as_the_same_data(root: Path, settings: MakeSettings, cache: Path) -> None:
    plain = open_folders(settings(), cache=cache)
    for path in (root / "masks").rglob("*.png"):
        pixels = np.asarray(Image.open(path))
        Image.fromarray(np.choose(np.minimum(pixels, 3), [10, 20, 30, 0]).astype(np.uint8)).save(path)
    mapped = open_folders(settings(map={"10": 0, "20": 1, "30": 2, "0": "void"}), cache=cache)
    assert mapped.key == plain.key
    assert open_folders(settings(map={"10": 1, "20": 0, "30": 2, "0": "void"}), cache=cache).key != plain.key


def test_a_map_may_name_only_classes_of_the_list(settings: MakeSettings, cache: Path) -> None:
    message = _refused(settings(map={"0": 0, "1": 1, "2": 3}), cache)
    assert "classes.txt: data.map must name classes by their line, from 0 to 2, got 3" in message


def test_masks_drawn_on_images_as_stored_name_exif(root: Path, settings: MakeSettings, cache: Path) -> None:
    path = root / "images/train/train1.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif)
    message = _refused(settings(), cache)
    assert "train1.png: a mask must have its image's size" in message
    assert (
        'its EXIF orientation turns the image, and the mask was drawn on it as stored: write data.exif = "ignore"'
        in message
    )
    assert len(open_folders(settings(exif="ignore"), cache=cache).train) == 3


def test_an_image_of_the_test_split_is_in_no_other(root: Path, settings: MakeSettings, cache: Path) -> None:
    assert "train0.png: an image of the test split may be in no other" in _refused(settings(test="train"), cache)
    for kind in ("images", "masks"):
        (root / kind / "test").mkdir()
        (root / kind / "val" / "val1.png").rename(root / kind / "test" / "val1.png")
    assert len(open_folders(settings(test="test"), cache=cache).validation) == 1


def _move_to_test(root: Path) -> None:
    for kind in ("images", "masks"):
        (root / kind / "test").mkdir()
        (root / kind / "val" / "val1.png").rename(root / kind / "test" / "val1.png")


def test_test_images_are_read_only_where_they_are_asked_for(root: Path, settings: MakeSettings, cache: Path) -> None:
    assert open_test(settings(), cache=cache) is None
    _move_to_test(root)
    dataset = open_dataset(settings(test="test"), cache=cache)
    assert "val1" not in (*dataset.train.names, *dataset.validation.names)
    found = open_test(settings(test="test"), cache=cache)
    assert found is not None
    assert (len(found.train), found.validation.names, found.classes) == (0, ("val1",), dataset.classes)
    stored = np.asarray(Image.open(root / "masks/test/val1.png"))
    np.testing.assert_array_equal(found.validation.label(0), stored)
    assert found.key != dataset.key
    again = open_test(settings(test="test"), cache=cache)
    assert again is not None
    assert again.key == found.key


def test_a_copy_of_a_training_image_judges_nothing(root: Path, settings: MakeSettings, cache: Path) -> None:
    _move_to_test(root)
    shutil.copy(root / "images/train/train2.png", root / "images/test/val1.png")
    with pytest.raises(DataError, match=r"val1.png: no image may be in the test split and in another, .*train2.png"):
        open_test(settings(test="test"), cache=cache)


def test_a_test_split_without_labels(root: Path, settings: MakeSettings, cache: Path) -> None:
    _move_to_test(root)
    Image.new("L", (48, 40), 255).save(root / "masks/test/val1.png")
    with pytest.raises(DataError, match="masks/test: a split must have labelled pixels"):
        open_test(settings(test="test"), cache=cache)


def test_all_images_to_learn_from_are_those_of_both_splits(settings: MakeSettings, cache: Path) -> None:
    dataset = open_folders(settings(), cache=cache)
    whole = dataset.trained_on_all
    assert whole.train.names == (*dataset.train.names, *dataset.validation.names)
    np.testing.assert_array_equal(whole.train.images[3:], dataset.validation.images)
    np.testing.assert_array_equal(whole.train.label(4), dataset.validation.masks[1])
    assert whole.key != dataset.key


def test_same_image_in_both_splits_even_in_another_format(root: Path, settings: MakeSettings, cache: Path) -> None:
    Image.open(root / "images/train/train2.png").save(root / "images/val/val0.bmp")
    (root / "images/val/val0.png").unlink()
    message = _refused(settings(), cache)
    assert "val0.bmp: no image may be in both training and validation, got the same pixels as" in message
    assert "train2.png" in message


def test_same_split_twice(settings: MakeSettings, cache: Path) -> None:
    assert "(and 2 more like it)" in _refused(settings(validation="train"), cache)


def test_split_without_labels(root: Path, settings: MakeSettings, cache: Path) -> None:
    for path in (root / "masks/val").iterdir():
        Image.new("L", (48, 40), 255).save(path)
    assert "masks/val: a split must have labelled pixels, got only void (255)" in _refused(settings(), cache)


def test_huge_image(root: Path, settings: MakeSettings, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsearch.datasets.decode.MAX_PIXELS", 1919)
    message = _refused(settings(), cache)
    assert "train0.png: the image may hold at most 1919 pixels, got 48x40" in message
    assert "(and 4 more like it)" in message


def test_file_that_goes_away(root: Path, settings: MakeSettings, cache: Path) -> None:
    path = root / "images/train/train0.png"

    def vanish(stage: str, done: int, total: int, /) -> None:
        if (stage, done) == ("checking files", total):
            path.unlink()

    with pytest.raises(DataError, match=r"train0\.png: the image must be a readable"):
        open_folders(settings(), cache=cache, progress=vanish)


@pytest.mark.parametrize(
    ("content", "void", "words"),
    [
        (None, 255, "must be listed, one a line in the order of the mask values, got no such file"),
        (b"", 255, "2 to 255 classes, one a line, got an empty file"),
        (b"only\n", 255, "2 to 255 classes, one a line, got 1 names"),
        (b"a\nb\n\na\n", 255, "line 3: a class must have a name, got an empty line"),
        (b"a\nb\n a \n", 255, "line 3: classes must have different names, got 'a' on line 1 too"),
        ("\n".join(map(str, range(256))).encode(), 255, "2 to 255 classes, one a line, got 256 names"),
        (b"a\nb\nc\n", 2, r"data.void must lie outside the classes 0..2, got 2 \(c\)"),
        (b"\xff\xfe", 255, "must be UTF-8 text"),
    ],
)
def test_wrong_class_lists(tmp_path: Path, content: bytes | None, void: int, words: str) -> None:
    path = tmp_path / "classes.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"classes.txt.*{words}"):
        read_classes(read_names(path), path, void=void, mapped=False)


def test_void_among_the_classes_is_refused_with_the_map_that_would_say_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'data\.map = \{"0" = "void", \.\.\.\}'):
        read_classes("a\nb\n", tmp_path / "classes.txt", void=0, mapped=False)


def test_class_lists_may_end_in_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("\ufeffsky \nroad\r\n\n", encoding="utf-8")
    path = tmp_path / "classes.txt"
    assert read_classes(read_names(path), path, void=2, mapped=False) == ("sky", "road")


def test_255_classes_and_void(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(map(str, range(255))))
    path = tmp_path / "classes.txt"
    assert len(read_classes(read_names(path), path, void=255, mapped=False)) == 255


def test_list_and_directory_of_the_same_files_are_the_same_data(
    root: Path, settings: MakeSettings, cache: Path
) -> None:
    (root / "t.txt").write_text("".join(f"images/train/train{index}.png\n" for index in range(3)))
    listed, walked = (open_folders(settings(train=train), cache=cache) for train in ("t.txt", "train"))
    assert listed.key == walked.key


@pytest.mark.slow
def test_camvid(cache: Path) -> None:
    if not CAMVID.is_dir():
        pytest.skip(f"needs the CamVid frames in {CAMVID}")
    settings = DataSettings(kind="folders", height=180, width=240, root=str(CAMVID), void=11)
    dataset = open_folders(settings, cache=cache)
    assert (len(dataset.train), len(dataset.validation)) == (367, 101)
    assert dataset.classes[2] == "pole"
    assert dataset.validation.label(0).shape == (360, 480)
    assert set(np.unique(dataset.train.masks)) == set(range(12))
    assert open_folders(settings, cache=cache).key == dataset.key


def test_copied_and_touched_files_are_the_same_data(
    root: Path, settings: MakeSettings, cache: Path, tmp_path: Path
) -> None:
    first = open_folders(settings(), cache=cache)
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    assert open_folders(settings(root=str(tmp_path / "copy")), cache=cache).key == first.key
    assert len(list(cache.iterdir())) == 1


def test_levels_are_part_of_what_the_cache_is_kept_by(root: Path, settings: MakeSettings, cache: Path) -> None:
    """What an older study decoded by the high byte is not given to a study that says nothing of levels."""
    for path in (root / "images").rglob("*.png"):
        grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 16
        Image.fromarray(grey).save(path)
    assert int(np.asarray(open_folders(settings(levels="high_byte"), cache=cache).train.images).max()) <= 15
    with pytest.raises(DataError, match="a study must say which values are black and white"):
        open_folders(settings(), cache=cache)
    wide = open_folders(settings(levels=[0, 4095]), cache=cache)
    assert int(np.asarray(wide.train.images).max()) > 200
    assert wide.levels == (0, 4095)
