"""Which convolutions an encoder is made of, under their names in a network, and which channels each reads and makes.

Told from the architecture alone. A new block that candidates shall inherit gets a line in `ANATOMIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from segsearch.space.architecture import Architecture, EncoderPath, Feature, Stage
from segsearch.space.block_rules import steps_in

# The channels of the image: all paths that read it share them.
IMAGE = "image"


@dataclass(frozen=True)
class Part:
    """One convolution of a block: what it does there, and its module's name and its batch norm's.

    `reads` and `makes` are `in`, `out`, or channels inside the block. A depthwise one reads the channels it makes.
    One that `gates` weighs a map that another layer makes (squeeze-and-excitation).
    """

    role: str
    conv: str
    norm: str | None
    reads: str
    makes: str
    depthwise: bool = False
    gates: bool = False


@dataclass(frozen=True)
class Anatomy:
    """The convolutions of a block, in order, and whether it adds its input to what it makes: `in` is then `out`."""

    parts: tuple[Part, ...]
    adds: bool = False


# Of a block in a stage that reads and leaves so many channels, with its stride.
Anatomist = Callable[[Stage, int, int, int], Anatomy]


def _conv(stage: Stage, inputs: int, outputs: int, stride: int) -> Anatomy:
    return Anatomy((Part("conv", "0", "1" if stage.norm == "batch" else None, "in", "out"),))


def _separable(stage: Stage, inputs: int, outputs: int, stride: int) -> Anatomy:
    return Anatomy(
        (
            Part("depthwise", "0.0", "0.1", "in", "in", depthwise=True),
            Part("project", "1.0", "1.1", "in", "out"),
        )
    )


def _inverted_residual(stage: Stage, inputs: int, outputs: int, stride: int) -> Anatomy:
    adds = stride == 1 and inputs == outputs
    body = "body." if adds else ""
    return Anatomy(
        (
            Part("expand", f"{body}0.0", f"{body}0.1", "in", "inner"),
            Part("depthwise", f"{body}1.0", f"{body}1.1", "inner", "inner", depthwise=True),
            Part("project", f"{body}2", f"{body}3", "inner", "out"),
        ),
        adds,
    )


def _mbconv(stage: Stage, inputs: int, outputs: int, stride: int) -> Anatomy:
    inner = "in" if stage.expansion == 1 else "inner"
    parts = [Part("depthwise", "depthwise.0", "depthwise.1", inner, inner, depthwise=True)]
    if stage.expansion != 1:
        parts.insert(0, Part("expand", "expand.0", "expand.1", "in", "inner"))
    if stage.squeeze:
        parts.append(Part("reduce", "squeeze.reduce", None, inner, "squeezed"))
        parts.append(Part("widen", "squeeze.expand", None, "squeezed", inner, gates=True))
    parts.append(Part("project", "project.0", "project.1", inner, "out"))
    return Anatomy(tuple(parts), stride == 1 and inputs == outputs)


def _residual(stage: Stage, inputs: int, outputs: int, stride: int) -> Anatomy:
    parts = (Part("first", "body.0.0", "body.0.1", "in", "inner"), Part("second", "body.1", "body.2", "inner", "out"))
    return _with_shortcut(parts, adds=stride == 1 and inputs == outputs)


def _bottleneck(stage: Stage, inputs: int, outputs: int, stride: int) -> Anatomy:
    parts = (
        Part("first", "body.0.0", "body.0.1", "in", "inner"),
        Part("second", "body.1.0", "body.1.1", "inner", "mixed"),
        Part("third", "body.2", "body.3", "mixed", "out"),
    )
    return _with_shortcut(parts, adds=stride == 1 and inputs == outputs)


def _with_shortcut(parts: tuple[Part, ...], *, adds: bool) -> Anatomy:
    if adds:
        return Anatomy(parts, adds=True)
    return Anatomy((*parts, Part("shortcut", "shortcut.0", "shortcut.1", "in", "out")))


ANATOMIES: Mapping[str, Anatomist] = {
    "conv": _conv,
    "separable": _separable,
    "inverted_residual": _inverted_residual,
    "mbconv": _mbconv,
    "residual": _residual,
    "bottleneck": _bottleneck,
}


@dataclass(frozen=True)
class Layer:
    """One convolution of an encoder. `conv` and `norm` are the names of its modules in the network.

    `stage` (0 is the stem) of `path`, `block` and `role` say where it stands. `reads` and `makes` name channels: layers
    that name the same ones have the same channels in the same order, shortcuts included.
    """

    path: int
    stage: int
    block: int
    role: str
    conv: str
    norm: str | None
    reads: str
    makes: str
    depthwise: bool = False
    gates: bool = False


def layers_of(architecture: Architecture) -> tuple[Layer, ...]:
    """The convolutions of all encoders, in the order in which a path runs them.

    Blocks that have no anatomy here have none; what stands after them is told all the same.
    """
    ties = _Ties()
    found: list[Layer] = []
    for number, path in enumerate(architecture.paths):
        before = IMAGE if path.source is None else map_name(path.source)
        found += _stem_layers(number, path, before)
        if path.stem is None:
            ties.tie(before, map_name(Feature(number, 0)))
        widths = 3 if path.stem is None else path.stem.channels
        if path.stem is None and path.source is not None:
            widths = _width(architecture, path.source)
        for index, stage in enumerate(path.stages, start=1):
            found += _stage_layers(Feature(number, index), stage, widths, ties)
            widths = stage.channels
    return tuple(replace(layer, reads=ties.one(layer.reads), makes=ties.one(layer.makes)) for layer in found)


def map_name(feature: Feature) -> str:
    """What the channels of an encoder's map are called."""
    return f"path {feature.path}, map {feature.stage}"


def _stem_layers(number: int, path: EncoderPath, before: str) -> list[Layer]:
    if path.stem is None:
        return []
    found = []
    for index in range(path.stem.depth):
        last = index == path.stem.depth - 1
        after = map_name(Feature(number, 0)) if last else f"path {number}, stem {index}"
        conv = f"encoders.{number}.stem.{index}"
        found.append(Layer(number, 0, index, "stem", f"{conv}.0", f"{conv}.1", before, after))
        before = after
    return found


def _stage_layers(feature: Feature, stage: Stage, inputs: int, ties: _Ties) -> list[Layer]:
    found = []
    before = map_name(Feature(feature.path, feature.stage - 1))
    pooled = stage.downsample != "stride" and stage.stride > 1
    anatomist = ANATOMIES.get(stage.block)
    for block, (channels, outputs, stride) in enumerate(steps_in(stage, inputs)):
        after = map_name(feature) if block == stage.depth - 1 else f"{map_name(feature)}, block {block}"
        if anatomist is not None:
            anatomy = anatomist(stage, channels, outputs, stride)
            ends = {"in": before, "out": after}
            module = f"encoders.{feature.path}.stages.{feature.stage - 1}.{block + pooled}"
            for part in anatomy.parts:
                reads, makes = (
                    ends.get(one, f"{map_name(feature)}, block {block}, {one}") for one in (part.reads, part.makes)
                )
                norm = None if part.norm is None else f"{module}.{part.norm}"
                conv = f"{module}.{part.conv}"
                where = (feature.path, feature.stage, block, part.role)
                found.append(Layer(*where, conv, norm, reads, makes, part.depthwise, part.gates))
            if anatomy.adds:
                ties.tie(before, after)
        before = after
    return found


def _width(architecture: Architecture, feature: Feature) -> int:
    path = architecture.paths[feature.path]
    if feature.stage:
        return path.stages[feature.stage - 1].channels
    if path.stem is not None:
        return path.stem.channels
    return 3 if path.source is None else _width(architecture, path.source)


@dataclass
class _Ties:
    """Channels that are the same under several names."""

    of: dict[str, str] = field(default_factory=dict)

    def one(self, name: str) -> str:
        """The one name that stands for all that are tied to this."""
        while name in self.of:
            name = self.of[name]
        return name

    def tie(self, first: str, second: str) -> None:
        one, other = self.one(first), self.one(second)
        if one != other:
            self.of[other] = one
