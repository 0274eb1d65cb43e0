"""Structured pruning: whole channels go, with everything that depends on them (DepGraph, arXiv:2301.12900)."""

from __future__ import annotations

import torch
import torch_pruning as tp
from torch import nn

from segsearch.candidate import Prune


def prune(network: nn.Module, step: Prune, /, *, protected: tuple[nn.Module, ...]) -> nn.Module:
    """Remove `step.ratio` of the channels of every group, least magnitude first, in place; return the network.

    The number of channels left depends on the architecture and the step alone, never on the weights: an untrained
    network and a trained one end up with the same shapes, and stored weights fit a network pruned again.
    `protected` layers keep their output channels.
    """
    if step.ratio == 0:
        return network
    device = next(network.parameters()).device
    training = network.training
    # Any image will do to trace the dependencies; a small one is quick.
    example = torch.zeros(1, 3, 64, 64, device=device)
    pruner = tp.pruner.BasePruner(
        network.eval(),
        example,
        importance=tp.importance.GroupMagnitudeImportance(p=1 if step.criterion == "l1" else 2),
        pruning_ratio=step.ratio,
        round_to=step.round_to,
        global_pruning=False,
        ignored_layers=list(protected),
    )
    pruner.step()
    network.train(training)
    return network
