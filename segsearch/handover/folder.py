"""A folder that is there whole or not at all: written beside its place, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from segsearch.errors import StudyError
from segsearch.workshop import contents, raise_if_full, scratch_folder


def demand_empty(out: Path) -> None:
    """Raise `StudyError` where something is there already that would be lost."""
    if out.is_dir():
        if contents(out):
            raise _taken(out)
    elif out.exists() or out.is_symlink():
        raise StudyError(f"{out}: --out must be a new or an empty folder, and a file is there; choose another.")


@contextlib.contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` when all of it is there; whatever ends the work before removes it.

    Raises `StudyError` where `out` holds something or cannot be written, `StorageFull` where there is no room.
    """
    demand_empty(out)
    place = out.resolve()
    made = [parent for parent in place.parents if not parent.exists()]  # the innermost first
    with contextlib.ExitStack() as at_end:
        try:
            at_end.callback(_remove_empty, made)
            place.parent.mkdir(parents=True, exist_ok=True)
            scratch = at_end.enter_context(scratch_folder(place.parent))
        except OSError as error:
            raise_if_full(error, place.parent)
            raise StudyError(
                f"{out}: --out must be a folder that can be written: {error.strerror}; choose another."
            ) from None
        try:
            yield scratch
            scratch.chmod(0o755)  # as any folder would be: a temporary one is its maker's alone
            for file in scratch.iterdir():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
            os.replace(scratch, place)
        except OSError as error:
            raise_if_full(error, place.parent)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and error.filename2 is not None:
                raise _taken(out) from None
            raise


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _taken(out: Path) -> StudyError:
    return StudyError(
        f"{out}: --out must be a new or an empty folder, and files lie there; choose another, or move them away."
    )
