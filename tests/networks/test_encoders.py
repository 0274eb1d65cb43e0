from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segsearch.networks.blocks import BLOCKS
from segsearch.networks.encoders import Encoder, build_stage, build_stem
from segsearch.networks.layers import ACTIVATIONS, resize, spatial_size
from segsearch.space.architecture import Context, EncoderPath, Stage, Stem
from segsearch.space.block_rules import BLOCK_RULES
from segsearch.space.shapes import scaled
from tests.blocks import stage_of, strided


def maps_of(encoder: Encoder, x: Tensor) -> list[Tensor]:
    """The maps of a path that nothing is merged into."""
    maps = [encoder.stem(x)]
    for stage in encoder.stages:
        maps.append(stage(maps[-1], x))
    return maps


@pytest.mark.parametrize(
    ("stem", "strides"),
    [
        (Stem(8, stride=1), [1]),
        (Stem(8, stride=2), [2]),
        (Stem(8, stride=4, depth=2), [2, 2]),
        (Stem(8, stride=4, depth=3), [2, 2, 1]),
        (Stem(8, stride=2, depth=3), [2, 1, 1]),
        (Stem(8, stride=8, depth=3, kernel=5), [2, 2, 2]),
        (Stem(8, stride=2, pool=True), [1]),
        (Stem(8, stride=4, kernel=7, pool=True), [2]),
        (Stem(8, stride=8, depth=3, pool=True), [2, 2, 1]),
    ],
)
def test_a_stem_halves_first_until_its_stride(stem: Stem, strides: list[int]) -> None:
    module = build_stem(3, stem).eval()
    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    assert [conv.stride[0] for conv in convs] == strides
    assert {conv.out_channels for conv in convs} == {8}
    assert {conv.kernel_size[0] for conv in convs} == {stem.kernel}
    assert module(torch.zeros(1, 3, 64, 48)).shape == (1, 8, 64 // stem.stride, 48 // stem.stride)


def test_a_stems_pool_is_a_padded_3x3_and_the_last_halving() -> None:
    # ResNet's: the maximum over windows that overlap, rounding up as its convolutions do.
    stem = build_stem(3, Stem(8, stride=4, pool=True)).eval()
    x = torch.randn(1, 3, 61, 83)
    before = stem[0](x)
    assert before.shape == (1, 8, 31, 42)
    torch.testing.assert_close(stem(x), nn.functional.max_pool2d(before, 3, 2, 1))
    assert stem(x).shape == (1, 8, 16, 21)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_stem_has_the_activation_that_it_names(activation: Any) -> None:
    stem = build_stem(3, Stem(8, depth=2, activation=activation))
    kinds = {type(make()) for make in ACTIVATIONS.values()}
    assert [type(layer) for layer in stem.modules() if type(layer) in kinds] == [type(ACTIVATIONS[activation]())] * 2


def test_a_convolution_without_a_norm_has_a_bias() -> None:
    stage = build_stage(8, Stage("conv", 8, 2, norm="none"))
    layers = [type(layer).__name__ for block in stage for layer in block]
    assert layers == ["Conv2d", "ReLU"] * 2
    assert all(layer.bias is not None for layer in stage.modules() if isinstance(layer, nn.Conv2d))


def test_rates_are_cycled_over_the_blocks() -> None:
    stage = build_stage(8, Stage("conv", 8, 5, atrous=(1, 2, 4)))
    assert [layer.dilation[0] for layer in stage.modules() if isinstance(layer, nn.Conv2d)] == [1, 2, 4, 1, 2]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("downsample", ["stride", "max_pool", "mean_pool"])
def test_the_first_block_carries_the_stride_however_it_is_made(block: str, downsample: str) -> None:
    stage = stage_of(block, 16, 2, 2, downsample=downsample)
    module = build_stage(8, stage).eval()
    assert module(torch.randn(1, 8, 12, 20)).shape == (1, 16, 6, 10)
    odd = strided(block, (13, 21), 2) if downsample == "stride" else (6, 10)
    assert module(torch.randn(1, 8, 13, 21)).shape == (1, 16, *odd)
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d) and layer.stride[0] > 1]
    pools = [layer for layer in module if isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d))]
    assert bool(layers) == (downsample == "stride" and not BLOCK_RULES[block].pools)
    assert len(pools) == (downsample != "stride")


@pytest.mark.parametrize("downsample", ["max_pool", "mean_pool"])
def test_pooling_without_a_stride_pools_nothing(downsample: str) -> None:
    module = build_stage(8, Stage("conv", 8, 1, downsample=downsample))  # type: ignore[arg-type]
    assert not [layer for layer in module.modules() if isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d))]


def test_an_encoder_keeps_every_map_with_its_width() -> None:
    path = EncoderPath(Stem(8), (Stage("conv", 16, 1, 2), Stage("residual", 24, 2, 2)), Context("aspp", 40, rates=(2,)))
    encoder = Encoder(3, path, 5).eval()
    maps = maps_of(encoder, torch.randn(1, 3, 33, 47))
    context = encoder.context(maps[-1])
    assert encoder.widths == (8, 16, 24) == tuple(found.shape[1] for found in maps)
    assert [tuple(found.shape[-2:]) for found in maps] == [(17, 24), (9, 12), (5, 6)]
    assert encoder.channels == context.shape[1] == 40


def test_a_path_without_a_stem_passes_its_source_on() -> None:
    encoder = Encoder(5, EncoderPath(None, (Stage("conv", 16, 1, 2),)), 5).eval()
    x = torch.randn(1, 5, 8, 8)
    maps = maps_of(encoder, x)
    assert encoder.widths == (5, 16)
    assert torch.equal(maps[0], x)


def test_no_stage_changes_a_map_that_was_kept() -> None:
    for name in BLOCKS:
        wider = 8 if BLOCK_RULES[name].grows else 0
        stages = tuple(stage_of(name, 8 + wider * number, 2) for number in (1, 2))
        encoder = Encoder(8, EncoderPath(None, stages), 5).train()
        x = torch.randn(2, 8, 8, 8)
        first, second = x.clone(), None
        maps = maps_of(encoder, x)
        assert torch.equal(maps[0], first), name
        second = encoder.stages[0](first)
        torch.testing.assert_close(maps[1], second, msg=name)


def test_sizes_are_rounded_and_never_vanish() -> None:
    assert scaled((97, 50), 0.5) == (48, 25)
    assert scaled((3, 1), 0.1) == (1, 1)
    assert spatial_size(torch.zeros(1, 2, 5, 7)) == (5, 7)


def test_resize_to_its_own_size_is_nothing_and_half_is_the_mean_of_four() -> None:
    x = torch.randn(1, 2, 6, 8)
    assert resize(x, (6, 8)) is x
    torch.testing.assert_close(resize(x, (3, 4)), nn.functional.avg_pool2d(x, 2))
