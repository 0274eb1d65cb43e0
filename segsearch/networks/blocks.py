"""Blocks: what an encoder's stage repeats. One builder each, one line in `BLOCKS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.layers import conv_bn, conv_bn_relu
from segsearch.space.candidate import Stage

# (input channels, the stage it belongs to, stride, atrous rate) -> (n, stage.channels, h / stride, w / stride)
Block = Callable[[int, Stage, int, int], nn.Module]


class Residual(nn.Module):
    """`relu(x + body(x))`, with a 1x1 projection of x where the shapes differ (arXiv:1512.03385)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, *, activate: bool) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        total = self.shortcut(x) + self.body(x)
        return F.relu(total) if self.activate else total


def conv(inputs: int, stage: Stage, stride: int, atrous: int) -> nn.Module:
    """One plain convolution."""
    return conv_bn_relu(inputs, stage.channels, kernel=stage.kernel, stride=stride, atrous=atrous)


def grouped(inputs: int, stage: Stage, stride: int, atrous: int) -> nn.Module:
    """A grouped convolution, then a 1x1 convolution that mixes the groups."""
    mid = stage.channels
    return nn.Sequential(
        conv_bn_relu(inputs, mid) if inputs % stage.groups or inputs != mid else nn.Identity(),
        conv_bn_relu(mid, mid, kernel=stage.kernel, stride=stride, atrous=atrous, groups=stage.groups),
        conv_bn_relu(mid, mid),
    )


def separable(inputs: int, stage: Stage, stride: int, atrous: int) -> nn.Module:
    """Depthwise separable convolution (MobileNet, arXiv:1704.04861)."""
    return nn.Sequential(
        conv_bn_relu(inputs, inputs, kernel=stage.kernel, stride=stride, atrous=atrous, groups=inputs),
        conv_bn_relu(inputs, stage.channels),
    )


def inverted_residual(inputs: int, stage: Stage, stride: int, atrous: int) -> nn.Module:
    """Expand, depthwise, project without activation (MobileNetV2, arXiv:1801.04381)."""
    mid = max(8, round(inputs * stage.expansion / 8) * 8)
    body = nn.Sequential(
        conv_bn_relu(inputs, mid),
        conv_bn_relu(mid, mid, kernel=stage.kernel, stride=stride, atrous=atrous, groups=mid),
        *conv_bn(mid, stage.channels),
    )
    if stride == 1 and inputs == stage.channels:
        return Residual(body, nn.Identity(), activate=False)
    return body


def residual(inputs: int, stage: Stage, stride: int, atrous: int) -> nn.Module:
    """Basic residual block of two convolutions (ResNet, arXiv:1512.03385)."""
    outputs, kernel = stage.channels, stage.kernel
    mid = max(8, round(outputs * stage.expansion / 8) * 8)
    body = nn.Sequential(
        conv_bn_relu(inputs, mid, kernel=kernel, stride=stride, atrous=atrous),
        *conv_bn(mid, outputs, kernel=kernel, atrous=atrous),
    )
    same = stride == 1 and inputs == outputs
    shortcut = nn.Identity() if same else nn.Sequential(*conv_bn(inputs, outputs, stride=stride))
    return Residual(body, shortcut, activate=True)


BLOCKS: Mapping[str, Block] = {
    "conv": conv,
    "grouped": grouped,
    "separable": separable,
    "inverted_residual": inverted_residual,
    "residual": residual,
}
