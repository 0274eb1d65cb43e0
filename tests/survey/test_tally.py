from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segsearch.errors import DataError
from segsearch.readings.types import Tally
from segsearch.survey.holdout import THUMB
from segsearch.survey.tally import MaskRecord, read_images, read_masks, seen_in, sizes_agree
from segsearch.workshop import sha256_of
from tests.survey.trees import COLOURS, palette_mask, save, scene

LABEL = scene(3, classes=5)[1]


def counted(values: Any) -> dict[int, int]:
    found, counts = np.unique(np.asarray(values), return_counts=True)
    return {int(value): int(count) for value, count in zip(found, counts, strict=True)}


def coloured(pixels: Any) -> dict[int, int]:
    """Pixels by 0xRRGGBB."""
    wide = np.asarray(pixels, np.int64)
    return counted(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])


def one(path: Path) -> MaskRecord:
    return read_masks([path])[0]


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# ---- masks


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_grey_masks_are_counted_by_value(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"mask{suffix}", LABEL)
    found = one(tmp_path / f"mask{suffix}")
    assert found.values == counted(LABEL)
    assert found.colours == {value * 0x010101: count for value, count in counted(LABEL).items()}
    assert (found.palette, found.lossy, found.size, found.orientation) == (None, False, (48, 64), 1)


@pytest.mark.parametrize("values", [(False, True), (False,), (True,)])
def test_masks_of_one_bit_hold_0_and_1(tmp_path: Path, values: tuple[bool, ...]) -> None:
    mask = np.array(values)[LABEL % len(values)]
    save(tmp_path / "mask.png", mask)
    with Image.open(tmp_path / "mask.png") as stored:
        assert stored.mode == "1"
    assert one(tmp_path / "mask.png").values == counted(mask.astype(int))


@pytest.mark.parametrize("bits", [2, 4])
def test_masks_of_few_bits_hold_indices(tmp_path: Path, bits: int) -> None:
    label = LABEL % 4
    mask = Image.fromarray(label).convert("P")
    mask.putpalette([grey * (85 if bits == 2 else 17) for grey in range(2**bits) for _ in range(3)])
    mask.save(tmp_path / "mask.png", bits=bits)
    assert one(tmp_path / "mask.png").values == counted(label)
    assert (one(tmp_path / "mask.png").palette or ())[1] == (0x555555 if bits == 2 else 0x111111)


def test_palette_masks_are_counted_by_index_and_by_colour(tmp_path: Path) -> None:
    palette_mask(tmp_path / "mask.png", LABEL, COLOURS)
    found = one(tmp_path / "mask.png")
    assert found.values == counted(LABEL)
    assert found.colours == coloured(COLOURS[LABEL])
    assert found.palette is not None
    assert found.palette[:3] == (0x5A5A5A, 0xC82828, 0x28B43C)


def test_indices_of_one_colour_are_that_colour_together(tmp_path: Path) -> None:
    palette_mask(tmp_path / "mask.png", LABEL, COLOURS[[0, 1, 1, 1, 2]])
    assert one(tmp_path / "mask.png").colours == coloured(COLOURS[[0, 1, 1, 1, 2]][LABEL])


def test_grey_stored_as_colours_is_numbers(tmp_path: Path) -> None:
    save(tmp_path / "mask.png", np.dstack([LABEL * np.uint8(60)] * 3))
    found = one(tmp_path / "mask.png")
    assert found.values == counted(LABEL * 60)
    assert found.colours == {value * 0x010101: count for value, count in found.values.items()}


def test_colours_are_counted_as_colours(tmp_path: Path) -> None:
    save(tmp_path / "mask.png", COLOURS[LABEL])
    found = one(tmp_path / "mask.png")
    assert (found.values, found.colours) == ({}, coloured(COLOURS[LABEL]))


def test_what_is_transparent_keeps_its_colour(tmp_path: Path) -> None:
    alpha = np.where(LABEL == 0, 0, 255).astype(np.uint8)
    save(tmp_path / "mask.png", np.dstack([COLOURS[LABEL], alpha]))
    assert one(tmp_path / "mask.png").colours == coloured(COLOURS[LABEL])
    save(tmp_path / "grey.png", np.dstack([LABEL, LABEL, LABEL, alpha]))
    assert one(tmp_path / "grey.png").values == counted(LABEL)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_masks_of_sixteen_bits_hold_large_numbers(tmp_path: Path, suffix: str) -> None:
    mask = LABEL.astype(np.uint16) * 1000 + 7
    save(tmp_path / f"mask{suffix}", mask)
    found = one(tmp_path / f"mask{suffix}")
    assert found.values == counted(mask)
    assert max(found.values) == 4007


def test_too_many_colours_are_none(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    save(tmp_path / "mask.png", mask)
    found = one(tmp_path / "mask.png")
    assert (found.values, found.colours) == ({}, None)
    assert seen_in([found]).colours is None


def test_jpeg_masks_are_lossy_and_named(tmp_path: Path) -> None:
    save(tmp_path / "b.jpg", LABEL * np.uint8(60))
    save(tmp_path / "a.png", LABEL)
    records = read_masks([tmp_path / "a.png", tmp_path / "b.jpg"])
    assert [record.lossy for record in records] == [False, True]
    assert seen_in(records).lossy == tmp_path / "b.jpg"


def test_masks_of_no_classes_are_refused_with_their_number(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.tif", LABEL.astype(np.float32))
    with pytest.raises(DataError, match=r"0\.tif: a mask must hold classes' .*got F pixels.*\(and 2 more like it\)"):
        read_masks(sorted(tmp_path.iterdir()))


def test_a_mask_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"mask\.png: the mask must be a readable .*got: the file is empty"):
        read_masks([tmp_path / "mask.png"])


# ---- all masks together


def test_what_all_masks_hold_is_summed_with_the_first_file_of_each(tmp_path: Path) -> None:
    save(tmp_path / "0.png", np.array([[0, 0], [1, 0]], np.uint8))
    save(tmp_path / "1.png", np.array([[2, 1], [1, 1]], np.uint8))
    seen = seen_in(read_masks([tmp_path / "0.png", tmp_path / "1.png"]))
    assert seen.masks == 2
    assert seen.values == {
        0: Tally(3, 1, tmp_path / "0.png"),
        1: Tally(4, 2, tmp_path / "0.png"),
        2: Tally(1, 1, tmp_path / "1.png"),
    }
    assert (seen.colours, seen.palette, seen.at_odds, seen.lossy) == (None, {}, None, None)


def test_a_black_mask_among_colours_is_a_colour(tmp_path: Path) -> None:
    save(tmp_path / "0.png", np.zeros((4, 4, 3), np.uint8))
    save(tmp_path / "1.png", COLOURS[LABEL])
    seen = seen_in(read_masks([tmp_path / "0.png", tmp_path / "1.png"]))
    assert seen.values == {}
    assert seen.colours is not None
    assert seen.colours.keys() == {0, *coloured(COLOURS[LABEL])}


def test_palettes_that_agree_where_they_are_used_agree(tmp_path: Path) -> None:
    palette_mask(tmp_path / "0.png", LABEL % 2, COLOURS[:2])
    palette_mask(tmp_path / "1.png", LABEL % 3, COLOURS[:3])
    seen = seen_in(read_masks([tmp_path / "0.png", tmp_path / "1.png"]))
    assert (seen.palette, seen.at_odds) == ({0: 0x5A5A5A, 1: 0xC82828, 2: 0x28B43C}, None)
    assert seen.colours is not None
    assert seen.colours.keys() == {0x5A5A5A, 0xC82828, 0x28B43C}


def test_palettes_that_differ_are_at_odds(tmp_path: Path) -> None:
    palette_mask(tmp_path / "0.png", LABEL % 3, COLOURS[:3])
    palette_mask(tmp_path / "1.png", LABEL % 3, COLOURS[[0, 2, 1]])
    seen = seen_in(read_masks([tmp_path / "0.png", tmp_path / "1.png"]))
    assert (seen.at_odds, seen.palette) == ((tmp_path / "0.png", tmp_path / "1.png", 1), {})
    assert seen.colours is not None


# ---- images


def test_of_an_image_size_digest_and_a_thumbnail_are_kept(tmp_path: Path) -> None:
    image, _ = scene(1)
    save(tmp_path / "a.png", image)
    found = read_images([tmp_path / "a.png"])[0]
    assert (found.size, found.orientation, found.levels) == ((48, 64), 1, None)
    assert found.digest == sha256_of(tmp_path / "a.png")
    assert found.thumb.shape == (THUMB, THUMB, 3)
    np.testing.assert_allclose(found.thumb.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=2)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("side", [48, 600])
def test_images_and_masks_have_their_stored_size_and_their_orientation(
    tmp_path: Path, orientation: int, side: int
) -> None:
    save(tmp_path / "a.jpg", np.zeros((side, 2 * side, 3), np.uint8), exif=turned(orientation))
    save(tmp_path / "m.png", np.zeros((2 * side, side), np.uint8))
    save(tmp_path / "t.png", np.zeros((side, 2 * side), np.uint8), exif=turned(orientation))
    image = read_images([tmp_path / "a.jpg"])[0]
    upright, alike = read_masks([tmp_path / "m.png", tmp_path / "t.png"])
    assert (image.size, image.orientation) == ((side, 2 * side), orientation)
    assert (alike.size, alike.orientation) == ((side, 2 * side), orientation)
    assert (upright.size, upright.orientation) == ((2 * side, side), 1)
    assert sizes_agree(image, upright, "turn") == (orientation >= 5)
    assert not sizes_agree(image, upright, "ignore")
    assert sizes_agree(image, alike, "turn")
    assert sizes_agree(image, alike, "ignore")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_of_more_than_8_bits_the_levels_are_kept(tmp_path: Path, suffix: str) -> None:
    values = np.arange(1000, 4001, dtype=np.uint16).repeat(4)[: 100 * 120].reshape(100, 120)
    save(tmp_path / f"a{suffix}", values)
    found = read_images([tmp_path / f"a{suffix}"])[0]
    low, high = np.quantile(values, (0.001, 0.999))
    assert found.levels == (low, high)
    assert found.thumb.min() < 10
    assert found.thumb.max() > 245


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_images_without_finite_values_are_refused(tmp_path: Path, bad: float) -> None:
    for number in range(3):
        values = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
        values[5, 5] = bad if number else 0.5
        save(tmp_path / f"{number}.tif", values)
    with pytest.raises(DataError, match=r"1\.tif: an image must hold finite values, got NaN .*\(and 1 more like it\)"):
        read_images(sorted(tmp_path.iterdir()))


@pytest.mark.parametrize("side", [48, 600])
def test_a_file_that_ends_too_soon_is_named(tmp_path: Path, side: int) -> None:
    image, _ = scene(1, height=side, width=side)
    save(tmp_path / "a.jpg", image)
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.jpg: the image must be"):
        read_images([tmp_path / "a.jpg"])


def test_progress_counts_every_file(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png", LABEL)
    said: list[tuple[str, int, int]] = []
    read_masks(sorted(tmp_path.iterdir()), lambda stage, done, count: said.append((stage, done, count)))
    assert said == [("reading masks", 1, 3), ("reading masks", 2, 3), ("reading masks", 3, 3)]


def test_any_values_are_counted_as_numpy_counts_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(30):
        shape = tuple(random.integers(1, 40, 2))
        kinds: Mapping[str, Any] = {
            "L": random.integers(0, 256, shape).astype(np.uint8),
            "I;16": random.integers(0, 65536, shape).astype(np.uint16),
            "RGB": random.integers(0, 3, (*shape, 3)).astype(np.uint8) * 127,
        }
        for kind, pixels in kinds.items():
            path = tmp_path / f"{number}{kind[0]}.png"
            save(path, pixels)
            found = one(path)
            if kind != "RGB":
                assert found.values == counted(pixels)
            else:
                assert found.colours == coloured(pixels)
            assert sum((found.values or found.colours or {}).values()) == shape[0] * shape[1]
