"""The rules that an architecture must keep; each says the rule, what was found and where."""

from __future__ import annotations

import math
from collections.abc import Mapping

from segsearch.networks.contexts import CONTEXTS
from segsearch.networks.decoders import HEAD_BLOCKS, JOINS, UPSAMPLES
from segsearch.networks.layers import ACTIVATIONS
from segsearch.space.architecture import (
    Architecture,
    Context,
    ContextMap,
    EncoderPath,
    Feature,
    Head,
    Join,
    Joined,
    Stage,
    Stem,
)
from segsearch.space.block_rules import BLOCK_RULES, steps_in
from segsearch.space.rules import demand

# Contexts and joins whose `channels` are 0: as many as there are classes.
SCORING = ("aspp_scores", "score")


def check_architecture(architecture: Architecture) -> None:
    """Raise `ValueError` with the rule and what was found where the parts do not fit one another."""
    paths = architecture.paths
    demand(bool(paths), "Architecture.paths must hold at least one path", "none")
    demand(0 <= architecture.trunk < len(paths), "Architecture.trunk must be the index of a path", architecture.trunk)
    scale = architecture.input_scale
    demand(0.1 <= scale <= 1.0, "Architecture.input_scale must lie in [0.1, 1]", scale)
    answer = architecture.answer_scale
    demand(answer in (1.0, 0.5, 0.25), "Architecture.answer_scale must be 1, 0.5 or 0.25", answer)
    widths: dict[Feature, int] = {}
    for index, path in enumerate(paths):
        if path.source is not None:
            _exists(architecture, path.source, paths=index)
        found = _check_path(path, 3 if path.source is None else widths[path.source])
        widths |= {Feature(index, stage): width for stage, width in enumerate(found)}
    for index, path in enumerate(paths):
        _check_merges(architecture, index, path)
    _check_no_circle(architecture)
    for index, join in enumerate(architecture.joins):
        for feature in join.features:
            _exists(architecture, feature, paths=len(paths), joins=index)
        _check_join(join)
    _check_head(architecture.head, scored=architecture.ends_with_scores)
    for extra in architecture.auxiliary:
        _exists(architecture, extra.feature, paths=len(paths), joins=len(architecture.joins))
        demand(extra.channels >= 1 and 0 < extra.weight < math.inf, "An Auxiliary needs positive numbers", extra)
    _check_all_read(architecture)


def _check_path(path: EncoderPath, channels: int) -> list[int]:
    """The channels of its maps, where it reads so many."""
    demand(0 < path.scale < math.inf, "Path.scale must be positive and finite", path.scale)
    if path.stem is not None:
        _check_stem(path.stem)
        channels = path.stem.channels
    widths = [channels]
    for stage in path.stages:
        _check_stage(stage)
        _check_blocks(stage, widths[-1])
        widths.append(stage.channels)
    _check_context(path.context)
    return widths


def _check_stem(stem: Stem) -> None:
    demand(stem.channels >= 1 and stem.kernel % 2 == 1, "A Stem needs positive channels and an odd kernel", stem)
    halvings = stem.depth + stem.pool
    reachable = stem.stride in {2**count for count in range(int(stem.pool), halvings + 1)}
    demand(stem.depth >= 1 and reachable, "Stem.stride must be a power of 2 that its depth and its pool reach", stem)
    _known("activation", stem.activation, ACTIVATIONS)


def _check_stage(stage: Stage) -> None:
    _known("block", stage.block, BLOCK_RULES)
    demand(bool(stage.atrous), "Stage.atrous must hold at least one rate", stage.atrous)
    sizes = (stage.channels, stage.depth, stage.stride, stage.kernel, *stage.atrous)
    demand(min(sizes) >= 1 and stage.kernel % 2 == 1, "A stage needs positive sizes and an odd kernel", stage)
    divides = stage.groups >= 1 and stage.channels % stage.groups == 0
    demand(divides, f"Stage.groups must divide its channels ({stage.channels})", stage.groups)
    demand(0 < stage.expansion < math.inf, "Stage.expansion must be positive and finite", stage.expansion)
    demand(0 <= stage.squeeze <= 1, "Stage.squeeze must lie in [0, 1]", stage.squeeze)
    ways = ("stride", "max_pool", "mean_pool")
    demand(stage.downsample in ways, f"Stage.downsample must be one of {', '.join(ways)}", repr(stage.downsample))
    rule = BLOCK_RULES[stage.block]
    demand(rule.reinforces or not stage.reinforce, "Stage.reinforce needs a block that takes the image", stage.block)
    demand(rule.squeezes or not stage.squeeze, "Stage.squeeze needs a block that squeezes", stage.block)
    demand(rule.unnormed or stage.norm == "batch", "Stage.norm none needs a block that can do without", stage.block)
    _known("activation", stage.activation, ACTIVATIONS)
    one = rule.activates or stage.activation == "relu"
    demand(one, "Stage.activation other than relu needs a block that takes it", f"{stage.activation} in {stage.block}")


def _check_blocks(stage: Stage, inputs: int) -> None:
    """What the type of block asks of its widths, groups and rates."""
    rule, name = BLOCK_RULES[stage.block], stage.block
    rates, groups = len(stage.atrous), stage.groups
    wider = f"A stage of {name} blocks must end wider than the {inputs} channels before it, by one a block"
    demand(not rule.grows or stage.channels - inputs >= stage.depth, wider, stage.channels)
    if rule.rates == "group":
        each = f"Stage.atrous of {name} blocks must hold a rate for each of their groups ({groups})"
        demand(rates == groups, each, stage.atrous, "each group is a branch, as in groups=4, atrous=(1, 2, 3, 4)")
    if rule.rates == "shared":
        shared = f"Stage.groups of {name} blocks must be a multiple of their rates ({rates})"
        demand(groups % rates == 0, shared, groups, "groups = channels / 16 is RegSeg's")
    if rule.carries:
        multiple, why = (groups**2, "the square of its groups") if rule.rates == "group" else (groups, "its groups")
        for before, after, _ in steps_in(stage, inputs):
            made = rule.made(before, after)
            whole = f"A {name} block of {before} to {after} channels must make a multiple of {why} ({multiple})"
            demand(made % multiple == 0, whole, made, "change Stage.channels or Stage.groups")


def _check_context(context: Context) -> None:
    _known("context", context.kind, CONTEXTS)
    if context.kind == "none":
        return
    demand(context.channels >= 1 or context.kind in SCORING, "Context.channels must be positive", context.channels)
    needs = {"pyramid_pooling": "bins", "aspp": "rates", "aspp_scores": "rates", "large_field": "rates"}
    if name := needs.get(context.kind):
        wanted = context.bins if name == "bins" else context.rates
        demand(
            bool(wanted) and min(wanted) >= 1,
            f"Context.{name} must hold positive numbers, at least one rate or bin",
            wanted,
        )


def _check_merges(architecture: Architecture, index: int, path: EncoderPath) -> None:
    for merge in path.merges:
        _exists(architecture, merge.feature, paths=len(architecture.paths))
        demand(0 <= merge.after <= len(path.stages), "Merge.after must be the number of a stage of its path", merge)
        demand(merge.feature.path != index, "A Merge must read another path's map", merge)


def _check_no_circle(architecture: Architecture) -> None:
    """No map may be made of itself: by what is merged, or by where a path starts."""
    done: set[tuple[Feature, bool]] = set()
    pending: set[tuple[Feature, bool]] = set()

    def visit(feature: Feature, merged: bool) -> None:
        node = (feature, merged)
        demand(node not in pending, "Paths must exchange maps without a circle; made of itself", feature)
        if node in done:
            return
        pending.add(node)
        path = architecture.paths[feature.path]
        if merged:
            visit(feature, False)
            for merge in path.merges:
                if merge.after == feature.stage:
                    visit(merge.feature, False)
        elif feature.stage:
            visit(Feature(feature.path, feature.stage - 1), True)
        elif path.source is not None:
            visit(path.source, True)
        pending.discard(node)
        done.add(node)

    for number, path in enumerate(architecture.paths):
        visit(Feature(number, len(path.stages)), True)


def _check_join(join: Join) -> None:
    _known("join", join.kind, JOINS)
    enough = join.channels >= 1 or (join.kind in SCORING and join.channels == 0)
    demand(enough and join.reduce >= 0, "A Join needs positive channels and no negative reduce", join)
    least = 1 if join.kind == "concat" else 0
    demand(join.depth is None or join.depth >= least, f"Join.depth of {join.kind} must be at least {least}", join.depth)
    _known("join's block", join.block, HEAD_BLOCKS)
    ways = ("bilinear", "nearest", "transposed")
    demand(join.upsample in ways, f"Join.upsample must be one of {', '.join(ways)}", repr(join.upsample))


def _check_head(head: Head, *, scored: bool) -> None:
    _known("head block", head.block, HEAD_BLOCKS)
    _known("head upsample", head.upsample, UPSAMPLES)
    demand(head.channels >= 1 and head.depth >= 0, "A Head needs positive channels and no negative depth", head)
    demand(0 <= head.dropout < 1, "Head.dropout must lie in [0, 1)", head.dropout)
    demand(
        not scored or (head.depth == 0 and head.dropout == 0),
        "A Head after class scores has depth 0 and no dropout",
        head,
    )


def _check_all_read(architecture: Architecture) -> None:
    """A path or a context that nothing reads would never learn."""
    features = [feature for join in architecture.joins for feature in join.features]
    features += [extra.feature for extra in architecture.auxiliary]
    gathered = {architecture.trunk, *(one.context for one in features if isinstance(one, ContextMap))}
    read = gathered | {feature.path for feature in features if isinstance(feature, Feature)}
    read |= {path.source.path for path in architecture.paths if path.source is not None}
    read |= {merge.feature.path for path in architecture.paths for merge in path.merges}
    for index, path in enumerate(architecture.paths):
        demand(index in read, "Every path must be read by the trunk, a join or another path; unread", f"path {index}")
        idle = index not in gathered and path.context.kind != "none"
        demand(not idle, "A context must be the trunk's or be read; an idle one was found on", f"path {index}")


def _known(what: str, name: str, table: Mapping[str, object]) -> None:
    demand(name in table, f"A {what} must be one of {', '.join(table)}", repr(name))


def _exists(architecture: Architecture, feature: Feature | Joined | ContextMap, *, paths: int, joins: int = 0) -> None:
    if isinstance(feature, Joined):
        there = 0 <= feature.join < joins
    elif isinstance(feature, ContextMap):
        there = 0 <= feature.context < paths
    else:
        there = 0 <= feature.path < paths and 0 <= feature.stage <= len(architecture.paths[feature.path].stages)
    demand(there, "A Feature must name a map that exists by then", feature)
