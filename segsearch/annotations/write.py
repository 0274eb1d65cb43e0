"""Masks to files: `masks/NAME.png` and `classes.txt` in a folder, all of them or none."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsearch.annotations.draw import paint
from segsearch.annotations.types import Annotated, Overlaps
from segsearch.errors import DataError, StudyError
from segsearch.pairing.types import SplitName
from segsearch.workshop import Progress, contents, raise_if_full, scratch_folder, silent

MASKS, CLASSES = "masks", "classes.txt"
LISTS: Mapping[SplitName, str] = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}


@dataclass(frozen=True)
class Written:
    """What was drawn: the masks' names, pixels by mask value (256), shapes by mask value, and what was met on the way.

    `empty` images have no outline and are all background; `lists` are the files that say whose split an image is, where
    annotations do; of the rest `Painted` tells what it is.
    """

    out: Path
    names: tuple[str, ...]
    empty: int
    pixels: NDArray[np.int64]
    shapes: Counter[int]
    skipped: Counter[str]
    disputed: int
    beyond: int
    few: int
    unseen: int
    lists: tuple[str, ...] = ()


def write_masks(
    found: Annotated, out: Path, *, overlaps: Overlaps, force: bool = False, progress: Progress = silent
) -> Written:
    """Draw every image and keep the masks, 8-bit grey, in `out`; with `force` in place of those that are there.

    Raises `DataError` for what the annotations hold, `StudyError` for a folder that is not empty or cannot be written.
    """
    out = out.resolve()
    _check_place(found, out, force=force)
    try:
        with _beside(out) as made:
            written = _draw(found, made, out, overlaps, progress)
            _move(made, out)
    except OSError as error:
        raise_if_full(error, out.parent)
        raise StudyError(
            f"{error.filename or out}: --out must be a folder that can be written, got: {error.strerror}; choose "
            "another."
        ) from None
    return written


def _check_place(found: Annotated, out: Path, *, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise StudyError(f"{out}: --out must be a folder, got a file; choose another.")
    held = contents(out) if out.is_dir() else []
    if held and not force:
        raise StudyError(
            f"{out}: --out must be a new or an empty folder, got one with {held[0]} in it; choose another, or add "
            f"--force to replace {MASKS} and {CLASSES} in it and leave the rest."
        )
    replaced = [(out / name).resolve() for name in (MASKS, CLASSES, *LISTS.values())]
    for path in found.read:
        there = path.resolve()
        if any(there == gone or gone in there.parents for gone in replaced):
            raise StudyError(f"{out}: --out must not replace what is read, got {path} in it; choose another.")


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A folder on the same file system, which is removed at the end, whatever is left in it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(out if out.is_dir() else out.parent) as scratch:
        made = scratch / "made"  # not the scratch folder itself, which is its maker's alone
        made.mkdir()
        yield made


def _draw(found: Annotated, made: Path, out: Path, overlaps: Overlaps, progress: Progress) -> Written:
    files, empty = dict[str, str](), 0
    pixels, shapes, skipped, met = np.zeros(256, dtype=np.int64), Counter[int](), Counter[str](), Counter[str]()
    of_split = defaultdict[SplitName, list[str]](list)
    (made / MASKS).mkdir()
    for done, drawn in enumerate(found.images, start=1):
        if drawn.name in files:
            raise DataError(
                f"{found.read[0]}: every image must have a name of its own, got {files[drawn.name]} and {drawn.file}, "
                f"whose masks would both be {drawn.name}.png; rename one."
            )
        files[drawn.name] = drawn.file
        if drawn.split is not None:
            of_split[drawn.split].append(drawn.name)
        painted = paint(drawn, overlaps)
        path = made / MASKS / f"{drawn.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(painted.mask).save(path)
        outlined = [shape.value for shape in drawn.shapes if shape.has_outline]
        empty += not outlined
        pixels += np.bincount(painted.mask.ravel(), minlength=256)
        shapes.update(outlined)
        skipped += drawn.skipped
        met.update({name: getattr(painted, name) for name in ("disputed", "beyond", "few", "unseen")})
        progress("drawing masks", done, found.count)
    if not shapes:
        what = ", ".join(in_words(skipped)) or "none"
        raise DataError(f"{found.read[0]}: annotations must hold outlines, got {what}; export polygons or masks.")
    (made / CLASSES).write_text("\n".join(found.legend.classes) + "\n", encoding="utf-8")
    for split, names in of_split.items():
        (made / LISTS[split]).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return Written(
        out=out,
        names=tuple(files),
        empty=empty,
        pixels=pixels,
        shapes=shapes,
        skipped=skipped,
        disputed=met["disputed"],
        beyond=met["beyond"],
        few=met["few"],
        unseen=met["unseen"],
        lists=tuple(name for split, name in LISTS.items() if split in of_split),
    )


def _move(made: Path, out: Path) -> None:
    """Into place, by renaming. What was there comes back where that fails half-way."""
    if not out.exists():
        os.replace(made, out)
        return
    before = made.parent / "before"
    before.mkdir()
    moved = list[tuple[Path, Path]]()
    try:
        for name in sorted(os.listdir(made)):
            for source, target in ((out / name, before / name), (made / name, out / name)):
                if os.path.lexists(source):
                    os.replace(source, target)
                    moved.append((source, target))
    except BaseException:
        for source, target in reversed(moved):
            os.replace(target, source)
        raise


def in_words(counts: Counter[str]) -> list[str]:
    """`2 points`, `1 polyline`: how many of each kind."""
    return [f"{count} {_plural(kind) if count > 1 else kind}" for kind, count in sorted(counts.items())]


def _plural(kind: str) -> str:
    head, space, rest = kind.partition(" ")
    return f"{head if head.endswith('s') else 'boxes' if head == 'box' else head + 's'}{space}{rest}"
