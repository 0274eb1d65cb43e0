"""Sets of pictures by their paths alone, and in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segsearch.pairing.matching import match
from segsearch.pairing.places import place_of
from segsearch.pairing.types import Family, Matched, Place

ROOT = Path("/data")


def places(inners: Iterable[str], *, root: Path = ROOT) -> tuple[Place, ...]:
    return tuple(place_of(root, inner) for inner in sorted(inners))


def matched(*inners: str) -> Matched:
    return match(places(inners))


def pairs(family: Family) -> dict[str, str]:
    """From image to mask, by their inner paths."""
    return {image.inner: mask.inner for image, mask in family.masks.items()}


def inner(found: Iterable[Place]) -> list[str]:
    return [place.inner for place in found]


def touch(root: Path, *inners: str) -> None:
    for name in inners:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
