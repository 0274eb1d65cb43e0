"""What is known of a folder before a study is written: places of files, what masks hold, how they may be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Role = Literal["image", "mask"]
SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Place:
    """Where a picture lies and what the folders above it say: its role and split, None where they say nothing.

    `inner` is its path from the root with slashes, `rest` those folders that say neither (`aachen`), joined by slashes,
    `stem` its name without the suffix.
    """

    path: Path
    inner: str
    role: Role | None
    split: SplitName | None
    rest: str
    stem: str


@dataclass(frozen=True)
class Walked:
    """All pictures below a folder, in the order of their inner paths, and what else was found there.

    `hidden` counts skipped pictures that programs left (`.ipynb_checkpoints`, `@eaDir`, `__MACOSX`, `._x`), `linked`
    the folders that are links and were followed, `texts` are small files that may hold lists, names or colours.
    """

    root: Path
    places: tuple[Place, ...]
    texts: tuple[Path, ...]
    hidden: int
    linked: int


@dataclass(frozen=True)
class Family:
    """Masks that are named alike: `prefix` and `suffix` are what their names have beside what they share with images.

    `folder` is the folder below the root that holds them (the common one), `masks` goes from an image to its mask.
    """

    prefix: str
    suffix: str
    folder: str
    masks: Mapping[Place, Place]


@dataclass(frozen=True)
class Matched:
    """Images, and the families of masks that go with them, those that cover most images first.

    `lonely` are masks of no image.
    """

    images: tuple[Place, ...]
    families: tuple[Family, ...]
    lonely: tuple[Place, ...]


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
class Rule:
    """Stored values `low` to `high` (or one colour, both alike) are class `index`; None: void."""

    low: int
    high: int
    index: int | None


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
