"""Which files below a folder count: linked folders are followed, what programs leave behind is not read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from segsearch.datasets.decode import SUFFIXES

LEFT_BY_PROGRAMS = ("@eaDir", "__MACOSX", "Thumbs.db", "#recycle", "$RECYCLE.BIN", "lost+found")


def is_left_out(name: str) -> bool:
    """Whether a file or folder of that name is hidden, or was left by a program (`.ipynb_checkpoints`, `@eaDir`)."""
    return name.startswith(".") or name in LEFT_BY_PROGRAMS


def pictures_below(folder: Path) -> Iterator[Path]:
    """Picture files below a folder in no order, through linked folders, but never through one that holds itself."""
    yield from _below(folder, frozenset())


def _below(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    try:
        status = folder.stat()
        entries = list(os.scandir(folder))
    except OSError:
        return
    here = status.st_dev, status.st_ino
    if here in above:
        return
    for entry in entries:
        if is_left_out(entry.name):
            continue
        path = folder / entry.name
        if path.is_dir():
            yield from _below(path, above | {here})
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            yield path
