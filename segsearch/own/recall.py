"""Reads of weights, noted and recalled: a module can be made again by its own code without the files of its weights.

Noted is what a read gave: names, shapes, numbers and words, without the values of tensors. Recalled, tensors are zeros;
the weights are loaded afterwards from the one file that holds them all.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from segsearch.errors import StudyError
from segsearch.own.sources import plain

# What reads weights, by the module that holds it: as their users find it.
READERS = (
    (torch, "load"),
    (torch.serialization, "load"),
    (torch.hub, "load_state_dict_from_url"),
    (safetensors.torch, "load_file"),
    (safetensors.torch, "load"),
    (np, "load"),
)
# Keys of a sketch, for what JSON has no form of.
_TENSOR, _ARRAY, _ARRAYS, _PAIRS, _TUPLE, _NAMESPACE, _NUMBER, _OTHER = (
    "tensor",
    "array",
    "arrays",
    "pairs",
    "tuple",
    "names",
    "number",
    "other",
)


@dataclass
class Reads:
    """The reads of one making of a module, in order, and the files that were named; `inside` while one is under way."""

    sketches: list[Any] = field(default_factory=list)
    files: dict[Path, None] = field(default_factory=dict)
    inside: int = 0

    def begin(self, arguments: Sequence[Any]) -> None:
        self.inside += 1
        if arguments and isinstance(arguments[0], (str, os.PathLike)):
            self.files[plain(arguments[0])] = None


def sketch_of(value: Any) -> Any:
    """What is left of a read value without the numbers in its tensors. Raises `StudyError` for a whole module."""
    if isinstance(value, nn.Module):
        raise StudyError(
            f"A file of weights must hold a state dict, got a whole {type(value).__name__}, pickled; save "
            "module.state_dict(), and load that with weights_only=True into a module that your function makes."
        )
    if isinstance(value, Tensor):
        return {_TENSOR: [list(value.shape), str(value.dtype).removeprefix("torch."), isinstance(value, nn.Parameter)]}
    if isinstance(value, np.ndarray):
        return {_ARRAY: [list(value.shape), str(value.dtype)]}
    if isinstance(value, np.lib.npyio.NpzFile):
        return {_ARRAYS: [[name, sketch_of(value[name])] for name in value.files]}
    if isinstance(value, Mapping):
        return {_PAIRS: [[sketch_of(key), sketch_of(part)] for key, part in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [sketch_of(part) for part in value]}
    if isinstance(value, list):
        return [sketch_of(part) for part in value]
    if isinstance(value, argparse.Namespace):
        return {_NAMESPACE: sketch_of(vars(value))}
    if isinstance(value, np.generic):
        return sketch_of(value.item())
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_NUMBER: repr(value)}
    return {_OTHER: type(value).__name__}


def recalled(sketch: Any) -> Any:
    """A value of that form; tensors are zeros, and what had no form is None."""
    if isinstance(sketch, list):
        return [recalled(part) for part in sketch]
    if not isinstance(sketch, dict):
        return sketch
    ((kind, about),) = sketch.items()
    if kind == _TENSOR:
        shape, dtype, parameter = about
        zeros = torch.zeros(shape, dtype=getattr(torch, dtype))
        return nn.Parameter(zeros) if parameter else zeros
    if kind == _ARRAY:
        return np.zeros(*about)
    if kind == _PAIRS:
        return OrderedDict((recalled(key), recalled(part)) for key, part in about)
    if kind == _ARRAYS:
        return _Arrays({name: recalled(part) for name, part in about})
    if kind == _TUPLE:
        return tuple(map(recalled, about))
    if kind == _NAMESPACE:
        return argparse.Namespace(**recalled(about))
    return float(about) if kind == _NUMBER else None


class _Arrays(dict[str, Any]):
    """An open file of several arrays, as far as its readers use it."""

    @property
    def files(self) -> list[str]:
        return list(self)

    def __enter__(self) -> _Arrays:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """It holds nothing open."""


@contextmanager
def noting(reads: Reads) -> Iterator[None]:
    """Note what every read of weights gives, the outermost where one calls another."""

    def noted(read: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(read)
        def reading(*arguments: Any, **options: Any) -> Any:
            reads.begin(arguments)
            try:
                found = read(*arguments, **options)
            finally:
                reads.inside -= 1
            if not reads.inside:
                reads.sketches.append(sketch_of(found))
            return found

        return reading

    def opened(*arguments: Any, **options: Any) -> Any:
        if reads.inside:  # by a reader, which is noted
            return _SAFE_OPEN(*arguments, **options)
        reads.begin(arguments)
        try:
            with _SAFE_OPEN(*arguments, **options) as inner:
                tensors = {name: inner.get_tensor(name) for name in inner.keys()}  # noqa: SIM118 (it is no mapping)
                about = inner.metadata()
        finally:
            reads.inside -= 1
        reads.sketches.append(sketch_of({"tensors": tensors, "about": about}))
        return _Opened(tensors, about)

    with _in_place(noted, opened):
        yield


@contextmanager
def recalling(sketches: str) -> Iterator[None]:
    """Answer every read of weights by what was noted (JSON), in that order. No file is looked at."""
    left = iter(json.loads(sketches))

    def recalls(read: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(read)
        def reading(*arguments: Any, **options: Any) -> Any:
            return recalled(_next(left))

        return reading

    def opened(*arguments: Any, **options: Any) -> _Opened:
        found = recalled(_next(left))
        return _Opened(found["tensors"], found["about"])

    with _in_place(recalls, opened):
        yield


def _next(left: Iterator[Any]) -> Any:
    for sketch in left:
        return sketch
    raise StudyError("A network must read the same weights each time that it is made, got one more read; settle it.")


_SAFE_OPEN: Any = safetensors.safe_open


@dataclass
class _Opened:
    """What `safe_open` gives, held in memory."""

    tensors: Mapping[str, Tensor]
    about: Any

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing is open."""

    def keys(self) -> list[str]:
        return list(self.tensors)

    def offset_keys(self) -> list[str]:
        return list(self.tensors)

    def metadata(self) -> Any:
        return self.about

    def get_tensor(self, name: str) -> Tensor:
        return self.tensors[name]

    def get_tensors(self, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        return {name: self.tensors[name] for name in (self.tensors if names is None else names)}

    def get_slice(self, name: str) -> Tensor:
        return self.tensors[name]


@contextmanager
def _in_place(wrap: Callable[[Callable[..., Any]], Callable[..., Any]], opened: Callable[..., Any]) -> Iterator[None]:
    """Every reader wrapped, until the end."""
    before = [(holder, name, getattr(holder, name)) for holder, name in READERS]
    places: tuple[Any, ...] = (safetensors, safetensors.torch)
    try:
        for holder, name, read in before:
            setattr(holder, name, wrap(read))
        for place in places:
            place.safe_open = opened
        yield
    finally:
        for holder, name, read in before:
            setattr(holder, name, read)
        for place in places:
            place.safe_open = _SAFE_OPEN
