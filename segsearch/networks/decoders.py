"""Decoder joins and the head: from the last map back to finer ones. One builder each, one line in `JOINS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.attention import Attention, Refined
from segsearch.networks.layers import (
    Conv2d,
    conv_bn,
    conv_bn_relu,
    convolution,
    resize,
    separable_bn_relu,
    spatial_size,
    transposed,
)
from segsearch.space.architecture import Head, Join


@dataclass(frozen=True)
class Widths:
    """What a join reads: the channels of the running map and of each feature; and how many classes there are.

    `running_scored` and `scored` say which of them hold class scores already; an empty `scored` stands for none.
    """

    running: int
    features: tuple[int, ...]
    classes: int
    running_scored: bool = False
    scored: tuple[bool, ...] = ()


# A builder of modules of (running, *features) that leave `join.channels`, or the classes where it is 0, at the size of
# the first feature.
JoinBuilder = Callable[[Widths, Join], nn.Module]


def _plain(channels: int, width: int) -> nn.Module:
    return conv_bn_relu(channels, width, kernel=3)


HEAD_BLOCKS: Mapping[str, Callable[[int, int], nn.Module]] = {"conv": _plain, "separable": separable_bn_relu}


def refinement(inputs: int, join: Join, *, depth: int) -> nn.Module:
    """`join.depth` blocks that leave `join.channels`; `depth` is what None stands for, and no block is no change."""
    wanted = depth if join.depth is None else join.depth
    blocks = [
        HEAD_BLOCKS[join.block](inputs if index == 0 else join.channels, join.channels) for index in range(wanted)
    ]
    if not blocks:
        return nn.Identity()
    return blocks[0] if len(blocks) == 1 else nn.Sequential(*blocks)


class Grow(nn.Module):
    """The running map at another size: resized, or doubled by a learned transposed convolution (U-Net) and resized.

    Only the learned one can leave another width: `channels` is what comes out.
    """

    def __init__(self, inputs: int, upsample: str, channels: int) -> None:
        super().__init__()
        self.mode = "nearest" if upsample == "nearest" else "bilinear"
        self.channels = channels if upsample == "transposed" else inputs
        self.doubled = transposed(inputs, channels) if upsample == "transposed" else nn.Identity()

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        grown = self.doubled(x)
        if self.mode == "nearest" and spatial_size(grown) != size:
            return F.interpolate(grown, size=size, mode="nearest")
        return resize(grown, size)


class Concat(nn.Module):
    """Resize the running map, put the features beside it, refine all (U-Net, DeepLab v3+: arXiv:1802.02611)."""

    def __init__(self, widths: Widths, join: Join) -> None:
        super().__init__()
        first, *others = (join.reduce or width for width in widths.features)
        self.reduce = conv_bn_relu(widths.features[0], first) if join.reduce else nn.Identity()
        self.reduce_others = nn.ModuleList(
            conv_bn_relu(width, join.reduce) if join.reduce else nn.Identity() for width in widths.features[1:]
        )
        grow = Grow(widths.running, join.upsample, join.channels)
        self.refine = refinement(grow.channels + first + sum(others), join, depth=1)
        self.grow = grow

    def forward(self, running: Tensor, feature: Tensor, *others: Tensor) -> Tensor:
        size = spatial_size(feature)
        more = [resize(reduce(other), size) for reduce, other in zip(self.reduce_others, others, strict=True)]
        refined: Tensor = self.refine(torch.cat([self.grow(running, size), self.reduce(feature), *more], dim=1))
        return refined


class Add(nn.Module):
    """Bring all to one width, resize to the first feature, add, refine (feature pyramids: arXiv:1612.03144)."""

    def __init__(self, widths: Widths, join: Join) -> None:
        super().__init__()
        self.running = nn.Sequential(*conv_bn(widths.running, join.channels))
        self.feature = nn.Sequential(*conv_bn(widths.features[0], join.channels))
        self.others = nn.ModuleList(nn.Sequential(*conv_bn(width, join.channels)) for width in widths.features[1:])
        self.grow = Grow(join.channels, join.upsample, join.channels)
        self.refine = refinement(join.channels, join, depth=0)

    def forward(self, running: Tensor, feature: Tensor, *others: Tensor) -> Tensor:
        # The projection comes before the resize: it is cheaper on the small map, and the two commute.
        size = spatial_size(feature)
        total = self.grow(self.running(running), size) + self.feature(feature)
        for bring, other in zip(self.others, others, strict=True):
            total = total + resize(bring(other), size)
        refined: Tensor = self.refine(F.relu(total))
        return refined


class Score(nn.Module):
    """Score the classes on every map, resize the running scores, add (FCN, arXiv:1411.4038).

    A map that holds scores already is taken as it is. Pruning keeps the scores.
    """

    def __init__(self, widths: Widths, join: Join) -> None:
        super().__init__()
        scored = widths.scored or (False,) * len(widths.features)
        self.running = _scoring(widths.running, widths.classes, scored=widths.running_scored)
        self.features = nn.ModuleList(
            _scoring(width, widths.classes, scored=done) for width, done in zip(widths.features, scored, strict=True)
        )
        self.grow = Grow(widths.classes, join.upsample, widths.classes)
        self.keeps = (self.running, *self.features, self.grow)

    def forward(self, running: Tensor, *features: Tensor) -> Tensor:
        size = spatial_size(features[0])
        total = self.grow(self.running(running), size)
        for score, feature in zip(self.features, features, strict=True):
            total = total + resize(score(feature), size)
        scores: Tensor = total
        return scores


def _scoring(channels: int, classes: int, *, scored: bool) -> nn.Module:
    return nn.Identity() if scored else Conv2d(channels, classes, 1)


class Attend(nn.Module):
    """Refine each feature by attention, add the resized running map, refine all (BiSeNet, arXiv:1808.00897)."""

    def __init__(self, widths: Widths, join: Join) -> None:
        super().__init__()
        fits = widths.running == join.channels
        self.running = nn.Identity() if fits else nn.Sequential(*conv_bn(widths.running, join.channels))
        self.features = nn.ModuleList(Refined(_plain(width, join.channels), join.channels) for width in widths.features)
        self.grow = Grow(join.channels, join.upsample, join.channels)
        self.refine = refinement(join.channels, join, depth=1)

    def forward(self, running: Tensor, *features: Tensor) -> Tensor:
        size = spatial_size(features[0])
        total = self.grow(self.running(running), size)
        for bring, feature in zip(self.features, features, strict=True):
            total = total + resize(bring(feature), size)
        refined: Tensor = self.refine(total)
        return refined


class Fuse(nn.Module):
    """Put the features beside the resized running map, mix, add what attention to channels picks of it (BiSeNet)."""

    def __init__(self, widths: Widths, join: Join) -> None:
        super().__init__()
        self.mix = conv_bn_relu(widths.running + sum(widths.features), join.channels)
        self.attention = Attention(join.channels, inner=max(8, join.channels // 4 // 8 * 8))
        self.grow = Grow(widths.running, join.upsample, widths.running)
        self.refine = refinement(join.channels, join, depth=0)

    def forward(self, running: Tensor, *features: Tensor) -> Tensor:
        size = spatial_size(features[0])
        beside = [self.grow(running, size), *(resize(feature, size) for feature in features)]
        mixed = self.mix(torch.cat(beside, dim=1))
        refined: Tensor = self.refine(mixed + mixed * self.attention(mixed))
        return refined


class Cascade(nn.Module):
    """An atrous 3x3 of the resized running map plus a 1x1 of each feature (ICNet's fusion, arXiv:1704.08545)."""

    def __init__(self, widths: Widths, join: Join) -> None:
        super().__init__()
        self.running = nn.Sequential(*conv_bn(widths.running, join.channels, kernel=3, atrous=2))
        self.features = nn.ModuleList(nn.Sequential(*conv_bn(width, join.channels)) for width in widths.features)
        self.grow = Grow(widths.running, join.upsample, widths.running)
        self.refine = refinement(join.channels, join, depth=0)

    def forward(self, running: Tensor, *features: Tensor) -> Tensor:
        size = spatial_size(features[0])
        total = self.running(self.grow(running, size))
        for bring, feature in zip(self.features, features, strict=True):
            total = total + resize(bring(feature), size)
        refined: Tensor = self.refine(F.relu(total))
        return refined


JOINS: Mapping[str, JoinBuilder] = {
    "concat": Concat,
    "add": Add,
    "score": Score,
    "attention": Attend,
    "fuse": Fuse,
    "cascade": Cascade,
}


class Shuffle(nn.Module):
    """Scores twice as large: a depthwise 3x3 makes the four that each becomes, a pixel shuffle puts them in place.

    It begins as the bilinear resize (but for the outermost row, where a resize repeats the edge) and learns to sharpen
    (sub-pixel convolution: arXiv:1609.05158).
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.grow = convolution(classes, 4 * classes, kernel=3, groups=classes)
        # The new pixels lie a quarter of an old one before and after its centre: 3/4 of it, 1/4 of its neighbour.
        near = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])
        stencils = torch.stack([torch.outer(row, column) for row in near for column in near])
        with torch.no_grad():
            self.grow.weight.copy_(stencils.repeat(classes, 1, 1)[:, None])

    def forward(self, scores: Tensor) -> Tensor:
        return F.pixel_shuffle(self.grow(scores), 2)


UPSAMPLES: Mapping[str, Callable[[int], nn.Module]] = {
    "bilinear": lambda classes: nn.Identity(),
    "pixel_shuffle": Shuffle,
}


class Classifier(nn.Module):
    """`head.depth` convolutions of `head.channels`, dropout, 1x1 convolution to the class scores, their upsampling.

    Where the decoder's last map is `scored` already, only the upsampling is left.
    """

    def __init__(self, channels: int, head: Head, classes: int, *, scored: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(head.depth):
            layers.append(HEAD_BLOCKS[head.block](channels, head.channels))
            channels = head.channels
        if head.dropout:
            layers.append(nn.Dropout2d(head.dropout))
        self.body = nn.Sequential(*layers)
        self.scores = nn.Identity() if scored else Conv2d(channels, classes, 1)
        self.upsample = UPSAMPLES[head.upsample](classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.upsample(self.scores(self.body(x)))
        return scores
