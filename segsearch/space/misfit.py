"""A candidate as a database holds it, or the first of its values that is not what it should be, by its name."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from segsearch.errors import SpaceError
from segsearch.space.candidate import Candidate
from segsearch.space.keys import as_stored


def storable(candidate: Candidate, where: str) -> Candidate:
    """The candidate as it is stored: lists are tuples, whole numbers stand for floats, words of digits for numbers.

    Raises `SpaceError` that names the value which is of another type; `where` says whose candidate it is.
    """
    try:
        return as_stored(candidate)
    except (ValidationError, PydanticSerializationError, ValueError) as error:
        found = next(_misfits(candidate, ""), " ".join(str(error).split()))
        raise SpaceError(f"{where} a candidate that cannot be stored: {found}.") from None


def _misfits(value: Any, path: str) -> Iterator[str]:
    """What is wrong with the fields of a dataclass, in their order, and with those of what they hold."""
    hints = _hints(cast(Any, type(value)))
    for field in fields(value):
        inner, name = getattr(value, field.name), f"{path}{field.name}"
        inner = tuple(inner) if isinstance(inner, list) else inner
        try:
            _adapter(hints[field.name]).validate_python(inner, strict=True)
        except ValidationError as error:
            yield _told(name, inner, error)
            continue
        if isinstance(inner, float) and not math.isfinite(inner):
            yield f"{name} is {inner}: it should be finite"
        elif is_dataclass(inner):
            yield from _misfits(inner, f"{name}.")
        elif isinstance(inner, tuple):
            for index, one in enumerate(inner):
                yield from _misfits(one, f"{name}.{index}.") if is_dataclass(one) else ()


def _told(name: str, value: Any, error: ValidationError) -> str:
    """The first complaint of a field; of several types that a value may be of, the names of all."""
    found = error.errors(include_url=False, include_context=False)
    indices = [part for part in found[0]["loc"] if isinstance(part, int)]
    if indices and isinstance(value, tuple):
        name, value = f"{name}.{indices[0]}", value[indices[0]]
    kinds = [one["msg"].rpartition("instance of ")[2] for one in found if one["type"] == "dataclass_exact_type"]
    said = f"it should be {' or '.join(dict.fromkeys(kinds))}" if kinds else found[0]["msg"].replace("Input", "it", 1)
    return f"{name} is {reprlib.repr(value)}: {said}"


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)
