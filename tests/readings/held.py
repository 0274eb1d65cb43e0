"""What masks hold, made up for tests: values and colours with their pixels."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segsearch.readings.names import means_void
from segsearch.readings.types import ClassList, Reading, Seen, Tally, Wanted

Pixels = Mapping[int, int] | Sequence[int]


def tallies(pixels: Pixels) -> dict[int, Tally]:
    """A thousand pixels of each, where none are given; value 7 is first in masks/7.png."""
    counted = pixels if isinstance(pixels, Mapping) else dict.fromkeys(pixels, 1000)
    return {value: Tally(count, 3, Path(f"masks/{value}.png")) for value, count in counted.items()}


def numbers(pixels: Pixels, **more: Any) -> Seen:
    """Masks of numbers."""
    return Seen(masks=8, values=tallies(pixels), colours=None, palette={}, **more)


def painted(pixels: Pixels, **more: Any) -> Seen:
    """Masks of colours."""
    return Seen(masks=8, values={}, colours=tallies(pixels), palette={}, **more)


def indexed(palette: Mapping[int, int], pixels: Pixels | None = None, **more: Any) -> Seen:
    """Masks of indices, with the colours that the palette gives them."""
    values = tallies(list(palette) if pixels is None else pixels)
    colours = {palette[value]: tally for value, tally in values.items() if value in palette}
    return Seen(masks=8, values=values, colours=colours, palette=dict(palette), **more)


def names(*given: str, file: str = "classes.txt", **more: Any) -> ClassList:
    """A list of classes as `read_class_list` makes it."""
    void = frozenset(index for index, name in enumerate(given) if means_void(name))
    return ClassList(Path(file), given, void=void, **more)


def wanted_by(option: str, before: Wanted | None = None) -> Wanted:
    """What an option on the command line says, as the words of a reading give it."""
    wanted, parts = before or Wanted(), shlex.split(option)
    assert parts, option
    for flag, value in zip(parts[::2], parts[1::2], strict=True):
        key = {"--read": "by", "--names": "names", "--classes": "classes"}.get(flag, flag.removeprefix("--"))
        said: Any = value
        if key == "void" and value != "none":
            said = int(value)
        elif key == "names":
            said = tuple(value.split(","))
        elif key == "classes":
            said = Path(value)
        wanted = replace(wanted, **{key: said})
    return wanted


def mapped(reading: Reading) -> dict[int, str | None]:
    """The class of each stored value or colour."""
    return {
        rule.low: None if rule.index is None else reading.classes[rule.index]
        for rule in reading.rules
        if rule.low == rule.high
    }
