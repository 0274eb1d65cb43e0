"""Rates and bins that are larger than their map, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segsearch.networks import build
from segsearch.space.architecture import Architecture, Context, EncoderPath, Feature, Head, Join, Stage, Stem
from segsearch.space.reach import beyond_reach

SIZE = (96, 128)  # maps of 48x64, 24x32, 12x16 and 6x8


def network(*stages: Stage, context: Context = Context()) -> Architecture:
    return Architecture((EncoderPath(Stem(8), stages, context),), (), Head(8))


DEEP = (Stage("conv", 16, 1, 2), Stage("conv", 16, 1, 2), Stage("conv", 16, 2, 2, atrous=(2, 8)))


def told(architecture: Architecture) -> tuple[str, ...]:
    return beyond_reach(architecture, SIZE, classes=5)


def test_a_rate_of_both_sides_of_its_map_is_told() -> None:
    assert told(network(*DEEP)) == ("rate 8 in stage 3 on a map of 8x6",)
    assert told(network(*DEEP[:2], replace(DEEP[2], atrous=(2, 7)))) == ()


def test_the_first_block_reads_the_map_before_its_stride() -> None:
    assert told(network(*DEEP[:2], replace(DEEP[2], atrous=(15, 1)))) == ()
    assert told(network(*DEEP[:2], replace(DEEP[2], atrous=(16, 1)))) == ("rate 16 in stage 3 on a map of 16x12",)
    pooled = replace(DEEP[2], atrous=(15, 1), downsample="max_pool")
    assert told(network(*DEEP[:2], pooled)) == ("rate 15 in stage 3 on a map of 8x6",)


def test_rates_of_branches_are_all_looked_at() -> None:
    branches = replace(DEEP[2], depth=1, atrous=(1, 2, 20))
    assert told(network(*DEEP[:2], branches)) == ("rate 20 in stage 3 on a map of 16x12",)


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (Context("aspp", 16, rates=(2, 6, 12)), ("rate 12 in aspp on a map of 8x6",)),
        (Context("aspp_scores", rates=(7, 8)), ("rate 8 in aspp_scores on a map of 8x6",)),
        (Context("pyramid_pooling", 16, bins=(1, 8)), ()),
        (Context("pyramid_pooling", 16, bins=(1, 9)), ("bins 9 in pyramid_pooling on a map of 8x6",)),
        (Context("none", rates=(99,)), ()),
    ],
)
def test_what_a_context_asks_for(context: Context, words: tuple[str, ...]) -> None:
    assert told(network(*DEEP[:2], replace(DEEP[2], atrous=(1,)), context=context)) == words


def test_a_map_of_one_pixel_is_no_fault_of_a_plain_convolution() -> None:
    context = Context("pyramid_pooling", 8, bins=(1,))
    assert beyond_reach(network(*(Stage("conv", 8, 1, 2),) * 6, context=context), (32, 32), classes=5) == ()


def test_paths_are_named_and_the_input_scale_counts() -> None:
    two = Architecture(
        (EncoderPath(Stem(8), DEEP[:1]), EncoderPath(None, (Stage("conv", 8, 1, atrous=(12,)),), source=Feature(0, 1))),
        (Join("add", Feature(1, 1), 8),),
        Head(8),
    )
    assert told(two) == ()
    assert told(replace(two, input_scale=0.25)) == ("rate 12 in stage 1 of path 1 on a map of 8x6",)


@pytest.mark.parametrize(("rate", "idle"), [(7, False), (8, True)])
def test_what_is_told_is_a_1x1_convolution(rate: int, idle: bool) -> None:
    built = build(
        network(*DEEP[:2], replace(DEEP[2], depth=1, atrous=(1,)), context=Context("aspp", 8, rates=(rate,))), 5
    )
    conv = built.encoders[0].context.branches[1][0]
    sized = torch.randn(1, 16, 6, 8)
    with torch.no_grad():
        whole = conv(sized)
        conv.weight[..., [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0.0
        assert torch.allclose(conv(sized), whole, atol=1e-6) is idle
