"""A candidate's encoders begin with a parent's weights: its most important channels, the centres of its kernels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segsearch.networks import Network
from segsearch.pretrained.anatomy import IMAGE, Layer
from segsearch.pretrained.match import Match, Report, match
from segsearch.space.architecture import Architecture


def inherit(
    child: Network, child_architecture: Architecture, parent: Network, parent_architecture: Architecture
) -> Report:
    """Write a parent's weights into a child's encoders, in place, where the two match (`match`).

    Of channels that a child has fewer of, those of most weight in the parent stay, in its order; every layer that reads
    or makes them takes the same ones. Of channels that it has more of, the first are the parent's and the others stay
    as drawn. Of a larger kernel it takes the centre; in the centre of its own larger one lies the parent's. Batch norm
    inherits scales and biases; its statistics stay those of a network that has seen nothing.
    """
    found = match(child_architecture, parent_architecture)
    chosen = _chosen(found, child, parent)
    with torch.no_grad():
        for mine, theirs in found.pairs:
            _copy(child, mine, parent, theirs, chosen)
    return found.report


def _chosen(found: Match, child: Network, parent: Network) -> Mapping[str, Tensor]:
    """The parent's channels that each of the child's maps takes, in the parent's order, by the child's name for them.

    A channel weighs the norm of its weights times its batch norm's scale, summed over the layers that make it and that
    the child takes: with shortcuts the blocks of a stage, inside a block the expansion and the depthwise convolution.
    The order is one for all maps that are one in the parent, so that a narrower map takes some of a wider one's.
    """
    weights: dict[str, Tensor] = {}
    for layer in {theirs.conv: theirs for _, theirs in found.pairs}.values():
        if not layer.gates:
            weights[layer.makes] = weights.get(layer.makes, torch.zeros(())) + _weight(parent, layer)
    chosen = {IMAGE: torch.arange(3)}
    for mine, theirs in found.pairs:
        if mine.makes not in chosen:
            width = _conv(child, mine).out_channels
            # Stable, so that of equal channels the first ones stay.
            order = torch.argsort(weights[theirs.makes], descending=True, stable=True)
            chosen[mine.makes] = order[:width].sort().values
    return chosen


def _weight(network: Network, layer: Layer) -> Tensor:
    """How much each channel that a layer makes weighs."""
    weight = _conv(network, layer).weight.detach().flatten(1).square().sum(dim=1).sqrt()
    norm = _norm(network, layer)
    return weight if norm is None else weight * norm.weight.detach().abs()


def _copy(child: Network, mine: Layer, parent: Network, theirs: Layer, chosen: Mapping[str, Tensor]) -> None:
    own, other = _conv(child, mine), _conv(parent, theirs)
    rows = chosen[mine.makes]
    weight = other.weight[rows]
    if not mine.depthwise:
        weight = weight[:, chosen[mine.reads]]
    sizes = zip(own.kernel_size, other.kernel_size, strict=True)
    (top, height, from_top), (left, width, from_left) = (_middle(ours, its) for ours, its in sizes)
    weight = weight[:, :, from_top : from_top + height, from_left : from_left + width]
    own.weight[: weight.shape[0], : weight.shape[1], top : top + height, left : left + width] = weight
    if own.bias is not None and other.bias is not None:
        own.bias[: len(rows)] = other.bias[rows]
    norm, its = _norm(child, mine), _norm(parent, theirs)
    if norm is not None and its is not None:
        norm.weight[: len(rows)] = its.weight[rows]
        norm.bias[: len(rows)] = its.bias[rows]


def _middle(own: int, other: int) -> tuple[int, int, int]:
    """Where in an own kernel of that side the middle of another goes, how much of it, and from where."""
    side = min(own, other)
    return (own - side) // 2, side, (other - side) // 2


def _conv(network: Network, layer: Layer) -> nn.Conv2d:
    found = network.get_submodule(layer.conv)
    assert isinstance(found, nn.Conv2d)
    return found


def _norm(network: Network, layer: Layer) -> nn.BatchNorm2d | None:
    if layer.norm is None:
        return None
    found = network.get_submodule(layer.norm)
    assert isinstance(found, nn.BatchNorm2d)
    return found
