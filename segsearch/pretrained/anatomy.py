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
    One that `gates` weighs a map that another layer makes (squeeze-and-excitation). A norm that comes `first` is of
    what is read (DenseNet). A part without a convolution is a norm of the stage's last map alone.
    """

    role: str
    conv: str | None
    norm: str | None
    reads: str
    makes: str
    depthwise: bool = False
    gates: bool = False
    first: bool = False
    biased: bool = False


@dataclass(frozen=True)
class Anatomy:
    """The convolutions of a block, in order, and whether it adds its input to what it makes: `in` is then `out`.

    Or it keeps its input beside what it makes (`grows`): its map is both.
    """

    parts: tuple[Part, ...]
    adds: bool = False
    grows: bool = False


# Of a block in a stage that reads and leaves so many channels, with its stride.
Anatomist = Callable[[Stage, int, int, int], Anatomy]


def _conv(stage: Stage, inputs: int, outputs: int, stride: int) -> Anatomy:
    plain = stage.norm == "none"
    return Anatomy((Part("conv", "0", None if plain else "1", "in", "out", biased=plain),))


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
        parts.append(Part("reduce", "squeeze.reduce", None, inner, "squeezed", biased=True))
        parts.append(Part("widen", "squeeze.expand", None, "squeezed", inner, gates=True, biased=True))
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


def _dense(stage: Stage, inputs: int, outputs: int, stride: int) -> Anatomy:
    parts = (
        Part("narrow", "reduce.2", "reduce.0", "in", "inner", first=True),
        Part("grow", "grow.2", "grow.0", "inner", "out", first=True),
    )
    ends = outputs == stage.channels
    return Anatomy((*parts, Part("finish", None, "finish.0", "out", "out")) if ends else parts, grows=True)


def _transition(stage: Stage, inputs: int, outputs: int, stride: int) -> Anatomy:
    return Anatomy((Part("mix", "mix", None, "in", "out"),))


ANATOMIES: Mapping[str, Anatomist] = {
    "conv": _conv,
    "separable": _separable,
    "inverted_residual": _inverted_residual,
    "mbconv": _mbconv,
    "residual": _residual,
    "bottleneck": _bottleneck,
    "dense": _dense,
    "transition": _transition,
}

# The block of what belongs to a stage as a whole: a norm of its last map.
END = -1


@dataclass(frozen=True)
class Layer:
    """One convolution of an encoder. `conv` and `norm` are the names of its modules in the network.

    `stage` (0 is the stem) of `path`, `block` and `role` say where it stands. `reads` and `makes` name channels: layers
    that name the same ones have the same channels in the same order, shortcuts included. What it reads may be several
    maps side by side. A norm that comes `first` is of these; one without a convolution makes nothing.
    """

    path: int
    stage: int
    block: int
    role: str
    conv: str | None
    norm: str | None
    reads: tuple[str, ...]
    makes: str
    depthwise: bool = False
    gates: bool = False
    first: bool = False
    biased: bool = False


# The names of the channels of a map: those of all that lie side by side in it.
Channels = tuple[str, ...]


def layers_of(architecture: Architecture) -> tuple[Layer, ...]:
    """The convolutions of all encoders, in the order in which a path runs them.

    Blocks that have no anatomy here have none; what stands after them is told all the same.
    """
    ties = _Ties()
    maps: dict[Feature, Channels] = {}
    found: list[Layer] = []
    for number, path in enumerate(architecture.paths):
        before: Channels = (IMAGE,) if path.source is None else maps[path.source]
        found += _stem_layers(number, path, before)
        if path.stem is not None:
            before = (map_name(Feature(number, 0)),)
        maps[Feature(number, 0)] = before
        width = _width(architecture, Feature(number, 0))
        for index, stage in enumerate(path.stages, start=1):
            feature = Feature(number, index)
            layers, before = _stage_layers(feature, stage, width, before, ties)
            found += layers
            maps[feature], width = before, stage.channels
    return tuple(
        replace(layer, reads=tuple(map(ties.one, layer.reads)), makes=ties.one(layer.makes)) for layer in found
    )


def map_name(feature: Feature) -> str:
    """What the channels of an encoder's map are called."""
    return f"path {feature.path}, map {feature.stage}"


def _stem_layers(number: int, path: EncoderPath, before: Channels) -> list[Layer]:
    if path.stem is None:
        return []
    found = []
    for index in range(path.stem.depth):
        last = index == path.stem.depth - 1
        after = map_name(Feature(number, 0)) if last else f"path {number}, stem {index}"
        conv = f"encoders.{number}.stem.{index}"
        found.append(Layer(number, 0, index, "stem", f"{conv}.0", f"{conv}.1", before, after))
        before = (after,)
    return found


def _stage_layers(
    feature: Feature, stage: Stage, inputs: int, before: Channels, ties: _Ties
) -> tuple[list[Layer], Channels]:
    """The layers of a stage, and the channels of its last map."""
    found: list[Layer] = []
    pooled = stage.downsample != "stride" and stage.stride > 1
    anatomist = ANATOMIES.get(stage.block)
    for block, (channels, outputs, stride) in enumerate(steps_in(stage, inputs)):
        made = map_name(feature) if block == stage.depth - 1 else f"{map_name(feature)}, block {block}"
        after: Channels = (made,)
        if anatomist is not None:
            anatomy = anatomist(stage, channels, outputs, stride)
            if anatomy.grows:
                after = (*before, made)
            if anatomy.adds and len(before) == 1:
                ties.tie(before[0], made)
            inside = f"{map_name(feature)}, block {block}"
            module = f"encoders.{feature.path}.stages.{feature.stage - 1}.{block + pooled}"
            for part in anatomy.parts:
                ends: dict[str, Channels] = {"in": before, "out": after if part.conv is None else (made,)}
                found.append(
                    Layer(
                        feature.path,
                        feature.stage,
                        END if part.conv is None else block,
                        part.role,
                        None if part.conv is None else f"{module}.{part.conv}",
                        None if part.norm is None else f"{module}.{part.norm}",
                        ends.get(part.reads, (f"{inside}, {part.reads}",)),
                        before[0] if part.makes == "in" else made if part.makes == "out" else f"{inside}, {part.makes}",
                        part.depthwise,
                        part.gates,
                        part.first,
                        part.biased,
                    )
                )
        before = after
    return found, before


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
