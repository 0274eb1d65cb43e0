"""What must be known of each block without its layers: whose channels go together, how wide and how large its maps are.

The layers are in `networks.blocks`, a builder for every name here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segsearch.space.architecture import Stage


@dataclass(frozen=True)
class BlockRule:
    """The facts of one type of block.

    `shortcut`: where width and size stay, it adds its input to what it makes, so that the two maps have the same
    channels. `splits`: a grouped convolution divides its input into `Stage.groups`. `grows`: it adds channels to
    those it reads (DenseNet). `keeps`: pruning takes no channel of its maps, only of what lies inside it. `pools`: its
    stride is a pool, which rounds down where a padded convolution rounds up. The rest is what a stage may ask of it:
    another activation (`activates`), squeeze-and-excitation (`squeezes`), no norm (`unnormed`), the image
    (`reinforces`).
    """

    shortcut: bool = False
    splits: bool = False
    grows: bool = False
    keeps: bool = False
    pools: bool = False
    activates: bool = False
    squeezes: bool = False
    unnormed: bool = False
    reinforces: bool = False


BLOCK_RULES: Mapping[str, BlockRule] = {
    "conv": BlockRule(activates=True, unnormed=True),
    "grouped": BlockRule(splits=True, activates=True),
    "separable": BlockRule(activates=True),
    "inverted_residual": BlockRule(shortcut=True, activates=True),
    "residual": BlockRule(shortcut=True),
    "mbconv": BlockRule(shortcut=True, activates=True, squeezes=True),
}


def widths_in(stage: Stage, inputs: int) -> tuple[int, ...]:
    """The channels that each block of a stage leaves, of one that reads so many."""
    if not BLOCK_RULES[stage.block].grows:
        return (stage.channels,) * stage.depth
    return tuple(inputs + (stage.channels - inputs) * (index + 1) // stage.depth for index in range(stage.depth))
