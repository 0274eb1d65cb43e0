"""A candidate's encoders begin with a parent's weights: its most important channels, the centres of its kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segsearch.networks import Network
from segsearch.pretrained.anatomy import IMAGE, Layer, layers_of
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
    stands_for = {IMAGE: IMAGE, **{mine.makes: theirs.makes for mine, theirs in found.pairs if mine.conv is not None}}
    widths = _widths(child, layers_of(child_architecture)), _widths(parent, layers_of(parent_architecture))
    with torch.no_grad():
        for mine, theirs in found.pairs:
            own, other = _begins(mine, widths[0]), _begins(theirs, widths[1])
            side_by_side = [
                (own[name] + torch.arange(len(chosen[name])), other[stands_for[name]] + chosen[name])
                for name in mine.reads
                if name in chosen and stands_for[name] in other
            ]
            columns = _Columns(*(torch.cat(parts) for parts in zip(*side_by_side, strict=True)))
            _copy(child, mine, parent, theirs, chosen, columns)
    return found.report


def _chosen(found: Match, child: Network, parent: Network) -> Mapping[str, Tensor]:
    """The parent's channels that each of the child's maps takes, in the parent's order, by the child's name for them.

    A channel weighs the norm of its weights times its batch norm's scale, summed over the layers that make it and that
    the child takes: with shortcuts the blocks of a stage, inside a block the expansion and the depthwise convolution.
    The order is one for all maps that are one in the parent, so that a narrower map takes some of a wider one's.
    """
    weights: dict[str, Tensor] = {}
    for layer in {theirs.conv: theirs for _, theirs in found.pairs}.values():
        if layer.conv is not None and not layer.gates:
            weights[layer.makes] = weights.get(layer.makes, torch.zeros(())) + _weight(parent, layer)
    chosen = {IMAGE: torch.arange(3)}
    for mine, theirs in found.pairs:
        if mine.conv is not None and mine.makes not in chosen:
            width = _conv(child, mine).out_channels
            # Stable, so that of equal channels the first ones stay.
            order = torch.argsort(weights[theirs.makes], descending=True, stable=True)
            chosen[mine.makes] = order[:width].sort().values
    return chosen


def _weight(network: Network, layer: Layer) -> Tensor:
    """How much each channel that a layer makes weighs."""
    weight = _conv(network, layer).weight.detach().flatten(1).square().sum(dim=1).sqrt()
    norm = _norm(network, layer)
    return weight if norm is None or layer.first else weight * norm.weight.detach().abs()


@dataclass(frozen=True)
class _Columns:
    """Channels that a layer reads: where they are in the child's map, and which they are of the parent's."""

    own: Tensor
    other: Tensor


def _copy(
    child: Network, mine: Layer, parent: Network, theirs: Layer, chosen: Mapping[str, Tensor], columns: _Columns
) -> None:
    norm, its = _norm(child, mine), _norm(parent, theirs)
    rows = _Columns(torch.arange(0), torch.arange(0))
    if mine.conv is not None:
        picked = chosen[mine.makes]
        rows = _Columns(torch.arange(len(picked)), picked)
        own, other = _conv(child, mine), _conv(parent, theirs)
        sizes = zip(own.kernel_size, other.kernel_size, strict=True)
        (top, height, from_top), (left, width, from_left) = (_middle(*pair) for pair in sizes)
        weight = other.weight[rows.other]
        read = _Columns(torch.arange(1), torch.arange(1)) if mine.depthwise else columns
        weight = weight[:, read.other, from_top : from_top + height, from_left : from_left + width]
        inside = own.weight[:, :, top : top + height, left : left + width]
        inside[rows.own[:, None], read.own] = weight
        if own.bias is not None and other.bias is not None:
            own.bias[rows.own] = other.bias[rows.other]
    if norm is not None and its is not None:
        of = columns if mine.first or mine.conv is None else rows
        norm.weight[of.own] = its.weight[of.other]
        norm.bias[of.own] = its.bias[of.other]


def _widths(network: Network, layers: Sequence[Layer]) -> dict[str, int]:
    """How many channels there are of each name."""
    return {IMAGE: 3, **{one.makes: _conv(network, one).out_channels for one in layers if one.conv is not None}}


def _begins(layer: Layer, widths: Mapping[str, int]) -> dict[str, int]:
    """Where the channels of each name begin in what a layer reads."""
    found, at = dict[str, int](), 0
    for name in layer.reads:
        found[name] = at
        at += widths.get(name, 0)
    return found


def _middle(own: int, other: int) -> tuple[int, int, int]:
    """Where in an own kernel of that side the middle of another goes, how much of it, and from where."""
    side = min(own, other)
    return (own - side) // 2, side, (other - side) // 2


def _conv(network: Network, layer: Layer) -> nn.Conv2d:
    assert layer.conv is not None
    found = network.get_submodule(layer.conv)
    assert isinstance(found, nn.Conv2d)
    return found


def _norm(network: Network, layer: Layer) -> nn.BatchNorm2d | None:
    if layer.norm is None:
        return None
    found = network.get_submodule(layer.norm)
    assert isinstance(found, nn.BatchNorm2d)
    return found
