"""What must be known of each block without its layers: whose channels go together, how wide and how large its maps are.

The layers are in `networks.blocks`, a builder for every name here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from segsearch.space.architecture import Stage

# Of a stage, the channels that a block reads and those that it leaves.
Splits = Callable[[Stage, int, int], bool]


def _never(stage: Stage, inputs: int = 0, outputs: int = 0) -> bool:
    return False


def _always(stage: Stage, inputs: int = 0, outputs: int = 0) -> bool:
    return True


def _unexpanded(stage: Stage) -> bool:
    return stage.expansion == 1


def _where_groups_divide(stage: Stage, inputs: int, outputs: int) -> bool:
    return inputs % stage.groups == 0


def _where_the_width_stays(stage: Stage, inputs: int, outputs: int) -> bool:
    return inputs == outputs and inputs % stage.groups == 0


def _where_it_narrows(stage: Stage, inputs: int, outputs: int) -> bool:
    narrows = inputs >= inner_width(outputs, stage.expansion, stage.groups)
    return narrows and inputs % stage.groups == 0


@dataclass(frozen=True)
class BlockRule:
    """The facts of one type of block.

    `shortcut`: where width and size stay, it adds its input to what it makes, so that the two maps have the same
    channels. `carries`: it keeps its input whatever its stride (averaged), added where the width stays and beside what
    it makes where the width grows; what it makes comes from a grouped convolution. `grows`: it always puts what it
    makes beside what it reads (DenseNet). `splits` says where a grouped convolution divides its input into
    `Stage.groups`, `depthwise` where a depthwise one reads it. `pools`: its stride is a pool, which rounds down where
    a padded convolution rounds up. `rates` is how it reads `Stage.atrous`: each block one in its `turn`, a `group` of
    each block one, or a block's groups `shared` out among them.
    The rest is what a stage may ask of it: another activation (`activates`), squeeze-and-excitation (`squeezes`), no
    norm (`unnormed`), the image (`reinforces`).
    """

    shortcut: bool = False
    carries: bool = False
    grows: bool = False
    splits: Splits = _never
    depthwise: Callable[[Stage], bool] = _never
    pools: bool = False
    rates: Literal["turn", "group", "shared"] = "turn"
    activates: bool = False
    squeezes: bool = False
    unnormed: bool = False
    reinforces: bool = False

    def made(self, inputs: int, outputs: int) -> int:
        """How many of the channels that it leaves it makes; the others are those that it reads."""
        beside = self.grows or (self.carries and outputs > inputs)
        return outputs - inputs if beside else outputs


BLOCK_RULES: Mapping[str, BlockRule] = {
    "conv": BlockRule(activates=True, unnormed=True),
    "grouped": BlockRule(splits=_where_the_width_stays, activates=True),
    "separable": BlockRule(depthwise=_always, activates=True),
    "inverted_residual": BlockRule(shortcut=True, activates=True),
    "residual": BlockRule(shortcut=True),
    "bottleneck": BlockRule(shortcut=True, activates=True),
    "mbconv": BlockRule(shortcut=True, depthwise=_unexpanded, activates=True, squeezes=True),
    "dense": BlockRule(grows=True, pools=True, activates=True),
    "transition": BlockRule(pools=True),
    "shuffled": BlockRule(carries=True, splits=_where_it_narrows, activates=True),
    "eesp": BlockRule(carries=True, splits=_where_groups_divide, rates="group", activates=True, reinforces=True),
    "qarep": BlockRule(shortcut=True, activates=True),
    "split_rates": BlockRule(shortcut=True, rates="shared", activates=True, squeezes=True),
}


def widths_in(stage: Stage, inputs: int) -> tuple[int, ...]:
    """The channels that each block of a stage leaves, of one that reads so many."""
    if not BLOCK_RULES[stage.block].grows:
        return (stage.channels,) * stage.depth
    return tuple(inputs + (stage.channels - inputs) * (index + 1) // stage.depth for index in range(stage.depth))


def steps_in(stage: Stage, inputs: int) -> Iterator[tuple[int, int, int]]:
    """What each block of a stage reads and leaves, and its stride, which the first one carries."""
    stride = stage.stride if stage.downsample == "stride" else 1
    for outputs in widths_in(stage, inputs):
        yield inputs, outputs, stride
        inputs, stride = outputs, 1


def inner_width(channels: int, expansion: float, groups: int = 1) -> int:
    """The width inside a block: the multiple of 8, or of its groups where it has several, nearest to its share."""
    multiple = groups if groups > 1 else 8
    return max(multiple, round(channels * expansion / multiple) * multiple)
