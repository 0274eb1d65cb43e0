"""A folder that is there whole or not at all: written beside its place, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from segsearch.errors import StudyError
from segsearch.workshop import raise_if_full


def demand_empty(out: Path) -> None:
    """Raise `StudyError` where something is there already that would be lost."""
    if out.is_dir():
        if any(out.iterdir()):
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
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{place.name[:40]}-", dir=place.parent))
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
    finally:
        if scratch.exists():
            shutil.rmtree(scratch, ignore_errors=True)
            for parent in made:
                with contextlib.suppress(OSError):
                    parent.rmdir()


def _taken(out: Path) -> StudyError:
    return StudyError(
        f"{out}: --out must be a new or an empty folder, and files lie there; choose another, or move them away."
    )
