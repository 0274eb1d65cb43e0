"""What the processes that read somebody's network are asked, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass

from segsearch.settings.texts import Texts
from segsearch.space.own import Pixels, Way


@dataclass(frozen=True)
class ReadOrder:
    """Whose network: `function` of the file `path`, tried with images of `size`; it is packed into `target`.

    What it answers to noise goes to `expected`; `here` is the folder that its owner works in.
    """

    path: str
    function: str
    size: tuple[int, int]
    classes: int
    entry: str | None
    here: str
    target: str
    expected: str


@dataclass(frozen=True)
class Read:
    """What was read: the network's name, what to say of it, and the files that it will do without from now on."""

    name: str
    notes: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class TryOrder:
    """A packed network (`packed`) or an ONNX file to try on a study's images; what was found goes with it to `target`.

    It must do without `files`, and answer what `expected` holds. Without `pixels` it is only scored by each of the
    field's ways. `cache` is where the images are decoded to, `folder` where its code is unpacked.
    """

    packed: str
    expected: str
    files: tuple[str, ...]
    study: str
    texts: Texts | None
    cache: str
    folder: str
    target: str
    pixels: Pixels | None


@dataclass(frozen=True)
class Tried:
    """What was found: mIoU on `images` by each way of giving pixels, and once that is settled what may be searched.

    `without` says of each other way why not; `left` are layers that cannot be pruned, with why.
    """

    images: int
    mious: tuple[tuple[str, float], ...]
    ways: tuple[Way, ...] = ()
    without: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    params: int = 0
    macs: int = 0
    parity: float = 0.0
