"""The folder of what is written: which names, what may be replaced, and files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from segsearch.errors import StudyError
from segsearch.predicting.source import Picture
from segsearch.workshop import contents, raise_if_full, remove_if_abandoned

LABELS, OVERLAYS = "labels", "overlays"


def demand_place(out: Path, *, force: bool) -> None:
    """Raise `StudyError` where `out` is a file, or a folder that holds something and may not be written into.

    Parts of files that killed processes left there are removed.
    """
    if out.exists() and not out.is_dir():
        raise StudyError(f"{out}: --out must be a folder, got a file; choose another.")
    held = contents(out) if out.is_dir() else []
    if held and not force:
        raise StudyError(
            f"{out}: --out must be a new or an empty folder, got one with {held[0]} in it; choose another, or add "
            "--force to replace files of the same names and leave the rest."
        )
    for name in (LABELS, OVERLAYS):
        for left in (out / name).rglob(".*.part"):
            remove_if_abandoned(left)


def is_written_below(path: Path, out: Path) -> bool:
    """Whether a file lies where results are written: it is one of an earlier run, or would be replaced while read."""
    real = path.resolve()
    return any(real.is_relative_to((out / name).resolve()) for name in (LABELS, OVERLAYS))


def names_of(pictures: Sequence[Picture]) -> Mapping[Picture, str]:
    """What the results of each picture are called, without a suffix: its own name below the folder.

    Where two differ in their suffix alone (`a.jpg`, `a.png`) all of them keep it.
    """
    stems = {picture: str(PurePosixPath(picture.name).with_suffix("")) for picture in pictures}
    if len(set(stems.values())) == len(stems):
        return stems
    return {picture: picture.name for picture in pictures}


def keep_files(files: Iterable[tuple[Path, bytes]]) -> None:
    """Write files, each whole or not at all. Raises `StorageFull` where there is no room."""
    for target, content in files:
        scratch = scratch_for(target)
        try:
            scratch.write_bytes(content)
            os.replace(scratch, target)
        except OSError as error:
            raise_if_full(error, target.parent)
            raise StudyError(f"{target}: cannot be written: {error.strerror}; choose another --out.") from None
        finally:
            scratch.unlink(missing_ok=True)


def scratch_for(target: Path) -> Path:
    """Where a file is written before it has its name, beside it; its folder is made."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise_if_full(error, target.parent)
        raise StudyError(f"{target.parent}: cannot be made: {error.strerror}; choose another --out.") from None
    return target.with_name(f".{os.getpid()}-{target.name[-80:]}.part")
