"""How large and how wide every map of a network is, before and after pruning, told from the architecture alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from segsearch.space.architecture import Architecture, ContextMap, EncoderPath, Feature, Join, Joined, Stage
from segsearch.space.block_rules import BLOCK_RULES
from segsearch.space.steps import BeforeExport

Size = tuple[int, int]


@dataclass(frozen=True)
class HeadMap:
    """The map that the scores are made of."""


@dataclass(frozen=True)
class _Inner:
    """A map inside a join that lies beside others there: what the join makes of the running map (0) or a feature."""

    join: int
    part: int


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

    The widths are those that `compression.prune` leaves.
    """
    sizes = _sizes(architecture, scaled(size, architecture.input_scale))
    before = _widths(architecture, classes)
    after = dict(before)
    for step in steps:
        for group in _groups(architecture, after):
            for run in group.named:
                width = after[run[0]]
                kept = width if group.whole else step.left(width, multiple=math.lcm(step.round_to, group.splits))
                after |= dict.fromkeys(run, kept)
    return {feature: Shape(sizes[feature], before[feature], after[feature]) for feature in before}


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


def _widths(architecture: Architecture, classes: int) -> dict[AnyMap, int]:
    widths: dict[AnyMap, int] = {}
    for number, path in enumerate(architecture.paths):
        source = 3 if path.source is None else widths[path.source]
        widths[Feature(number, 0)] = path.stem.channels if path.stem else source
        widths |= {Feature(number, index): stage.channels for index, stage in enumerate(path.stages, start=1)}
        last = widths[Feature(number, len(path.stages))]
        widths[ContextMap(number)] = last if path.context.kind == "none" else path.context.channels or classes
    widths |= {Joined(index): join.channels or classes for index, join in enumerate(architecture.joins)}
    running = widths[Joined(len(architecture.joins) - 1) if architecture.joins else ContextMap(architecture.trunk)]
    widths[HeadMap()] = architecture.head.channels if architecture.head.depth else running
    return widths


@dataclass
class _Group:
    """Maps whose channels go together. The maps of one run have the very same channels; runs lie side by side.

    `splits` is what the grouped convolutions among them divide the channels into; `fixed` ones keep all.
    """

    runs: list[list[AnyMap | _Inner]]
    splits: int = 1
    fixed: bool = False

    @property
    def whole(self) -> bool:
        # A grouped convolution over channels that lie side by side: no choice suits both.
        return self.fixed or (self.splits > 1 and len(self.runs) > 1)

    @property
    def named(self) -> list[list[AnyMap]]:
        """The runs of maps that have names outside."""
        runs = ([one for one in run if not isinstance(one, _Inner)] for run in self.runs)
        return [run for run in runs if run]


@dataclass
class _Bundle:
    """Groups in the making: every map begins as one of its own."""

    of: dict[AnyMap | _Inner, _Group] = field(default_factory=dict)

    def same(self, one: AnyMap, other: AnyMap) -> None:
        """The two maps have the same channels."""
        group = self._merge(one, other)
        runs = [run for run in group.runs if one in run or other in run]
        if len(runs) == 2:
            group.runs = [run for run in group.runs if run not in runs] + [runs[0] + runs[1]]

    def beside(self, one: AnyMap | _Inner, other: AnyMap | _Inner) -> None:
        """The two maps lie side by side in one that keeps its channels apart."""
        self._merge(one, other)

    def _merge(self, one: AnyMap | _Inner, other: AnyMap | _Inner) -> _Group:
        a, b = (self.of.setdefault(each, _Group([[each]])) for each in (one, other))
        if a is not b:
            a.runs, a.splits, a.fixed = a.runs + b.runs, math.lcm(a.splits, b.splits), a.fixed or b.fixed
            self.of |= {feature: a for run in b.runs for feature in run}
        return a


def _groups(architecture: Architecture, widths: Mapping[AnyMap, int]) -> list[_Group]:
    bundle = _Bundle({feature: _Group([[feature]]) for feature in widths})
    for number, path in enumerate(architecture.paths):
        first = Feature(number, 0)
        if path.stem is not None or path.source is None:
            bundle.of[first].fixed = True  # stems keep their channels, and so does the image
        else:
            bundle.same(path.source, first)
        for index, stage in enumerate(path.stages, start=1):
            _tie_stage(bundle, stage, Feature(number, index - 1), Feature(number, index), widths)
        if path.context.kind == "none":
            bundle.same(Feature(number, len(path.stages)), ContextMap(number))
        elif not path.context.channels:
            bundle.of[ContextMap(number)].fixed = True  # classes
    running: AnyMap = ContextMap(architecture.trunk)
    for index, join in enumerate(architecture.joins):
        if not join.channels:
            bundle.of[Joined(index)].fixed = True
        # What lies side by side goes together where a depthwise convolution reads it; others mix it.
        if join.kind == "concat" and join.block == "separable":
            grown, *others = _side_by_side(running, index, join)
            for other in others:
                bundle.beside(grown, other)
        running = Joined(index)
    if not architecture.head.depth:
        bundle.same(running, HeadMap())
    return list({id(group): group for group in bundle.of.values()}.values())


def _side_by_side(running: AnyMap, index: int, join: Join) -> list[AnyMap | _Inner]:
    """What a concatenating join puts side by side: the maps that it reads, or what it makes of them first."""
    grown: AnyMap | _Inner = _Inner(index, 0) if join.upsample == "transposed" else running
    if not join.reduce:
        return [grown, *join.features]
    return [grown, *(_Inner(index, part) for part in range(1, 1 + len(join.features)))]


def _tie_stage(bundle: _Bundle, stage: Stage, before: Feature, after: Feature, widths: Mapping[AnyMap, int]) -> None:
    """What a stage's first block makes of the map before it: a shortcut adds the two, a grouped one splits it."""
    rule, fits = BLOCK_RULES[stage.block], widths[before] == stage.channels
    if rule.shortcut and fits and (stage.stride == 1 or stage.downsample != "stride"):
        bundle.same(before, after)
    if rule.splits and fits and widths[before] % stage.groups == 0:
        group = bundle.of[before]
        group.splits = math.lcm(group.splits, stage.groups)
    if rule.keeps:
        bundle.of[after].fixed = True
