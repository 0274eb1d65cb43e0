"""Canonical JSON of our frozen types, and the content keys that it makes."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import Field, TypeAdapter

T = TypeVar("T")


def later(default: Any) -> Any:
    """Mark of a field that came later: its default is not written, so that what was stored before keeps its keys."""
    return Field(exclude_if=lambda value: value == default)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    # Building one takes milliseconds, and a listing reads thousands of candidates.
    return TypeAdapter(kind)


def to_json(value: Any) -> str:
    """Canonical JSON of one of our frozen types: sorted keys, no spaces, no NaN."""
    kind: Any = type(value)
    plain = _adapter(kind).dump_python(value, mode="json")
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(kind: type[T], text: str) -> T:
    """The inverse of `to_json`. Raises pydantic's `ValidationError` on anything else."""
    return cast(T, _adapter(cast(Any, kind)).validate_json(text, extra="forbid"))


def as_stored(value: T) -> T:
    """The value as a database holds it: what is carried on from there is the very same to the last digit.

    Raises pydantic's `ValidationError` where a field's value is of another type.
    """
    plain = _adapter(cast(Any, type(value))).dump_json(value, warnings="none")
    return from_json(type(value), plain.decode())


def content_key(*values: Any) -> str:
    """SHA-256 over the canonical JSON of the values, in order."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(to_json(value).encode())
        digest.update(b"\0")
    return digest.hexdigest()
