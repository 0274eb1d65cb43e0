"""What blocks are made of: their place in a stage, shortcuts, squeezes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.layers import ACTIVATIONS, conv_bn, convolution, spatial_size
from segsearch.space.architecture import Activation, Stage


@dataclass(frozen=True)
class Place:
    """Where in its stage a block stands: its number there, its widths, its stride and its atrous rate.

    It reads (n, inputs, h, w) and leaves (n, outputs, h / stride, w / stride). Blocks with parallel branches read the
    rates of the stage instead of `atrous`.
    """

    inputs: int
    outputs: int
    index: int = 0
    stride: int = 1
    atrous: int = 1

    @property
    def keeps_shape(self) -> bool:
        """Whether what it leaves can be added to what it reads."""
        return self.stride == 1 and self.inputs == self.outputs


# A builder of one block. Where `reads_image` of the module is true, it is called with the map and the network's image.
# `keeps` of the module are layers whose output channels no compression may take; `fold` makes one layer of several
# once training is over (`networks.fold`).
Block = Callable[[Place, Stage], nn.Module]


class Residual(nn.Module):
    """`act(x + body(x))`, with a 1x1 projection of x where the shapes differ (arXiv:1512.03385)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, *, activation: Activation | None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.activate = ACTIVATIONS[activation]() if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.activate(self.shortcut(x) + self.body(x))
        return total


def projected(place: Place) -> nn.Module:
    """The map that a block reads, brought to the shape of what it leaves."""
    if place.keeps_shape:
        return nn.Identity()
    return nn.Sequential(*conv_bn(place.inputs, place.outputs, stride=place.stride))


class Carry(nn.Module):
    """What a block reads, kept beside what it made; added where the width stays, left out where it narrows.

    With a stride it is averaged over 3x3 windows first, the pixels beyond the border left out (ShuffleNet,
    arXiv:1707.01083; ESPNetv2, arXiv:1811.11431).
    """

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.stride = place.stride
        self.left_out = place.outputs < place.inputs
        self.added = place.outputs == place.inputs

    def forward(self, x: Tensor, made: Tensor) -> Tensor:
        if self.left_out:
            return made
        if self.stride > 1:
            half = self.stride // 2
            x = F.avg_pool2d(x, 2 * half + 1, self.stride, half, count_include_pad=False)
        return x + made if self.added else torch.cat([x, made], dim=1)


class Squeeze(nn.Module):
    """Weigh each channel by what the mean of all says: squeeze-and-excitation (arXiv:1709.01507), hard sigmoid."""

    def __init__(self, channels: int, share: float) -> None:
        super().__init__()
        inner = squeezed_width(channels, share)
        self.reduce = convolution(channels, inner, bias=True)
        self.expand = convolution(inner, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        mean = F.avg_pool2d(x, spatial_size(x))  # a plain pool: exact in every runtime
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(mean))))


def squeezed_width(channels: int, share: float) -> int:
    """The multiple of 8 nearest to a share, but no more than a tenth below it (MobileNetV3, arXiv:1905.02244)."""
    wanted = int(channels * share)
    near = max(8, (wanted + 4) // 8 * 8)
    return near if near >= 0.9 * wanted else near + 8
