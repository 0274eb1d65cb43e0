"""Blocks in a row, without a shortcut: convolutions as they are, grouped or depthwise; and one that folds into one."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.blocks.parts import Place
from segsearch.networks.layers import ACTIVATIONS, Conv2d, conv_bn, conv_bn_relu, convolution
from segsearch.space.architecture import Stage
from segsearch.space.block_rules import BLOCK_RULES


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
    splits = BLOCK_RULES["grouped"].splits(stage, inputs, mid)
    return nn.Sequential(
        nn.Identity() if splits else conv_bn_relu(inputs, mid, activation=act),
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


class QARep(nn.Module):
    """3x3 with a norm, 1x1 without, the input as it is where the shapes agree; one norm of the sum, the activation.

    It learns so and ships as one convolution (QARepVGG, arXiv:2212.01593; the idea is RepVGG's, arXiv:2101.03697). The
    norm after the sum is what lets int8 keep its scores. It takes out the bias of the first norm, which stays where it
    began.
    """

    def __init__(self, place: Place, stage: Stage) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *conv_bn(place.inputs, place.outputs, kernel=stage.kernel, stride=place.stride, atrous=place.atrous)
        )
        self.point = convolution(place.inputs, place.outputs, stride=place.stride)
        self.adds = place.keeps_shape
        self.norm = nn.BatchNorm2d(place.outputs)
        self.activate = ACTIVATIONS[stage.activation]()

    def forward(self, x: Tensor) -> Tensor:
        total = self.main(x) + self.point(x)
        made: Tensor = self.activate(self.norm(total + x if self.adds else total))
        return made

    @torch.no_grad()
    def fold(self) -> nn.Module:
        """One convolution of the same function, with what the norms have learnt; summed in float64."""
        weight, bias = self._beside_the_input()
        if self.adds:
            own, centre = torch.arange(len(weight)), weight.shape[-1] // 2
            weight[own, own, centre, centre] += 1
        weight, bias = _normed(weight, bias, self.norm)
        folded = self._with(weight)
        folded.bias = nn.Parameter(bias.to(folded.weight))
        return nn.Sequential(folded, self.activate)

    @torch.no_grad()
    def merge(self) -> nn.Module:
        """The 3x3 and the 1x1 as one convolution that goes on learning, of the same function.

        The input is still added where it was: it has full rank, which a factorization would lose.
        """
        weight, bias = self._beside_the_input()
        norm = copy.deepcopy(self.norm)
        assert norm.running_mean is not None
        norm.running_mean -= bias.to(norm.running_mean)
        return Merged(self._with(weight), norm, self.activate, adds=self.adds)

    def _beside_the_input(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the 3x3 after its norm plus the 1x1, in float64."""
        conv, norm = self.main
        assert isinstance(conv, Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        weight, bias = _normed(conv.weight.double(), torch.zeros_like(conv.weight[:, 0, 0, 0]).double(), norm)
        return weight + F.pad(self.point.weight.double(), (conv.kernel_size[0] // 2,) * 4), bias

    def _with(self, weight: Tensor) -> Conv2d:
        """A convolution like the 3x3 with another weight."""
        conv = self.main[0]
        assert isinstance(conv, Conv2d)
        made = copy.deepcopy(conv)
        made.weight = nn.Parameter(weight.to(conv.weight))
        return made


class Merged(nn.Module):
    """What a block of convolutions beside one another becomes that is merged: `conv`, the input where it `adds` it."""

    def __init__(self, conv: Conv2d, norm: nn.BatchNorm2d, activate: nn.Module, *, adds: bool) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm
        self.activate = activate
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        total = self.conv(x)
        made: Tensor = self.activate(self.norm(total + x if self.adds else total))
        return made


def _normed(weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A convolution's weight and bias after a norm that goes by what it has seen."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = (bias - norm.running_mean.double()) * scale + norm.bias.double()
    return weight * scale.view(-1, 1, 1, 1), shift
