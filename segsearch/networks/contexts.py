"""Context modules: what gathers the whole scene at the end of a path. One builder each, one line in `CONTEXTS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.attention import Refined
from segsearch.networks.layers import (
    Conv2d,
    conv_bn,
    conv_bn_relu,
    convolution,
    image_mean,
    resize,
    separable_bn_relu,
    spatial_size,
)
from segsearch.space.architecture import Context

# (input channels, settings, classes) -> (module, output channels)
ContextBuilder = Callable[[int, Context, int], tuple[nn.Module, int]]


class Pooled(nn.Module):
    """Mean over `bins` x `bins` windows of one size that cover the map, 1x1 convolution, back to the map's size.

    The windows overlap by less than a bin where it does not divide the map. Adaptive pooling differs there by at
    most a row of pixels, but is refused by one exporter and silently wrong in another; one plain average pool with a
    constant kernel is exact in every runtime.
    """

    def __init__(self, inputs: int, outputs: int, bins: int) -> None:
        super().__init__()
        self.bins = bins
        # No batch norm: a single bin and a batch of one would have nothing to normalise over.
        self.mix = nn.Sequential(Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        size = spatial_size(x)
        bins = [min(self.bins, side) for side in size]
        stride = [side // count for side, count in zip(size, bins, strict=True)]
        kernel = [side - step * (count - 1) for side, step, count in zip(size, stride, bins, strict=True)]
        return resize(self.mix(F.avg_pool2d(x, kernel, stride)), size)


class Mean(nn.Module):
    """A 1x1 convolution of the mean over the map: (n, outputs, 1, 1), which is added to a map as it is.

    Without batch norm, as `Pooled`.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(image_mean(x))
        return mixed


class Parallel(nn.Module):
    """Branches side by side, concatenated, mixed by a convolution."""

    def __init__(self, branches: list[nn.Module], mix: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(torch.cat([branch(x) for branch in self.branches], dim=1))
        return mixed


class ScoreSum(nn.Module):
    """Branches that score the classes, summed. Pruning keeps what they score."""

    def __init__(self, branches: list[nn.Sequential]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.keeps = tuple(branch[-1] for branch in branches)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.branches
        total: Tensor = first(x)
        for branch in others:
            total = total + branch(x)
        return total


class Cascaded(nn.Module):
    """Means over growing windows, each added to the map before it and refined by a 3x3; all are mixed (DAPPM)."""

    def __init__(self, inputs: int, context: Context) -> None:
        super().__init__()
        width = max(8, context.channels // 2 // 8 * 8)
        self.whole = conv_bn_relu(inputs, width)
        self.pooled = nn.ModuleList([*(Pooled(inputs, width, bins) for bins in context.bins), Mean(inputs, width)])
        self.refine = nn.ModuleList(_wide(width, width, context) for _ in self.pooled)
        self.mix = nn.Sequential(*conv_bn(width * (1 + len(self.pooled)), context.channels))
        self.shortcut = nn.Sequential(*conv_bn(inputs, context.channels))

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.whole(x)]
        for pooled, refine in zip(self.pooled, self.refine, strict=True):
            maps.append(refine(maps[-1] + pooled(x)))
        return F.relu(self.mix(torch.cat(maps, dim=1)) + self.shortcut(x))


class WithMean(nn.Module):
    """What `local` makes of a map, and the mean over the map beside each of its pixels: they are added."""

    def __init__(self, local: nn.Module, mean: Mean) -> None:
        super().__init__()
        self.local = local
        self.mean = mean

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.local(x) + self.mean(x))


def _wide(inputs: int, outputs: int, context: Context, *, atrous: int = 1) -> nn.Module:
    """A 3x3 convolution with batch norm and ReLU, whole or separable as the context says."""
    if context.block == "separable":
        return separable_bn_relu(inputs, outputs, atrous=atrous)
    return conv_bn_relu(inputs, outputs, kernel=3, atrous=atrous)


def none(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """No context: the map as it is."""
    return nn.Identity(), inputs


def pyramid_pooling(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """Pyramid pooling module (PSPNet, arXiv:1612.01105)."""
    width = max(8, inputs // len(context.bins) // 8 * 8)
    branches: list[nn.Module] = [nn.Identity()]
    branches += [Pooled(inputs, width, bins) for bins in context.bins]
    total = inputs + width * len(context.bins)
    return Parallel(branches, conv_bn_relu(total, context.channels, kernel=context.kernel)), context.channels


def aspp(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """Atrous spatial pyramid pooling with an image-level branch where asked (DeepLab v3, arXiv:1706.05587)."""
    width = context.channels
    branches: list[nn.Module] = [conv_bn_relu(inputs, width)]
    branches += [_wide(inputs, width, context, atrous=rate) for rate in context.rates]
    if context.image_pool:
        branches.append(Pooled(inputs, width, 1))
    return Parallel(branches, conv_bn_relu(width * len(branches), width, kernel=context.kernel)), width


def aspp_scores(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """Atrous convolutions that score the classes, one a rate, summed (DeepLab v2 on ResNet, arXiv:1606.00915)."""

    def branch(rate: int) -> nn.Sequential:
        if context.block == "separable":
            depthwise = conv_bn_relu(inputs, inputs, kernel=3, atrous=rate, groups=inputs)
            return nn.Sequential(depthwise, Conv2d(inputs, classes, 1))
        return nn.Sequential(convolution(inputs, classes, kernel=3, atrous=rate, bias=True))

    return ScoreSum([branch(rate) for rate in context.rates]), classes


def large_field(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """An atrous 3x3 and a 1x1, VGG's fully connected layers made convolutions (DeepLab v1, arXiv:1412.7062)."""
    width = context.channels
    return nn.Sequential(_wide(inputs, width, context, atrous=context.rates[0]), conv_bn_relu(width, width)), width


def cascaded_pooling(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """Deep aggregation pyramid pooling: bins that fall, then the mean of all (DDRNet, arXiv:2101.06085).

    The maps in between are half as wide as what comes out, as in DDRNet-23.
    """
    return Cascaded(inputs, context), context.channels


def global_pooling(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """A 1x1 of the map plus a 1x1 of its mean: global context (ParseNet, arXiv:1506.04579)."""
    width = context.channels
    return WithMean(nn.Sequential(*conv_bn(inputs, width)), Mean(inputs, width)), width


def attention(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """The map refined by attention plus its mean, the end of BiSeNet's context path (arXiv:1808.00897)."""
    width = context.channels
    return WithMean(Refined(_wide(inputs, width, context), width), Mean(inputs, width)), width


CONTEXTS: Mapping[str, ContextBuilder] = {
    "none": none,
    "pyramid_pooling": pyramid_pooling,
    "aspp": aspp,
    "aspp_scores": aspp_scores,
    "large_field": large_field,
    "cascaded_pooling": cascaded_pooling,
    "global_pooling": global_pooling,
    "attention": attention,
}
