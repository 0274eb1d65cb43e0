"""Folding: once training is over, what learnt as several layers ships as one.

It is a step between training (and pruning, which must find the layers as they learnt) and the export. A part that can
be folded has `fold()`, which returns what takes its place: a module of the same function in evaluation.

One that shall be factorised has `merge()` too, which returns what takes its place and goes on learning, with one
convolution called `conv` (`compression.factorize`).
"""

from __future__ import annotations

import copy
from typing import Protocol, TypeVar, cast, runtime_checkable

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


@runtime_checkable
class Foldable(Protocol):
    """A part of a network that can be folded."""

    def fold(self) -> nn.Module: ...


def folded(network: Module) -> Module:
    """A copy whose parts are folded, in the same mode; the network itself where there is nothing to fold.

    The network learns on untouched, and folding what is folded changes nothing.
    """
    if not any(isinstance(part, Foldable) for part in _ours(network)):
        return network
    shipped = copy.deepcopy(network)
    ours = _ours(shipped)
    for parent in ours:
        for name, part in parent.named_children():
            if part in ours and isinstance(part, Foldable):
                setattr(parent, name, part.fold().train(network.training))
    return cast(Module, shipped.fold()) if isinstance(shipped, Foldable) else shipped


def _ours(network: nn.Module) -> list[nn.Module]:
    """All parts but those of a module that somebody brought, whose methods mean what they like."""
    brought = [one for part in network.modules() if isinstance(one := getattr(part, "brought", None), nn.Module)]
    theirs = {part for one in brought for part in one.modules()}
    return [part for part in network.modules() if part not in theirs]
