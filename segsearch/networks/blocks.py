"""Blocks: what an encoder's stage repeats. One builder each, one line in `BLOCKS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.layers import conv_bn, conv_bn_relu, convolution, spatial_size
from segsearch.space.architecture import Stage


@dataclass(frozen=True)
class Place:
    """Where in its stage a block stands: its number there, its widths, its stride and its atrous rate.

    It reads (n, inputs, h, w) and leaves (n, outputs, h / stride, w / stride).
    """

    inputs: int
    outputs: int
    index: int = 0
    stride: int = 1
    atrous: int = 1


# A builder of one block. Where `reads_image` of the module is true, it is called with the map and the path's image.
Block = Callable[[Place, Stage], nn.Module]


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


def conv(place: Place, stage: Stage) -> nn.Module:
    """One plain convolution."""
    return conv_bn_relu(
        place.inputs,
        place.outputs,
        kernel=stage.kernel,
        stride=place.stride,
        atrous=place.atrous,
        norm=stage.norm,
        activation=stage.activation,
    )


def grouped(place: Place, stage: Stage) -> nn.Module:
    """A grouped convolution, then a 1x1 convolution that mixes the groups."""
    inputs, mid, act = place.inputs, place.outputs, stage.activation
    return nn.Sequential(
        conv_bn_relu(inputs, mid, activation=act) if inputs % stage.groups or inputs != mid else nn.Identity(),
        conv_bn_relu(
            mid,
            mid,
            kernel=stage.kernel,
            stride=place.stride,
            atrous=place.atrous,
            groups=stage.groups,
            activation=act,
        ),
        conv_bn_relu(mid, mid, activation=act),
    )


def separable(place: Place, stage: Stage) -> nn.Module:
    """Depthwise separable convolution (MobileNet, arXiv:1704.04861)."""
    inputs, act = place.inputs, stage.activation
    return nn.Sequential(
        conv_bn_relu(
            inputs,
            inputs,
            kernel=stage.kernel,
            stride=place.stride,
            atrous=place.atrous,
            groups=inputs,
            activation=act,
        ),
        conv_bn_relu(inputs, place.outputs, activation=act),
    )


def inverted_residual(place: Place, stage: Stage) -> nn.Module:
    """Expand, depthwise, project without activation (MobileNetV2, arXiv:1801.04381)."""
    mid, act = inner_width(place.inputs, stage.expansion), stage.activation
    body = nn.Sequential(
        conv_bn_relu(place.inputs, mid, activation=act),
        conv_bn_relu(
            mid, mid, kernel=stage.kernel, stride=place.stride, atrous=place.atrous, groups=mid, activation=act
        ),
        *conv_bn(mid, place.outputs),
    )
    if place.stride == 1 and place.inputs == place.outputs:
        return Residual(body, nn.Identity(), activate=False)
    return body


def residual(place: Place, stage: Stage) -> nn.Module:
    """Basic residual block of two convolutions (ResNet, arXiv:1512.03385)."""
    inputs, outputs, kernel = place.inputs, place.outputs, stage.kernel
    mid = inner_width(outputs, stage.expansion)
    body = nn.Sequential(
        conv_bn_relu(inputs, mid, kernel=kernel, stride=place.stride, atrous=place.atrous),
        *conv_bn(mid, outputs, kernel=kernel, atrous=place.atrous),
    )
    same = place.stride == 1 and inputs == outputs
    shortcut = nn.Identity() if same else nn.Sequential(*conv_bn(inputs, outputs, stride=place.stride))
    return Residual(body, shortcut, activate=True)


class MBConv(nn.Module):
    """Expand, depthwise, squeeze where asked, project; the input is added where the shapes agree.

    The block of MobileNetV2 (arXiv:1801.04381), V3 (arXiv:1905.02244) and EfficientNet (arXiv:1905.11946). An
    expansion of 1 expands nothing: the depthwise convolution reads the input.
    """

    def __init__(self, place: Place, stage: Stage) -> None:
        super().__init__()
        mid, act = place.inputs, stage.activation
        self.expand: nn.Module = nn.Identity()
        if stage.expansion != 1:
            mid = inner_width(place.inputs, stage.expansion)
            self.expand = conv_bn_relu(place.inputs, mid, activation=act)
        self.depthwise = conv_bn_relu(
            mid, mid, kernel=stage.kernel, stride=place.stride, atrous=place.atrous, groups=mid, activation=act
        )
        self.squeeze = Squeeze(mid, stage.squeeze) if stage.squeeze else nn.Identity()
        self.project = nn.Sequential(*conv_bn(mid, place.outputs))
        self.adds = place.stride == 1 and place.inputs == place.outputs

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return x + made if self.adds else made


class Squeeze(nn.Module):
    """Weigh each channel by what the mean of all says: squeeze-and-excitation (arXiv:1709.01507), hard sigmoid."""

    def __init__(self, channels: int, share: float) -> None:
        super().__init__()
        inner = inner_width(channels, share)
        self.reduce = convolution(channels, inner, bias=True)
        self.expand = convolution(inner, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        mean = F.avg_pool2d(x, spatial_size(x))  # a plain pool: exact in every runtime
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(mean))))


def inner_width(channels: int, expansion: float) -> int:
    """The width inside a block: the multiple of 8 nearest to its share of the outer one."""
    return max(8, round(channels * expansion / 8) * 8)


BLOCKS: Mapping[str, Block] = {
    "conv": conv,
    "grouped": grouped,
    "separable": separable,
    "inverted_residual": inverted_residual,
    "residual": residual,
    "mbconv": MBConv,
}
