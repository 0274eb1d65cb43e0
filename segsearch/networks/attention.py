"""Attention over channels: how much each counts, told from the mean over the map (BiSeNet, arXiv:1808.00897)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segsearch.networks.layers import Conv2d, image_mean


class Attention(nn.Module):
    """(n, channels, h, w) -> the weight of each channel, (n, channels, 1, 1) in (0, 1); `inner` is a width between.

    Without batch norm: the mean of a batch of one would leave nothing to normalise over.
    """

    def __init__(self, channels: int, *, inner: int = 0) -> None:
        super().__init__()
        first = [Conv2d(channels, inner, 1), nn.ReLU(inplace=True)] if inner else []
        self.weigh = nn.Sequential(*first, Conv2d(inner or channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.weigh(image_mean(x)))


class Refined(nn.Module):
    """Attention refinement: `bring` makes a map, whose channels are weighed by its own mean."""

    def __init__(self, bring: nn.Module, channels: int) -> None:
        super().__init__()
        self.bring = bring
        self.attention = Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        brought: Tensor = self.bring(x)
        refined: Tensor = brought * self.attention(brought)
        return refined
