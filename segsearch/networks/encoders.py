"""Encoders: a path becomes maps of known widths, whatever its blocks are."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.blocks import BLOCKS, Place
from segsearch.networks.contexts import CONTEXTS
from segsearch.networks.layers import conv_bn, conv_bn_relu, resize, spatial_size
from segsearch.space.architecture import EncoderPath, Feature, Merge, Stage, Stem
from segsearch.space.block_rules import steps_in


def build_stem(inputs: int, stem: Stem) -> nn.Module:
    """`stem.depth` convolutions; the first halve the map until the stride, or half of it and a pool, is reached."""
    layers: list[nn.Module] = []
    left, channels = stem.stride // 2 if stem.pool else stem.stride, inputs
    for _ in range(stem.depth):
        stride = 2 if left > 1 else 1
        left //= stride
        layers.append(
            conv_bn_relu(channels, stem.channels, kernel=stem.kernel, stride=stride, activation=stem.activation)
        )
        channels = stem.channels
    if stem.pool:
        layers.append(nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(*layers)


class Blocks(nn.Sequential):
    """The blocks of a stage. Those that say `reads_image` are given the network's image beside the map."""

    def forward(self, x: Tensor, image: Tensor | None = None) -> Tensor:
        for block in self:
            x = block(x, image) if getattr(block, "reads_image", False) else block(x)
        return x


def build_stage(inputs: int, stage: Stage) -> Blocks:
    """`stage.depth` blocks; the first carries the stride, each the atrous rate that is its turn."""
    layers: list[nn.Module] = []
    if stage.downsample != "stride" and stage.stride > 1:
        pool = nn.MaxPool2d if stage.downsample == "max_pool" else nn.AvgPool2d
        layers.append(pool(stage.stride))
    for index, (channels, outputs, stride) in enumerate(steps_in(stage, inputs)):
        rate = stage.atrous[index % len(stage.atrous)]
        layers.append(BLOCKS[stage.block](Place(channels, outputs, index, stride, rate), stage))
    return Blocks(*layers)


class Merging(nn.Module):
    """Another path's map, brought to this one's width and size and added to it (DDRNet, arXiv:2101.06085)."""

    def __init__(self, other: int, channels: int) -> None:
        super().__init__()
        self.bring = nn.Sequential(*conv_bn(other, channels))

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        # A larger map is averaged first: a bilinear resize would read a few of its pixels only.
        size, found = spatial_size(x), spatial_size(other)
        ratio = min(have // want for have, want in zip(found, size, strict=True))
        brought = self.bring(F.avg_pool2d(other, ratio) if ratio > 1 else other)
        return F.relu(x + resize(brought, size))


class Encoder(nn.Module):
    """One path: its stem, stages, what is merged after them, its context.

    `widths[i]` are the channels of map i, the context's are `channels`. The network runs them: paths may exchange maps
    on their way.
    """

    def __init__(self, inputs: int, path: EncoderPath, classes: int) -> None:
        super().__init__()
        self.stem = build_stem(inputs, path.stem) if path.stem else nn.Identity()
        widths = [path.stem.channels if path.stem else inputs]
        stages = []
        for stage in path.stages:
            stages.append(build_stage(widths[-1], stage))
            widths.append(stage.channels)
        self.stages = nn.ModuleList(stages)
        self.context, self.channels = CONTEXTS[path.context.kind](widths[-1], path.context, classes)
        self.widths = tuple(widths)
        self.merges = nn.ModuleList()
        self.merged: tuple[Merge, ...] = path.merges

    def add_merges(self, widths: Mapping[Feature, int]) -> None:
        """Build what is merged, once the widths of all paths are known."""
        self.merges.extend(Merging(widths[merge.feature], self.widths[merge.after]) for merge in self.merged)
