"""Names that stand in annotations: of classes, which become mask values, and of images, which become paths."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from segsearch.annotations.types import BACKGROUND, VOID, Legend
from segsearch.datasets.decode import SUFFIXES
from segsearch.errors import DataError, StudyError

MOST_CLASSES = 254
LISTS = ("labels.txt", "classes.txt")

_BACKGROUNDS = ("background", "_background_", "__background__")
# What LabelMe's own lists begin with: not labelled.
_IGNORED = "__ignore__"
_SOUNDS_VOID = ("void", "ignore", "ignored", "unlabeled", "unlabelled", "unknown", "dontcare", "don't care")
_OTHER_SUFFIXES = (".tif", ".tiff", ".gif", ".jfif", ".ppm", ".pgm")


def legend_of(names: Sequence[str], void: Collection[str], file: Path) -> Legend:
    """Mask values from 1 in the order of the names; background is 0, `__ignore__` and those of `void` are 255.

    Raises `DataError` for names that two classes have, that are empty or too many, `StudyError` for a void class that
    is none of them.
    """
    unknown = [name for name in void if name not in names]
    if unknown:
        raise StudyError(f"--void must name a class, got {unknown[0]!r}; the classes are {some(names)}.")
    classes, values = ["background"], dict[str, int]()
    for name in names:
        if not name.strip() or name != name.strip() or not name.isprintable():
            raise DataError(f"{file}: a class must have a name of one line, got {name!r}; correct it.")
        if name in values:
            raise DataError(f"{file}: classes must have different names, got {name!r} twice; rename one.")
        if name == _IGNORED or name in void:
            values[name] = VOID
        elif name.casefold() in _BACKGROUNDS:
            values[name] = BACKGROUND
        else:
            values[name] = len(classes)
            classes.append(name)
    if len(classes) - 1 > MOST_CLASSES:
        raise DataError(
            f"{file}: a mask holds at most {MOST_CLASSES} classes beside background, got {len(classes) - 1}; "
            "merge or remove some."
        )
    return Legend(tuple(classes), values)


def void_notes(legend: Legend) -> tuple[str, ...]:
    """Classes whose names say that nothing is known there, and that are classes all the same."""
    return tuple(
        f"{name!r} is drawn as class {value}; --void {name!r} makes its pixels void"
        for name, value in legend.values.items()
        if name.casefold() in _SOUNDS_VOID and value not in (BACKGROUND, VOID)
    )


def some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")


def listed_names(path: Path) -> tuple[str, ...]:
    """The lines of a list of classes. Raises `DataError` where it is no UTF-8 text."""
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: a list of classes must be UTF-8 text, got: {error}; rewrite it.") from None


def image_name(file: object, where: object) -> str:
    """An image's path without its suffix, slashes between folders. Raises `DataError` where it may lead elsewhere."""
    if not isinstance(file, str) or not file.strip():
        raise DataError(f"{where}: an image must have a name, got {file!r}; correct it.")
    parts = [part for part in file.replace("\\", "/").split("/") if part not in ("", ".")]
    outside = file[0] in "/\\" or re.match(r"[A-Za-z]:", file) or ".." in parts
    if outside or not parts or not file.isprintable():
        raise DataError(
            f"{where}: an image's name must be a path below the folder of the images (no / before it, no ..), "
            f"got {file!r}; correct it."
        )
    stem, dot, suffix = parts[-1].rpartition(".")
    if stem and dot and f".{suffix.lower()}" in (*SUFFIXES, *_OTHER_SUFFIXES):
        parts[-1] = stem
    return "/".join(parts)
