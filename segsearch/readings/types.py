"""What masks hold, what class lists say, and the ways to read the one by the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segsearch.settings.data import Rule

By = Literal["value", "colour"]


@dataclass(frozen=True)
class Tally:
    """Of one stored value or colour: how many pixels hold it, how many masks do, and the first of them."""

    pixels: int
    masks: int
    first: Path


@dataclass(frozen=True)
class Seen:
    """What all masks of a data set hold.

    `values` is by the stored number (0..65535), where masks are grey or indices; empty where they are colours.
    `colours` is by 0xRRGGBB, where they are colours or indices with a palette that is not grey; None where there are
    none, or more than can be told apart. `palette` gives the colour of each index where all files agree; `at_odds` are
    two files and an index to which they give different colours. `lossy` is a mask that was stored as a JPEG file.
    """

    masks: int
    values: Mapping[int, Tally]
    colours: Mapping[int, Tally] | None
    palette: Mapping[int, int]
    at_odds: tuple[Path, Path, int] | None = None
    lossy: Path | None = None


@dataclass(frozen=True)
class ClassList:
    """Names of classes as a file gives them, in its order; beside them, where it says so, their values or colours.

    `void` are the indices of those names that mean "not labelled" (`__ignore__`, `void`, `unlabelled`).
    """

    file: Path
    names: tuple[str, ...]
    values: tuple[int, ...] | None = None
    colours: tuple[int, ...] | None = None
    void: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Reading:
    """One way to read masks: the classes in order, and which stored value or colour is which.

    `option` is what chooses it on the command line (`--void 0`), `words` say it in one line. `plain` says that stored
    values are the classes' numbers, so that a study needs no map; `void` is then the stored value that is void.
    """

    option: str
    words: str
    classes: tuple[str, ...]
    by: By
    rules: tuple[Rule, ...]
    plain: bool
    void: int = 255


@dataclass(frozen=True)
class Wanted:
    """What the user said of a folder; None where nothing was said.

    `void` is a stored value (or a colour's number) or "none", `background` says that 0 comes before the named classes,
    `by` what tells the classes apart, `names` and `classes` (a file) take the place of lists that were found. `known`
    allows that a published data set is recognised. `masks` names which of several kinds of masks are meant, `splits`
    whose splits count where lists and folders disagree ("lists", "folders"), or the folder of the lists that count;
    `exif` whether images are turned as EXIF says; `unlabelled` images may be left out.
    """

    void: int | Literal["none"] | None = None
    background: Literal["first"] | None = None
    by: Literal["values", "colours"] | None = None
    names: tuple[str, ...] | None = None
    classes: Path | None = None
    known: bool = True
    masks: str | None = None
    splits: str | None = None
    exif: Literal["turn", "ignore"] | None = None
    unlabelled: Literal["skip"] | None = None
