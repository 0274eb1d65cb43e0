"""Several annotation files as one: of one format and with the same classes, such as those of train and val."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from segsearch.annotations import read_annotations
from segsearch.annotations.names import some
from segsearch.annotations.types import Annotated, Asked, Drawn, Format
from segsearch.errors import DataError
from segsearch.pairing.places import SPLIT_WORDS
from segsearch.pairing.types import SplitName
from segsearch.workshop import Progress, silent


def read_together(paths: Sequence[Path], asked: Asked, *, progress: Progress = silent) -> tuple[Format, Annotated]:
    """What `read_annotations` finds in each path, together; images have the split that their file's name says.

    Raises `DataError` where the formats or the classes differ, showing both lists.
    """
    if len(paths) == 1:
        return read_annotations(paths[0], asked, progress=progress)
    if twice := next((path for index, path in enumerate(paths) if path.resolve() in _resolved(paths[:index])), None):
        raise DataError(f"{twice}: annotations must be named once, got this path twice; leave one out.")
    read = [read_annotations(path, asked, progress=progress) for path in paths]
    (first, one), *others = read
    for path, (format_, found) in zip(paths[1:], others, strict=True):
        if format_ is not first:
            raise DataError(
                f"{path}: annotations must be of one format, got {format_.title}, and {first.title} in {paths[0]}; "
                "draw each to a folder of its own."
            )
        if found.legend.classes != one.legend.classes:
            here, there = (some(classes, most=len(classes)) for classes in (found.legend.classes, one.legend.classes))
            raise DataError(
                f"{path}: annotations that are drawn together must have the same classes in one order, got {here}\n"
                f"here and {there} in {paths[0]}; give both the same list, or draw each to a folder of its own."
            )
    return first, _joined(paths, [found for _, found in read])


def _resolved(paths: Sequence[Path]) -> set[Path]:
    return {path.resolve() for path in paths}


def _joined(paths: Sequence[Path], read: Sequence[Annotated]) -> Annotated:
    said = [split_of(path) for path in paths]
    apart = "train" in said and None not in said and len(set(said)) > 1
    notes = [note for found in read for note in found.notes]
    if not apart:
        notes.append("the files' names do not say who trains and who judges: `segsearch new` parts all images anew")

    def stream() -> Iterator[Drawn]:
        for path, found, split in zip(paths, read, said, strict=True):
            for drawn in found.images:
                yield replace(drawn, file=f"{drawn.file} of {path}", split=split if apart else None)

    return Annotated(
        legend=read[0].legend,
        images=stream(),
        count=sum(found.count for found in read),
        overlaps=read[0].overlaps,
        read=tuple(dict.fromkeys(file for found in read for file in found.read)),
        places=tuple(dict.fromkeys(place for found in read for place in found.places)),
        notes=tuple(dict.fromkeys(notes)),
    )


def split_of(path: Path) -> SplitName | None:
    """The split that the name of a file says (`instances_train2017.json`), else that of its folder; None of neither.

    >>> split_of(Path("valid/_annotations.coco.json"))
    'validation'
    """
    for name in (path.stem, path.parent.name):
        said = {SPLIT_WORDS[word] for word in re.findall(r"[a-z]+", name.casefold()) if word in SPLIT_WORDS}
        if len(said) == 1:
            return said.pop()
    return None
