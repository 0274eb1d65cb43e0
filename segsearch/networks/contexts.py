"""Context modules: what gathers the whole scene at the end of a path. One builder each, one line in `CONTEXTS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.layers import Conv2d, conv_bn_relu, resize, spatial_size
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


class Parallel(nn.Module):
    """Branches side by side, concatenated, mixed by a 1x1 convolution."""

    def __init__(self, branches: list[nn.Module], mix: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(torch.cat([branch(x) for branch in self.branches], dim=1))
        return mixed


def none(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """No context: the map as it is."""
    return nn.Identity(), inputs


def pyramid_pooling(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """Pyramid pooling module (PSPNet, arXiv:1612.01105)."""
    width = max(8, inputs // len(context.bins) // 8 * 8)
    branches: list[nn.Module] = [nn.Identity()]
    branches += [Pooled(inputs, width, bins) for bins in context.bins]
    total = inputs + width * len(context.bins)
    return Parallel(branches, conv_bn_relu(total, context.channels)), context.channels


def aspp(inputs: int, context: Context, classes: int) -> tuple[nn.Module, int]:
    """Atrous spatial pyramid pooling with an image-level branch where asked (DeepLab v3, arXiv:1706.05587)."""
    width = context.channels
    branches: list[nn.Module] = [conv_bn_relu(inputs, width)]
    branches += [conv_bn_relu(inputs, width, kernel=3, atrous=rate) for rate in context.rates]
    if context.image_pool:
        branches.append(Pooled(inputs, width, 1))
    return Parallel(branches, conv_bn_relu(width * len(branches), width)), width


CONTEXTS: Mapping[str, ContextBuilder] = {
    "none": none,
    "pyramid_pooling": pyramid_pooling,
    "aspp": aspp,
}
