"""A study and the files that it names, written all or none."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from segsearch.errors import StudyError
from segsearch.workshop import raise_if_full


def demand_free(files: Iterable[Path], *, force: bool) -> None:
    """Raise `StudyError` where a file is there that may not be overwritten."""
    there = [path for path in files if path.exists()]
    if there and not force:
        raise StudyError(f"{there[0]}: a file that is there is not overwritten; choose another --out, or add --force.")


def write_files(files: Mapping[Path, str | Path], *, force: bool, study: Path) -> None:
    """Write texts, and copy the files that paths name; the study last: where it stands, all that it names does.

    Raises `StudyError` where a file is in the way or cannot be written, `StorageFull` where there is no room; nothing
    is left half.
    """
    demand_free(files, force=force)
    scratch = {path: path.with_name(f".{path.name}.tmp") for path in files}
    try:
        study.parent.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            if isinstance(content, Path):
                shutil.copyfile(content, scratch[path])
            else:
                scratch[path].write_text(content, encoding="utf-8")
        for path in sorted(files, key=lambda one: one == study):
            os.replace(scratch[path], path)
    except OSError as error:
        raise_if_full(error, study.parent)
        raise StudyError(
            f"{error.filename or study}: --out must be a file that can be written: {error.strerror}."
        ) from None
    finally:
        for left in scratch.values():
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)
