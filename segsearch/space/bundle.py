"""A space that is made of others: one text that holds them all, so that what a study began with can be kept as one."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

# What a space may import of the built-in ones: `from spaces.unet import draw_architecture`, `from spaces import unet`.
ROOT = "spaces"
_MARK = re.compile(r"^# === (spaces\.\w+|main) ===\n", re.MULTILINE)


def bundled(source: str, read: Callable[[str], str]) -> str:
    """The text with those of all spaces that it imports before it, each under a line that names it.

    `read` gives the text of a space by its name. A text that imports none is left as it is; one that is a bundle, too.
    Raises what `read` raises, and `SyntaxError` for what is not Python.
    """
    if _MARK.search(source):
        return source
    parts: dict[str, str] = {}

    def collect(text: str, above: tuple[str, ...]) -> None:
        for name in _imported(text):
            if name in above:
                raise ImportError(f"the spaces {' and '.join((*above[above.index(name) :], name))} import one another")
            if name not in parts:
                found = read(name)
                collect(found, (*above, name))
                parts[name] = found

    collect(source, ())
    if not parts:
        return source
    texts = [f"# === {ROOT}.{name} ===\n{_ended(text)}" for name, text in parts.items()]
    return "".join([*texts, "# === main ===\n", source])


def parts_of(source: str) -> tuple[tuple[str, str], ...]:
    """(name, text) of each part in the order in which they are run; the last one is the space itself, named `main`."""
    found = _MARK.split(source)
    if len(found) == 1:
        return (("main", source),)
    return tuple(zip(found[1::2], found[2::2], strict=True))


def importer(parts: Mapping[str, ModuleType]) -> Mapping[str, Any]:
    """The builtins of a part: its imports of spaces find `parts`, by `spaces.NAME`, and never a module of that name."""

    # As `__import__` is called: the globals and locals of who imports, what it wants of the module, how far above.
    def find(name: str, here: Any = None, there: Any = None, wanted: Sequence[str] | None = (), level: int = 0) -> Any:
        if level or (name != ROOT and not name.startswith(f"{ROOT}.")):
            return builtins.__import__(name, here, there, wanted or (), level)
        if wanted and name in parts:
            return parts[name]
        root = ModuleType(ROOT)
        for key, module in parts.items():
            setattr(root, key.removeprefix(f"{ROOT}."), module)
        return root

    return {**vars(builtins), "__import__": find}


def _imported(text: str) -> Iterator[str]:
    """Names of the spaces that a text imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module == ROOT:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module and node.module.startswith(f"{ROOT}."):
            yield node.module.removeprefix(f"{ROOT}.")
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix(f"{ROOT}.") for a in node.names if a.name.startswith(f"{ROOT}."))


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"
