"""A page to look at before a night is spent: images with their masks over them, classes by split, warnings."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from string import Template

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsearch.datasets.decode import read_image, resize_image, resize_mask
from segsearch.datasets.labels import Labelling, read_label
from segsearch.datasets.types import UInt8
from segsearch.masks.paint import class_colours
from segsearch.pairing.types import SplitName
from segsearch.settings.data import DataSettings
from segsearch.survey.chosen import Pair
from segsearch.survey.look import Found
from segsearch.survey.splits import SPLITS

# Pictures that are shown of each split, spread over it.
SHOWN: Mapping[SplitName, int] = {"train": 16, "validation": 6, "test": 2}
WORDS: Mapping[SplitName, str] = {"train": "training", "validation": "validation", "test": "test"}
TITLES: Mapping[SplitName, str] = {"train": "Training", "validation": "Validation", "test": "Test (kept aside)"}
# Longest side of a picture on the page, in pixels.
SIDE = 360
# How much of a class' colour lies over the image.
_OVER = 0.5
_VOID = "#000000"


def folder_page(found: Found, settings: DataSettings, how: Labelling, *, name: str) -> str:
    """One page without links to anything outside it: what a study will train and judge on, as it will be read.

    Raises `DataError` where a picture cannot be read as the study says.
    """
    colours = class_colours(found.reading.classes)
    return _PAGE.substitute(
        name=html.escape(name),
        root=html.escape(str(found.root)),
        warnings="".join(f'<p class="warning">{html.escape(words)}</p>' for words in found.warnings),
        notes="".join(f"<li>{html.escape(words)}</li>" for words in (*found.splits.words, *found.notes)),
        facts=html.escape(_facts(found)),
        reading=html.escape(found.reading.words),
        table=_table(found, colours),
        pictures="".join(_section(found, split, settings, how, colours) for split in SPLITS if found.splits.of(split)),
    )


def _facts(found: Found) -> str:
    counts = ", ".join(f"{len(there)} {WORDS[split]}" for split in SPLITS if (there := found.splits.of(split)))
    height, width = found.size
    return (
        f"{counts} images, most of them {found.image_width}x{found.image_height}; the model will take {width}x{height}."
    )


def _table(found: Found, colours: Sequence[str]) -> str:
    splits = [split for split in SPLITS if found.splits.of(split)]
    head = "".join(f"<th colspan=2>{TITLES[split]}</th>" for split in splits)
    rows = []
    for index, row in enumerate(found.rows):
        colour = _VOID if row.name is None else colours[index]
        label = "void (neither trained nor scored)" if row.name is None else row.name
        cells = "".join(
            f"<td>{row.shares[split].pixels:.2%}</td><td>{row.shares[split].images:.0%} of images</td>"
            for split in splits
        )
        rows.append(
            f'<tr><td><span class="dot" style="background:{colour}"></span></td><td class="stored">'
            f'{html.escape(row.stored)}</td><td class="name">{html.escape(label)}</td>{cells}</tr>'
        )
    return f"<table><tr><th></th><th>stored</th><th>class</th>{head}</tr>{''.join(rows)}</table>"


def _section(found: Found, split: SplitName, settings: DataSettings, how: Labelling, colours: Sequence[str]) -> str:
    pairs = found.splits.of(split)
    chosen = sorted({int(one) for one in np.linspace(0, len(pairs) - 1, SHOWN[split])})
    pictures = "".join(_picture(pairs[one], settings, how, colours) for one in chosen)
    return f"<h2>{TITLES[split]}: {len(chosen)} of {len(pairs)}</h2><div class=grid>{pictures}</div>"


def _picture(pair: Pair, settings: DataSettings, how: Labelling, colours: Sequence[str]) -> str:
    image = read_image(pair.image.path, levels=settings.levels, exif=settings.exif)
    label = read_label(pair.mask.path, how)
    shrink = min(1.0, SIDE / max(label.shape))
    height, width = (max(1, round(side * shrink)) for side in label.shape)
    image, label = resize_image(image, height, width), resize_mask(label, height, width)
    names = f"{pair.image.inner} with {pair.mask.inner}"
    plain, over = (_as_address(pixels) for pixels in (image, _painted(image, label, how.void, colours)))
    return (
        f'<figure><div class="both"><img src="{plain}" alt=""><img class="over" src="{over}" alt=""></div>'
        f"<figcaption>{html.escape(names)}</figcaption></figure>"
    )


def _painted(image: UInt8, label: UInt8, void: int, colours: Sequence[str]) -> UInt8:
    """The image with its classes' colours over it; void is black and hatched."""
    table = np.zeros((256, 3), dtype=np.float32)
    table[: len(colours)] = [_rgb(colour) for colour in colours]
    table[void] = _rgb(_VOID)
    mixed: NDArray[np.float32] = (1.0 - _OVER) * image.astype(np.float32) + _OVER * table[label]
    rows, columns = np.indices(label.shape)
    hatched = (label == void) & ((rows + columns) // max(1, max(label.shape) // 60) % 2 == 0)
    mixed[hatched] = 0.0
    painted: UInt8 = mixed.astype(np.uint8)
    return painted


def _rgb(colour: str) -> tuple[int, int, int]:
    number = int(colour[1:], 16)
    return number >> 16, number >> 8 & 255, number & 255


def _as_address(pixels: UInt8) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


_PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$name: what it will train on</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.root, .stored, figcaption { color: color-mix(in srgb, currentColor 65%, transparent); overflow-wrap: anywhere; }
.warning { background: color-mix(in srgb, #D55E00 18%, transparent); border-left: 4px solid #D55E00;
  margin: .7rem 0; padding: .5rem .8rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
th { font-weight: 600; text-align: left; } td, th { padding: .15rem .8rem .15rem 0; white-space: nowrap; }
.dot { border-radius: 3px; display: inline-block; height: 14px; outline: 1px solid #8886; width: 22px; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); }
figure { margin: 0; } .both { display: flex; gap: 2px; } .both img { min-width: 0; width: 50%; }
figcaption { font-size: 12px; }
</style>
<h1>$name</h1>
<p class="root">$root</p>
$warnings
<p>$facts</p>
<p>How masks are read: $reading</p>
<ul>$notes</ul>
<div class="wide">$table</div>
$pictures
</html>
""")
