"""Every picture below a folder, through linked folders too, and the small text files that may explain them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from segsearch.datasets.decode import SUFFIXES
from segsearch.datasets.tree import Identity, entries_of, identity_of, is_file, is_folder, is_left_out
from segsearch.errors import DataError
from segsearch.pairing.places import place_in, read_folders
from segsearch.pairing.types import Place, Walked
from segsearch.workshop import Progress, silent

TEXTS = (".txt", ".csv", ".json", ".yaml", ".names")
MOST_TEXTS = 200
LONGEST_TEXT_BYTES = 2 * 1024 * 1024
DEEPEST_TEXT = 5
FOLDERS_BETWEEN_SIGNS = 100


@dataclass(frozen=True)
class _Folder:
    """A folder to look into, by its path below the root; `above` are the real folders on the way, itself among them."""

    inner: str
    above: frozenset[Identity]


@dataclass
class _Found:
    places: list[Place] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    hidden: int = 0
    linked: int = 0


def walk(root: Path, *, progress: Progress = silent) -> Walked:
    """All pictures below `root`, sorted by their inner paths, hidden ones and those that programs left only counted.

    Linked folders are followed; a link to a folder that it lies in, or to none, is passed over. Raises `DataError`
    where a folder cannot be read.
    """
    if not root.is_dir():
        raise DataError(f"{root}: DATA must be a folder with images and masks, got none there; correct the path.")
    real = root.resolve()
    waiting, found, done = [_Folder("", frozenset(map(identity_of, (real, *real.parents))))], _Found(), 0
    while waiting:
        waiting.extend(_look_into(root, waiting.pop(), found))
        done += 1
        if done % FOLDERS_BETWEEN_SIGNS == 0 or not waiting:
            progress("looking into folders", done, done + len(waiting))
    found.places.sort(key=lambda place: place.inner)
    return Walked(root, tuple(found.places), _texts(root, found), found.hidden, found.linked)


def _look_into(root: Path, folder: _Folder, found: _Found) -> Iterator[_Folder]:
    """Add the folder's files to `found`, and yield the folders in it."""
    told = read_folders(folder.inner)
    path = root / folder.inner
    depth = folder.inner.count("/") + 1 if folder.inner else 0
    for entry in entries_of(path):
        inner = f"{folder.inner}/{entry.name}" if folder.inner else entry.name
        if is_folder(entry):
            if is_left_out(entry.name):
                found.hidden += _pictures_below(entry)
            elif (identity := identity_of(root / inner)) not in folder.above:
                found.linked += entry.is_symlink()
                yield _Folder(inner, folder.above | {identity})
            continue
        suffix = os.path.splitext(entry.name)[1].lower()
        is_picture = suffix in SUFFIXES
        if not (is_picture or (suffix in TEXTS and depth <= DEEPEST_TEXT)) or not is_file(entry):
            continue
        if is_left_out(entry.name):
            found.hidden += is_picture
        elif is_picture:
            found.places.append(place_in(root, told, inner, entry.name))
        else:
            found.texts.append(inner)


def _pictures_below(folder: os.DirEntry[str]) -> int:
    """How many pictures a folder holds that is not looked into; what cannot be read there does not matter."""
    if folder.is_symlink():
        return 0
    return sum(name.lower().endswith(SUFFIXES) for _, _, names in os.walk(folder.path) for name in names)


def _texts(root: Path, found: _Found) -> tuple[Path, ...]:
    """The small text files, shallow ones first, those beside a picture of the same name last, and so first cut off."""
    stems = {place.stem for place in found.places}

    def order(inner: str) -> tuple[bool, int, str]:
        name = inner.rpartition("/")[2]
        return os.path.splitext(name)[0] in stems, inner.count("/"), inner

    texts = list[Path]()
    for inner in sorted(found.texts, key=order):
        if len(texts) == MOST_TEXTS:
            break
        if _is_small(root / inner):
            texts.append(root / inner)
    return tuple(texts)


def _is_small(path: Path) -> bool:
    try:
        return path.stat().st_size < LONGEST_TEXT_BYTES
    except OSError:
        return False
