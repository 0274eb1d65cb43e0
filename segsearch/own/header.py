"""What the file of a network that somebody brought says of itself, read without its weights and without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from segsearch.errors import StudyError
from segsearch.space.keys import from_json

# The entry of a safetensors file's metadata that holds the header.
HEADER = "segsearch.network"


@dataclass(frozen=True)
class Kept:
    """A file that a network needs, by its path below the folder that it is unpacked to; `content` is base64."""

    path: str
    content: str


@dataclass(frozen=True)
class Left:
    """A layer of which nothing can be pruned, and why."""

    layer: str
    why: str


@dataclass(frozen=True)
class Header:
    """A network as it was brought: `function` of `module`, what these are made of, and what was found of it.

    `loads` is what its reads of weights looked like (`recall`), so that it can be made again without their files.
    `size` is the (height, width) of an image that it takes. `entry` names the scores in what it returns; None where
    that is a tensor. `binary`: it has one channel, the logit of the second of two classes. `left` are layers that
    cannot be pruned, `idle` parameters that its answer does not need.
    """

    name: str
    module: str
    function: str
    classes: int
    size: tuple[int, int]
    files: tuple[Kept, ...] = ()
    loads: str = "[]"
    entry: str | int | None = None
    binary: bool = False
    left: tuple[Left, ...] = ()
    idle: tuple[str, ...] = ()


def header_of(path: Path) -> Header:
    """The header of a file that `segsearch compress` wrote. Raises `StudyError` where it has none."""
    try:
        with safe_open(path, framework="numpy") as opened:
            return from_json(Header, opened.metadata()[HEADER])
    except (FileNotFoundError, IsADirectoryError):
        raise StudyError(
            f"{path}: the network of the study must be there, got no such file; `segsearch compress` writes it."
        ) from None
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise StudyError(
            f"{path}: a network must be a file that `segsearch compress` wrote, got another ({type(error).__name__}); "
            "run it again."
        ) from None
