"""Structured pruning: whole channels go, with everything that depends on them (DepGraph, arXiv:2301.12900)."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from segsearch.space.steps import Prune


def prune(network: nn.Module, step: Prune, /, *, protected: tuple[nn.Module, ...]) -> nn.Module:
    """Remove about `step.ratio` of the channels of every layer, least magnitude first, in place; return the network.

    The number of channels left depends on the architecture and the step alone, never on the weights: an untrained
    network and a trained one end up with the same shapes, and stored weights fit a network pruned again. That is why
    torch-pruning finds what depends on what and weighs it, but the choice is made here: its own pruner ranks the
    channels of all layers that meet in a concatenation against one another.
    `protected` layers keep their output channels.
    """
    if step.ratio == 0:
        return network
    kept = {module for layer in protected for module in layer.modules()}
    training = network.training
    example = torch.zeros(
        1, 3, 64, 64, device=next(network.parameters()).device
    )  # any image shows what depends on what
    graph = tp.DependencyGraph().build_dependency(network.eval(), example, forward_fn=_everything)
    weigh = tp.importance.GroupMagnitudeImportance(p=1 if step.criterion == "l1" else 2)
    # All choices come before the first cut: a cut renumbers the channels that later groups name.
    chosen = [
        (group[0].dep.target.module, group[0].dep.handler, _weakest(graph, group, weigh(group), step))
        for group in graph.get_all_groups(ignored_layers=list(kept), root_module_types=[nn.Conv2d])
        if not any(dep.target.module in kept and graph.is_out_channel_pruning_fn(dep.handler) for dep, _ in group)
    ]
    for module, handler, channels in chosen:
        group = graph.get_pruning_group(module, handler, channels)
        if channels and graph.check_pruning_group(group):
            group.prune()
    network.train(training)
    return network


def _everything(network: nn.Module, image: Tensor) -> Any:
    """Run a network with its auxiliary heads, which an inference leaves out."""
    return getattr(network, "scores_and_auxiliary", network)(image)


def channels_left(channels: int, step: Prune, *, multiple: int) -> int:
    """Channels left of a layer: `step.left`, which `shapes` foretells the widths of a pruned network with."""
    return step.left(channels, multiple=multiple)


def _weakest(graph: Any, group: Any, weights: Tensor, step: Prune) -> list[int]:
    """The channels of a group that go. Each run of channels made by the same layers gives its own share."""
    makers: dict[int, set[int]] = defaultdict(set)
    splits = 1
    for item in group:
        layer = item.dep.target.module
        if not isinstance(layer, nn.Conv2d):
            continue
        depthwise = layer.groups == layer.in_channels and layer.groups > 1
        if not depthwise:
            splits = math.lcm(splits, layer.groups)
            if graph.is_out_channel_pruning_fn(item.dep.handler):
                for channel in item.root_idxs:
                    makers[channel].add(id(layer))
    runs: dict[frozenset[int], list[int]] = defaultdict(list)
    for channel in range(len(weights)):
        runs[frozenset(makers[channel])].append(channel)
    if splits > 1 and len(runs) > 1:
        return []  # a grouped convolution over a concatenation: no choice suits both
    gone: list[int] = []
    for run in runs.values():
        left = channels_left(len(run), step, multiple=math.lcm(step.round_to, splits))
        # The parts of a grouped convolution lose the same channels each, weighed together.
        parts = weights[run].reshape(splits, -1)
        order = parts.mean(dim=0).argsort(stable=True)[: (len(run) - left) // splits].tolist()
        gone += [run[part * parts.shape[1] + index] for part in range(splits) for index in order]
    return sorted(gone)
