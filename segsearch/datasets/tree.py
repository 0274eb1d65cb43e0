"""Which files below a folder count: linked folders are followed, what programs leave behind is not read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from segsearch.datasets.decode import SUFFIXES
from segsearch.errors import DataError

Identity = tuple[int, int]
LEFT_BY_PROGRAMS = ("@eaDir", "__MACOSX", "Thumbs.db", "#recycle", "$RECYCLE.BIN", "lost+found")


def is_left_out(name: str) -> bool:
    """Whether a file or folder of that name is hidden, or was left by a program (`.ipynb_checkpoints`, `@eaDir`)."""
    return name.startswith(".") or name in LEFT_BY_PROGRAMS


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder. Raises `DataError` where it cannot be read: what is not seen would be left out unsaid."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise _unreadable(folder, error) from None


def identity_of(folder: Path) -> Identity:
    """By what a folder is known again under another name. Raises `DataError`."""
    try:
        status = folder.stat()
    except OSError as error:
        raise _unreadable(folder, error) from None
    return status.st_dev, status.st_ino


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one that can be followed."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that is closed
        return False


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to one."""
    try:
        return entry.is_file()
    except OSError:
        return False


def pictures_below(folder: Path, *, broken: bool = False) -> Iterator[Path]:
    """Picture files below a folder in no order, through linked folders, but never through one that holds itself.

    With `broken` links that lead nowhere are among them. Raises `DataError` where a folder below cannot be read; one
    that is not there holds none.
    """
    if folder.is_dir():
        yield from _below(folder, frozenset(), broken)


def _below(folder: Path, above: frozenset[Identity], broken: bool) -> Iterator[Path]:
    here = identity_of(folder)
    if here in above:
        return
    for entry in entries_of(folder):
        if is_left_out(entry.name):
            continue
        if is_folder(entry):
            yield from _below(folder / entry.name, above | {here}, broken)
        elif entry.name.lower().endswith(SUFFIXES) and (is_file(entry) or (broken and entry.is_symlink())):
            yield folder / entry.name


def _unreadable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"{folder}: every folder must be readable, got: {error.strerror}; correct its permissions or move it away."
    )
