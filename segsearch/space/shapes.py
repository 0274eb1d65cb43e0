"""How large and how wide every map of a network is, before and after pruning, told from the architecture alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsearch.space.architecture import Architecture, ContextMap, EncoderPath, Feature, Join, Joined, Stage
from segsearch.space.block_rules import BLOCK_RULES, steps_in
from segsearch.space.runs import Channels, made, same, split, spread, taken, width_of
from segsearch.space.steps import BeforeExport, Prune

Size = tuple[int, int]


@dataclass(frozen=True)
class HeadMap:
    """The map that the scores are made of."""


AnyMap = Feature | Joined | ContextMap | HeadMap


@dataclass(frozen=True)
class Shape:
    """One map: its height and width, and its channels before and after the compression steps."""

    size: Size
    channels: int
    left: int


def shapes_of(
    architecture: Architecture, size: Size, steps: Sequence[BeforeExport] = (), *, classes: int
) -> Mapping[AnyMap, Shape]:
    """Every map by the feature that names it, contexts and the head included; `size` is the image's height and width.

    The widths are those that `compression.prune` leaves; a factorization changes none but inside a layer.
    """
    sizes = _sizes(architecture, scaled(size, architecture.input_scale))
    maps = _maps(architecture, classes)
    before = {feature: width_of(channels) for feature, channels in maps.items()}
    for step in steps:
        if isinstance(step, Prune):
            taken(maps.values(), step)
    return {feature: Shape(sizes[feature], before[feature], width_of(maps[feature])) for feature in maps}


def scaled(size: Size, scale: float) -> Size:
    """Height and width times a scale, each at least 1."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


# ---- sizes


def _sizes(architecture: Architecture, image: Size) -> dict[AnyMap, Size]:
    sizes: dict[AnyMap, Size] = {}
    for number, path in enumerate(architecture.paths):
        size = scaled(sizes[path.source] if path.source is not None else image, path.scale)
        for _ in range(_halvings(path)):
            size = _halved(size)
        sizes[Feature(number, 0)] = size
        for index, stage in enumerate(path.stages, start=1):
            size = sizes[Feature(number, index)] = _strided(size, stage)
        sizes[ContextMap(number)] = size
    size = sizes[ContextMap(architecture.trunk)]
    for index, join in enumerate(architecture.joins):
        size = sizes[Joined(index)] = sizes[join.feature]
    sizes[HeadMap()] = size
    return sizes


def _halvings(path: EncoderPath) -> int:
    """A padded convolution and a stem's padded pool round up alike."""
    return 0 if path.stem is None else (path.stem.stride - 1).bit_length()


def _halved(size: Size) -> Size:
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _strided(size: Size, stage: Stage) -> Size:
    """A padded convolution rounds up, a pool rounds down."""
    if stage.downsample == "stride" and not BLOCK_RULES[stage.block].pools:
        return -(-size[0] // stage.stride), -(-size[1] // stage.stride)
    return max(1, size[0] // stage.stride), max(1, size[1] // stage.stride)


# ---- widths


def _maps(architecture: Architecture, classes: int) -> dict[AnyMap, Channels]:
    """The channels of every map, and which of them go together."""
    maps: dict[AnyMap, Channels] = {}
    for number, path in enumerate(architecture.paths):
        if path.stem is not None or path.source is None:
            # A stem keeps its channels, and so does the image.
            channels = made(path.stem.channels if path.stem is not None else 3, fixed=True)
        else:
            channels = maps[path.source]
        maps[Feature(number, 0)] = channels
        for index, stage in enumerate(path.stages, start=1):
            channels = maps[Feature(number, index)] = _after(stage, channels)
        if path.context.kind != "none":
            if path.context.block == "separable":
                spread(channels)
            channels = made(path.context.channels or classes, fixed=not path.context.channels)
        maps[ContextMap(number)] = channels
    for number, path in enumerate(architecture.paths):
        for merge in path.merges:  # a convolution brings the other map to this one's channels
            here = maps[Feature(number, merge.after)]
            same(here, made(width_of(here)))
    running = maps[ContextMap(architecture.trunk)]
    for index, join in enumerate(architecture.joins):
        _read_by(join, running, [maps[feature] for feature in join.features])
        running = maps[Joined(index)] = made(join.channels or classes, fixed=not join.channels)
    if architecture.head.depth:
        if architecture.head.block == "separable":
            spread(running)
        running = made(architecture.head.channels)
    maps[HeadMap()] = running
    return maps


def _read_by(join: Join, running: Channels, features: Sequence[Channels]) -> None:
    """What lies side by side goes together where a depthwise convolution reads it; others mix it."""
    if join.kind != "concat" or join.block != "separable" or join.depth == 0:
        return
    if join.upsample == "transposed":
        running = made(join.channels)
    beside = [made(join.reduce) for _ in features] if join.reduce else features
    spread([*running, *(run for channels in beside for run in channels)])


def _after(stage: Stage, channels: Channels) -> Channels:
    """The map that a stage leaves of one that it reads."""
    rule = BLOCK_RULES[stage.block]
    for index, (inputs, outputs, stride) in enumerate(steps_in(stage, width_of(channels))):
        if rule.splits(stage, inputs, outputs):
            split(channels, stage.groups)
        if rule.depthwise(stage):
            spread(channels)
        new = made(rule.made(inputs, outputs), splits=stage.groups if rule.carries else 1)
        if rule.made(inputs, outputs) < outputs:
            channels = [*channels, *new]
        elif inputs == outputs and (rule.carries or (rule.shortcut and stride == 1)):
            same(channels, new)
        else:
            channels = new
        if stage.reinforce and index == 0:
            same(channels, made(outputs))
    return channels
