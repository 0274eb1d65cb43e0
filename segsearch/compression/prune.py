"""Structured pruning: whole channels go, with everything that depends on them (DepGraph, arXiv:2301.12900)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch_pruning as tp
from torch import Tensor, nn

from segsearch.compression.criteria import Weigh, weigher
from segsearch.compression.types import Left, Losses
from segsearch.space.steps import Prune

# The layers that make a channel: the channels of one run have the same.
Run = frozenset[int]
# Why channels stay that could go by themselves.
PROTECTED = "its channels go with those of a protected layer"
GROUPED = "a grouped convolution reads its channels beside others"


def prune(
    network: nn.Module, step: Prune, /, *, protected: tuple[nn.Module, ...], losses: Losses | None = None
) -> nn.Module:
    """Remove about `step.ratio` of the channels of every layer in place, the least first; return the network.

    The number of channels left depends on the architecture and the step alone, never on the weights: an untrained
    network and a trained one end up with the same shapes, and stored weights fit a network pruned again. That is why
    torch-pruning finds what depends on what, but the choice is made here: its own pruner ranks the channels of all
    layers that meet in a concatenation against one another. `step.criterion` weighs them (`criteria`), some by what
    `losses` shows.
    `protected` layers keep their output channels.
    """
    if step.ratio == 0:
        return network
    training = network.training
    graph = _graph_of(network.eval())
    found = _all_found(graph, weigher(network, graph, step, losses), protected)
    whole = _whole(found)
    # All choices come before the first cut: a cut renumbers the channels that later groups name.
    chosen = [(group, group.weakest(step)) for group in found if id(group) not in whole]
    for root, channels in chosen:
        group = graph.get_pruning_group(root.module, root.handler, channels)
        if channels and graph.check_pruning_group(group):
            group.prune()
    network.train(training)
    return network


def kept_whole(network: nn.Module, step: Prune, /, *, protected: tuple[nn.Module, ...]) -> tuple[Left, ...]:
    """The convolutions that `prune` would leave all their channels, and why. Depthwise ones follow what they read."""
    if step.ratio == 0:
        return ()
    training = network.training
    graph = _graph_of(network.eval())
    found = _all_found(graph, lambda group: torch.zeros(len(group[0].idxs)), protected)
    whole = _whole(found)
    kept = {id(module) for layer in protected for module in layer.modules()}
    why: dict[int, str] = {}
    loses: set[int] = set()
    for group in found:
        for layer in group.makers:
            if id(group) in whole:
                why[layer] = "it is protected" if layer in kept else whole[id(group)]
        for run, channels in group.runs.items() if id(group) not in whole else ():
            if group.left(run, step) < len(channels):
                loses |= run
                continue
            for layer in run:
                why.setdefault(layer, f"{len(channels)} channels are too few to lose {step.ratio:.0%}")
    network.train(training)
    named = {id(layer): name for name, layer in network.named_modules()}
    return tuple(Left(named[layer], why[layer]) for layer in named if layer in why and layer not in loses)


def groups_of(network: nn.Module) -> list[frozenset[str]]:
    """The convolutions whose channels go together, by their names, of every group that could lose some."""
    named = {id(layer): name for name, layer in network.named_modules()}
    graph = _graph_of(network.eval())
    found = _all_found(graph, lambda group: torch.zeros(len(group[0].idxs)), ())
    return [frozenset(named[layer] for layer in group.makers) for group in found if group.makers]


def _graph_of(network: nn.Module) -> Any:
    # Any image that the network takes shows what depends on what.
    size = getattr(network, "example", None) or (64, 64)
    example = torch.zeros(1, 3, *size, device=next(network.parameters()).device)
    graph = tp.DependencyGraph().build_dependency(network, example, forward_fn=_everything)
    # A layer that spans several maps comes before their makers: who belongs together is then no matter of the order in
    # which the network was walked.
    graph.module2node = dict(sorted(graph.module2node.items(), key=lambda entry: -_makes(entry[0])))
    return graph


def _all_found(graph: Any, weigh: Weigh, protected: tuple[nn.Module, ...]) -> list[_Found]:
    kept = {module for layer in protected for module in layer.modules()}
    return [_found(graph, group, weigh, kept) for group in graph.get_all_groups(root_module_types=[nn.Conv2d])]


def _everything(network: nn.Module, image: Tensor) -> Any:
    """Run a network with its auxiliary heads, which an inference leaves out."""
    return getattr(network, "scores_and_auxiliary", network)(image)


def _makes(module: Any) -> int:
    return module.out_channels if isinstance(module, nn.Conv2d) else 0


def channels_left(channels: int, step: Prune, *, multiple: int) -> int:
    """Channels left of a layer: `step.left`, which `shapes` foretells the widths of a pruned network with."""
    return step.left(channels, multiple=multiple)


@dataclass(frozen=True)
class _Found:
    """Channels that go together, by those of one layer (`module`) that all others follow.

    `one` tells of each channel the first that is the same, `runs` which of these the same layers make, and `splits`
    what the grouped convolutions among them divide a run into. `layers` read or make all of them, `makers` make any.
    """

    module: nn.Module
    handler: Any
    weights: Tensor
    one: list[int]
    runs: dict[Run, list[int]]
    splits: dict[Run, int]
    layers: set[int]
    makers: set[int]
    fixed: str | None
    beside: bool

    def left(self, run: Run, step: Prune) -> int:
        """Channels left of a run."""
        return channels_left(len(self.runs[run]), step, multiple=math.lcm(step.round_to, self.splits[run]))

    def weakest(self, step: Prune) -> list[int]:
        """The channels that go: each run gives its own share."""
        gone: set[int] = set()
        for run, channels in self.runs.items():
            splits = self.splits[run]
            # The parts of a grouped convolution lose the same channels each, weighed together.
            parts = self.weights[channels].reshape(splits, -1)
            order = parts.mean(dim=0).argsort(stable=True)[: (len(channels) - self.left(run, step)) // splits].tolist()
            gone |= {channels[part * parts.shape[1] + index] for part in range(splits) for index in order}
        return [channel for channel, first in enumerate(self.one) if first in gone]


def _found(graph: Any, group: Any, weigh: Weigh, kept: set[nn.Module]) -> _Found:
    root, count = group[0].dep, len(group[0].idxs)
    layers = _layers(graph, group)
    makers: set[int] = set().union(*layers.makers.values())
    module, handler = root.target.module, root.handler
    if any(dep.target.module in kept and graph.is_out_channel_pruning_fn(dep.handler) for dep, _ in group):
        return _Found(module, handler, torch.empty(0), [], {}, {}, layers.spanning, makers, PROTECTED, False)
    one = _twins(graph, group, layers.makers, count)
    run_of = {channel: frozenset(layers.makers[channel]) for channel in sorted(set(one))}
    runs: dict[Run, list[int]] = defaultdict(list)
    for channel, run in run_of.items():
        runs[run].append(channel)
    splits = dict.fromkeys(runs, 1)
    fixed: str | None = None
    beside = False
    for layer in layers.convolutions:
        read = {one[channel] for channel in layer.channels}
        across = {run_of[channel] for channel in read}
        alone = layer.whole and len(across) == 1
        # Over a concatenation no choice of channels suits all groups of a convolution.
        if layer.kind == "grouped" and not alone:
            fixed = GROUPED
        beside = beside or (layer.kind == "depthwise" and not alone)
        if len(across) == 1:
            (run,) = across  # of which it reads all, or an equal part
            splits[run] = math.lcm(splits[run], layer.groups * len(runs[run]) // len(read))
    weights = weigh(group)[:count]  # they are as many as those of the first layer that was weighed
    weights = torch.zeros_like(weights).index_add(0, torch.tensor(one, device=weights.device), weights)
    return _Found(module, handler, weights, one, runs, splits, layers.spanning, makers, fixed, beside)


def _whole(found: list[_Found]) -> dict[int, str]:
    """The groups (by `id`) that keep all channels, with all that they share a layer with, and why.

    A depthwise convolution over channels of which a grouped one divides a part keeps them, too.
    """
    bundles: list[tuple[set[int], list[_Found]]] = []
    for group in found:
        touched = [bundle for bundle in bundles if bundle[0] & group.layers]
        bundles = [bundle for bundle in bundles if bundle not in touched]
        members = [member for _, others in touched for member in others]
        bundles.append((group.layers.union(*(layers for layers, _ in touched)), [*members, group]))
    whole: dict[int, str] = {}
    for _, members in bundles:
        divided = any(splits > 1 for group in members for splits in group.splits.values())
        reasons = {group.fixed for group in members if group.fixed}
        if divided and any(group.beside for group in members):
            reasons.add(GROUPED)
        if reasons:
            whole |= dict.fromkeys(map(id, members), PROTECTED if PROTECTED in reasons else GROUPED)
    return whole


@dataclass(frozen=True)
class _Convolution:
    """Which channels of a group's root a convolution reads or makes, whether it has no others, and in how many groups.

    A depthwise one counts as one group: each of its channels can go alone.
    """

    kind: Literal["plain", "grouped", "depthwise"]
    channels: list[int]
    whole: bool
    groups: int


@dataclass
class _Layers:
    """The convolutions of a group, who makes each channel of its root, and which of them lose what the root loses."""

    convolutions: list[_Convolution] = field(default_factory=list)
    makers: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    spanning: set[int] = field(default_factory=set)


def _layers(graph: Any, group: Any) -> _Layers:
    found = _Layers()
    for item in group:
        layer = item.dep.target.module
        if not isinstance(layer, nn.Conv2d):
            continue
        makes = graph.is_out_channel_pruning_fn(item.dep.handler)
        whole = len(item.idxs) == (layer.out_channels if makes else layer.in_channels)
        if layer.groups == layer.in_channels and layer.groups > 1:
            found.convolutions.append(_Convolution("depthwise", item.root_idxs, whole, 1))
            found.spanning.add(id(layer))
            continue
        kind: Literal["plain", "grouped"] = "grouped" if layer.groups > 1 else "plain"
        found.convolutions.append(_Convolution(kind, item.root_idxs, whole, layer.groups))
        if makes:
            found.spanning.add(id(layer))
            for channel in item.root_idxs:
                found.makers[channel].add(id(layer))
    return found


def _twins(graph: Any, group: Any, makers: Mapping[int, set[int]], count: int) -> list[int]:
    """Which channels of a group's root are one: of a map that lies beside itself, the first that stands for them.

    A layer is in a group once, by the first of the channels that lead there: the others have no makers.
    """
    one, root = list(range(count)), group[0].dep
    alone = [channel for channel in one if not makers.get(channel)]
    while alone:
        again = graph.get_pruning_group(root.target.module, root.handler, alone)
        found = {
            origin: channel
            for item in again
            if item.dep.target is root.target
            for channel, origin in zip(item.idxs, item.root_idxs, strict=True)
            if makers.get(channel)
        }
        if not found:
            break
        for origin, channel in found.items():
            one[origin] = channel
        alone = [channel for channel in alone if channel not in found]
    return one
