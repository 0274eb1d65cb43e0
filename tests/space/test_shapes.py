"""Shapes told from the architecture are those of the network that is built and pruned."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from segsearch.networks import build
from segsearch.networks.blocks import BLOCKS
from segsearch.space.architecture import (
    Architecture,
    Auxiliary,
    Context,
    EncoderPath,
    Feature,
    Head,
    Join,
    Joined,
    Merge,
    Stage,
    Stem,
)
from segsearch.space.draws import Dice
from segsearch.space.load import load_space
from segsearch.space.shapes import ContextMap, HeadMap, Shape, scaled, shapes_of
from segsearch.space.steps import BeforeExport, Factorize, Prune
from segsearch.trial.making import apply_model_steps
from tests.blocks import leaves, stage_of

SIZE = (90, 122)  # divides by nothing


def chain(*stages: Stage, **changes: Any) -> Architecture:
    return replace(Architecture((EncoderPath(Stem(16), stages),), (), Head(32)), **changes)


def grouped(channels: int, depth: int, stride: int = 2) -> Stage:
    return Stage("grouped", channels, depth, stride, groups=4)


def of_block(name: str, *, first: int, stride: int = 2) -> Architecture:
    """Two stages of a block and a convolution after them; the first ends with so many channels."""
    second = leaves(name, first, first)
    stages = (stage_of(name, first, 2, stride), stage_of(name, second, 2), Stage("conv", 40, 1))
    return chain(*stages, joins=(Join("concat", Feature(0, 1), 32),))


DENSE = (Stage("dense", 88, 3), Stage("transition", 48, 1, 2), Stage("dense", 96, 2))
RESIDUALS = (Stage("residual", 32, 2, 2), Stage("residual", 32, 1), Stage("inverted_residual", 48, 2, expansion=2.0))
CASES = {
    "plain": chain(Stage("conv", 24, 1, 2), Stage("separable", 40, 2, 2)),
    "shortcuts tie stages": chain(*RESIDUALS),
    "a shortcut from the stem": chain(Stage("residual", 16, 1), Stage("conv", 24, 1)),
    "groups": chain(grouped(32, 2), grouped(32, 1, 1), Stage("conv", 40, 1)),
    "groups beside a skip": chain(
        Stage("conv", 32, 1, 2), grouped(32, 1), Stage("conv", 24, 1, 2), joins=(Join("concat", Feature(0, 1), 32),)
    ),
    "pools": chain(Stage("conv", 24, 1, 2, downsample="max_pool"), Stage("conv", 32, 1, 2, downsample="mean_pool")),
    "a skip to the stem": chain(Stage("conv", 32, 1, 2), joins=(Join("concat", Feature(0, 0), 24),)),
    **{f"block {name}": of_block(name, first=leaves(name, 16, 32)) for name in BLOCKS},
    **{f"block {name} at its stem": of_block(name, first=leaves(name, 16), stride=1) for name in BLOCKS},
    **{f"block {name} of odd widths": of_block(name, first=leaves(name, 16, 36)) for name in BLOCKS},
    "dense and transition": chain(*DENSE),
    "a skip to a dense stage": chain(*DENSE, joins=(Join("concat", Feature(0, 1), 24),)),
    "a skip to a dense stage, mixed": chain(*DENSE, joins=(Join("concat", Feature(0, 1), 24, block="conv"),)),
    "separable over a dense stage": chain(Stage("conv", 24, 1, 2), Stage("dense", 72, 2), Stage("separable", 40, 1)),
    "separable over a dense stage and its stem": chain(Stage("dense", 72, 2), Stage("separable", 40, 1)),
    "grouped over a dense stage": chain(Stage("conv", 24, 1, 2), Stage("dense", 72, 2), grouped(72, 1, 1)),
    "grouped over a dense stage of other width": chain(Stage("dense", 72, 2), grouped(40, 1, 1)),
    "residual over a dense stage": chain(Stage("conv", 24, 1, 2), Stage("dense", 72, 2), Stage("residual", 72, 2)),
    "mbconv over a dense stage": chain(
        Stage("conv", 24, 1, 2), Stage("dense", 72, 2), Stage("mbconv", 72, 2, squeeze=0.25), Stage("conv", 24, 1)
    ),
    "dense after dense": chain(Stage("conv", 24, 1, 2), Stage("dense", 72, 2), Stage("dense", 120, 3, 2)),
    "a head over a dense stage": chain(Stage("conv", 24, 1), Stage("dense", 72, 2), head=Head(24, 1, "separable")),
    "a dense stage is all": chain(Stage("conv", 24, 1), Stage("dense", 72, 2), head=Head(8, 0)),
    "a map beside itself": chain(Stage("conv", 40, 1, 2), joins=(Join("concat", Feature(0, 1), 24),)),
    "a grouped map beside itself": chain(
        Stage("conv", 40, 1, 2),
        grouped(40, 1, 1),
        joins=(Join("add", Feature(0, 1), 40), Join("concat", Feature(0, 1), 24, others=(Feature(0, 1),))),
    ),
    "a map beside itself and another": chain(
        Stage("conv", 40, 1, 2),
        Stage("conv", 24, 1),
        joins=(Join("concat", Feature(0, 1), 24, others=(Feature(0, 1), Feature(0, 2))),),
    ),
    "reinforced": chain(
        Stage("conv", 16, 1),
        stage_of("eesp", 48, 1, 2, reinforce=True),
        Stage("conv", 24, 1),
        joins=(Join("concat", Feature(0, 1), 24),),
    ),
    "reinforced without groups": chain(
        Stage("conv", 24, 1),
        Stage("eesp", 64, 1, 2, reinforce=True),
        Stage("conv", 24, 1),
        joins=(Join("concat", Feature(0, 1), 24, block="conv"),),
    ),
    "carried and mixed": chain(
        Stage("conv", 24, 1), stage_of("shuffled", 72, 1, 2), Stage("conv", 24, 1), stage_of("eesp", 48, 1, 2)
    ),
    "paths of one stem": Architecture(
        (
            EncoderPath(Stem(16), (Stage("dense", 48, 1, 2), Stage("residual", 48, 1))),
            EncoderPath(None, (Stage("residual", 16, 1), Stage("conv", 32, 1)), source=Feature(0, 0)),
        ),
        (Join("concat", Feature(1, 2), 40),),
        Head(24),
    ),
    "merged into a dense stage": Architecture(
        (
            EncoderPath(Stem(16), (Stage("conv", 24, 1, 2), Stage("dense", 72, 2), Stage("conv", 32, 1))),
            EncoderPath(Stem(16), (Stage("conv", 40, 1),), merges=(Merge(1, Feature(0, 1)),)),
        ),
        (Join("concat", Feature(1, 1), 40),),
        Head(24),
    ),
    "contexts and joins": Architecture(
        (EncoderPath(Stem(16, depth=2, stride=4), RESIDUALS, Context("aspp", 40, rates=(2,), image_pool=True)),),
        (Join("add", Feature(0, 1), 40), Join("concat", Feature(0, 0), 24, reduce=8)),
        Head(24, 2, "separable"),
        auxiliary=(Auxiliary(Feature(0, 1), 0.4, 16),),
        input_scale=0.75,
    ),
    "a path of a path": Architecture(
        (
            EncoderPath(Stem(16), (Stage("conv", 24, 1, 2), Stage("residual", 32, 1, 2))),
            EncoderPath(None, (Stage("residual", 32, 1),), source=Feature(0, 2), scale=0.5),
        ),
        (Join("add", Feature(0, 1), 40),),
        Head(32, 0),
        trunk=1,
    ),
    "a pooled stem": replace(
        chain(Stage("conv", 24, 1, 2)), paths=(EncoderPath(Stem(16, 4, pool=True), RESIDUALS[:1]),)
    ),
    **{
        f"context {context.kind}{' separable' if context.block != 'conv' else ''}": replace(
            chain(),
            paths=(EncoderPath(Stem(16), (Stage("conv", 40, 1, 2),), context),),
            head=Head(24, context.channels // 40),
        )
        for context in (
            Context("pyramid_pooling", 40, bins=(1, 2)),
            Context("aspp", 40, rates=(2, 4), image_pool=True, block="separable"),
            Context("aspp_scores", rates=(2, 4)),
            Context("aspp_scores", rates=(2, 4), block="separable"),
            Context("large_field", 40, rates=(4,)),
            Context("large_field", 40, rates=(4,), block="separable"),
            Context("cascaded_pooling", 40, bins=(4, 2)),
            Context("cascaded_pooling", 40, bins=(4, 2), block="separable"),
            Context("global_pooling", 40),
            Context("attention", 40),
            Context("attention", 40, block="separable"),
        )
    },
    **{
        f"{kind} {block} {upsample}": chain(
            Stage("conv", 24, 1, 2),
            Stage("conv", 40, 1, 2),
            Stage("conv", 48, 1, 2),
            joins=(
                Join(kind, Feature(0, 2), width, upsample=upsample, block=block),  # type: ignore[arg-type]
                Join(kind, Feature(0, 1), width, others=(Feature(0, 0), Joined(0)), block=block),  # type: ignore[arg-type]
            ),
            head=Head(24, int(width > 0)),
        )
        for kind, width in (("concat", 40), ("add", 40), ("score", 0), ("attention", 48), ("fuse", 40), ("cascade", 40))
        for block, upsample in (("separable", "bilinear"), ("conv", "nearest"), ("separable", "transposed"))
        if (kind, upsample) != ("concat", "bilinear")  # reads a map twice, below
    },
    "maps beside one another": chain(
        Stage("conv", 24, 1, 2),
        Stage("conv", 40, 1, 2),
        Stage("conv", 48, 1, 2),
        joins=(Join("concat", Feature(0, 1), 32, others=(Feature(0, 2),)), Join("concat", Feature(0, 0), 24)),
    ),
    # A grouped convolution divides a map that also lies beside what a join makes of another: no choice suits both.
    "groups beside what grows": chain(
        Stage("conv", 32, 1, 2),
        grouped(32, 1),
        Stage("conv", 24, 1, 2),
        joins=(Join("concat", Feature(0, 1), 32, upsample="transposed"),),
    ),
    "groups beside nothing": chain(
        Stage("conv", 32, 1, 2),
        grouped(32, 1),
        Stage("conv", 24, 1, 2),
        joins=(Join("concat", Feature(0, 1), 32, reduce=16), Join("concat", Feature(0, 0), 32, block="conv")),
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
                (Stage("residual", 24, 1, 2), Stage("conv", 40, 1, 2)),
                Context("cascaded_pooling", 32, bins=(2,)),
                source=Feature(0, 0),
                merges=(Merge(0, Feature(0, 1)), Merge(1, Feature(0, 1)), Merge(2, Feature(0, 2))),
            ),
        ),
        (Join("add", Feature(0, 2), 32),),
        Head(24),
        trunk=1,
    ),
    "a path that shares the stem": Architecture(
        (
            EncoderPath(Stem(16), (Stage("residual", 16, 1), Stage("conv", 24, 1, 2))),
            EncoderPath(None, (Stage("residual", 16, 1), Stage("grouped", 16, 1, 2, groups=4)), source=Feature(0, 0)),
        ),
        (Join("concat", Feature(1, 2), 24), Join("concat", ContextMap(1), 24, block="conv")),
        Head(24),
    ),
    "the context of another path": Architecture(
        (
            EncoderPath(Stem(16), (Stage("conv", 24, 1, 2),)),
            EncoderPath(None, (Stage("conv", 40, 1, 2),), Context("attention", 40), source=Feature(0, 1)),
        ),
        (Join("concat", ContextMap(1), 32), Join("add", ContextMap(0), 24)),
        Head(24, 0),
    ),
}


def drawn() -> dict[str, Architecture]:
    draw, source = load_space("mobile").draw, random.Random(7)
    return {f"mobile {index}": draw(Dice(source)).architecture for index in range(12)}


def built(architecture: Architecture, steps: Sequence[BeforeExport]) -> dict[Feature, tuple[tuple[int, int], int]]:
    """What the maps of the real network measure."""
    network: Any = build(architecture, 5).eval()
    apply_model_steps(network, steps)
    found: dict[Feature, tuple[tuple[int, int], int]] = {}

    def watch(layer: Any, feature: Feature) -> None:
        def see(module: Any, inputs: Any, output: Any) -> None:
            found[feature] = (tuple(output.shape[-2:]), output.shape[1])

        layer.register_forward_hook(see)

    for number, encoder in enumerate(network.encoders):
        watch(encoder.stem, Feature(number, 0))
        watch(encoder.context, ContextMap(number))
        for index, stage in enumerate(encoder.stages, start=1):
            watch(stage, Feature(number, index))
    for index, join in enumerate(network.joins):
        watch(join, Joined(index))
    watch(network.head.body, HeadMap())
    with torch.no_grad():
        network(torch.zeros(1, 3, *SIZE))
    return found


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.375, 0.625])
@pytest.mark.parametrize("architecture", (CASES | drawn()).values(), ids=CASES | drawn())
def test_shapes_are_those_of_the_network(architecture: Architecture, ratio: float) -> None:
    steps = (Prune(ratio),) if ratio else ()
    shapes = shapes_of(architecture, SIZE, steps, classes=5)
    told = {feature: (shape.size, shape.left) for feature, shape in shapes.items()}
    assert told == built(architecture, steps)


@pytest.mark.parametrize("architecture", CASES.values(), ids=CASES)
def test_two_prunings_are_told_too(architecture: Architecture) -> None:
    steps = (Prune(0.25), Prune(0.375))
    shapes = shapes_of(architecture, SIZE, steps, classes=5)
    assert {feature: (shape.size, shape.left) for feature, shape in shapes.items()} == built(architecture, steps)


@pytest.mark.parametrize("architecture", CASES.values(), ids=CASES)
def test_a_factorization_changes_no_map_and_no_pruning_before_it_or_after(architecture: Architecture) -> None:
    """A block that folds is merged, and is still pruned with what it adds."""
    factorize = Factorize(0.5, least_macs=0, least_saving=0.0)
    for steps in ((factorize, Prune(0.375)), (Prune(0.375), factorize)):
        shapes = shapes_of(architecture, SIZE, steps, classes=5)
        assert {feature: (shape.size, shape.left) for feature, shape in shapes.items()} == built(architecture, steps)


def test_what_a_dense_stage_keeps_by_hand() -> None:
    architecture = chain(Stage("conv", 40, 1), Stage("dense", 100, 3), Stage("conv", 24, 1))
    shapes = shapes_of(architecture, (64, 96), (Prune(0.5),), classes=5)
    # Half of 40, and of 20 three times, in eights: 24 (20 lies half-way, and goes up), and 8 (of 10) each.
    assert (shapes[Feature(0, 2)].channels, shapes[Feature(0, 2)].left) == (100, 24 + 3 * 8)


def test_channels_after_pruning_by_hand() -> None:
    shapes = shapes_of(chain(Stage("conv", 64, 1, 2), grouped(32, 2)), (64, 96), (Prune(0.5),), classes=5)
    assert shapes == {
        Feature(0, 0): Shape((32, 48), 16, 16),  # a stem keeps its channels
        Feature(0, 1): Shape((16, 24), 64, 32),
        Feature(0, 2): Shape((8, 12), 32, 16),
        ContextMap(0): Shape((8, 12), 32, 16),
        HeadMap(): Shape((8, 12), 32, 16),
    }


@pytest.mark.parametrize(
    ("channels", "multiple", "left"), [(64, 8, 40), (24, 8, 16), (8, 8, 8), (4, 8, 4), (96, 24, 72)]
)
def test_what_a_ratio_leaves(channels: int, multiple: int, left: int) -> None:
    assert Prune(0.375).left(channels, multiple=multiple) == left


def test_scales() -> None:
    assert scaled((90, 122), 0.75) == (68, 92)  # 67.5 rounds to even, as the network does
    assert scaled((1, 1), 0.25) == (1, 1)
