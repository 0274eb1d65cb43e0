"""Where the pictures of a folder lie, and which go together."""

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
    `stem` its name without the suffix. `word` is the folder that tells the role, without case, separators and split
    (`annot` for `trainannot`), "" where none does. `left_out` are pictures in folders of instances, depth and the like,
    which are neither image nor mask.
    """

    path: Path
    inner: str
    role: Role | None
    split: SplitName | None
    rest: str
    stem: str
    word: str = ""
    left_out: bool = False


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

    `folder` is the folder below the root that holds them (the common one), or the names that their folders share
    (`v2.0/labels`) where another family has that, too. `masks` goes from an image to its mask.
    """

    prefix: str
    suffix: str
    folder: str
    masks: Mapping[Place, Place]


Alike = Literal["name", "case", "words", "padding", "folder"]


@dataclass(frozen=True)
class Matched:
    """Images, and the families of masks that go with them, those that cover most images first.

    `lonely` are masks of no image. `twins` are pictures that are there in a second format, which is left out, `others`
    pictures that took no part: beside folders of images and masks, or in folders of instances. `alike` is how loosely
    names had to be compared: as they are, without case, without words like image and mask (`p1_image_7`, `p1_mask_7`;
    a family's prefix is then the mask's word), without leading zeros, or by the folders alone (`7/img`, `7/label`, or
    one image and one mask in each).
    """

    images: tuple[Place, ...]
    families: tuple[Family, ...]
    lonely: tuple[Place, ...]
    twins: tuple[Place, ...] = ()
    others: tuple[Place, ...] = ()
    alike: Alike = "name"
