"""How much each channel counts: what decides which of them a pruning takes. One function and one line each.

How many are left is no matter of a criterion (`compression.prune`). Channels are weighed against those of their own run
alone, so that no scale is shared by layers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
import torch_pruning as tp
from torch import Tensor, nn

from segsearch.compression.types import Losses
from segsearch.space.keys import to_json
from segsearch.space.steps import Prune

# Weighs the channels of a group, by those of its first layer: (channels,).
Weigh = Callable[[Any], Tensor]
# What was seen of a layer's channels, those that it makes or those that it reads: (channels,).
Seen = Mapping[nn.Module, Tensor]
# Channels that a criterion holds equal go by their magnitude: the share of it that never outweighs the criterion.
_TIE = 1e-9

_MAKERS = (nn.Conv2d, nn.ConvTranspose2d)


def weigher(network: nn.Module, graph: Any, step: Prune, losses: Losses | None) -> Weigh:
    """What weighs the groups of a network by the step's criterion.

    Criteria that look at data hold all channels equal where there are no `losses`: an untrained network at the gate.
    """
    magnitude = tp.importance.GroupMagnitudeImportance(p=2 if step.criterion == "l2" else 1)
    if step.criterion in ("l1", "l2"):
        return cast(Weigh, magnitude)
    if step.criterion == "random":
        return _dice(network, step)
    weigh = _LOOKS[step.criterion](network, graph, losses)

    def with_ties(group: Any) -> Tensor:
        found = weigh(group)
        plain = magnitude(group)[: len(found)].to(found)
        top = plain.nan_to_num(0.0).max().clamp(min=1e-30)
        ties: Tensor = plain.nan_to_num(0.0) / top
        return found + _TIE * found.max().clamp(min=1e-30) * ties

    return with_ties


def _dice(network: nn.Module, step: Prune) -> Weigh:
    """Seeded by what the network is built of and the step, never by its weights."""
    built = [f"{name} {tuple(value.shape)}" for name, value in network.named_parameters()]
    seed = hashlib.sha256("\n".join([to_json(step), *built]).encode()).hexdigest()[:15]
    generator = torch.Generator().manual_seed(int(seed, 16))
    return lambda group: torch.rand(len(group[0].idxs), generator=generator)


# ---- by one tensor a layer


def _gathered(group: Any, parts: Iterable[tuple[Any, Tensor]]) -> Tensor:
    """The mean of what layers of a group say of each channel of its first layer; 0 where none says anything.

    `parts` are items of the group, each with a number for all channels of its layer.
    """
    total = torch.zeros(len(group[0].idxs), dtype=torch.float64)
    count = torch.zeros_like(total)
    for item, values in parts:
        at = torch.tensor(item.root_idxs)
        total.index_add_(0, at, values.detach().to("cpu", torch.float64)[item.idxs])
        count.index_add_(0, at, torch.ones(len(at), dtype=torch.float64))
    return total / count.clamp(min=1)


def _batch_norm(network: nn.Module, graph: Any, losses: Losses | None) -> Weigh:
    """The scale of the batch norms that follow: what is scaled to nothing says nothing (arXiv:1708.06519).

    Channels without a norm go by their magnitude.
    """

    def parts(group: Any) -> Iterator[tuple[Any, Tensor]]:
        for item in group:
            norm = item.dep.target.module
            if isinstance(norm, nn.BatchNorm2d):
                yield item, norm.weight.abs()

    return lambda group: _gathered(group, parts(group))


def _taylor(network: nn.Module, graph: Any, losses: Losses | None) -> Weigh:
    """What the loss would change by if a channel's weights were gone, to first order: |sum of weight x gradient|.

    Of the weights of a layer that makes the channel, the mean over layers and batches (Molchanov et al.,
    arXiv:1906.10771). The sum comes first: weights whose effects cancel count for nothing together. In evaluation
    alone, as `prune` has it: while batch norm learns, the sum is 0 for every layer before one.
    """
    makers = [layer for layer in network.modules() if isinstance(layer, _MAKERS)]
    seen: dict[nn.Module, Tensor] = {}
    for loss in losses(network) if losses is not None else ():
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for layer in makers:
            gradient = layer.weight.grad
            if gradient is not None:
                product = (layer.weight.detach() * gradient).double()
                over = (0, 2, 3) if isinstance(layer, nn.ConvTranspose2d) else (1, 2, 3)
                seen[layer] = seen.get(layer, 0.0) + product.sum(dim=over).abs()
    network.zero_grad(set_to_none=True)
    return _by_makers(graph, seen)


def _activation(network: nn.Module, graph: Any, losses: Losses | None) -> Weigh:
    """The mean absolute value of a channel where layers read it, after its activation."""
    return _by_readers(graph, _read(network, losses, lambda x: x.abs()))


def _zeros(network: nn.Module, graph: Any, losses: Losses | None) -> Weigh:
    """The share of a channel that is not zero where layers read it (APoZ, Hu et al., arXiv:1607.03250)."""
    return _by_readers(graph, _read(network, losses, lambda x: (x != 0).float()))


_LOOKS: Mapping[str, Callable[[nn.Module, Any, Losses | None], Weigh]] = {
    "batch_norm": _batch_norm,
    "taylor": _taylor,
    "activation": _activation,
    "zeros": _zeros,
}


# ---- who makes a channel, who reads it


def _by_makers(graph: Any, seen: Seen) -> Weigh:
    def parts(group: Any) -> Iterator[tuple[Any, Tensor]]:
        for item in group:
            layer = item.dep.target.module
            if layer in seen and (graph.is_out_channel_pruning_fn(item.dep.handler) or _depthwise(layer)):
                yield item, seen[layer]

    return lambda group: _gathered(group, parts(group))


def _by_readers(graph: Any, seen: Seen) -> Weigh:
    def parts(group: Any) -> Iterator[tuple[Any, Tensor]]:
        for item in group:
            layer = item.dep.target.module
            if layer in seen and (not graph.is_out_channel_pruning_fn(item.dep.handler) or _depthwise(layer)):
                yield item, seen[layer]

    return lambda group: _gathered(group, parts(group))


def _depthwise(layer: nn.Module) -> bool:
    """It reads the channels that it makes."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def _read(network: nn.Module, losses: Losses | None, told: Callable[[Tensor], Tensor]) -> Seen:
    """The mean over batches and pixels of what is told of the map that each layer reads."""
    seen: dict[nn.Module, Tensor] = {}
    if losses is None:
        return seen
    count: dict[nn.Module, int] = {layer: 0 for layer in network.modules() if isinstance(layer, _MAKERS)}

    def see(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[layer] = seen.get(layer, 0.0) + told(inputs[0].detach()).mean(dim=(0, 2, 3)).double()
        count[layer] += 1

    with _hooked(count, see), torch.no_grad():
        for _ in losses(network):
            pass
    return {layer: total / count[layer] for layer, total in seen.items()}


@contextmanager
def _hooked(layers: Iterable[nn.Module], see: Callable[[nn.Module, tuple[Tensor, ...]], None]) -> Iterator[None]:
    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_pre_hook(see).remove)
        yield
