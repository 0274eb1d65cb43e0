"""LabelMe: one JSON file an image, with the shapes in the order in which they were drawn."""

from __future__ import annotations

import base64
import binascii
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from segsearch.annotations.names import LISTS, image_name, legend_of, listed_names, some, void_notes
from segsearch.annotations.outlines import circle, rectangle
from segsearch.annotations.pictures import below, check_size, pictures_in, places_for, size_of
from segsearch.annotations.runs import runs_of_bitmap
from segsearch.annotations.source import kind_of
from segsearch.annotations.types import Annotated, Asked, Drawn, Ring, Shape, Source
from segsearch.annotations.values import ring_of, short, side_of
from segsearch.datasets.types import UInt8
from segsearch.errors import DataError

_CORNERED = ("polygon", "oriented_rectangle", "rotation")
_WITHOUT_AREA = ("line", "linestrip", "point", "points")


def fits(source: Source) -> bool:
    return any(kind_of(content) == "labelme" for content in source.jsons.values())


def read(source: Source, asked: Asked) -> Annotated:
    """Later shapes lie over earlier ones. Classes are those of labels.txt or classes.txt, else by the alphabet.

    Raises `DataError` for labels that a list lacks, in the stream also for shapes that are none.
    """
    files = {file: content for file, content in source.jsons.items() if kind_of(content) == "labelme"}
    labels = sorted({label for file, content in files.items() for label in _labels(file, content)})
    listed = next((source.root / name for name in LISTS if (source.root / name).is_file()), None)
    names = tuple(labels) if listed is None else listed_names(listed)
    for file, content in files.items() if listed is not None else ():
        unknown = next((label for label in _labels(file, content) if label not in names), None)
        if unknown is not None:
            raise DataError(
                f"{file}: labels must be in {listed}, got {unknown!r} beside {some(names)}; correct one of them."
            )
    legend = legend_of(names, asked.void, listed or source.path)
    places = places_for(source.root, asked.images)

    pictures = cache(lambda: pictures_in(places))

    def stream() -> Iterator[Drawn]:
        for file, content in files.items():
            image = content.get("imagePath") or file.stem
            folder = below(file.parent, source.root)
            # Where the image lay when it was drawn on says nothing: it is beside its file, or laid out alike elsewhere.
            last = image.replace("\\", "/").rpartition("/")[2] if isinstance(image, str) else image
            name = (folder / image_name(last, f"{file}, imagePath")).as_posix()
            height, width = (side_of(content.get(key), f"{file}") for key in ("imageHeight", "imageWidth"))
            if height is None or width is None:
                height, width = size_of(name, pictures(), f"{file}")
            check_size(height, width, f"{file}")
            shapes, skipped = list[Shape](), Counter[str]()
            for number, shape in enumerate(content["shapes"], start=1):
                value = legend.values[shape["label"].strip()]
                drawn = _shape(shape, value, height, width, f"{file}, shape {number}")
                if isinstance(drawn, str):
                    skipped[drawn] += 1
                else:
                    shapes.append(drawn)
            yield Drawn(name, str(PurePosixPath(folder, str(last))), height, width, tuple(shapes), skipped)

    notes = list(void_notes(legend))
    if listed is None:
        notes.append(f"no {' or '.join(LISTS)} in {source.root}: classes are numbered by the alphabet")
    if source.strange:
        more = f" and {len(source.strange) - 1} more" if len(source.strange) > 1 else ""
        notes.append(f"{source.strange[0]}{more}: JSON of another kind, left out")
    return Annotated(
        legend=legend,
        images=stream(),
        count=len(files),
        overlaps="later",
        read=(*files, *([listed] if listed else [])),
        places=places,
        notes=tuple(notes),
    )


def _labels(file: Path, content: Mapping[str, Any]) -> list[str]:
    shapes = content["shapes"]
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise DataError(f"{file}: `shapes` must be a list of objects, got {short(shapes)}; save the file again.")
    for number, shape in enumerate(shapes, start=1):
        if not isinstance(shape.get("label"), str):
            raise DataError(f"{file}, shape {number}: a shape must have a label, got {shape.get('label')!r}; name it.")
    return [shape["label"].strip() for shape in shapes]


def _shape(shape: Mapping[str, Any], value: int, height: int, width: int, where: str) -> Shape | str:
    """The shape, or what kind of a thing without an area it is."""
    kind, ring = shape.get("shape_type") or "polygon", ring_of(shape.get("points"), where)
    if kind in _WITHOUT_AREA:
        return str(kind)
    corners = ring.size // 2
    if kind in _CORNERED or (kind == "rectangle" and corners == 4):
        return Shape(value, (ring,))
    if kind not in ("rectangle", "circle", "mask"):
        raise DataError(
            f"{where}: a shape must be a polygon, rectangle, circle or mask (lines and points have no area), got "
            f"{kind!r}; draw it as a polygon."
        )
    if corners != 2:
        raise DataError(f"{where}: a {kind} must have two points, got {corners}; draw it again.")
    if kind == "mask":
        bitmap, left, top = _bitmap(shape.get("mask"), ring, where)
        runs, beyond = runs_of_bitmap(bitmap, left, top, height, width)
        return Shape(value, runs=runs, beyond=beyond)
    return Shape(value, (rectangle(*ring) if kind == "rectangle" else circle(*ring),))


def _bitmap(png: Any, ring: Ring, where: str) -> tuple[UInt8, int, int]:
    """A mask's pixels, and the column and row of its first one; both corners of its box belong to it."""
    left, top, right, bottom = (round(number) for number in ring)
    try:
        with Image.open(io.BytesIO(base64.b64decode(png, validate=True)), formats=("PNG",)) as image:
            size = image.size
            if size != (right - left + 1, bottom - top + 1):
                raise DataError(
                    f"{where}: a mask must have the size of its box, {right - left + 1}x{bottom - top + 1}, got "
                    f"{size[0]}x{size[1]}; draw it again."
                )
            return (np.asarray(image.convert("L")) > 0).astype(np.uint8), left, top
    except (TypeError, ValueError, binascii.Error, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: a mask must be a PNG file in base64, got: {error}; draw it again.") from None
