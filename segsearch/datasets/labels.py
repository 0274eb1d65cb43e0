"""What the values or colours in a mask's file mean: class indices and void, as a study says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segsearch.datasets.decode import Exif, Fault, Stored, read_stored
from segsearch.datasets.types import UInt8
from segsearch.settings.data import MOST_VALUE, DataSettings, Rule

_UNKNOWN = -1
_COLOURS = 1 << 24


@dataclass(frozen=True)
class Labelling:
    """How masks are read: `table` holds the class index of each stored value or colour, -1 where it has none.

    `mapped` says that the study names each value; otherwise values are the classes' numbers.
    """

    by: Literal["value", "colour"]
    table: NDArray[np.int16]
    classes: int
    void: int
    mapped: bool
    exif: Exif


def labelling(settings: DataSettings, classes: int) -> Labelling:
    """How the masks of a study with so many classes are read."""
    rules = settings.rules
    by: Literal["value", "colour"] = "value" if settings.colours is None else "colour"
    table = np.full(_COLOURS if by == "colour" else MOST_VALUE + 1, _UNKNOWN, dtype=np.int16)
    if rules is None:
        table[:classes] = np.arange(classes)
        table[settings.void] = settings.void
    for rule in rules or ():
        table[rule.low : rule.high + 1] = settings.void if rule.index is None else rule.index
    return Labelling(by, table, classes, settings.void, rules is not None, settings.exif)


def rules_beyond(rules: Sequence[Rule], classes: int) -> list[int]:
    """The class indices that rules name and no class has."""
    return sorted({rule.index for rule in rules if rule.index is not None and rule.index >= classes})


def read_label(path: Path, how: Labelling) -> UInt8:
    """A mask's class indices (height, width), void where it is not labelled. Raises `Fault`."""
    stored = read_stored(path, exif=how.exif)
    if stored.lossy and not (how.mapped and how.by == "value" and (how.table[:256] != _UNKNOWN).all()):
        raise Fault("lossy", f"{path}: a mask must be stored without loss, got JPEG; save it as an 8-bit PNG.")
    found = how.table[_as_stored(stored, how, path)]
    if (found == _UNKNOWN).any():
        raise _unknown(stored, found, how, path)
    label: UInt8 = found.astype(np.uint8)
    return label


def _as_stored(stored: Stored, how: Labelling, path: Path) -> NDArray[Any]:
    """Each pixel's value, or its colour, as the labelling asks."""
    if how.by == "value":
        if stored.values is None:
            raise Fault(
                "mode",
                f"{path}: a mask must hold one class index a pixel, got RGB colours; name the classes' colours in "
                "data.colours, as `segsearch new` does.",
            )
        return stored.values
    if stored.colours is not None:
        return stored.colours
    assert stored.values is not None
    if stored.palette is None:
        grey = stored.values.astype(np.uint32)
        return grey << 16 | grey << 8 | grey
    palette = np.zeros(MOST_VALUE + 1, dtype=np.uint32)
    palette[: len(stored.palette)] = stored.palette
    shown: NDArray[np.uint32] = palette[stored.values]
    return shown


def _unknown(stored: Stored, found: NDArray[np.int16], how: Labelling, path: Path) -> Fault:
    wrong = found == _UNKNOWN
    row, column = np.argwhere(wrong)[0]
    values = np.unique(_as_stored(stored, how, path)[wrong])
    shown = [f"#{value:06x}" if how.by == "colour" else str(value) for value in values[:5]]
    more = ", ..." if len(values) > 5 else ""
    where = f"got {', '.join(shown)}{more} (first at row {row}, column {column})"
    if how.by == "colour":
        return Fault("value", f"{path}: a mask's colours must stand in data.colours, {where}; add them there.")
    if how.mapped:
        return Fault("value", f"{path}: a mask's values must stand in data.map, {where}; add them there.")
    return Fault(
        "value",
        f"{path}: mask values must be classes 0..{how.classes - 1} or void {how.void}, {where}; correct the mask, the "
        "class list or data.void, or say in data.map what each value is.",
    )
