"""The images that annotations speak of: where they lie, and their sizes where the annotations do not tell them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from PIL import Image

from segsearch.datasets.decode import FORMATS, MAX_PIXELS, SUFFIXES, orientation_of, shown_size, stored_size
from segsearch.errors import DataError

LONGEST_SIDE = 65_535
_ROLES = ("images", "labels")


@dataclass(frozen=True)
class Pictures:
    """All images below some folders, by `key_of` their paths from there."""

    folders: tuple[Path, ...]
    paths: Mapping[str, tuple[Path, ...]]


def pictures_in(folders: tuple[Path, ...]) -> Pictures:
    """Look for images, in folders that need not be there."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
                paths = found.setdefault(key_of(path.relative_to(folder).with_suffix("").as_posix()), [])
                if path not in paths:
                    paths.append(path)
    return Pictures(folders, {key: tuple(paths) for key, paths in found.items()})


def below(file: Path, folder: Path) -> PurePath:
    """A file's path from a folder, however both are written."""
    return PurePath(os.path.relpath(file, folder))


def key_of(name: str) -> str:
    """A path from a data set's root without the folders that say what lies in them: `train/images/a` is `train/a`."""
    *folders, last = name.split("/")
    return "/".join([*(folder for folder in folders if folder.lower() not in _ROLES), last])


def places_for(root: Path, images: Path | None) -> tuple[Path, ...]:
    """Folders in which images may lie, the likeliest first. Raises `DataError` where `images` is none."""
    if images is not None:
        if not images.is_dir():
            raise DataError(f"{images}: --images must be a folder, got none there; correct the path.")
        return (images.absolute(),)
    return (root / "images", root, root.parent / "images")


def size_of(name: str, pictures: Pictures, where: str) -> tuple[int, int]:
    """Height and width of the image of that name, upright. Raises `DataError` where it is not there, or twice."""
    paths = pictures.paths.get(key_of(name), ())
    if not paths:
        raise DataError(
            f"{where}: its image's size must be known, got none, and no image {name}{'|'.join(SUFFIXES)} in "
            f"{' or '.join(map(str, pictures.folders))}; name the folder of the images with --images."
        )
    if len(paths) > 1:
        raise DataError(f"{where}: an image's name must be one image's, got {paths[0]} and {paths[1]}; rename one.")
    return picture_size(paths[0])


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width as shown: an EXIF orientation of 5 to 8 lies on its side."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return shown_size(stored_size(image), orientation_of(image), "turn")
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise DataError(f"{path}: an image must be readable, got: {error}; replace it or remove its labels.") from None


def check_size(height: int, width: int, where: str) -> None:
    """Raise `DataError` for a size that no mask can have."""
    if min(height, width) < 1 or max(height, width) > LONGEST_SIDE or height * width > MAX_PIXELS:
        raise DataError(
            f"{where}: an image must have 1 to {LONGEST_SIDE} pixels a side and {MAX_PIXELS} in all, got "
            f"{width}x{height}; correct its size."
        )


def folder_of(names: Sequence[str], places: Sequence[Path]) -> Path | None:
    """The first of the places that holds an image of each name, None where none does."""
    suffixes = (*SUFFIXES, *(suffix.upper() for suffix in SUFFIXES))
    for place in places:
        if all(any((place / f"{name}{suffix}").is_file() for suffix in suffixes) for name in names):
            return place
    return None
