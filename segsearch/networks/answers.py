"""What an exported file answers: the scores of all classes, or the mask that somebody would make of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.networks.layers import resize, spatial_size
from segsearch.networks.network import Network
from segsearch.space.candidate import Output
from segsearch.space.shapes import scaled


class Masked(nn.Module):
    """A network that answers with classes: images (n, 3, H, W) in, the class of each pixel (n, H, W) as uint8 out.

    The classes are chosen at `answer_scale` of the image's size and repeated up to it: scores of all classes at full
    size, and the choice among them, take longer than many a network.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def scores(self, image: Tensor) -> Tensor:
        """The scores that the classes are chosen from: (n, classes, h, w) at `answer_scale` of the image's size."""
        size = spatial_size(image)
        grid = self.network.scores(resize(image, scaled(size, self.network.input_scale)))
        return resize(grid, scaled(size, self.network.answer_scale))

    def forward(self, image: Tensor) -> Tensor:
        chosen = self.scores(image).argmax(dim=1, keepdim=True).to(torch.uint8)
        size = spatial_size(image)
        return (chosen if spatial_size(chosen) == size else F.interpolate(chosen, size=size, mode="nearest")).squeeze(1)


def masking(network: nn.Module) -> Masked:
    """A network that answers with classes. Raises `TypeError` for a module that is none of ours."""
    if not isinstance(network, Network):
        raise TypeError(f"A mask is made of a Network's scores, got {type(network).__name__}")
    return Masked(network)


def answering(network: nn.Module, output: Output) -> nn.Module:
    """The network as it is exported."""
    return masking(network) if output == "mask" else network
