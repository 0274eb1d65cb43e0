"""Pictures of answers: the classes' colours over a picture, and below it which colour is which class."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from segsearch.datasets.types import UInt8
from segsearch.predicting.model import Model
from segsearch.terminal import plain

OPACITY = 0.5
QUALITY = 90
# No JPEG has a longer side.
LONGEST_JPEG = 65_500
# A legend takes at most this share of a picture's height on top of it, but always one line.
MOST_LEGEND = 0.25
# zlib's way that only looks for runs: as quick as its quickest, and labels are runs.
_RUNS = 3
PAPER, INK = (24, 26, 28), (236, 236, 236)


@dataclass(frozen=True)
class Key:
    """The legend's entries: what each class is called, and its colour."""

    words: tuple[str, ...]
    colours: tuple[str, ...]


def key_of(model: Model) -> Key:
    """The legend of a model: the number that a label holds, and the class' name where it is known."""
    words = (f"{index} {name}" if model.named else name for index, name in enumerate(model.classes))
    return Key(tuple(map(plain, words)), model.colours)


def overlay(pixels: UInt8, label: UInt8, key: Key, *, even: bool = False) -> Image.Image:
    """A picture (height, width, 3) under its classes' colours, with the legend below; `even` sides are a video's."""
    height, width = label.shape
    coloured = Image.fromarray(label)
    coloured.putpalette(_palette(key))
    blended = Image.blend(Image.fromarray(pixels), coloured.convert("RGB"), OPACITY)
    legend = _legend(key, width, height, label)
    whole = (width, height + legend.height)
    if even:
        whole = (whole[0] + whole[0] % 2, whole[1] + whole[1] % 2)
    page = Image.new("RGB", whole, PAPER)
    page.paste(blended, (0, 0))
    page.paste(legend, (0, height))
    return page


def as_jpeg(picture: Image.Image) -> tuple[bytes, str]:
    """A picture's bytes and their file's suffix: JPEG, or PNG where a side is too long for that."""
    stream = io.BytesIO()
    if max(picture.size) > LONGEST_JPEG:
        picture.save(stream, "PNG", compress_level=1)
        return stream.getvalue(), ".png"
    picture.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue(), ".jpg"


def as_label(label: UInt8) -> bytes:
    """The class of each pixel as an 8-bit grey PNG."""
    stream = io.BytesIO()
    Image.fromarray(label).save(stream, "PNG", compress_level=1, compress_type=_RUNS)
    return stream.getvalue()


@lru_cache(maxsize=4)
def _palette(key: Key) -> bytes:
    return b"".join(bytes.fromhex(colour[1:]) for colour in key.colours)


# ---- the legend


@dataclass(frozen=True)
class _Lines:
    """How the legend of pictures of one width is laid out: the sizes of its parts in pixels, and its most lines."""

    letters: int
    height: int
    most: int
    widths: tuple[int, ...]


def _legend(key: Key, width: int, height: int, label: UInt8) -> Image.Image:
    """The strip below a picture: all classes where they fit in, else those that have most of its pixels."""
    lines = _lines(key, width, height)
    everything = tuple(range(len(key.words)))
    if len(_rows(lines, everything, width)) <= lines.most:
        return _strip(key, lines, width, everything, False)
    counts = Image.fromarray(label).histogram()[: len(key.words)]
    chosen = list[int]()
    present = sorted((index for index, count in enumerate(counts) if count), key=lambda index: -counts[index])
    for index in present:
        if len(_rows(lines, (*sorted((*chosen, index)), None), width)) > lines.most and chosen:
            break
        chosen.append(index)
    return _strip(key, lines, width, tuple(sorted(chosen)), len(chosen) < len(present))


@lru_cache(maxsize=16)
def _font(letters: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(letters)


@lru_cache(maxsize=16)
def _lines(key: Key, width: int, height: int) -> _Lines:
    letters = min(max(round(height / 30), 10), 48)
    font = _font(letters)
    line = 2 * round(0.75 * letters)
    widths = tuple(round(font.getlength(words) + 2 * letters) for words in key.words)
    return _Lines(letters, line, max(1, int(MOST_LEGEND * height / line)), widths)


def _rows(lines: _Lines, entries: tuple[int | None, ...], width: int) -> list[list[tuple[int | None, int]]]:
    """Entries and where each begins, line by line; None stands for those that are left out."""
    rows = list[list[tuple[int | None, int]]]()
    left = width
    for entry in entries:
        wide = lines.letters * 2 if entry is None else lines.widths[entry]
        if not rows or left + wide > width:
            rows.append([])
            left = lines.letters // 2
        rows[-1].append((entry, left))
        left += wide
    return rows


@lru_cache(maxsize=64)
def _strip(key: Key, lines: _Lines, width: int, entries: tuple[int, ...], more: bool) -> Image.Image:
    """The drawn strip; of a model all have the same height where not all classes fit in, as a video needs it."""
    rows = _rows(lines, (*entries, None) if more else entries, width)
    fixed = len(_rows(lines, tuple(range(len(key.words))), width)) > lines.most
    strip = Image.new("RGB", (width, lines.height * (lines.most if fixed else len(rows))), PAPER)
    pen, font = ImageDraw.Draw(strip), _font(lines.letters)
    for number, row in enumerate(rows):
        middle = number * lines.height + lines.height // 2
        for entry, left in row:
            if entry is None:
                pen.text((left, middle), "...", fill=INK, font=font, anchor="lm")
                continue
            half = lines.letters // 2
            box = (left, middle - half, left + lines.letters, middle + half)
            pen.rectangle(box, fill=key.colours[entry])
            pen.text((left + round(1.3 * lines.letters), middle), key.words[entry], fill=INK, font=font, anchor="lm")
    return strip
