"""Encoders: a path becomes a list of maps with known widths, whatever its blocks are."""

from __future__ import annotations

from torch import Tensor, nn

from segsearch.networks.blocks import BLOCKS
from segsearch.networks.contexts import CONTEXTS
from segsearch.networks.layers import conv_bn_relu
from segsearch.space.candidate import EncoderPath, Stage, Stem


def build_stem(inputs: int, stem: Stem) -> nn.Module:
    """`stem.depth` convolutions; the first ones halve the map until `stem.stride` is reached."""
    layers, left, channels = [], stem.stride, inputs
    for _ in range(stem.depth):
        stride = 2 if left > 1 else 1
        left //= stride
        layers.append(conv_bn_relu(channels, stem.channels, kernel=stem.kernel, stride=stride))
        channels = stem.channels
    return nn.Sequential(*layers)


def build_stage(inputs: int, stage: Stage) -> nn.Module:
    """`stage.depth` blocks; the first carries the stride, each the atrous rate that is its turn."""
    block = BLOCKS[stage.block]
    layers: list[nn.Module] = []
    stride = stage.stride
    if stage.downsample != "stride" and stage.stride > 1:
        pool = nn.MaxPool2d if stage.downsample == "max_pool" else nn.AvgPool2d
        layers.append(pool(stage.stride))
        stride = 1
    channels = inputs
    for index in range(stage.depth):
        rate = stage.atrous[index % len(stage.atrous)]
        layers.append(block(channels, stage, stride if index == 0 else 1, rate))
        channels = stage.channels
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """One path: its stem, stages and context. `widths[i]` are the channels of map i; the context's is `channels`."""

    def __init__(self, inputs: int, path: EncoderPath) -> None:
        super().__init__()
        self.stem = build_stem(inputs, path.stem) if path.stem else nn.Identity()
        widths = [path.stem.channels if path.stem else inputs]
        stages = []
        for stage in path.stages:
            stages.append(build_stage(widths[-1], stage))
            widths.append(stage.channels)
        self.stages = nn.ModuleList(stages)
        self.context, self.channels = CONTEXTS[path.context.kind](widths[-1], path.context)
        self.widths = tuple(widths)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps, self.context(maps[-1])
