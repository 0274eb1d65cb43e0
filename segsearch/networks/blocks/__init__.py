"""Blocks: what an encoder's stage repeats. One builder each, one line in `BLOCKS` and one in `BLOCK_RULES`."""

from __future__ import annotations

from collections.abc import Mapping

from segsearch.networks.blocks.beside import EESP, Dense, Shuffled, Transition
from segsearch.networks.blocks.parts import Block, Place
from segsearch.networks.blocks.plain import QARep, conv, grouped, separable
from segsearch.networks.blocks.residuals import MBConv, SplitRates, bottleneck, inverted_residual, residual

BLOCKS: Mapping[str, Block] = {
    "conv": conv,
    "grouped": grouped,
    "separable": separable,
    "inverted_residual": inverted_residual,
    "residual": residual,
    "bottleneck": bottleneck,
    "mbconv": MBConv,
    "dense": Dense,
    "transition": Transition,
    "shuffled": Shuffled,
    "eesp": EESP,
    "qarep": QARep,
    "split_rates": SplitRates,
}

__all__ = ["BLOCKS", "Block", "Place", "conv"]
