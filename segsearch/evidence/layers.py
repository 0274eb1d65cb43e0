"""What int8 does to each layer of a network: what it loses and gains there, and which layers were given back to float.

A layer is a convolution with the activation that is fused to it, or another operation that int8 files run in integers.
All of it is found on training images that the calibration did not see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from segsearch.evidence.types import Confusion


@dataclass(frozen=True)
class Apart:
    """How far a file is from the float file that it was made of, on the same images.

    `expected` is the mIoU that it loses if each pixel is of each class as likely as the float file says: no label is
    asked, so that a few images tell it. `divergence` is the mean Kullback-Leibler divergence of a pixel's classes, in
    nats; `labelled` the mIoU that it loses by the labels, which on few images is mostly luck.
    """

    expected: float
    divergence: float
    labelled: float


@dataclass(frozen=True)
class Drawn:
    """The training images that layers are judged on; `unseen` is False where the calibration left none."""

    images: int
    unseen: bool


@dataclass(frozen=True)
class LayerLoss:
    """What one layer alone changes. `shape` is that of the map that it writes.

    `back` is what the int8 file loses with this layer in float, `alone` what the float file loses with this layer in
    int8. None of what is no convolution: it takes the form of its neighbours.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    back: Apart | None = None
    alone: Apart | None = None


@dataclass(frozen=True)
class Losses:
    """What int8 costs a network, layer by layer; `whole` is what the file of int8 layers alone loses."""

    drawn: Drawn
    whole: Apart
    layers: tuple[LayerLoss, ...]


@dataclass(frozen=True)
class LayerTime:
    """Milliseconds of a layer in the float file and in the int8 file, and of the conversions around one alone.

    `runs_as` is the operator that the runtime runs in the int8 file.
    """

    name: str
    float_ms: float
    int8_ms: float
    boundary_ms: float
    runs_as: str


@dataclass(frozen=True)
class OtherTime:
    """An operation that is no layer: its type, and milliseconds in both files; 0 where a file has none of it."""

    name: str
    kind: str
    float_ms: float
    int8_ms: float


@dataclass(frozen=True)
class Times:
    """Where the time of a network goes in both forms on one machine, by the runtime's own clock, in milliseconds.

    `million_ms` is what it takes to convert a million numbers to or from int8, with the change of layout.
    """

    machine: str
    float_ms: float
    int8_ms: float
    million_ms: float
    layers: tuple[LayerTime, ...]
    others: tuple[OtherTime, ...]

    @property
    def by_name(self) -> Mapping[str, LayerTime]:
        return {layer.name: layer for layer in self.layers}


@dataclass(frozen=True)
class Step:
    """Layers that were given back to float together, and how the file stands with them.

    `spent_ms` is how much slower it is than the whole int8 file, by the times of layers and conversions.
    """

    layers: tuple[str, ...]
    spent_ms: float
    lost: float


# Why no further layer was given back.
Ended = Literal["within the tolerance", "nothing more gains", "no quicker than float"]


@dataclass(frozen=True)
class Choice:
    """Which layers stay in float, step by step from the whole int8 file, whose step names no layer.

    `tolerance` and `Step.lost` are of the mIoU that is expected to be lost (`Apart.expected`).
    """

    tolerance: float
    drawn: Drawn
    steps: tuple[Step, ...]
    ended: Ended

    @property
    def in_float(self) -> tuple[str, ...]:
        """The layers that were given back, in the order of the steps."""
        return tuple(name for step in self.steps for name in step.layers)


@dataclass(frozen=True)
class Explained:
    """What int8 does to a shipped file. Files are named by their artifacts.

    `exact` is the float file of its training, `rounded` that file with all layers in int8: of these two, losses and
    times tell. `in_float` are the layers that the shipped file has in float; `choice` is how they were chosen, where
    that was measured. `confusion` is what the float file scores on the validation split.
    """

    shipped: str
    exact: str
    rounded: str
    in_float: tuple[str, ...]
    losses: Losses
    times: Times
    confusion: Confusion
    choice: Choice | None = None
