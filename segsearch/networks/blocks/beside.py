"""Blocks that put what they make beside what they read: dense, shuffled, pyramids of atrous rates."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.blocks.parts import Carry, Place
from segsearch.networks.layers import ACTIVATIONS, conv_bn, conv_bn_relu, convolution, resize, spatial_size
from segsearch.space.architecture import Activation, Stage
from segsearch.space.block_rules import BLOCK_RULES, inner_width

# A dense block's 1x1 makes so many times what it adds (DenseNet, arXiv:1608.06993).
DENSE_INNER = 4


class Dense(nn.Module):
    """Norm, 1x1, norm, 3x3: few new channels, beside all that was read (DenseNet, arXiv:1608.06993).

    Each block reads the map as it was put together and begins with a norm and activation of its own. So would
    whatever reads the stage: its last block ends with them instead. They are what DenseNet's transitions begin with
    and its last stage ends with. With a stride the map is averaged first.
    """

    def __init__(self, place: Place, stage: Stage) -> None:
        super().__init__()
        growth, act = place.outputs - place.inputs, stage.activation
        self.stride = place.stride
        self.reduce = nn.Sequential(*_norm(place.inputs, act), convolution(place.inputs, DENSE_INNER * growth))
        self.grow = nn.Sequential(
            *_norm(DENSE_INNER * growth, act),
            convolution(DENSE_INNER * growth, growth, kernel=stage.kernel, atrous=place.atrous),
        )
        last = place.index == stage.depth - 1
        self.finish = nn.Sequential(*_norm(place.outputs, act)) if last else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = averaged(x, self.stride)
        made: Tensor = self.finish(torch.cat([x, self.grow(self.reduce(x))], dim=1))
        return made


class Transition(nn.Module):
    """A 1x1 convolution between dense stages, and a mean pool where it has a stride (DenseNet, arXiv:1608.06993).

    The norm and activation that DenseNet draws at its start end the dense stage before it.
    """

    def __init__(self, place: Place, stage: Stage) -> None:
        super().__init__()
        self.stride = place.stride
        self.mix = convolution(place.inputs, place.outputs)

    def forward(self, x: Tensor) -> Tensor:
        return averaged(self.mix(x), self.stride)


class Shuffled(nn.Module):
    """Grouped 1x1, channel shuffle, depthwise, grouped 1x1; what it reads is carried along (arXiv:1707.01083).

    The first 1x1 is grouped where it does not widen, as in the paper, and where the groups divide what it reads.
    """

    def __init__(self, place: Place, stage: Stage) -> None:
        super().__init__()
        rule, act, self.groups = BLOCK_RULES["shuffled"], stage.activation, stage.groups
        mid = inner_width(place.outputs, stage.expansion, stage.groups)
        split = self.groups if rule.splits(stage, place.inputs, place.outputs) else 1
        self.reduce = conv_bn_relu(place.inputs, mid, groups=split, activation=act)
        self.depthwise = nn.Sequential(
            *conv_bn(mid, mid, kernel=stage.kernel, stride=place.stride, atrous=place.atrous, groups=mid)
        )
        self.expand = nn.Sequential(*conv_bn(mid, rule.made(place.inputs, place.outputs), groups=stage.groups))
        self.carry = Carry(place)
        self.activate = ACTIVATIONS[act]()

    @property
    def keeps(self) -> tuple[nn.Module, ...]:
        """What is shuffled: a channel taken from one group would leave the others with holes in other places."""
        return (self.reduce[0],) if self.groups > 1 else ()

    def forward(self, x: Tensor) -> Tensor:
        made = self.expand(self.depthwise(shuffled(self.reduce(x), self.groups)))
        out: Tensor = self.activate(self.carry(x, made))
        return out


class EESP(nn.Module):
    """Grouped 1x1, a depthwise branch for each rate, sums from branch to branch, grouped 1x1 (arXiv:1811.11431).

    ESPNetv2's unit: as many branches as groups, with the rates of `Stage.atrous`; each adds the one before it, so that
    no grid of holes shows. What it reads is carried along. The stage's activation stands where the paper has PReLU.
    Where `Stage.reinforce`, the first block adds the image, averaged to the size of its map, through a 3x3 and a 1x1.
    """

    def __init__(self, place: Place, stage: Stage) -> None:
        super().__init__()
        rule, act, groups = BLOCK_RULES["eesp"], stage.activation, stage.groups
        made = rule.made(place.inputs, place.outputs)
        inner = made // groups
        split = groups if rule.splits(stage, place.inputs, place.outputs) else 1
        self.reduce = conv_bn_relu(place.inputs, inner, groups=split, activation=act)
        self.branches = nn.ModuleList(
            convolution(inner, inner, kernel=stage.kernel, stride=place.stride, atrous=rate, groups=inner)
            for rate in stage.atrous
        )
        self.gather = nn.Sequential(*_norm(made, act))
        self.expand = nn.Sequential(*conv_bn(made, made, groups=groups))
        self.carry = Carry(place)
        self.reads_image = stage.reinforce and place.index == 0
        self.reinforce: nn.Module = nn.Identity()
        if self.reads_image:
            self.reinforce = nn.Sequential(conv_bn_relu(3, 3, kernel=3, activation=act), *conv_bn(3, place.outputs))
        self.activate = ACTIVATIONS[act]()

    def forward(self, x: Tensor, image: Tensor | None = None) -> Tensor:
        reduced = self.reduce(x)
        sums: list[Tensor] = []
        for branch in self.branches:
            seen = branch(reduced)
            sums.append(seen + sums[-1] if sums else seen)
        out = self.carry(x, self.expand(self.gather(torch.cat(sums, dim=1))))
        if self.reads_image:
            assert image is not None
            out = out + self.reinforce(_shrunk(image, spatial_size(out)))
        activated: Tensor = self.activate(out)
        return activated


def _norm(channels: int, activation: Activation) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), ACTIVATIONS[activation]()


def averaged(x: Tensor, stride: int) -> Tensor:
    """Means of windows of stride x stride pixels, whole ones alone; a map that is smaller is one window."""
    if stride == 1:
        return x
    height, width = spatial_size(x)
    return F.avg_pool2d(x, (min(stride, height), min(stride, width)))


def shuffled(x: Tensor, groups: int) -> Tensor:
    """The first channel of each group, then the second of each, and so on (ShuffleNet, arXiv:1707.01083)."""
    if groups == 1:
        return x
    batch, channels, height, width = (int(side) for side in x.shape)
    parted = x.reshape(batch, groups, channels // groups, height, width)
    return parted.transpose(1, 2).reshape(batch, channels, height, width)


def _shrunk(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The image at a map's size: means of as many whole pixels as fit, then the resize for what is left."""
    ratio = min(have // want for have, want in zip(spatial_size(image), size, strict=True))
    return resize(F.avg_pool2d(image, ratio) if ratio > 1 else image, size)
