"""Search spaces: Python files that define `draw(choose: Draw) -> Candidate`."""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

from segsearch.errors import SegsearchError, SpaceError
from segsearch.space.bundle import bundled, importer, parts_of
from segsearch.space.candidate import Candidate, Draw
from segsearch.space.draws import DrawFor, Facts
from segsearch.space.misfit import storable

# A checkout keeps the spaces beside the package, a wheel inside it.
_PACKAGE = Path(__file__).parent.parent
_BUILT_IN = (_PACKAGE.parent / "spaces", _PACKAGE / "_spaces")


@dataclass(frozen=True)
class Space:
    """A loaded space: `draw` raises only `SpaceError` or what `choose` raises of segsearch's own.

    `source` is the whole text of the file called `name`.
    """

    name: str
    source: str
    draw: DrawFor


def load_space(spec: str) -> Space:
    """Load a built-in space by name (`mobile`) or a file by its path (ends in .py).

    Raises `SpaceError` naming the file and the line.
    """
    path = Path(spec) if spec.endswith(".py") else _built_in(spec)
    try:
        source = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpaceError(f"{path}: no such search space. Correct `space` in the study file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read as a search space: {error}.") from None
    try:
        source = bundled(source, _sibling)
    except (SyntaxError, ValueError):
        pass  # said below, with its line
    except ImportError as error:
        raise SpaceError(f"{path}: {error}.") from None
    return space_from_source(source, name=str(path))


def space_from_source(source: str, *, name: str) -> Space:
    """Load a space from its text, as `resume` does with the copy in the artifacts. Raises `SpaceError`.

    The text may hold the spaces that it is made of (`bundle`).
    """
    parts: dict[str, ModuleType] = {}
    module = ModuleType("")
    for part, text in parts_of(source):
        shown = name if part == "main" else f"{part.replace('.', '/')}.py"
        module = parts[part] = _run(_compile(text, shown), source + part, shown, parts)
    function = getattr(module, "draw", None)
    if not callable(function):
        raise SpaceError(f"{name}: a space must define `draw(choose)`; got none. Write def draw(choose): ... in it.")

    return Space(name, source, drawing(function, name))


def drawing(function: Callable[..., object], name: str) -> DrawFor:
    """A space's function as everything else calls it: it raises only `SpaceError` or segsearch's own errors.

    `name` is that of the file which errors name.
    """
    asks_for_facts = _takes_facts(function)
    line = function.__code__.co_firstlineno if hasattr(function, "__code__") else 1

    def draw(choose: Draw, facts: Facts = Facts(), /) -> Candidate:
        try:
            drawn = function(choose, facts) if asks_for_facts else function(choose)
        except SegsearchError:
            raise
        except Exception as error:
            raise _raised(error, name) from error
        where = f"{name}:{line}: draw"
        if not isinstance(drawn, Candidate):
            raise SpaceError(f"{where} must return a Candidate, got {type(drawn).__name__}.")
        return storable(drawn, f"{where} returned")

    return draw


def _takes_facts(function: Callable[..., object]) -> bool:
    """Whether a space's `draw` has a second place: for the study's facts."""
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        asked = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a callable that tells nothing of itself
        return False
    return sum(one.kind in places and one.default is one.empty for one in asked) == 2


def _built_in(spec: str) -> Path:
    for folder in _BUILT_IN:
        if (folder / f"{spec}.py").is_file() and Path(spec).name == spec:
            return folder / f"{spec}.py"
    known = sorted({path.stem for folder in _BUILT_IN for path in folder.glob("[!_]*.py")})
    raise SpaceError(f"A space must be a path ending in .py or one of {', '.join(known)}; got {spec!r}.")


def _sibling(name: str) -> str:
    """The text of a built-in space that another one imports."""
    for folder in _BUILT_IN:
        path = folder / f"{name}.py"
        if path.is_file() and Path(name).name == name:
            return path.read_text(encoding="utf-8")
    raise ImportError(f"there is no built-in space {name!r} to import from")


def _compile(source: str, name: str) -> CodeType:
    try:
        return compile(source, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise SpaceError(f"{name}:{error.lineno}: {error.msg}.") from None
    except ValueError as error:  # a null byte
        raise SpaceError(f"{name}: not Python: {error}.") from None


def _run(code: CodeType, source: str, name: str, parts: Mapping[str, ModuleType]) -> ModuleType:
    # Named by its content: a space called types.py or mobile.py must not stand in for a module of that name.
    module = ModuleType(f"segsearch_space_{hashlib.sha256(source.encode()).hexdigest()[:16]}")
    module.__file__ = name
    module.__dict__["__builtins__"] = importer(dict(parts))
    # Dataclasses and enums of the space look their module up by name.
    sys.modules[module.__name__] = module
    try:
        exec(code, module.__dict__)
    except Exception as error:
        del sys.modules[module.__name__]
        raise _raised(error, name) from error
    return module


def _raised(error: Exception, name: str) -> SpaceError:
    """The error of a space, at the last of its own lines that led there."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    where = f"{name}:{lines[-1]}" if lines else name
    said = " ".join(str(error).split()).rstrip(".")
    return SpaceError(f"{where}: {type(error).__name__}{': ' if said else ''}{said}.")
