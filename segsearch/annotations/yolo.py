"""YOLO segmentation: one text file an image, one line a thing: its class, then corners as shares of the sides."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from segsearch.annotations.names import LISTS, image_name, legend_of, listed_names, void_notes
from segsearch.annotations.pictures import below, check_size, key_of, pictures_in, places_for, size_of
from segsearch.annotations.types import Annotated, Asked, Drawn, Shape, Source
from segsearch.annotations.values import short
from segsearch.errors import DataError

_YAMLS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_NO_LABELS = ("train", "val", "valid", "validation", "test", "trainval", "readme", "license", "notes", "requirements")
_LOOKED_AT = 100
_MOST_YAML_BYTES = 1 << 20
# Of a side: what lies further beyond the image is no share of it.
_FAR = 1.0


def fits(source: Source) -> bool:
    """Text files of numbers; also others, or empty ones, beside a list of classes that only YOLO has."""
    files = _label_files(source)
    for file in files[:_LOOKED_AT]:
        line = next((line for line in _lines(file) if line.strip()), "")
        if line and re.fullmatch(r"\s*\d+(\s+\S*\d\S*|\s+[+-]?nan|\s+[+-]?inf){2,}\s*", line, re.IGNORECASE):
            return True
    listed = _names_file(_base(source), source.root) if files else None
    return listed is not None and listed.name in _YAMLS


def read(source: Source, asked: Asked) -> Annotated:
    """Later lines lie over earlier ones; the sizes are the images'.

    Raises `DataError` where there are no names or an image is not there, in the stream also for lines that are none.
    """
    base, files = _base(source), _label_files(source)
    listed = _names_file(base, source.root)
    if listed is None:
        raise DataError(
            f"{source.path}: the classes must be named, got neither data.yaml with `names` nor classes.txt in "
            f"{base}; write one name a line into classes.txt, in the order of the class numbers."
        )
    names = _names(listed)
    legend = legend_of(names, asked.void, listed)
    places = places_for(base, asked.images)
    pictures = pictures_in(places if asked.images else (base / "images", source.root))
    keys = {file: key_of(below(file, base).with_suffix("").as_posix()) for file in files}
    unlabelled = len(pictures.paths.keys() - set(keys.values()))

    def stream() -> Iterator[Drawn]:
        for file, key in keys.items():
            name = image_name(key, file)
            height, width = size_of(name, pictures, str(file))
            check_size(height, width, str(file))
            shapes, skipped = list[Shape](), Counter[str]()
            for number, line in enumerate(_lines(file), start=1):
                words = line.split()
                if len(words) == 5:
                    skipped["box without an outline"] += 1
                elif words:
                    shapes.append(_shape(words, names, legend.values, height, width, f"{file}, line {number}"))
            yield Drawn(name, key, height, width, tuple(shapes), skipped)

    notes = list(void_notes(legend))
    if unlabelled:
        images = f"{unlabelled} image{' has' if unlabelled == 1 else 's have'}"
        notes.append(f"{images} no label file: no mask is drawn for {'it' if unlabelled == 1 else 'them'}")
    return Annotated(
        legend=legend,
        images=stream(),
        count=len(files),
        overlaps="later",
        read=(listed, *files),
        places=places,
        notes=tuple(notes),
    )


def _shape(words: Sequence[str], names: Sequence[str], values: Any, height: int, width: int, where: str) -> Shape:
    if not words[0].isdecimal() or int(words[0]) >= len(names):
        raise DataError(
            f"{where}: a line must begin with a class number from 0 to {len(names) - 1}, got {words[0]!r}; correct it "
            "or the list of names."
        )
    try:
        ring = np.array(words[1:], dtype=np.float64)
    except ValueError:
        ring = np.array([np.nan])
    if len(ring) % 2 or not np.isfinite(ring).all():
        raise DataError(
            f"{where}: after the class there must be x and y in turn, finite numbers, got {short(list(words[1:]))}; "
            "correct or remove the line."
        )
    if ring.size and (ring.min() < -_FAR or ring.max() > 1 + _FAR):
        far = ring[np.argmax(np.abs(ring - 0.5))]
        raise DataError(
            f"{where}: coordinates must be shares of the image's sides, 0 to 1, got {far:g}; divide pixels by the "
            "image's width and height."
        )
    ring[0::2] *= width
    ring[1::2] *= height
    return Shape(values[names[int(words[0])]], (ring,))


def _base(source: Source) -> Path:
    """The data set's root: above the folder `labels`, where that was named, or one inside it."""
    root = source.root
    for folder in (root, root.parent):
        if folder.name.lower() == "labels":
            return folder.parent
    return root


def _label_files(source: Source) -> list[Path]:
    """Text files in folders `labels`; where there is none, all but lists and notes."""
    base = _base(source)
    inside = [file for file in source.texts if "labels" in (part.lower() for part in below(file, base).parts[:-1])]
    lists = {name.removesuffix(".txt") for name in LISTS} | set(_NO_LABELS)
    return inside or [file for file in source.texts if file.name.lower().split(".")[0] not in lists]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: labels must be readable UTF-8 text, got: {error}; export them again.") from None


def _names_file(base: Path, root: Path) -> Path | None:
    """The file that names the classes. Raises `DataError` where two name different ones."""
    places = (base,) if base == root else (base, root)
    found = [place / name for place in places for name in (*_YAMLS, *LISTS) if (place / name).is_file()]
    for other in found[1:]:
        if _names(other) != _names(found[0]):
            raise DataError(
                f"{found[0]}: files that name the classes must agree, got others in {other}; remove the wrong one."
            )
    return found[0] if found else None


def _names(file: Path) -> tuple[str, ...]:
    """Names by class number."""
    if file.suffix == ".txt":
        return listed_names(file)
    try:
        if file.stat().st_size > _MOST_YAML_BYTES:
            raise DataError(f"{file}: a YOLO data file must be small, got {file.stat().st_size} bytes; shorten it.")
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        what = f"an error on line {mark.line + 1}" if mark else type(error).__name__
        raise DataError(f"{file}: a YOLO data file must be YAML, got {what}; correct it.") from None
    content = content if isinstance(content, dict) else {}
    if "kpt_shape" in content:
        raise DataError(f"{file}: masks are drawn from outlines, got key points (`kpt_shape`); export segmentation.")
    names = content.get("names")
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, (str, int)) for name in names):
        raise DataError(
            f"{file}: `names` must be a list of classes, or their names by number from 0, got {short(names)}; "
            "correct it."
        )
    return tuple(str(name).strip() for name in names)
