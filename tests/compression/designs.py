"""Architectures of every block, context, join and head, and of paths and maps that depend on one another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from segsearch.networks import Network
from segsearch.networks.blocks import BLOCKS
from segsearch.networks.check import SCORING, UNREDUCED, WIDE
from segsearch.networks.contexts import CONTEXTS
from segsearch.networks.decoders import HEAD_BLOCKS, JOINS
from segsearch.space.architecture import (
    Architecture,
    Auxiliary,
    Context,
    ContextMap,
    EncoderPath,
    Feature,
    Head,
    Join,
    Joined,
    Merge,
    Stage,
    Stem,
)
from segsearch.space.block_rules import BLOCK_RULES
from tests.blocks import SETTINGS, leaves, stage_of

Widths = dict[str, int]

CONTEXT_SETTINGS = {
    "none": Context(),
    "pyramid_pooling": Context("pyramid_pooling", 48, bins=(1, 2, 3, 6)),
    "aspp": Context("aspp", 48, rates=(2, 4), image_pool=True),
    "aspp_scores": Context("aspp_scores", rates=(2, 4)),
    "large_field": Context("large_field", 48, rates=(4,)),
    "cascaded_pooling": Context("cascaded_pooling", 48, bins=(4, 2)),
    "global_pooling": Context("global_pooling", 48),
    "attention": Context("attention", 48),
}
SEPARABLE = [replace(CONTEXT_SETTINGS[name], block="separable") for name in WIDE]


def chain(*stages: Stage, context: Context = Context(), head: Head = Head(32)) -> Architecture:
    return Architecture((EncoderPath(Stem(16), stages, context),), (), head)


def stages_of(block: str, **changes: Any) -> tuple[Stage, ...]:
    settings = {"expansion": 3.0, **SETTINGS[block], **changes}
    widths = (48, 72, 112, 184) if BLOCK_RULES[block].grows else (32, 24, 40, 64)
    return tuple(stage_of(block, width, 2, 1 + index % 2, **settings) for index, width in enumerate(widths))


def all_blocks() -> Architecture:
    """A stage of each, two of stride 2 among them."""
    stages: list[Stage] = []
    channels = 16
    for index, name in enumerate(BLOCKS):
        channels = leaves(name, channels, 24)
        stages.append(stage_of(name, channels, 2, 2 if index % 4 == 1 else 1))
    return chain(*stages, Stage("conv", 24, 1))


def gathered(context: Context) -> Architecture:
    return chain(*stages_of("conv"), context=context, head=Head(32, 0 if context.kind in SCORING else 1))


def skips(kind: str, reduce: int, **changes: Any) -> Architecture:
    widths = (0, 0) if kind in SCORING else (48, 32)
    joins = tuple(Join(kind, Feature(0, 2 - index), width, reduce, **changes) for index, width in enumerate(widths))
    return replace(chain(*stages_of("conv"), head=Head(32, 0 if kind in SCORING else 1)), joins=joins)


CASES: dict[str, Architecture] = {
    **{f"block {name}": chain(*stages_of(name)) for name in BLOCKS if name != "grouped"},
    **{f"grouped {groups}": chain(*stages_of("grouped", groups=groups)) for groups in (2, 4, 8)},
    **{f"context {name}": gathered(CONTEXT_SETTINGS[name]) for name in CONTEXTS},
    **{f"context {context.kind} separable": gathered(context) for context in SEPARABLE},
    **{
        f"join {name}, reduce {reduce}": skips(name, reduce)
        for name in JOINS
        for reduce in (0, 16)[: 2 - (name in UNREDUCED)]
    },
    **{f"join {name}, grown": skips(name, 0, upsample="transposed") for name in JOINS},
    **{f"join {name} of conv": skips(name, 0, block="conv", depth=2) for name in JOINS if name not in SCORING},
    "bottleneck of groups": chain(*stages_of("bottleneck", groups=8, expansion=1.0)),
    "split rates without a squeeze": chain(*stages_of("split_rates", squeeze=0.0)),
    "split rates without groups of their own": chain(*stages_of("split_rates", groups=2)),
    "three rates": chain(*(stage_of("split_rates", width, 1, atrous=(1, 2, 4), groups=3) for width in (48, 96))),
    "depthwise rates": chain(*(stage_of("split_rates", width, 1, groups=width, expansion=1.0) for width in (48, 96))),
    "unexpanded": chain(Stage("conv", 24, 1), *stages_of("mbconv", expansion=1.0)),
    **{f"head {name}": chain(*stages_of("conv"), head=Head(40, 2, name)) for name in HEAD_BLOCKS},
    "all blocks": all_blocks(),
    "DenseNet": chain(Stage("dense", 80, 3), Stage("transition", 40, 1, 2), Stage("dense", 104, 4)),
    "grouped over a dense stage": chain(
        Stage("conv", 32, 1, 2), Stage("dense", 80, 2), Stage("grouped", 80, 1, groups=4), Stage("conv", 24, 1)
    ),
    "residual over a dense stage": chain(Stage("conv", 32, 1, 2), Stage("dense", 80, 2), Stage("residual", 80, 1)),
    "a map beside itself": replace(chain(*stages_of("conv")), joins=(Join("concat", Feature(0, 4), 32),)),
    "reinforced": chain(*stages_of("eesp", reinforce=True)),
    "paths of one stem": Architecture(
        (
            EncoderPath(Stem(16), (Stage("residual", 16, 1), Stage("conv", 40, 1, 2))),
            EncoderPath(None, (Stage("mbconv", 16, 1, squeeze=0.25), Stage("dense", 48, 2)), source=Feature(0, 0)),
        ),
        (Join("concat", Feature(1, 2), 40),),
        Head(32),
    ),
    "residuals behind a skip": replace(skips("concat", 24), paths=(EncoderPath(Stem(16), stages_of("residual")),)),
    "grouped behind a skip": replace(skips("concat", 24), paths=(EncoderPath(Stem(16), stages_of("grouped")),)),
    "auxiliary": replace(chain(*stages_of("residual")), auxiliary=(Auxiliary(Feature(0, 2), 0.4, 16),)),
    "two paths": Architecture(
        (EncoderPath(Stem(16), stages_of("residual")), EncoderPath(Stem(16), (Stage("conv", 48, 2, 2),))),
        (Join("add", Feature(0, 2), 40), Join("concat", Feature(1, 1), 48)),
        Head(32),
    ),
    "a path of a path": Architecture(
        (
            EncoderPath(Stem(16), stages_of("conv")[:2]),
            EncoderPath(None, (Stage("residual", 48, 1, 2),), source=Feature(0, 2), scale=0.5),
        ),
        (Join("add", Feature(0, 1), 40),),
        Head(32),
        auxiliary=(Auxiliary(Feature(0, 2), 0.4, 16),),
        trunk=1,
    ),
    "U-shaped": replace(
        chain(*(Stage("conv", width, 2, 2, downsample="max_pool") for width in (24, 40, 64))),
        joins=tuple(
            Join("concat", Feature(0, stage), width, block="conv", depth=2, upsample="transposed")
            for stage, width in ((2, 40), (1, 24), (0, 16))
        ),
    ),
    "joins beside one another": replace(
        chain(*stages_of("conv")),
        joins=(
            Join("concat", Feature(0, 3), 48),
            Join("concat", Feature(0, 1), 32, others=(ContextMap(0),)),
            Join("concat", Feature(0, 2), 24, others=(Joined(0), Feature(0, 3))),
        ),
    ),
    "a stem that two paths share": Architecture(
        (
            EncoderPath(Stem(16), (Stage("residual", 16, 1), *stages_of("residual")[2:])),
            EncoderPath(None, (Stage("conv", 48, 2, 2),), source=Feature(0, 0)),
        ),
        (Join("add", Feature(0, 2), 40), Join("concat", Feature(1, 1), 48)),
        Head(32),
    ),
    "maps exchanged both ways": Architecture(
        (
            EncoderPath(
                Stem(16, 4, depth=2),
                (Stage("residual", 32, 1), Stage("residual", 32, 1)),
                merges=(Merge(1, Feature(1, 1)), Merge(2, Feature(1, 2))),
            ),
            EncoderPath(
                None,
                (Stage("residual", 40, 1, 2), Stage("conv", 64, 1, 2)),
                CONTEXT_SETTINGS["cascaded_pooling"],
                source=Feature(0, 0),
                merges=(Merge(1, Feature(0, 1)), Merge(2, Feature(0, 2))),
            ),
        ),
        (Join("add", Feature(0, 2), 48),),
        Head(32),
        auxiliary=(Auxiliary(ContextMap(1), 0.4, 16),),
        trunk=1,
    ),
    "BiSeNet": Architecture(
        (
            EncoderPath(Stem(16), stages_of("residual"), CONTEXT_SETTINGS["attention"]),
            EncoderPath(Stem(16), (Stage("conv", 48, 2, 2),)),
        ),
        (Join("attention", Feature(0, 2), 48, block="conv"), Join("fuse", Feature(1, 1), 64)),
        Head(32),
        auxiliary=(Auxiliary(ContextMap(0), 1.0, 16), Auxiliary(Joined(0), 1.0, 16)),
    ),
}
cases = pytest.mark.parametrize("architecture", CASES.values(), ids=CASES)


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}


def widths(network: nn.Module) -> Widths:
    return {name: layer.out_channels for name, layer in convolutions(network).items()}


def kept_whole(network: Network) -> set[str]:
    """Names of the layers whose outputs must stay."""
    held = {id(layer) for part in network.protected for layer in part.modules()}
    return {name for name, layer in convolutions(network).items() if id(layer) in held}
