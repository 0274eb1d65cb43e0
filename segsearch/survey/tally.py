"""What each mask and each image of a folder holds: read once, file by file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segsearch.datasets.decode import (
    FORMATS,
    Exif,
    Fault,
    first_of,
    is_lossy,
    no_mask,
    open_picture,
    orientation_of,
    palette_of,
    shown_size,
    stored_size,
    stretched,
)
from segsearch.datasets.folders import in_order
from segsearch.datasets.types import UInt8
from segsearch.readings.types import Seen, Tally
from segsearch.survey.holdout import THUMB
from segsearch.workshop import Progress, sha256_of, silent

# More colours than these are no classes.
MOST_COLOURS = 4096
_WIDE_QUANTILES = (0.001, 0.999)


@dataclass(frozen=True)
class MaskRecord:
    """Of one mask: pixels by stored value, or by colour where it has no values (None: too many to tell apart).

    `size` is height and width as stored, `orientation` what EXIF says of it.
    """

    path: Path
    values: Mapping[int, int]
    colours: Mapping[int, int] | None
    palette: tuple[int, ...] | None
    lossy: bool
    size: tuple[int, int]
    orientation: int


@dataclass(frozen=True)
class ImageRecord:
    """Of one image: height and width as stored, its EXIF orientation, the digest of its file, a thumbnail as stored.

    `levels` are the darkest and the brightest stored values but for a thousandth of the pixels each, where it has more
    than 8 bits.
    """

    path: Path
    size: tuple[int, int]
    orientation: int
    digest: str
    thumb: UInt8
    levels: tuple[float, float] | None


def read_masks(paths: Sequence[Path], progress: Progress = silent) -> tuple[MaskRecord, ...]:
    """Records in the paths' order. Raises `DataError` with the first file that cannot be read."""
    return _all(_mask_record, paths, "reading masks", progress)


def read_images(paths: Sequence[Path], progress: Progress = silent) -> tuple[ImageRecord, ...]:
    """Records in the paths' order; each image is decoded whole. Raises `DataError` with the first that cannot be."""
    return _all(_image_record, paths, "reading images", progress)


def seen_in(records: Sequence[MaskRecord]) -> Seen:
    """What all masks hold together."""
    # One mask of colours makes them all such: a grey one among them (nothing but black) has colours, too.
    numbers = all(record.values for record in records)
    values = _tallies((record.path, record.values) for record in records) if numbers else {}
    palette, at_odds = _palettes(records)
    colours: Mapping[int, Tally] | None = None
    if all(record.colours is not None for record in records) and (not numbers or palette or at_odds):
        colours = _tallies((record.path, record.colours or {}) for record in records)
    lossy = next((record.path for record in records if record.lossy), None)
    return Seen(len(records), values, colours, palette, at_odds, lossy)


def _all(read: Any, paths: Sequence[Path], stage: str, progress: Progress) -> tuple[Any, ...]:
    records, faults = [], list[Fault]()
    for done, record in enumerate(in_order(read, paths), start=1):
        if isinstance(record, Fault):
            faults.append(record)
        else:
            records.append(record)
        progress(stage, done, len(paths))
    if faults:
        raise first_of(faults)
    return tuple(records)


def _mask_record(path: Path) -> MaskRecord | Fault:
    try:
        mask = open_picture(path, "mask", exif="ignore")
    except Fault as fault:
        return fault
    size, turned = (mask.height, mask.width), mask.info["orientation"]
    lossy = is_lossy(mask)
    values = _values_of(mask)
    if values is not None:
        palette = palette_of(mask)
        return MaskRecord(path, values, _coloured(values, palette), palette, lossy, size, turned)
    if mask.mode not in ("RGB", "RGBA", "LA"):
        return no_mask(mask, path)
    found: Any = mask.convert("RGB").getcolors(MOST_COLOURS)
    if found is None:
        return MaskRecord(path, {}, None, None, lossy, size, turned)
    colours = {red << 16 | green << 8 | blue: count for count, (red, green, blue) in found}
    if all(colour % 0x010101 == 0 for colour in colours):
        greys = {colour & 255: count for colour, count in colours.items()}
        return MaskRecord(path, greys, colours, None, lossy, size, turned)
    return MaskRecord(path, {}, colours, None, lossy, size, turned)


def _values_of(mask: Image.Image) -> dict[int, int] | None:
    """Pixels by stored value; None where a mask holds colours."""
    if mask.mode.startswith("I"):
        found, counts = np.unique(np.asarray(mask), return_counts=True)
        return {int(value): int(count) for value, count in zip(found, counts, strict=True)}
    if mask.mode == "1":
        off, on = mask.histogram()[0], mask.histogram()[255]
        return {value: count for value, count in ((0, off), (1, on)) if count}
    if mask.mode in ("L", "P"):
        spread = mask.info["spread"]
        return {value // spread: count for value, count in enumerate(mask.histogram()) if count}
    return None


def _coloured(values: Mapping[int, int], palette: tuple[int, ...] | None) -> dict[int, int]:
    """Pixels by colour: those of the palette, or greys."""
    colours: defaultdict[int, int] = defaultdict(int)
    for value, count in values.items():
        if palette is None:
            colours[min(value, 255) * 0x010101] += count
        elif value < len(palette):
            colours[palette[value]] += count
    return dict(colours)


def _tallies(found: Any) -> dict[int, Tally]:
    pixels: defaultdict[int, int] = defaultdict(int)
    masks: defaultdict[int, int] = defaultdict(int)
    first: dict[int, Path] = {}
    for path, counts in found:
        for value, count in counts.items():
            pixels[value] += count
            masks[value] += 1
            first.setdefault(value, path)
    return {value: Tally(pixels[value], masks[value], first[value]) for value in sorted(pixels)}


def _palettes(records: Sequence[MaskRecord]) -> tuple[dict[int, int], tuple[Path, Path, int] | None]:
    """The colour of each index that is in use, and two files that do not agree on one."""
    colours: dict[int, tuple[int, Path]] = {}
    for record in records:
        for value in sorted(record.values):
            if record.palette is None or value >= len(record.palette):
                continue
            known = colours.setdefault(value, (record.palette[value], record.path))
            if known[0] != record.palette[value]:
                return {}, (known[1], record.path, value)
    if mixed := _mixed(records, colours):
        return {}, mixed
    return {value: colour for value, (colour, _) in colours.items()}, None


def _mixed(records: Sequence[MaskRecord], colours: Mapping[int, tuple[int, Path]]) -> tuple[Path, Path, int] | None:
    """Two files, one of indices and one of greys, where the indices are shown as those greys: half of the masks hold 1
    for what is 255 in the others. Greys that are indices themselves are shown as more colours than there are indices.
    """
    greys: dict[int, Path] = {}
    for record in records:
        if record.palette is None:
            for value in record.values:
                greys.setdefault(value, record.path)
    if not greys or not colours:
        return None
    shown = {value * 0x010101 for value in greys if value <= 255} | {colour for colour, _ in colours.values()}
    if len(shown) >= len(greys.keys() | colours.keys()):
        return None
    for value, (colour, path) in colours.items():
        grey = colour & 255
        if colour != value * 0x010101 and colour % 0x010101 == 0 and grey in greys:
            return path, greys[grey], value
    return None


def _image_record(path: Path) -> ImageRecord | Fault:
    try:
        with Image.open(path, formats=FORMATS) as header:
            size, orientation = stored_size(header), orientation_of(header)
            draft = header.format == "JPEG" and header.mode in ("RGB", "L") and min(size) >= 16 * THUMB
        picture = _small(path) if draft else open_picture(path, "image", exif="ignore")
        levels = None
        if picture.mode.startswith("I") or picture.mode == "F":
            values = np.asarray(picture)
            if not np.isfinite(values).all():
                return Fault("levels", f"{path}: an image must hold finite values, got NaN or infinity; replace them.")
            low, high = (float(found) for found in np.quantile(values, _WIDE_QUANTILES))
            levels = low, high
            picture = Image.fromarray(stretched(values, low, max(high, low + 1e-9)))
        elif picture.mode == "P":
            picture = picture.convert("RGBA")
        thumb = picture.convert("RGB").resize((THUMB, THUMB), Image.Resampling.BILINEAR)
        return ImageRecord(path, size, orientation, sha256_of(path), np.asarray(thumb), levels)
    except Fault as fault:
        return fault
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        return Fault("unreadable", f"{path}: the image must be readable, got: {error}; replace it or remove the pair.")


def _small(path: Path) -> Image.Image:
    """A JPEG file at a part of its size, which is quicker; all its bytes are read.

    A thumbnail of it is still a mean of many pixels, as one of the whole picture is: copies are told by that.
    """
    with Image.open(path, formats=FORMATS) as picture:
        picture.draft("RGB", (8 * THUMB, 8 * THUMB))
        picture.load()
        return picture


def sizes_agree(image: ImageRecord, mask: MaskRecord, exif: Exif) -> bool:
    """Whether a mask has its image's size, both turned as EXIF says or both as they are stored."""
    return shown_size(image.size, image.orientation, exif) == shown_size(mask.size, mask.orientation, exif)
