"""Decoder joins and the head: from the last map back to finer ones. One builder each, one line in `JOINS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.layers import Conv2d, conv_bn, conv_bn_relu, convolution, resize, spatial_size
from segsearch.space.candidate import Head, Join

# (running channels, feature channels, settings) -> module of (running, feature), `join.channels` at the feature's size
JoinBuilder = Callable[[int, int, Join], nn.Module]


class Concat(nn.Module):
    """Resize the running map, put the feature beside it, refine both (U-Net, DeepLab v3+: arXiv:1802.02611)."""

    def __init__(self, running: int, feature: int, join: Join) -> None:
        super().__init__()
        reduced = join.reduce or feature
        self.reduce = conv_bn_relu(feature, reduced) if join.reduce else nn.Identity()
        self.refine = nn.Sequential(
            conv_bn_relu(running + reduced, running + reduced, kernel=3, groups=running + reduced),
            conv_bn_relu(running + reduced, join.channels),
        )

    def forward(self, running: Tensor, feature: Tensor) -> Tensor:
        both = torch.cat([resize(running, spatial_size(feature)), self.reduce(feature)], dim=1)
        refined: Tensor = self.refine(both)
        return refined


class Add(nn.Module):
    """Bring both to one width, resize the running map, add (feature pyramids: arXiv:1612.03144)."""

    def __init__(self, running: int, feature: int, join: Join) -> None:
        super().__init__()
        self.running = nn.Sequential(*conv_bn(running, join.channels))
        self.feature = nn.Sequential(*conv_bn(feature, join.channels))

    def forward(self, running: Tensor, feature: Tensor) -> Tensor:
        # The projection comes before the resize: it is cheaper on the small map, and the two commute.
        return F.relu(resize(self.running(running), spatial_size(feature)) + self.feature(feature))


JOINS: Mapping[str, JoinBuilder] = {"concat": Concat, "add": Add}


def _plain(channels: int, width: int) -> nn.Module:
    return conv_bn_relu(channels, width, kernel=3)


def _separable(channels: int, width: int) -> nn.Module:
    return nn.Sequential(conv_bn_relu(channels, channels, kernel=3, groups=channels), conv_bn_relu(channels, width))


HEAD_BLOCKS: Mapping[str, Callable[[int, int], nn.Module]] = {"conv": _plain, "separable": _separable}


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
    """`head.depth` convolutions of `head.channels`, dropout, 1x1 convolution to the class scores, their upsampling."""

    def __init__(self, channels: int, head: Head, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(head.depth):
            layers.append(HEAD_BLOCKS[head.block](channels, head.channels))
            channels = head.channels
        if head.dropout:
            layers.append(nn.Dropout2d(head.dropout))
        self.body = nn.Sequential(*layers)
        self.scores = Conv2d(channels, classes, 1)
        self.upsample = UPSAMPLES[head.upsample](classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.upsample(self.scores(self.body(x)))
        return scores
