"""What the artifact of a parent says of itself, read without its weights and without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from segsearch.errors import DatabaseError
from segsearch.space.architecture import Architecture
from segsearch.space.keys import from_json

# The entry of a safetensors file's metadata that holds the header.
HEADER = "segsearch"


@dataclass(frozen=True)
class Header:
    """Which network a parent is, in a person's words and as data."""

    name: str
    architecture: Architecture


def header_of(path: Path) -> Header:
    """The header of an artifact. Raises `DatabaseError` where the file has none."""
    try:
        with safe_open(path, framework="numpy") as opened:
            return from_json(Header, opened.metadata()[HEADER])
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise DatabaseError(
            f"{path}: an artifact of pretrained weights must say which network they are of, got none "
            f"({type(error).__name__}); it was changed. Copy it back."
        ) from None
