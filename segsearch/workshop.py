"""Where a trial's stages leave what they made: files named by their SHA-256, and outcomes named by their inputs."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from segsearch.errors import DatabaseError, StorageFull, StudyError

Outcome = Mapping[str, Any]

_NAME = re.compile(r"[0-9a-f]{64}\.[a-z]{1,12}")
# A training that nobody went on with for so long is given up.
CHECKPOINT_DAYS = 30
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# A folder on its way; a living writer has written within the hour.
_SCRATCH = ".segsearch-"
_ABANDONED_AFTER_SECONDS = 3600.0
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class Progress(Protocol):
    """Told how far a piece of long work is: `done` of `total` steps of `stage`."""

    def __call__(self, stage: str, done: int, total: int, /) -> None: ...


def silent(stage: str, done: int, total: int, /) -> None:
    """The progress that nobody watches."""


class Workshop(Protocol):
    """What `evaluate` needs of the world: a place for files, and a memory of finished stages."""

    @property
    def artifacts(self) -> Artifacts: ...

    def once(self, stage: str, key: str, make: Callable[[], Outcome], /) -> Outcome:
        """The outcome stored under `key`; where there is none yet, run `make` and store what it returns.

        Outcomes are plain JSON. `key` is the content key of everything the stage reads, so that a stage killed
        half-way runs again, a finished one never does, and trials that share a stage share its work.
        """
        ...


@dataclass(frozen=True)
class Forgetful:
    """A workshop that remembers nothing."""

    artifacts: Artifacts

    def once(self, stage: str, key: str, make: Callable[[], Outcome], /) -> Outcome:
        return make()


@dataclass
class Noted:
    """A workshop that notes which stages were asked for, in order, and the key of each."""

    inner: Workshop
    asked: dict[str, str] = field(default_factory=dict)

    @property
    def artifacts(self) -> Artifacts:
        return self.inner.artifacts

    @property
    def in_training(self) -> bool:
        """Whether training was the last stage that was asked for."""
        return next(reversed(self.asked), "") == "train"

    def once(self, stage: str, key: str, make: Callable[[], Outcome], /) -> Outcome:
        self.asked[stage] = key
        return self.inner.once(stage, key, make)


@dataclass(frozen=True)
class Artifacts:
    """A folder of files named `<sha256>.<suffix>`. A file is there whole or not at all."""

    folder: Path

    def keep(self, source: Path) -> str:
        """Move a finished file in and return its name. Raises `StorageFull` where there is no room."""
        name = f"{sha256_of(source)}{source.suffix}"
        self._check(name)
        target = self.folder / name
        try:
            with source.open("rb") as stream:
                os.fsync(stream.fileno())
            source.chmod(0o644)  # as any file would be: a temporary one is its maker's alone
            os.replace(source, target)
        except OSError as error:
            raise_if_full(error, self.folder)
            raise
        return name

    def keep_bytes(self, content: bytes, suffix: str) -> str:
        """Write bytes under their name and return it."""
        scratch = self.scratch(suffix)
        try:
            scratch.write_bytes(content)
            return self.keep(scratch)
        except OSError as error:
            raise_if_full(error, self.folder)
            raise
        finally:
            scratch.unlink(missing_ok=True)

    def scratch(self, suffix: str) -> Path:
        """A new temporary path on the same file system, so that `keep` is one rename."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=suffix, dir=self.folder)
        except (FileExistsError, NotADirectoryError):
            raise DatabaseError(f"{self.folder}: artifacts need a folder, and a file is there. Move it away.") from None
        except OSError as error:
            raise_if_full(error, self.folder)
            if error.errno not in _CLOSED:
                raise
            raise DatabaseError(
                f"{self.folder}: artifacts need a folder that can be written: {error.strerror}. Make it writable, or "
                "work on a copy."
            ) from None
        os.close(handle)
        return Path(name)

    def demand_writable(self) -> None:
        """Raise `DatabaseError` where nothing could be kept, `StorageFull` where there is no room: before long work."""
        self.scratch(".txt").unlink()

    def path(self, name: str) -> Path:
        """The file of that name. Raises `DatabaseError` where the name is not one of ours or the file is gone."""
        self._check(name)
        path = self.folder / name
        if not path.is_file():
            raise DatabaseError(
                f"Every artifact that the database names must lie in {self.folder}; {name} is gone. Copy it back."
            )
        return path

    def verified(self, name: str) -> Path:
        """The file of that name, read whole. Raises `DatabaseError` also where its bytes are no longer its name's."""
        path = self.path(name)
        if sha256_of(path) != path.stem:
            raise DatabaseError(
                f"{path}: an artifact must hold the bytes it is named after; it was changed. Copy it back."
            )
        return path

    def has(self, name: str) -> bool:
        return _NAME.fullmatch(name) is not None and (self.folder / name).is_file()

    def free_bytes(self) -> int:
        """Room left on the folder's file system, or where it would be made."""
        return free_bytes(self.folder)

    def checkpoint(self, key: str) -> Path:
        """Where a stage of that key is kept on its way, beside the artifacts and none of them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f".checkpoint-{key}.safetensors"

    def sweep(self, *, min_age_seconds: float = 3600.0) -> None:
        """Remove temporary files that killed processes left; younger ones may be in use by another worker."""
        for pattern, age in ((".tmp-*", min_age_seconds), (".checkpoint-*", CHECKPOINT_DAYS * 86400.0)):
            for left in self.folder.glob(pattern):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime >= age:
                        left.unlink()

    @staticmethod
    def _check(name: str) -> None:
        if _NAME.fullmatch(name) is None:
            raise DatabaseError(f"An artifact's name must be <sha256>.<suffix>; got {name!r}.")


def artifact_names(outcome: Any) -> Iterator[str]:
    """The names of artifacts anywhere in a stage's outcome."""
    if isinstance(outcome, str) and _NAME.fullmatch(outcome):
        yield outcome
    elif isinstance(outcome, Mapping):
        for part in outcome.values():
            yield from artifact_names(part)
    elif isinstance(outcome, (list, tuple)):
        for part in outcome:
            yield from artifact_names(part)


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def free_bytes(folder: Path) -> int:
    """Room left on a folder's file system, or where it would be made."""
    return shutil.disk_usage(existing(folder)).free


@contextlib.contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A new folder in `folder`, removed at the end; what killed processes left there goes first. Raises `OSError`."""
    for left in folder.glob(f"{_SCRATCH}*"):
        remove_if_abandoned(left)
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_if_abandoned(left: Path) -> None:
    """Remove a file or a folder on its way whose writer is dead, as far as its age tells."""
    with contextlib.suppress(OSError):
        last_written = max(path.lstat().st_mtime for path in (left, *left.rglob("*")))
        if time.time() - last_written > _ABANDONED_AFTER_SECONDS:
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()


def contents(folder: Path) -> list[str]:
    """The names in a folder, in order, but for those of folders on their way."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(_SCRATCH))


def user_folder() -> Path:
    """This user's folder for what belongs to the machine and no study: `segsearch` in `XDG_CACHE_HOME` or ~/.cache.

    In the folder for temporary files where neither can be written.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "segsearch"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    mine = Path(tempfile.gettempdir()) / f"segsearch-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    mine.mkdir(mode=0o700, exist_ok=True)
    if mine.stat().st_uid != os.getuid():
        raise DatabaseError(f"{mine}: belongs to another user; set XDG_CACHE_HOME to a folder that can be written.")
    return mine


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def raise_if_full(error: OSError, folder: Path) -> None:
    """Raise `StorageFull` where the system says that there is no room."""
    if error.errno in _FULL:
        raise StorageFull(
            f"{folder}: no room left ({os.strerror(error.errno or 0)}). Free some space, then run the same "
            "command again: nothing finished is lost."
        ) from None


def cache_of(folder: Path) -> Path:
    """`runs/.cache/segsearch` for `runs/x`; inside the run's own folder where its parent cannot be written."""
    parent = existing(folder.resolve().parent)
    writable = os.access(parent, os.W_OK)
    return (folder.resolve().parent if writable else folder.resolve()) / ".cache" / "segsearch"


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise_if_full(error, folder)
        raise StudyError(
            f"{folder}: --out must be a folder that can be written: {error.strerror}; choose another."
        ) from None
