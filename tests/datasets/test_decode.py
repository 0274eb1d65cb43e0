from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segsearch.datasets.decode import (
    Fault,
    first_of,
    open_picture,
    open_size,
    picture_as_rgb,
    read_image,
    read_stored,
    resize_image,
    resize_mask,
    stored_size,
)

GREY = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.uint8)
COLOURS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
SIDEWAYS = 6  # turn by 90 degrees clockwise to see it upright
ORIENTATION = 0x0112


def _png(path: Path, rows: list[bytes], *, width: int, bits: int, colour: int, height: int | None = None) -> Path:
    """A PNG written by hand, for bit depths that Pillow does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height or len(rows), bits, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp"])
def test_lossless_formats_keep_the_pixels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(COLOURS).save(path, lossless=True)
    np.testing.assert_array_equal(read_image(path), COLOURS)


def test_jpeg_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.JPG"
    Image.new("RGB", (9, 7), (200, 100, 50)).save(path, format="JPEG", quality=95)
    image = read_image(path)
    assert image.shape == (7, 9, 3)
    assert abs(image.astype(int) - [200, 100, 50]).max() <= 3


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path, quality=95)
    red, green, blue = read_image(path)[4, 4]
    assert red > 200
    assert max(green, blue) < 60


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(GREY).save(path)
    np.testing.assert_array_equal(read_image(path), np.repeat(GREY[..., None], 3, axis=2))


def values_of(path: Path) -> np.typing.NDArray[np.int64]:
    stored = read_stored(path)
    assert stored.values is not None
    return stored.values.astype(np.int64)


def test_alpha_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.dstack([COLOURS, np.full((2, 4), 7, np.uint8)])).save(path)
    np.testing.assert_array_equal(read_image(path), COLOURS)


def test_palette_image_shows_its_colours_even_with_transparency(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode=None).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(path, transparency=bytes([0, 128]))
    np.testing.assert_array_equal(read_image(path), [[[10, 20, 30], [40, 50, 60]]])


def test_studies_of_before_keep_the_high_byte_of_sixteen(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 256, 65535]], dtype=np.uint16)).save(path)
    np.testing.assert_array_equal(read_image(path, levels="high_byte")[..., 0], [[0, 1, 255]])


@pytest.mark.parametrize(("name", "arguments"), [("a.png", {}), ("a.webp", {"lossless": True})])
def test_exif_orientation_turns_images_upright(tmp_path: Path, name: str, arguments: dict[str, bool]) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = SIDEWAYS
    Image.fromarray(COLOURS).save(tmp_path / name, exif=exif, **arguments)
    np.testing.assert_array_equal(read_image(tmp_path / name), np.rot90(COLOURS, -1))
    np.testing.assert_array_equal(read_image(tmp_path / name, exif="ignore"), COLOURS)


def test_exif_orientation_turns_masks_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = SIDEWAYS
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(values_of(tmp_path / "a.png"), [[3, 0], [4, 1], [5, 2]])


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_grey_mask_is_its_values(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GREY).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(values_of(tmp_path / f"a.{suffix}"), GREY)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_mask_is_its_indices_not_its_colours(tmp_path: Path, bits: int) -> None:
    mask = Image.fromarray(GREY & (2**bits - 1)).convert("P")
    mask.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9, 8, 8, 8, 7, 7, 7][: 3 * 2**bits])
    mask.save(tmp_path / "a.png", bits=bits)
    np.testing.assert_array_equal(values_of(tmp_path / "a.png"), GREY & (2**bits - 1))


def test_grey_masks_of_two_and_four_bits_are_not_spread(tmp_path: Path) -> None:
    four = _png(tmp_path / "4.png", [bytes([0x01, 0x2A])], width=4, bits=4, colour=0)
    two = _png(tmp_path / "2.png", [bytes([0b00011011])], width=4, bits=2, colour=0)
    np.testing.assert_array_equal(values_of(four), [[0, 1, 2, 10]])
    np.testing.assert_array_equal(values_of(two), [[0, 1, 2, 3]])


def test_bilevel_mask_is_zero_and_one(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(values_of(tmp_path / "a.png"), [[1, 0]])


def test_sixteen_bit_masks_keep_their_numbers(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 300, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    assert values_of(tmp_path / "a.png").tolist() == [[0, 300, 65535]]


@pytest.mark.parametrize("pixels", [np.dstack([GREY] * 3), np.dstack([GREY] * 4), np.dstack([GREY, GREY])])
def test_equal_channels_are_one_number_a_pixel(tmp_path: Path, pixels: np.typing.NDArray[np.uint8]) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(values_of(tmp_path / "a.png"), GREY)


@pytest.mark.parametrize("pixels", [COLOURS, np.dstack([COLOURS, COLOURS[..., 0]])])
def test_colours_are_read_as_one_number_each(tmp_path: Path, pixels: np.typing.NDArray[np.uint8]) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    stored = read_stored(tmp_path / "a.png")
    red, green, blue = (int(channel) for channel in COLOURS[1, 2])
    assert stored.values is None
    assert stored.colours is not None
    assert int(stored.colours[1, 2]) == red * 65536 + green * 256 + blue


def test_a_palette_of_colours_is_kept_and_one_of_greys_is_none(tmp_path: Path) -> None:
    mask = Image.fromarray(GREY).convert("P")
    mask.putpalette([1, 2, 3, 255, 0, 0, *[9, 9, 9] * 4])
    mask.save(tmp_path / "colours.png")
    mask.putpalette([value for value in range(6) for _ in range(3)])
    mask.save(tmp_path / "greys.png")
    palette = read_stored(tmp_path / "colours.png").palette
    assert palette is not None
    assert palette[:2] == (0x010203, 0xFF0000)
    assert read_stored(tmp_path / "greys.png").palette is None


def test_masks_of_other_kinds_are_refused(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).convert("CMYK").save(tmp_path / "a.tif")
    with pytest.raises(Fault, match=r"a\.tif: a mask must hold classes' numbers, .*got CMYK pixels; write"):
        read_stored(tmp_path / "a.tif")


def test_masks_that_may_hold_values_nobody_wrote_say_so(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.jpg")
    Image.fromarray(GREY).save(tmp_path / "a.png")
    assert read_stored(tmp_path / "a.jpg").lossy
    assert not read_stored(tmp_path / "a.png").lossy


@pytest.mark.parametrize("suffix", ["tif", "gif"])
def test_tiff_and_gif_are_read_and_several_pictures_in_one_file_are_not(tmp_path: Path, suffix: str) -> None:
    first = Image.fromarray(GREY)
    first.save(tmp_path / f"one.{suffix}")
    np.testing.assert_array_equal(values_of(tmp_path / f"one.{suffix}"), GREY)
    first.save(tmp_path / f"two.{suffix}", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    with pytest.raises(Fault, match="a file of 2 pictures"):
        read_stored(tmp_path / f"two.{suffix}")


# ---- more than 8 bits


def test_twelve_bits_in_sixteen_are_stretched_as_the_study_says(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 1000, 2000, 3000, 4000]], dtype=np.uint16)).save(path)
    assert read_image(path, levels=(1000, 3000))[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_more_than_eight_bits_without_a_rule_are_refused_with_the_values_found(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[7, 4095]], dtype=np.uint16)).save(path)
    with pytest.raises(Fault, match=r"got values 7 to 4095; write data\.levels = \[7, 4095\]"):
        read_image(path)


def test_float_images_are_stretched_and_nan_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif", levels=(-1.0, 1.0))[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[np.nan, 1.0]], dtype=np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(Fault, match="NaN or infinity"):
        read_image(tmp_path / "b.tif", levels=(-1.0, 1.0))


def test_an_opened_picture_whose_file_breaks_off_is_a_fault_as_its_file_is(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("half.png", "half.jpg"):
        Image.fromarray(noise).save(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:2000])
        with Image.open(tmp_path / name) as opened, pytest.raises(Fault, match="the picture must be readable, got"):
            picture_as_rgb(opened)


def test_sixteen_bit_colours_that_would_be_black_are_refused(tmp_path: Path) -> None:
    twelve = bytes([0]) + b"".join(value.to_bytes(2, "big") for value in (4095, 2000, 100) * 2)
    sixteen = bytes([0]) + b"".join(value.to_bytes(2, "big") for value in (65535, 32768, 100) * 2)
    _png(tmp_path / "full.png", [sixteen[1:]], width=2, bits=16, colour=2)
    assert read_image(tmp_path / "full.png")[0, 0].tolist() == [255, 128, 0]
    _png(tmp_path / "dark.png", [twelve[1:]], width=2, bits=16, colour=2)
    with pytest.raises(Fault, match=r"got nothing above 15 there, so that 16 levels would be left"):
        read_image(tmp_path / "dark.png")
    with Image.open(tmp_path / "dark.png") as opened, pytest.raises(Fault, match="the picture: of 16 bits a colour"):
        picture_as_rgb(opened)
    assert read_image(tmp_path / "dark.png", levels="high_byte").max() == 15, "studies of before go on"


def test_a_grey_palette_that_is_no_ramp_is_kept_and_a_bit_is_black_or_white(tmp_path: Path) -> None:
    """Pillow saves 0 and 255 as GIF with the indices 0 and 1, and a mask of nothing but 255 with index 0."""
    mask = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    mask.putpalette([255, 255, 255, 0, 0, 0])
    mask.save(tmp_path / "a.png")
    assert (read_stored(tmp_path / "a.png").palette or ())[:2] == (0xFFFFFF, 0)
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "b.png")
    assert read_stored(tmp_path / "b.png").palette == (0, 0xFFFFFF)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Fault, match=rf"a\.{suffix}: the image must be a readable"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "the file is empty"), (b"not an image at all", "cannot identify")]
)
def test_files_that_are_no_images_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(Fault, match=f"a.png: the mask must be a readable .*{words}"):
        read_stored(path)


@pytest.mark.parametrize("side", [10_000, 60_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bombs_are_refused_unread(tmp_path: Path, side: int) -> None:
    path = _png(tmp_path / "a.png", [b""], width=side, height=side, bits=8, colour=0)
    with pytest.raises(Fault, match=r"a\.png: the image may hold at most 89478485 pixels, got .*; cut"):
        read_image(path)


def test_images_shrink_by_area_and_grow_by_bilinear() -> None:
    board = np.zeros((8, 8, 3), dtype=np.uint8)
    board[::2] = 200
    assert resize_image(board, 2, 2)[0, 0].tolist() == pytest.approx([100] * 3, abs=15)
    step = np.array([[[0] * 3, [100] * 3]], dtype=np.uint8)
    assert resize_image(step, 1, 4)[0, :, 0].tolist() == [0, 25, 75, 100]


def test_masks_take_the_nearest_pixel() -> None:
    mask = np.array([[0, 1, 2, 3, 4, 5]], dtype=np.uint8)
    assert resize_mask(mask, 1, 2).tolist() == [[1, 4]]
    assert resize_mask(mask[:, :2], 2, 4).tolist() == [[0, 0, 1, 1]] * 2


def test_faults_of_one_kind_are_counted() -> None:
    faults = [Fault("size", "a is small."), Fault("mode", "b is red."), Fault("size", "c is small.")]
    assert str(first_of(faults)) == "a is small. (and 1 more like it)"
    assert str(first_of(faults[1:])) == "b is red."


@pytest.mark.parametrize("suffix", ["tif", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_kind_of_file_is_turned_by_its_orientation_or_not(tmp_path: Path, suffix: str, orientation: int) -> None:
    """Pillow turns TIFF files by itself, and tells their sizes as shown."""
    stored = np.arange(3 * 5, dtype=np.uint8).reshape(3, 5)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(stored).save(path, exif=exif)
    shown = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].T,
        8: np.rot90(stored),
    }[orientation]
    np.testing.assert_array_equal(read_image(path)[..., 0], shown)
    np.testing.assert_array_equal(read_image(path, exif="ignore")[..., 0], stored)
    np.testing.assert_array_equal(read_stored(path).values, shown)
    np.testing.assert_array_equal(read_stored(path, exif="ignore").values, stored)
    for exif_word, expected in (("turn", shown), ("ignore", stored)):
        with Image.open(path) as picture:  # as a program holds it
            np.testing.assert_array_equal(picture_as_rgb(picture, exif=exif_word)[..., 0], expected)
    assert (open_size(path), open_size(path, exif="ignore")) == (shown.shape, stored.shape)
    with Image.open(path) as picture:
        assert stored_size(picture) == stored.shape


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_files_of_other_kinds_are_turned_back(tmp_path: Path, dtype: type, options: dict[str, str]) -> None:
    stored: NDArray[Any] = np.arange(3 * 5, dtype=dtype).reshape(3, 5)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.tif", exif=exif, **options)
    shown = np.asarray(open_picture(tmp_path / "a.tif", "image"))
    np.testing.assert_array_equal(shown, np.rot90(stored, -1))
    np.testing.assert_array_equal(np.asarray(open_picture(tmp_path / "a.tif", "image", exif="ignore")), stored)
