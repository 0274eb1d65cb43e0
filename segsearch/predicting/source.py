"""What is looked at: one picture, a folder of them, a video or a camera."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from segsearch.datasets.decode import SUFFIXES, Fault, open_size
from segsearch.datasets.tree import pictures_below
from segsearch.errors import DataError, StudyError

CAMERA = "camera:"


@dataclass(frozen=True)
class Picture:
    """An image file; `name` is its path below the folder that was named."""

    path: Path
    name: str


@dataclass(frozen=True)
class Pictures:
    """Image files in the order of their names; `own` of that folder were left out because they are earlier results."""

    found: tuple[Picture, ...]
    own: int = 0


@dataclass(frozen=True)
class Video:
    """A video's file or a camera: where FFmpeg finds it, and as what device; results are called by its `name`."""

    where: str
    name: str
    device: str | None = None


def source_of(text: str, *, is_own: Callable[[Path], bool]) -> Pictures | Video:
    """What INPUT means. `is_own` tells results of an earlier run, which are left out of a folder.

    Raises `DataError` where there is nothing to look at, `StudyError` where there is no such camera.
    """
    if text.startswith(CAMERA):
        return _camera(text)
    path = Path(text)
    if path.is_dir():
        return _below(path, is_own)
    if path.is_char_device():
        return Video(text, path.name, _system()[0])
    if not path.is_file():
        raise DataError(f"{path}: INPUT must be an image, a folder of images, a video or a camera, got none there.")
    if path.suffix.lower() in SUFFIXES or _is_picture(path):
        return Pictures((Picture(path, path.name),))
    return Video(text, path.stem)


def _below(folder: Path, is_own: Callable[[Path], bool]) -> Pictures:
    paths = sorted(pictures_below(folder, broken=True))
    found = tuple(Picture(path, path.relative_to(folder).as_posix()) for path in paths if not is_own(path))
    if not found:
        raise DataError(
            f"{folder}: INPUT must hold images ({', '.join(SUFFIXES)}), got none there or below; correct the path."
        )
    return Pictures(found, len(paths) - len(found))


def _is_picture(path: Path) -> bool:
    try:
        open_size(path)
    except Fault:
        return False
    return True


def _camera(text: str) -> Video:
    which = text.removeprefix(CAMERA)
    device, path = _system()
    if device == "dshow":  # cameras of Windows have names
        return Video(f"video={which}", "camera", device)
    if not which.isdecimal():
        raise StudyError(f"{text}: a camera is named by its number, as in {CAMERA}0, or by the path of its device.")
    if path and not Path(f"{path}{which}").exists():
        there = sorted(str(one) for one in Path(path).parent.glob(f"{Path(path).name}*"))
        raise StudyError(
            f"{text}: there is no camera at {path}{which}; "
            f"{'there are ' + ', '.join(there) if there else 'this machine has none'}."
        )
    return Video(f"{path}{which}", f"camera-{which}", device)


def _system() -> tuple[str, str]:
    """How FFmpeg calls this system's cameras, and how the path of one begins."""
    if sys.platform == "darwin":
        return "avfoundation", ""
    return ("dshow", "") if sys.platform == "win32" else ("v4l2", "/dev/video")
