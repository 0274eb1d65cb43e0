"""Encoders that are written as the networks of the field have as many parameters, stage by stage, counted by hand.

The sums are those that are published: torchvision's, less the classifier (and for ShuffleNet its authors' table's).
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segsearch.networks.blocks import BLOCKS, Place
from segsearch.networks.encoders import Encoder
from segsearch.space.architecture import EncoderPath, Stage, Stem


def parameters(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def vgg(*stages: tuple[int, int]) -> EncoderPath:
    first, *others = stages
    pooled = (Stage("conv", channels, depth, 2, downsample="max_pool", norm="none") for channels, depth in others)
    return EncoderPath(None, (Stage("conv", *first, norm="none"), *pooled))


def resnet(*, expansion: float, groups: int) -> EncoderPath:
    stages = tuple(
        Stage("bottleneck", channels, depth, stride, expansion=expansion, groups=groups)
        for channels, depth, stride in ((256, 3, 1), (512, 4, 2), (1024, 6, 2), (2048, 3, 2))
    )
    return EncoderPath(Stem(64, stride=4, kernel=7, pool=True), stages)


def densenet(*depths: int, growth: int = 32) -> EncoderPath:
    stages: list[Stage] = []
    channels = 64
    for depth in depths:
        if stages:
            channels //= 2
            stages.append(Stage("transition", channels, 1, 2))
        channels += growth * depth
        stages.append(Stage("dense", channels, depth))
    return EncoderPath(Stem(64, stride=4, kernel=7, pool=True), tuple(stages))


def mobilenet_v2() -> EncoderPath:
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    stages = (
        Stage("mbconv", channels, depth, stride, expansion=expansion, activation="relu6")
        for expansion, channels, depth, stride in table
    )
    return EncoderPath(Stem(32, activation="relu6"), (*stages, Stage("conv", 1280, 1, kernel=1, activation="relu6")))


def mobilenet_v3() -> EncoderPath:
    """The large one; its table has a row for each block, of which those alike are one stage here."""
    early = (
        Stage("mbconv", 16, 1),
        Stage("mbconv", 24, 1, 2, expansion=4),
        Stage("mbconv", 24, 1, expansion=3),
        Stage("mbconv", 40, 3, 2, 5, expansion=3, squeeze=0.25),
    )
    late = (
        Stage("mbconv", 80, 1, 2, expansion=6, activation="hardswish"),
        Stage("mbconv", 80, 1, expansion=2.5, activation="hardswish"),
        Stage("mbconv", 80, 2, expansion=2.3, activation="hardswish"),
        Stage("mbconv", 112, 2, expansion=6, squeeze=0.25, activation="hardswish"),
        Stage("mbconv", 160, 3, 2, 5, expansion=6, squeeze=0.25, activation="hardswish"),
        Stage("conv", 960, 1, kernel=1, activation="hardswish"),
    )
    return EncoderPath(Stem(16, activation="hardswish"), early + late)


def shufflenet() -> EncoderPath:
    """Of three groups and full width."""
    table = ((240, 4), (480, 8), (960, 4))
    stages = (Stage("shuffled", channels, depth, 2, expansion=0.25, groups=3) for channels, depth in table)
    return EncoderPath(Stem(24, stride=4, pool=True), tuple(stages))


def inverted(inputs: int, kernel: int, inner: int, outputs: int, squeezed: int = 0) -> int:
    """A row of MobileNetV3's table: expand, depthwise, squeeze, project; two numbers of a norm for each channel."""
    expand = inputs * inner + 2 * inner if inner != inputs else 0
    squeeze = 2 * inner * squeezed + squeezed + inner if squeezed else 0
    return expand + kernel**2 * inner + 2 * inner + squeeze + inner * outputs + 2 * outputs


# The stem, then each stage, and their sum.
BY_HAND: dict[str, tuple[EncoderPath, list[int], int]] = {
    "VGG-16": (
        vgg((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),
        [0, 38_720, 221_440, 1_475_328, 5_899_776, 7_079_424],
        14_714_688,
    ),
    "ResNet-50": (
        resnet(expansion=0.25, groups=1),
        [9_536, 215_808, 1_219_584, 7_098_368, 14_964_736],
        25_557_032 - 2_049_000,
    ),
    "ResNeXt-50 32x4d": (
        resnet(expansion=0.5, groups=32),
        [9_536, 205_824, 1_197_056, 7_022_592, 14_544_896],
        25_028_904 - 2_049_000,
    ),
    # A dense layer has 130 parameters for each channel that it reads, and 37,120. The norms of torchvision's
    # transitions stand with the stages before them here.
    "DenseNet-121": (
        densenet(6, 12, 24, 16),
        [9_536, 335_552, 32_768, 920_704, 131_072, 2_839_808, 524_288, 2_160_128],
        7_978_856 - 1_025_000,
    ),
    "MobileNetV2": (
        mobilenet_v2(),
        [928, 896, 13_968, 39_696, 183_872, 303_168, 795_264, 473_920, 412_160],
        3_504_872 - 1_281_000,
    ),
    "MobileNetV3-Large": (
        mobilenet_v3(),
        [
            27 * 16 + 32,
            inverted(16, 3, 16, 16),
            inverted(16, 3, 64, 24),
            inverted(24, 3, 72, 24),
            inverted(24, 5, 72, 40, 24) + 2 * inverted(40, 5, 120, 40, 32),
            inverted(40, 3, 240, 80),
            inverted(80, 3, 200, 80),
            2 * inverted(80, 3, 184, 80),
            inverted(80, 3, 480, 112, 120) + inverted(112, 3, 672, 112, 168),
            inverted(112, 5, 672, 160, 168) + 2 * inverted(160, 5, 960, 160, 240),
            160 * 960 + 2 * 960,
        ],
        5_483_032 - 1_230_080 - 1_281_000,
    ),
    "ShuffleNet 1x, g = 3": (shufflenet(), [696, 39_552, 307_680, 556_800], 904_728),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_an_encoder_has_as_many_parameters_as_the_network_it_is_written_as(name: str) -> None:
    path, by_hand, total = BY_HAND[name]
    with torch.device("meta"):  # the numbers alone
        encoder = Encoder(3, path, 5)
    assert [parameters(encoder.stem), *map(parameters, encoder.stages)] == by_hand
    assert parameters(encoder) == sum(by_hand) == total


@pytest.mark.parametrize(
    ("place", "stage", "by_hand"),
    [
        # 64 to 16 in 4 groups, 4 branches, a norm of 64, 64 to 64 in 4 groups
        (Place(64, 64, 1), Stage("eesp", 64, 2, atrous=(1, 2, 3, 4), groups=4), 288 + 4 * 144 + 128 + 1152),
        # 32 more channels of 8 a branch; the image's 3x3 and 1x1
        (
            Place(32, 64, 0, 2),
            Stage("eesp", 64, 1, 2, atrous=(1, 2, 3, 4), groups=4, reinforce=True),
            80 + 4 * 72 + 64 + 320 + 87 + 320,
        ),
        # groups of 16 channels, 4 for each rate
        (Place(128, 128), Stage("split_rates", 128, 1, atrous=(1, 14), groups=8), 16_640 + 2 * 9_344 + 16_640),
        # 3x3 and norm, 1x1, norm
        (Place(16, 24), Stage("qarep", 24, 1), 3_456 + 48 + 384 + 48),
    ],
    ids=["ESPNetv2", "ESPNetv2 strided", "RegSeg", "QARepVGG"],
)
def test_a_block_has_as_many_parameters_as_its_paper_says(place: Place, stage: Stage, by_hand: int) -> None:
    assert parameters(BLOCKS[stage.block](place, stage)) == by_hand
