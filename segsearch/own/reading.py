"""Somebody's file is read once: its function is called, what it returns is looked at, and all is kept in one file.

This runs in a process of its own (`segsearch.trial.bring`): what it imports stays there.
"""

from __future__ import annotations

import base64
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from segsearch.errors import StudyError
from segsearch.own.answers import looked_at
from segsearch.own.header import HEADER, Header, Kept
from segsearch.own.made import seeded, settled, state_of
from segsearch.own.recall import Reads, noting
from segsearch.own.sources import imported, importing_from, listening, own_modules, place_of, raised
from segsearch.space.keys import to_json

# What is kept beside the sources is for settings; weights are kept in another way.
MOST_BYTES = 16 * 2**20
WEIGHTS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".npz", ".npy")


@dataclass(frozen=True)
class Brought:
    """A module that was read, its header, what it said of an image of noise, and what a person should know."""

    module: nn.Module
    header: Header
    notes: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass
class _Heard:
    """Files of somebody's own that were opened while nobody read weights."""

    reads: Reads
    files: dict[Path, None] = field(default_factory=dict)
    upwards: set[Path] = field(default_factory=set)  # those that were named through `..`
    ended: bool = False

    def __call__(self, path: Path, named: str) -> None:
        if not self.ended:
            (self.reads.files if self.reads.inside else self.files)[path] = None
            if ".." in Path(named).parts:
                self.upwards.add(path)

    @property
    def weights(self) -> dict[Path, None]:
        return self.reads.files


def read_network(
    path: Path, function: str, *, size: tuple[int, int], classes: int, entry: str | int | None, here: Path
) -> Brought:
    """The network that a function of a file returns, tried with an image of (height, width).

    `classes` is how many the data has; `entry` names the scores in what it returns, where somebody said so. `here` is
    the folder that somebody works in. Raises `StudyError` with the rule, what was found and the cure.
    """
    root, name = place_of(path)
    if "." in path.stem:
        raise StudyError(f"{path.name}: a Python file that is imported may have no dot in its name; rename it.")
    reads = Reads()
    heard = _Heard(reads)
    listening(heard)
    shown = f"{path.name}: {function}()"
    before = set(sys.modules)
    try:
        with importing_from([root, here]), noting(reads), seeded():
            module = imported(name, path)
            made = _called(module, function, path)
            notes = _notes_of(_demand_module(made, shown))
            inner = settled(made)
    except Exception as error:
        raise raised(error, _files_near(path, before), shown=path.name) from error
    finally:
        heard.ended = True
    try:
        reading, more = looked_at(inner, shown, size=size, classes=classes, entry=entry)
    except Exception as error:
        raise raised(error, _files_near(path, before), shown=shown) from error
    own = own_modules(before)
    files = _kept(own, heard, root=root, here=here, shown=shown)
    header = Header(
        name=shown,
        module=name,
        function=function,
        classes=classes,
        size=size,
        files=files,
        loads=_as_json(reads.sketches),
        entry=reading.entry,
        binary=reading.binary,
    )
    return Brought(inner, header, (*notes, *more), (*own.values(), *heard.files, *heard.weights))


def pack(module: nn.Module, header: Header, target: Path) -> None:
    """Write a module's weights and its header to one file."""
    target.write_bytes(safetensors.torch.save(state_of(module), {HEADER: to_json(header)}))


def _as_json(sketches: list[Any]) -> str:
    return json.dumps(sketches, separators=(",", ":"), allow_nan=False)


def _files_near(path: Path, before: set[str]) -> Iterable[Path]:
    try:
        return [path, *own_modules(before).values()]
    except StudyError:
        return [path]


# ---- what the file gives


def _called(module: Any, function: str, path: Path) -> Any:
    found = getattr(module, function, None)
    if found is None:
        made = [
            name for name, one in vars(module).items() if inspect.isfunction(one) and one.__module__ == module.__name__
        ]
        there = f"it has {', '.join(made[:8])}; name one with --function" if made else "it has no function"
        raise StudyError(f"must define {function}(), which returns the network with its weights; {there}.")
    if not callable(found):
        raise StudyError(f"{function} must be a function that returns the network, got {type(found).__name__}.")
    asked = [
        one.name
        for one in inspect.signature(found).parameters.values()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if asked:
        raise StudyError(f"{function} must need no argument, and it needs {', '.join(asked)}; give defaults.")
    return found()


def _demand_module(made: Any, shown: str) -> nn.Module:
    if not isinstance(made, nn.Module):
        kind = type(made).__name__
        more = "; make the module and load the state dict into it" if isinstance(made, Mapping) else ""
        raise StudyError(f"{shown} must return a torch.nn.Module, got {kind}{more}.")
    if any(isinstance(part, torch.jit.ScriptModule) for part in made.modules()):
        raise StudyError(
            f"{shown} must return a plain module, got TorchScript; export it to ONNX, and bring that file."
        )
    if not any(True for _ in made.parameters()):
        raise StudyError(f"{shown} must return a network with parameters, got {type(made).__name__} without any.")
    return made


def _notes_of(made: nn.Module) -> list[str]:
    """What was changed of a module so that it can be searched, and what may surprise."""
    parameters = list(made.parameters())
    notes = []
    kinds = {str(one.dtype).removeprefix("torch.") for one in parameters if one.dtype != torch.float32}
    if kinds:
        notes.append(f"its weights were {', '.join(sorted(kinds))}; they are taken as float32")
    if any(isinstance(part, nn.SyncBatchNorm) for part in made.modules()):
        notes.append("batch norm over several devices is taken as that of one: the same function")
    frozen = sum(not one.requires_grad for one in parameters)
    if frozen:
        notes.append(f"{frozen} of {len(parameters)} parameters were frozen; all learn where a candidate learns")
    return notes


# ---- what is kept


def _kept(modules: Mapping[str, Path], heard: _Heard, *, root: Path, here: Path, shown: str) -> tuple[Kept, ...]:
    """The sources by their dotted names, and what else was read; of weights the names alone."""
    files: dict[str, bytes] = {}
    for name, path in modules.items():
        parts = name.split(".")
        inner = [*parts, "__init__.py"] if path.name == "__init__.py" else [*parts[:-1], f"{parts[-1]}.py"]
        files["/".join(inner)] = path.read_bytes()
    sources = set(modules.values())
    for path in (*heard.files, *heard.weights):
        if path in sources or not path.is_file():
            continue
        weights = path in heard.weights or path.suffix in WEIGHTS
        places = [path.relative_to(folder).as_posix() for folder in (root, here) if path.is_relative_to(folder)]
        if not places and path.suffix != ".py" and not weights:
            raise StudyError(
                f"{shown} reads {path}, which lies neither beside it nor below the current folder, so that it cannot "
                "be kept with the study; put it there, or write what it says into the source."
            )
        if path in heard.upwards and not path.is_relative_to(root) and not weights:
            raise StudyError(
                f"{shown} reads {path} through '..', which leads nowhere in what is kept with the study; put it beside "
                f"{shown.split(':')[0]} or below."
            )
        files |= {place: b"" if weights else path.read_bytes() for place in places}
    size = sum(map(len, files.values()))
    if size > MOST_BYTES:
        largest = max(files, key=lambda name: len(files[name]))
        raise StudyError(
            f"{shown}: sources and settings may be {MOST_BYTES // 2**20} MiB, got {size // 2**20}, most in {largest}; "
            "read weights with torch.load or safetensors, which are kept apart."
        )
    return tuple(Kept(name, base64.b64encode(files[name]).decode()) for name in sorted(files))
