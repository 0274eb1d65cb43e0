"""Blocks that add their input to what they make of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segsearch.networks.blocks.parts import Place, Residual, Squeeze, projected
from segsearch.networks.layers import ACTIVATIONS, conv_bn, conv_bn_relu
from segsearch.space.architecture import Stage
from segsearch.space.block_rules import inner_width


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
    return Residual(body, nn.Identity(), activation=None) if place.keeps_shape else body


def residual(place: Place, stage: Stage) -> nn.Module:
    """Basic residual block of two convolutions (ResNet, arXiv:1512.03385)."""
    inputs, outputs, kernel = place.inputs, place.outputs, stage.kernel
    mid = inner_width(outputs, stage.expansion)
    body = nn.Sequential(
        conv_bn_relu(inputs, mid, kernel=kernel, stride=place.stride, atrous=place.atrous),
        *conv_bn(mid, outputs, kernel=kernel, atrous=place.atrous),
    )
    return Residual(body, projected(place), activation="relu")


def bottleneck(place: Place, stage: Stage) -> nn.Module:
    """1x1, 3x3 with the stride, 1x1 (ResNet-50, arXiv:1512.03385; with groups ResNeXt, arXiv:1611.05431).

    An expansion of 1/4 is ResNet's. The stride stands in the 3x3, as in all implementations since the paper's ("v1.5").
    """
    mid, act = inner_width(place.outputs, stage.expansion, stage.groups), stage.activation
    body = nn.Sequential(
        conv_bn_relu(place.inputs, mid, activation=act),
        conv_bn_relu(
            mid,
            mid,
            kernel=stage.kernel,
            stride=place.stride,
            atrous=place.atrous,
            groups=stage.groups,
            activation=act,
        ),
        *conv_bn(mid, place.outputs),
    )
    return Residual(body, projected(place), activation=act)


class MBConv(nn.Module):
    """Expand, depthwise, squeeze where asked, project; the input is added where the shapes agree.

    The block of MobileNetV2 (arXiv:1801.04381), V3 (arXiv:1905.02244) and EfficientNet-Lite (arXiv:1905.11946). An
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
        self.adds = place.keeps_shape

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return x + made if self.adds else made


class SplitRates(nn.Module):
    """1x1, grouped 3x3 whose channels are shared out among the stage's rates, squeeze, 1x1; and a shortcut.

    The D block of RegSeg (arXiv:2111.09957), with two rates; with one it is RegNet's Y block (arXiv:2003.13678). A
    shortcut with a stride is a mean pool, which rounds up as the convolutions do, and a 1x1. The rates have norms of
    their own in place of one over all: the same function, and each folds into its convolution.
    """

    def __init__(self, place: Place, stage: Stage) -> None:
        super().__init__()
        act, count = stage.activation, len(stage.atrous)
        mid = inner_width(place.outputs, stage.expansion, stage.groups)
        self.reduce = conv_bn_relu(place.inputs, mid, activation=act)
        self.rates = nn.ModuleList(
            nn.Sequential(
                *conv_bn(
                    mid // count,
                    mid // count,
                    kernel=stage.kernel,
                    stride=place.stride,
                    atrous=rate,
                    groups=stage.groups // count,
                )
            )
            for rate in stage.atrous
        )
        self.between = ACTIVATIONS[act]()
        self.squeeze = Squeeze(mid, stage.squeeze) if stage.squeeze else nn.Identity()
        self.project = nn.Sequential(*conv_bn(mid, place.outputs))
        self.shortcut = _averaged(place)
        self.activate = ACTIVATIONS[act]()

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        shares = reduced.split(int(reduced.shape[1]) // len(self.rates), dim=1)
        mixed = torch.cat([rate(share) for rate, share in zip(self.rates, shares, strict=True)], dim=1)
        made: Tensor = self.activate(self.shortcut(x) + self.project(self.squeeze(self.between(mixed))))
        return made


def _averaged(place: Place) -> nn.Module:
    """The map that a block reads in the shape of what it leaves; every pixel of it is read, where a stride skips."""
    if place.stride == 1:
        return projected(place)
    pool = nn.AvgPool2d(place.stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(pool, *conv_bn(place.inputs, place.outputs))
