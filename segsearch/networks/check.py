"""The rules that an architecture must keep; each says the rule, what was found and where."""

from __future__ import annotations

import math
from collections.abc import Mapping

from segsearch.networks.blocks import BLOCKS
from segsearch.networks.contexts import CONTEXTS
from segsearch.networks.decoders import HEAD_BLOCKS, JOINS, UPSAMPLES
from segsearch.space.candidate import Architecture, Context, EncoderPath, Feature, Joined, Stage, Stem
from segsearch.space.rules import demand


def check_architecture(architecture: Architecture) -> None:
    """Raise `ValueError` with the rule and what was found where the parts do not fit one another."""
    paths = architecture.paths
    demand(bool(paths), "Architecture.paths must hold at least one path", "none")
    demand(0 <= architecture.trunk < len(paths), "Architecture.trunk must be the index of a path", architecture.trunk)
    scale = architecture.input_scale
    demand(0.1 <= scale <= 1.0, "Architecture.input_scale must lie in [0.1, 1]", scale)
    answer = architecture.answer_scale
    demand(answer in (1.0, 0.5, 0.25), "Architecture.answer_scale must be 1, 0.5 or 0.25", answer)
    for index, path in enumerate(paths):
        _check_path(path)
        if path.source is not None:
            _exists(architecture, path.source, paths=index)
    for index, join in enumerate(architecture.joins):
        _known("join", join.kind, JOINS)
        _exists(architecture, join.feature, paths=len(paths), joins=index)
        demand(join.channels >= 1 and join.reduce >= 0, "A Join needs positive channels and no negative reduce", join)
    head = architecture.head
    _known("head block", head.block, HEAD_BLOCKS)
    _known("head upsample", head.upsample, UPSAMPLES)
    demand(head.channels >= 1 and head.depth >= 0, "A Head needs positive channels and no negative depth", head)
    demand(0 <= head.dropout < 1, "Head.dropout must lie in [0, 1)", head.dropout)
    for extra in architecture.auxiliary:
        _exists(architecture, extra.feature, paths=len(paths), joins=len(architecture.joins))
        demand(extra.channels >= 1 and 0 < extra.weight < math.inf, "An Auxiliary needs positive numbers", extra)
    _check_all_read(architecture)


def _check_path(path: EncoderPath) -> None:
    demand(0 < path.scale < math.inf, "Path.scale must be positive and finite", path.scale)
    if path.stem is not None:
        _check_stem(path.stem)
    for stage in path.stages:
        _check_stage(stage)
    _check_context(path.context)


def _check_stem(stem: Stem) -> None:
    demand(stem.channels >= 1 and stem.kernel % 2 == 1, "A Stem needs positive channels and an odd kernel", stem)
    reachable = stem.stride in {2**halvings for halvings in range(stem.depth + 1)}
    demand(stem.depth >= 1 and reachable, "Stem.stride must be a power of 2 that its depth can reach", stem)


def _check_stage(stage: Stage) -> None:
    _known("block", stage.block, BLOCKS)
    demand(bool(stage.atrous), "Stage.atrous must hold at least one rate", stage.atrous)
    sizes = (stage.channels, stage.depth, stage.stride, stage.kernel, *stage.atrous)
    demand(min(sizes) >= 1 and stage.kernel % 2 == 1, "A stage needs positive sizes and an odd kernel", stage)
    divides = stage.groups >= 1 and stage.channels % stage.groups == 0
    demand(divides, f"Stage.groups must divide its channels ({stage.channels})", stage.groups)
    demand(0 < stage.expansion < math.inf, "Stage.expansion must be positive and finite", stage.expansion)
    ways = ("stride", "max_pool", "mean_pool")
    demand(stage.downsample in ways, f"Stage.downsample must be one of {', '.join(ways)}", repr(stage.downsample))
    demand(not stage.reinforce, "Stage.reinforce needs a block that takes the image; none does yet", stage.block)


def _check_context(context: Context) -> None:
    _known("context", context.kind, CONTEXTS)
    if context.kind == "none":
        return
    demand(context.channels >= 1, "Context.channels must be positive", context.channels)
    wanted, name = (context.bins, "bins") if context.kind == "pyramid_pooling" else (context.rates, "rates")
    demand(
        bool(wanted) and min(wanted) >= 1,
        f"Context.{name} must hold positive numbers, at least one rate or bin",
        wanted,
    )


def _check_all_read(architecture: Architecture) -> None:
    """A path or a context that nothing reads would never learn."""
    features = [join.feature for join in architecture.joins] + [extra.feature for extra in architecture.auxiliary]
    read = {architecture.trunk, *(feature.path for feature in features if isinstance(feature, Feature))}
    read |= {path.source.path for path in architecture.paths if path.source is not None}
    for index, path in enumerate(architecture.paths):
        demand(index in read, "Every path must be read by the trunk, a join or another path; unread", f"path {index}")
        idle = index != architecture.trunk and path.context.kind != "none"
        demand(not idle, "Only the trunk's context is read; a context was found on", f"path {index}")


def _known(what: str, name: str, table: Mapping[str, object]) -> None:
    demand(name in table, f"A {what} must be one of {', '.join(table)}", repr(name))


def _exists(architecture: Architecture, feature: Feature | Joined, *, paths: int, joins: int = 0) -> None:
    if isinstance(feature, Joined):
        there = 0 <= feature.join < joins
    else:
        there = 0 <= feature.path < paths and 0 <= feature.stage <= len(architecture.paths[feature.path].stages)
    demand(there, "A Feature must name a map that exists by then", feature)
