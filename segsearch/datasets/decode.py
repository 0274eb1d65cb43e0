"""One file in, checked pixels out: images as RGB, masks as what is stored in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from segsearch.datasets.types import UInt8
from segsearch.errors import DataError
from segsearch.settings.data import MOST_VALUE

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
MAX_PIXELS = 89_478_485

# A PNG of 2 or 4 bits of grey: Pillow spreads its values over 0..255, but in a mask they are indices.
_SPREAD = {"L;2": 85, "L;4": 17}
# Cameras write JPEG files with a preview inside, which Pillow calls MPO.
_LOSSY = ("JPEG", "MPO")

_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
# What takes back the turn that each EXIF orientation asks for.
_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

# Of 16-bit colours Pillow keeps the high bytes: with no more than these left, they held 14 bits or fewer.
_DARK = 63
Levels = tuple[float, float] | Literal["high_byte"] | None
Exif = Literal["turn", "ignore"]


@dataclass(frozen=True)
class Stored:
    """A mask as its file holds it: grey levels or indices (height, width), or colours as 0xRRGGBB (height, width).

    `palette` gives the colour of each index where there is one. `lossy` says that the file may hold values that nobody
    wrote.
    """

    values: NDArray[Any] | None
    colours: NDArray[np.uint32] | None
    palette: tuple[int, ...] | None
    lossy: bool


class Fault(DataError):
    """One file breaks a rule. Faults of one `kind` are counted, not repeated."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def first_of(faults: Sequence[Fault]) -> DataError:
    """The first fault, with the number of others of its kind."""
    first = faults[0]
    others = sum(fault.kind == first.kind for fault in faults) - 1
    return DataError(f"{first} (and {others} more like it)" if others else str(first))


def read_image(path: Path, *, levels: Levels = None, exif: Exif = "turn") -> UInt8:
    """An image as RGB, upright as its EXIF orientation says, alpha dropped: (height, width, 3). Raises `Fault`.

    Of images with more than 8 bits `levels` says which stored values are black and white.
    """
    image = open_picture(path, "image", exif=exif)
    wide = bool(image.info["wide"])
    pixels = _as_rgb(image, levels, path)
    if wide and levels != "high_byte":
        _demand_light(pixels, path)
    return pixels


def picture_as_rgb(picture: Image.Image, *, levels: Levels = None, exif: Exif = "turn") -> UInt8:
    """A picture that a program holds, read as `read_image` reads a file: (height, width, 3). Raises `Fault`."""
    try:
        wide = _is_wide(picture)
        orientation = orientation_of(picture)
        _load(picture, orientation)
        upright = ImageOps.exif_transpose(picture) if exif == "turn" else _as_stored(picture, orientation)
    except Exception as error:  # one whose file is decoded only now: as in `open_picture`
        raise Fault("unreadable", f"the picture must be readable, got: {error}; replace it.") from None
    pixels = _as_rgb(upright, levels, "the picture")
    if wide and levels != "high_byte":
        _demand_light(pixels, "the picture")
    return pixels


def _is_wide(opened: Image.Image) -> bool:
    """Whether 16 bits a colour will be cut to 8 when a file that was opened is decoded."""
    tiles = opened.tile if isinstance(opened, ImageFile.ImageFile) else []
    return bool(tiles) and ";16" in str(tiles[0].args) and not opened.mode.startswith("I")


def _as_rgb(image: Image.Image, levels: Levels, where: Path | str) -> UInt8:
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_bytes(np.asarray(image), levels, where))
    elif image.mode == "P":
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def read_stored(path: Path, *, exif: Exif = "turn") -> Stored:
    """A mask as it is stored. Raises `Fault` where it holds neither numbers nor colours."""
    mask = open_picture(path, "mask", exif=exif)
    lossy = is_lossy(mask)
    if mask.mode in ("1", "L", "P") or mask.mode.startswith("I"):
        values = np.asarray(mask)
        if mask.mode == "1":
            values = values.astype(np.uint8)
        if mask.mode.startswith("I"):
            _demand_in_range(values, path)
            values = values.astype(np.uint16)
        elif (spread := mask.info["spread"]) > 1:
            values = values // np.uint8(spread)
        return Stored(values, None, palette_of(mask), lossy)
    if mask.mode in ("RGB", "RGBA", "LA"):
        pixels = np.asarray(mask.convert("RGB"))
        if (pixels == pixels[..., :1]).all():
            return Stored(np.ascontiguousarray(pixels[..., 0]), None, None, lossy)
        wide = pixels.astype(np.uint32)
        colours: NDArray[np.uint32] = wide @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
        return Stored(None, colours, None, lossy)
    raise no_mask(mask, path)


def is_lossy(picture: Image.Image) -> bool:
    """Whether a file may hold values that nobody wrote."""
    return picture.format in _LOSSY


def no_mask(picture: Image.Image, path: Path) -> Fault:
    """The fault of a picture whose pixels are neither numbers nor RGB colours."""
    return Fault(
        "mode",
        f"{path}: a mask must hold classes' numbers, grey levels or RGB colours, got {picture.mode} pixels; "
        "write the classes' numbers into an 8-bit grey PNG.",
    )


def shown_size(stored: tuple[int, int], orientation: int, exif: Exif) -> tuple[int, int]:
    """Height and width of a picture as it is read: turned as EXIF says, or as stored where EXIF is ignored."""
    height, width = stored
    return (width, height) if exif == "turn" and orientation >= 5 else (height, width)


def stored_size(picture: Image.Image) -> tuple[int, int]:
    """Height and width of a picture that was just opened, as stored: of a TIFF file Pillow tells them as shown."""
    tags = getattr(picture, "tag_v2", {}) if picture.format == "TIFF" else {}
    return int(tags.get(_TIFF_HEIGHT, picture.height)), int(tags.get(_TIFF_WIDTH, picture.width))


def open_size(path: Path, *, exif: Exif = "turn") -> tuple[int, int]:
    """Height and width of a picture, from its header: as shown, or as stored where EXIF is ignored. Raises `Fault`."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            return shown_size(stored_size(picture), orientation_of(picture), exif)
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise Fault("unreadable", f"{path}: a picture must be readable, got: {error}; replace it.") from None


def orientation_of(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8: 1 is upright, 5 to 8 lie on their side."""
    found = picture.getexif().get(0x0112, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def palette_of(mask: Image.Image) -> tuple[int, ...] | None:
    """The colours of a mask's indices as 0xRRGGBB; None where it has no palette, or shows each index as that grey.

    A mask of one bit shows 1 as white.
    """
    if mask.mode == "1":
        return 0x000000, 0xFFFFFF
    if mask.mode != "P" or mask.palette is None:
        return None
    flat = np.array(mask.getpalette("RGB") or [], dtype=np.int64).reshape(-1, 3)
    colours = tuple(int(red) << 16 | int(green) << 8 | int(blue) for red, green, blue in flat)
    used = [index for index, count in enumerate(mask.histogram()) if count and index < len(colours)]
    return None if all(colours[index] == index * 0x010101 for index in used) else colours


def resize_image(image: UInt8, height: int, width: int) -> UInt8:
    """Bilinear, with antialiasing where it shrinks: (height, width, 3)."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def resize_mask(mask: UInt8, height: int, width: int) -> UInt8:
    """The nearest pixel's index: (height, width)."""
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def open_picture(path: Path, role: str, *, exif: Exif = "turn") -> Image.Image:
    """Decode a file and turn it upright, keeping its format and, for grey of few bits, the spread of its values.

    `info["wide"]` says that 16 bits a colour were cut to 8, `info["orientation"]` what EXIF says. Raises `Fault`.
    """
    try:
        with Image.open(path, formats=FORMATS) as stored:
            if stored.width * stored.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{stored.width}x{stored.height}")
            if (frames := getattr(stored, "n_frames", 1)) > 1 and stored.format in ("TIFF", "GIF"):
                raise OSError(f"a file of {frames} pictures, where one is expected")
            raw = str(stored.tile[0].args) if stored.tile else ""
            spread = _SPREAD.get(raw, 1) if stored.format == "PNG" else 1
            wide = _is_wide(stored)
            orientation = orientation_of(stored)
            _load(stored, orientation)
            found = ImageOps.exif_transpose(stored) if exif == "turn" else _as_stored(stored, orientation)
            found.format = stored.format
            found.info = {**stored.info, "spread": spread, "wide": wide, "orientation": orientation}
            return found
    except Image.DecompressionBombError as error:
        raise Fault(
            "huge",
            f"{path}: the {role} may hold at most {MAX_PIXELS} pixels, got {error}; cut it up or scale it down.",
        ) from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        reason = "the file is empty" if _is_empty(path) else str(error).replace("\n", " ") or type(error).__name__
        raise Fault(
            "unreadable",
            f"{path}: the {role} must be a readable JPEG, PNG, WebP, BMP, TIFF or GIF file, got: {reason}; "
            "replace it or remove the pair.",
        ) from None


def _load(stored: Image.Image, orientation: int) -> None:
    """Decode what was opened."""
    if isinstance(stored, ImageFile.ImageFile) and stored.format == "TIFF" and orientation >= 5:
        stored.filename = ""  # Pillow would map the file into memory with the sides as shown, and mix up its rows
    stored.load()


def _as_stored(loaded: Image.Image, orientation: int) -> Image.Image:
    """A picture as it is stored: TIFF files are turned by Pillow when they are decoded, and then say 1."""
    turned = loaded.format == "TIFF" and orientation > 1 and orientation_of(loaded) == 1
    return loaded.transpose(_BACK[orientation]) if turned else loaded.copy()


def _to_bytes(values: NDArray[Any], levels: Levels, path: Path | str) -> UInt8:
    """Stored values as 0..255: black to white as `levels` says, what lies beyond is black or white."""
    if levels is None:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        raise Fault(
            "levels",
            f"{path}: of an image with more than 8 bits a study must say which values are black and white, got values "
            f"{low:g} to {high:g}; write data.levels = [{low:g}, {high:g}], or what suits all images.",
        )
    if levels == "high_byte":
        whole: UInt8 = (values.astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return whole
    if not np.isfinite(values).all():
        raise Fault("levels", f"{path}: an image must hold finite values, got NaN or infinity; replace them.")
    return stretched(values, *levels)


def stretched(values: NDArray[Any], black: float, white: float) -> UInt8:
    """Finite values between black and white as 0..255, what lies beyond is black or white."""
    scaled = (values.astype(np.float64) - black) * (255.0 / (white - black))
    shown: UInt8 = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return shown


def _demand_light(pixels: UInt8, path: Path | str) -> None:
    if (found := int(pixels.max())) <= _DARK:
        raise Fault(
            "bits",
            f"{path}: of 16 bits a colour the upper 8 are read, got nothing above {found} there, so that {found + 1} "
            "levels would be left; convert the images to 8 bits a colour, all by the same rule.",
        )


def _demand_in_range(values: NDArray[Any], path: Path) -> None:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > MOST_VALUE:
        raise Fault(
            "mode",
            f"{path}: a mask's values must lie in 0..{MOST_VALUE}, got {low} to {high}; renumber its classes.",
        )


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0
