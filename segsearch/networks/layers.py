"""The layers that every part of a network is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.space.architecture import Activation, Norm


class Conv2d(nn.Conv2d):
    """The convolution of every network: a 1x1 with a stride learns on the pixels that it keeps, as one without.

    oneDNN's backward pass of a strided 1x1 writes beyond its memory on some processors (AVX-512 without AMX, 8 input
    channels, channels_last). Pooling over single pixels keeps those that the stride would read: the same function of
    the same weights, as quick, where slices take twice as long to learn. Without gradients the convolution runs as it
    is: an exported graph holds one strided operator.
    """

    def forward(self, x: Tensor) -> Tensor:
        skips = self.kernel_size == (1, 1) and self.stride != (1, 1) and self.padding == (0, 0)
        if skips and torch.is_grad_enabled():
            kept = F.avg_pool2d(x, 1, self.stride)
            return F.conv2d(kept, self.weight, self.bias, groups=self.groups)
        return super().forward(x)


class GroupedConv2d(Conv2d):
    """A grouped or depthwise convolution that stays in float32 on the CPU: its bfloat16 kernels are slower there."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


def convolution(
    inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, atrous: int = 1, groups: int = 1, bias: bool = False
) -> Conv2d:
    """A convolution that keeps the size, but for its stride."""
    padding = atrous * (kernel // 2)
    kind = Conv2d if groups == 1 else GroupedConv2d
    return kind(inputs, outputs, kernel, stride, padding, dilation=atrous, groups=groups, bias=bias)


def conv_bn(
    inputs: int,
    outputs: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    atrous: int = 1,
    groups: int = 1,
    norm: Norm = "batch",
) -> list[nn.Module]:
    """A convolution that keeps the size (but for its stride), and its batch norm; a bias where there is no norm."""
    plain = norm == "none"
    conv = convolution(inputs, outputs, kernel=kernel, stride=stride, atrous=atrous, groups=groups, bias=plain)
    return [conv] if plain else [conv, nn.BatchNorm2d(outputs)]


def conv_bn_relu(
    inputs: int,
    outputs: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    atrous: int = 1,
    groups: int = 1,
    norm: Norm = "batch",
    activation: Activation = "relu",
) -> nn.Sequential:
    """Convolution, batch norm, ReLU or another activation."""
    layers = conv_bn(inputs, outputs, kernel=kernel, stride=stride, atrous=atrous, groups=groups, norm=norm)
    return nn.Sequential(*layers, ACTIVATIONS[activation]())


def separable_bn_relu(inputs: int, outputs: int, *, atrous: int = 1) -> nn.Sequential:
    """A depthwise 3x3 and a 1x1, each with batch norm and ReLU (DeepLab v3+, arXiv:1802.02611)."""
    return nn.Sequential(
        conv_bn_relu(inputs, inputs, kernel=3, atrous=atrous, groups=inputs), conv_bn_relu(inputs, outputs)
    )


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
    "hardswish": lambda: nn.Hardswish(inplace=True),
}


def transposed(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """A learned doubling of height and width (U-Net, arXiv:1505.04597)."""
    return nn.ConvTranspose2d(inputs, outputs, 2, 2)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize to (height, width), half-pixel centres, no antialiasing: what every runtime's Resize does."""
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def image_mean(x: Tensor) -> Tensor:
    """The mean of each channel over the whole map, (n, channels, 1, 1): a plain pool, exact in every runtime."""
    return F.avg_pool2d(x, spatial_size(x))


def spatial_size(x: Tensor) -> tuple[int, int]:
    """(height, width) as plain numbers: an export then holds constants, not shape arithmetic."""
    return int(x.shape[-2]), int(x.shape[-1])
