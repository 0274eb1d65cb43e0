"""One file in, checked pixels out: images as RGB, masks as class indices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from segsearch.datasets.types import UInt8
from segsearch.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MAX_PIXELS = 89_478_485

# A PNG of 2 or 4 bits of grey: Pillow spreads its values over 0..255, but in a mask they are indices.
_SPREAD = {"L;2": 85, "L;4": 17}
# Cameras write JPEG files with a preview inside, which Pillow calls MPO.
_LOSSY = ("JPEG", "MPO")


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


def read_image(path: Path) -> UInt8:
    """An image as RGB, upright as its EXIF orientation says, alpha dropped: (height, width, 3). Raises `Fault`."""
    image = _open(path, "image")
    if image.mode.startswith("I"):
        # 16 bits of grey: keep the high byte, as Pillow does for 16 bits of colour; its own conversion would clip.
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    elif image.mode == "P":
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def read_mask(path: Path) -> UInt8:
    """A mask's class indices, turned as its EXIF orientation says: (height, width). Raises `Fault`."""
    mask = _open(path, "mask")
    if mask.format in _LOSSY:
        raise Fault("lossy", f"{path}: a mask must be stored without loss, got JPEG; save it as an 8-bit PNG.")
    if mask.mode not in ("1", "L", "P"):
        raise Fault(
            "mode",
            f"{path}: a mask must hold one class index a pixel (8-bit grey or palette), "
            f"got {_mode_in_words(mask.mode)}; write the classes' indices into an 8-bit grey PNG.",
        )
    return np.asarray(mask).astype(np.uint8) // np.uint8(mask.info.get("spread", 1))


def resize_image(image: UInt8, height: int, width: int) -> UInt8:
    """Bilinear, with antialiasing where it shrinks: (height, width, 3)."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def resize_mask(mask: UInt8, height: int, width: int) -> UInt8:
    """The nearest pixel's index: (height, width)."""
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def _open(path: Path, role: str) -> Image.Image:
    """Decode a file and turn it upright, keeping its format and, for grey of few bits, the spread of its values."""
    try:
        with Image.open(path, formats=FORMATS) as stored:
            if stored.width * stored.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{stored.width}x{stored.height}")
            spread = _SPREAD.get(str(stored.tile[0].args), 1) if stored.format == "PNG" and stored.tile else 1
            stored.load()
            upright = ImageOps.exif_transpose(stored)
            upright.format, upright.info = stored.format, {**stored.info, "spread": spread}
            return upright
    except Image.DecompressionBombError as error:
        raise Fault(
            "huge",
            f"{path}: the {role} may hold at most {MAX_PIXELS} pixels, got {error}; cut it up or scale it down.",
        ) from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        reason = "the file is empty" if _is_empty(path) else str(error).replace("\n", " ") or type(error).__name__
        raise Fault(
            "unreadable",
            f"{path}: the {role} must be a readable JPEG, PNG, WebP or BMP file, got: {reason}; "
            "replace it or remove the pair.",
        ) from None


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def _mode_in_words(mode: str) -> str:
    words = {"I;16": "16-bit grey", "I": "32-bit grey", "RGB": "RGB colours", "RGBA": "RGBA colours"}
    return words.get(mode, f"{mode} pixels")
