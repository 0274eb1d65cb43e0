"""What of a module that nobody here built can be pruned: cuts are tried on copies, and what breaks it is left alone."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import nn

from segsearch.compression import MODEL_STEPS
from segsearch.compression.prune import groups_of
from segsearch.networks.own import OwnModule
from segsearch.own.header import Left
from segsearch.space.steps import BeforeExport, Prune

# The ratios that `compress_only` draws, and what must learn after each.
RATIOS = (0.5, 0.125, 0.25, 0.375)
RANKS = (0.5, 0.25)
ANSWER = "its channels are those of the answer"

T = TypeVar("T")

# What is wrong with a network after a step, in words; None where nothing is.
Fault = str | None


def left_whole(network: OwnModule) -> tuple[Left, ...]:
    """The layers that must keep their channels, and why. Raises `ValueError` where nothing can be pruned."""
    why = dict(_tied(network)) | dict(_normed(network))
    groups = _quiet(lambda: [tuple(sorted(group)) for group in groups_of(copy.deepcopy(network))])
    loose = [group for group in groups if not set(group) & why.keys()]
    for ratio in RATIOS:
        step = Prune(ratio)
        bad = _breaking(network, step, loose, fixed=why)
        why |= bad
        loose = [group for group in loose if not set(group) & bad.keys()]
    if not loose:
        reasons = "; ".join(dict.fromkeys(why.values()))
        raise ValueError(f"no layer can lose channels ({reasons[:200]})")
    most = Prune(max(RATIOS))
    if takes_nothing(network, most, sorted(why)):
        few = f"too few channels to lose {most.ratio:.0%} in multiples of {most.round_to}"
        raise ValueError(f"each layer that can lose channels has {few}")
    inner = {name.removeprefix("inner."): words for name, words in why.items()}
    return tuple(Left(name, words) for name, words in sorted(inner.items()))


def fault_after(network: OwnModule, step: BeforeExport, kept: Sequence[str]) -> Fault:
    """What is wrong with a copy of the network after a step that leaves the `kept` layers alone."""
    cut = copy.deepcopy(network)
    cut.kept = tuple(kept)
    size = cut.example
    assert size is not None
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 255
    try:
        with torch.no_grad():
            expected = network(image[:1]).shape
        _quiet(lambda: MODEL_STEPS[type(step)](cut, step, protected=cut.protected))
        with torch.no_grad():
            found = cut.eval()(image[:1])
        if found.shape[1] != expected[1]:
            return ANSWER
        if found.shape != expected or not bool(found.isfinite().all()):
            return "what is left of the network answers otherwise"
        cut.train().scores_and_auxiliary(image)[0].float().mean().backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever somebody's code or torch-pruning raises
        said = " ".join(str(error).split())[:100].rstrip(".")
        return f"without some of its channels the network fails: {type(error).__name__}: {said}"
    return None


def takes_nothing(network: OwnModule, step: BeforeExport, kept: Sequence[str]) -> bool:
    """Whether a step that leaves the `kept` layers alone leaves all others as they are, too."""
    cut = copy.deepcopy(network)
    cut.kept = tuple(kept)
    _quiet(lambda: MODEL_STEPS[type(step)](cut, step, protected=cut.protected))
    return _weights(cut) == _weights(network)


def _weights(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def _breaking(
    network: OwnModule, step: Prune, groups: Sequence[tuple[str, ...]], *, fixed: dict[str, str]
) -> dict[str, str]:
    """Of these groups of layers those whose cut breaks the network, with why; halves are tried until one is left."""
    every = {name for group in groups for name in group}
    found: dict[str, str] = {}

    def look(part: Sequence[tuple[str, ...]]) -> None:
        names = {name for group in part for name in group}
        fault = fault_after(network, step, sorted((every - names) | fixed.keys() | found.keys()))
        if fault is None:
            return
        if len(part) == 1:
            found.update(dict.fromkeys(part[0], fault))
            return
        look(part[: len(part) // 2])
        look(part[len(part) // 2 :])

    for _ in range(2):  # groups that break it only together
        left = [group for group in groups if not set(group) & found.keys()]
        before = len(found)
        if left:
            look(left)
        if len(found) == before:
            break
    left = [group for group in groups if not set(group) & found.keys()]
    if left and (fault := fault_after(network, step, sorted(fixed.keys() | found.keys()))):
        found |= {name: fault for group in left for name in group}
    return found


def _tied(network: nn.Module) -> list[tuple[str, str]]:
    """Layers that share a weight: a cut would part them."""
    first: dict[int, str] = {}
    found: dict[str, str] = {}
    for name, part in network.named_modules():
        for value in part.parameters(recurse=False):
            other = first.setdefault(id(value), name)
            if other != name:
                found |= {name: f"its weights are those of {other.removeprefix('inner.')}"}
                found |= {other: f"its weights are those of {name.removeprefix('inner.')}"}
    return list(found.items())


def _normed(network: nn.Module) -> list[tuple[str, str]]:
    """Convolutions right before a group norm, which divides their channels: told by their order of running."""
    found: dict[str, str] = {}
    names = {part: name for name, part in network.named_modules()}
    last: list[nn.Module] = []

    def see(part: nn.Module, inputs: object, answer: object) -> None:
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            last[:] = [part]
        elif isinstance(part, nn.GroupNorm) and last:
            found[names[last[0]]] = "a group norm divides its channels"

    hooks = [part.register_forward_hook(see) for part in network.modules()]
    with torch.no_grad():
        network(torch.zeros(1, 3, *_size_of(network)))
    for hook in hooks:
        hook.remove()
    return list(found.items())


def _size_of(network: nn.Module) -> tuple[int, int]:
    assert isinstance(network, OwnModule)
    assert network.example is not None
    return network.example


def _quiet(work: Callable[[], T]) -> T:
    """torch-pruning warns of what it does not know; what breaks is found by trying."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return work()
