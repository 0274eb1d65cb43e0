"""Low-rank factorization: one convolution becomes two or three of fewer multiply-accumulates.

A 1x1 is the product of two (SVD); a k x k is a 1x1, a k x k core and a 1x1 (Tucker-2, Kim et al., arXiv:1511.06530).

`Factorize`'s own limits are where time fell for every kind of layer in `benchmarks/lowrank.py --int8` (one thread,
AVX2, in float and int8, at ranks of 1/4, 1/2 and 3/4): to 0.12 to 0.88 of it. Below them int8 took up to 1.7 times
as long (a 3x3 of 16 channels at half its multiply-accumulates or less).
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from segsearch.compression.types import Left, Losses
from segsearch.space.steps import Factorize

# Side of the image that shows how large each map is. Nothing is computed on it.
SIDE = 256


class Factors(nn.Sequential):
    """What a convolution has become: `reduce` its inputs, `core`, `expand` to its outputs; those that it needs."""


@dataclass(frozen=True)
class Ranks:
    """Channels after the first factor and before the last; as many as the layer has where that factor is left out."""

    inputs: int
    outputs: int


def factorize(
    network: nn.Module, step: Factorize, /, *, protected: tuple[nn.Module, ...], losses: Losses | None = None
) -> nn.Module:
    """Factorise in place what `step` allows, and return the network.

    The ranks are a ratio of the channels and no share of the energy: the shapes left depend on the architecture and
    the step alone, never on the weights, so that an untrained network and a trained one end up alike, and stored
    weights fit a network that is factorised again. The first weights are those of the decomposition. Nothing stands
    between the factors: batch norm stays behind the last, and the function is the same but for the rank.
    `protected` layers, grouped and depthwise ones, and what reads a mean over the map are left as they are. Of a block
    that folds, the branches are merged first, where what they merge to is factorised.
    """
    if step.idle:
        return network
    unmerged = dict(_merged(network))
    plan = _plan(network, step, protected)
    for name, (whole, conv) in unmerged.items():
        if isinstance(plan[conv], str):
            _put(network, name, whole)
            del plan[conv]
    for name, ranks in plan.items():
        if isinstance(ranks, Ranks):
            layer = network.get_submodule(name)
            factors = factored(layer, ranks)
            # A layer that has several names stays one.
            for each in [each for each, one in network.named_modules(remove_duplicate=False) if one is layer]:
                _put(network, each, factors)
    return network


def left_dense(network: nn.Module, step: Factorize, /, *, protected: tuple[nn.Module, ...]) -> tuple[Left, ...]:
    """The convolutions that `factorize` would leave, and why; a block that folds is one of them."""
    if step.idle:
        return ()
    unmerged = dict(_merged(network))
    plan = _plan(network, step, protected)
    for name, (whole, _) in unmerged.items():
        _put(network, name, whole)
    blocks = {conv: name for name, (_, conv) in unmerged.items()}
    return tuple(Left(blocks.get(name, name), found) for name, found in plan.items() if isinstance(found, str))


def factors_of(network: nn.Module, names: Collection[str]) -> frozenset[str]:
    """The names of parameters, and of those that factors of a layer have in place of a named one."""
    new = {
        f"{path}.{name}"
        for path, part in network.named_modules()
        if isinstance(part, Factors) and f"{path}.weight" in names
        for name, _ in part.named_parameters()
    }
    return frozenset(names) | new


@torch.no_grad()
def factored(layer: Any, ranks: Ranks) -> Factors:
    """The factors of a convolution without groups; at full rank the same function."""
    weight = layer.weight.double()
    outputs, inputs = weight.shape[:2]
    convs: OrderedDict[str, nn.Module] = OrderedDict()
    if layer.kernel_size == (1, 1):
        matrix = weight.flatten(1)
        # On the narrower side: the same product, from the smaller of two matrices.
        if outputs <= inputs:
            left = _leading(matrix @ matrix.T, ranks.outputs)
            right = left.T @ matrix
        else:
            right = _leading(matrix.T @ matrix, ranks.outputs).T
            left = matrix @ right.T
        convs["reduce"] = _like(layer, right[:, :, None, None], spatial=True)
        convs["expand"] = _like(layer, left[:, :, None, None], bias=True)
        return _in_place_of(layer, convs)
    first = _leading(_gram(weight.transpose(0, 1)), ranks.inputs) if ranks.inputs < inputs else None
    last = _leading(_gram(weight), ranks.outputs) if ranks.outputs < outputs else None
    core = weight
    if first is not None:
        core = torch.einsum("oikl,ir->orkl", core, first)
        convs["reduce"] = _like(layer, first.T[:, :, None, None])
    if last is not None:
        core = torch.einsum("oikl,or->rikl", core, last)
    convs["core"] = _like(layer, core, spatial=True, bias=last is None)
    if last is not None:
        convs["expand"] = _like(layer, last[:, :, None, None], bias=True)
    return _in_place_of(layer, convs)


def _gram(weight: Tensor) -> Tensor:
    rows = weight.flatten(1)
    return rows @ rows.T


def _leading(gram: Tensor, rank: int) -> Tensor:
    """The orthonormal directions (n, rank) that a layer uses most; of each the largest entry is positive.

    Eigenvectors of a sum of squares are the singular vectors, and there are as many where weights are all zero.
    """
    found: Tensor = torch.linalg.eigh(gram).eigenvectors.flip(1)[:, :rank]
    largest = found.gather(0, found.abs().argmax(dim=0, keepdim=True))
    return found * torch.where(largest < 0, -1.0, 1.0)


def _like(layer: nn.Conv2d, weight: Tensor, *, spatial: bool = False, bias: bool = False) -> nn.Module:
    """A convolution of a layer's own type with these weights; its stride and padding where `spatial`, its `bias`."""
    outputs, inputs, height, width = weight.shape
    where: dict[str, Any] = {}
    if spatial:
        where = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
    # On no device: no weights are drawn that would be thrown away.
    made = type(layer)(inputs, outputs, (height, width), bias=False, device="meta", **where)
    channels_last = layer.weight.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    made.weight = nn.Parameter(weight.to(layer.weight).contiguous(memory_format=layout))
    made.bias = nn.Parameter(layer.bias.detach().clone()) if bias and layer.bias is not None else None
    return made


def _in_place_of(layer: nn.Conv2d, convs: OrderedDict[str, nn.Module]) -> Factors:
    return Factors(convs).train(layer.training).requires_grad_(layer.weight.requires_grad)


# ---- what is factorised


def _plan(network: nn.Module, step: Factorize, protected: tuple[nn.Module, ...]) -> dict[str, Ranks | str]:
    """Of each convolution, by name, its ranks, or why it is left."""
    kept = {module for layer in protected for module in layer.modules()}
    factors = {module for part in network.modules() if isinstance(part, Factors) for module in part.modules()}
    maps = _map_sizes(network)
    plan: dict[str, Ranks | str] = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and layer not in factors:
            plan[name] = _ranks(layer, step, *maps[name]) if name in maps else "it is not run"
            plan[name] = "it is protected" if layer in kept else plan[name]
    return plan


def _ranks(layer: nn.Conv2d, step: Factorize, read: int, made: int) -> Ranks | str:
    """The ranks of a layer that reads a map of so many pixels and makes one of so many, or why it is left."""
    inputs, outputs = layer.in_channels, layer.out_channels
    if layer.groups > 1:
        return "it is grouped"
    if made == 1:
        return "it reads a mean over the map"
    area = layer.kernel_size[0] * layer.kernel_size[1]
    whole = area * inputs * outputs * made
    if whole < step.least_macs * made:
        return f"fewer than {step.least_macs} multiply-accumulates a pixel"
    if area == 1:
        rank = step.rank(min(inputs, outputs))
        ranks, macs = Ranks(inputs, rank), rank * (inputs + outputs) * made
    else:
        ranks = Ranks(step.rank(min(inputs, area * outputs)), step.rank(min(outputs, area * inputs)))
        macs = area * ranks.inputs * ranks.outputs * made
        macs += inputs * ranks.inputs * read if ranks.inputs < inputs else 0
        macs += ranks.outputs * outputs * made if ranks.outputs < outputs else 0
    saving = 1 - macs / whole
    if saving <= 0 or saving < step.least_saving:
        return f"{saving:.0%} of its multiply-accumulates would fall"
    return ranks


def _map_sizes(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Pixels of the map that each convolution reads and of the one that it makes, where it is run.

    Of an image of `SIDE`, on which nothing is computed; a module that somebody brought runs on one that it takes.
    """
    shapes, size, device = copy.deepcopy(network).eval(), getattr(network, "example", None), "cpu"
    if size is None:
        shapes, size, device = shapes.to("meta"), (SIDE, SIDE), "meta"
    shapes.to(device)
    found: dict[str, tuple[int, int]] = {}
    for name, layer in shapes.named_modules():
        if isinstance(layer, nn.Conv2d):

            def see(layer: nn.Module, inputs: tuple[Tensor, ...], made: Tensor, name: str = name) -> None:
                found[name] = inputs[0].shape[-2:].numel(), made.shape[-2:].numel()

            layer.register_forward_hook(see)
    with torch.no_grad():
        getattr(shapes, "scores_and_auxiliary", shapes)(torch.zeros(1, 3, *size, device=device))
    return found


# ---- blocks that fold


def _merged(network: nn.Module) -> Iterator[tuple[str, tuple[nn.Module, str]]]:
    """Merge each block that can be; of each its name, itself as it was, and the name of its one convolution."""
    brought = getattr(network, "brought", None)
    theirs = set(brought.modules()) if isinstance(brought, nn.Module) else set()
    for name, part in list(network.named_modules()):
        if part not in theirs and callable(merge := getattr(part, "merge", None)):
            _put(network, name, merge().train(part.training))
            yield name, (part, f"{name}.conv")


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, module)
