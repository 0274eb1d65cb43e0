"""The files of somebody's code: one of them is imported, and what it needs beside libraries is found."""

from __future__ import annotations

import errno
import importlib
import linecache
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from segsearch.errors import SegsearchError, StudyError

_LIBRARIES = ("site-packages", "dist-packages")
# What systems and libraries read on their own.
_SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/lib64", "/opt/nvidia", "/nix")
# Where people keep their own there.
_NO_SYSTEM = ("/dev/shm", "/usr/src", "/usr/local/src", "/usr/app", "/usr/local/app")
_OURS = ("segsearch",)


def place_of(path: Path) -> tuple[Path, str]:
    """The folder that a Python file is imported from, and its dotted name there: it may lie in a package."""
    folder, names = path.parent, [path.stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(names if names[-1] != "__init__" else names[:-1])


@contextmanager
def importing_from(folders: Sequence[Path]) -> Iterator[None]:
    """Python looks into these folders first, as it does for a script; afterwards last, for what is imported late."""
    there = [str(folder) for folder in folders]
    before, cached = list(sys.path), sys.dont_write_bytecode
    sys.path[:0] = there
    sys.dont_write_bytecode = True  # the folder is somebody's
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = [*before, *(folder for folder in there if folder not in before)]
        sys.dont_write_bytecode = cached


def imported(name: str, path: Path) -> ModuleType:
    """The module of that name, which must be the file at `path`. Raises `StudyError`, and what the file raises."""
    found = importlib.import_module(name)
    if Path(getattr(found, "__file__", None) or "").resolve() != path.resolve():
        raise StudyError(
            f"{path}: a file that is imported must not have the name of a library, and {name!r} is one; rename it."
        )
    return found


def own_modules(before: Collection[str] = ()) -> dict[str, Path]:
    """The modules that are loaded now and were not `before`, and are no library's, by name, with their files.

    Raises `StudyError` for compiled ones.
    """
    found: dict[str, Path] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if (
            name in before
            or not isinstance(file, str)
            or name == "__main__"
            or name.split(".")[0] in _OURS
            or is_library(Path(file))
        ):
            continue
        path = Path(file)
        if not path.is_file():  # made in memory
            continue
        if path.suffix != ".py":
            raise StudyError(
                f"{path}: the sources of a network are kept as text, got a compiled module; install it as a package, "
                "or export the network to ONNX and bring that."
            )
        found[name] = path
    return found


def is_library(path: Path) -> bool:
    """Whether a file belongs to Python, to an installed package or to the system."""
    paths = sysconfig.get_paths()
    places = {Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    resolved = path.resolve()
    return (
        any(resolved.is_relative_to(place) for place in places)
        or resolved.is_relative_to(Path(__file__).resolve().parents[1])
        or any(part in _LIBRARIES for part in resolved.parts)
        or (_is_below(resolved, _SYSTEM) and not _is_below(resolved, _NO_SYSTEM))
    )


def _is_below(path: Path, folders: Iterable[str]) -> bool:
    return str(path).startswith(tuple(f"{folder}/" for folder in folders))


def plain(path: str | os.PathLike[str]) -> Path:
    """A whole path without `..`."""
    return Path(os.path.abspath(path))


def listening(heard: Callable[[Path, str], None]) -> None:
    """Tell `heard` of every file of somebody's own that this process opens to read from now on, to its end.

    It is told of the whole path, and of the name as the file was opened.
    """

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], (str, bytes)):
            return
        mode = arguments[1]
        if isinstance(mode, str) and not set(mode) & set("wxa+"):
            name = arguments[0].decode(errors="replace") if isinstance(arguments[0], bytes) else arguments[0]
            path = plain(name)
            if "__pycache__" not in path.parts and not is_library(path):
                heard(path, name)

    sys.addaudithook(hook)


@contextmanager
def hidden(gone: Collection[Path]) -> Iterator[None]:
    """Whoever asks whether these files are there is told that they are not; to open them is another matter."""
    real = os.stat

    def stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if isinstance(path, (str, os.PathLike)) and plain(path) in gone:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return real(path, *arguments, **options)

    os.stat = stat
    try:
        yield
    finally:
        os.stat = real


def raised(error: BaseException, files: Iterable[Path], *, shown: str, cure: str = "") -> StudyError:
    """An error of somebody's code, at the last of its own lines that led there; without a traceback."""
    if isinstance(error, SegsearchError):
        said = str(error)
        return StudyError(said if said.startswith(shown.split(":")[0]) else f"{shown}: {said}")
    own = {str(path): path.name for path in files}
    if isinstance(error, SyntaxError) and error.filename in own:
        return StudyError(f"{own[error.filename]}:{error.lineno}: {error.msg}.")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in own]
    where = f"{own[frames[-1].filename]}:{frames[-1].lineno}" if frames else shown
    said = " ".join(str(error).split()).rstrip(".")[:400]
    linecache.checkcache()
    return StudyError(f"{where}: {type(error).__name__}{': ' if said else ''}{said}.{f' {cure}' if cure else ''}")
