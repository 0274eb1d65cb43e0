from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.datasets.decode import Fault, first_of, read_image, read_mask, resize_image, resize_mask

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


def test_sixteen_bit_grey_image_keeps_its_high_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 256, 65535]], dtype=np.uint16)).save(path)
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 1, 255]])


@pytest.mark.parametrize(("name", "arguments"), [("a.png", {}), ("a.webp", {"lossless": True})])
def test_exif_orientation_turns_images_upright(tmp_path: Path, name: str, arguments: dict[str, bool]) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = SIDEWAYS
    Image.fromarray(COLOURS).save(tmp_path / name, exif=exif, **arguments)
    np.testing.assert_array_equal(read_image(tmp_path / name), np.rot90(COLOURS, -1))


def test_exif_orientation_turns_masks_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = SIDEWAYS
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), [[3, 0], [4, 1], [5, 2]])


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_grey_mask_is_its_values(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GREY).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_mask(tmp_path / f"a.{suffix}"), GREY)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_mask_is_its_indices_not_its_colours(tmp_path: Path, bits: int) -> None:
    mask = Image.fromarray(GREY & (2**bits - 1)).convert("P")
    mask.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9, 8, 8, 8, 7, 7, 7][: 3 * 2**bits])
    mask.save(tmp_path / "a.png", bits=bits)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), GREY & (2**bits - 1))


def test_grey_masks_of_two_and_four_bits_are_not_spread(tmp_path: Path) -> None:
    four = _png(tmp_path / "4.png", [bytes([0x01, 0x2A])], width=4, bits=4, colour=0)
    two = _png(tmp_path / "2.png", [bytes([0b00011011])], width=4, bits=2, colour=0)
    np.testing.assert_array_equal(read_mask(four), [[0, 1, 2, 10]])
    np.testing.assert_array_equal(read_mask(two), [[0, 1, 2, 3]])


def test_bilevel_mask_is_zero_and_one(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), [[1, 0]])


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (COLOURS, "RGB colours"),
        (GREY.astype(np.uint16), "16-bit grey"),
        (np.dstack([COLOURS, COLOURS[..., 0]]), "RGBA colours"),
        (np.dstack([GREY, GREY]), "LA pixels"),
    ],
)
def test_masks_of_other_kinds_are_refused(tmp_path: Path, mask: np.typing.NDArray[np.uint8], words: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(mask).save(path)
    with pytest.raises(Fault, match=rf"a\.png: .*one class index a pixel .*got {words}; write"):
        read_mask(path)


def test_lossy_masks_are_refused(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.jpg")
    with pytest.raises(Fault, match=r"a\.jpg: a mask must be stored without loss, got JPEG; save"):
        read_mask(tmp_path / "a.jpg")


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
        read_mask(path)


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
