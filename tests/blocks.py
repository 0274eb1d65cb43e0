"""Sensible settings of every block, for the tests that go over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segsearch.networks.blocks import Place
from segsearch.space.architecture import Stage
from segsearch.space.block_rules import BLOCK_RULES

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "conv": {},
    "grouped": {"groups": 4},
    "separable": {},
    "inverted_residual": {"expansion": 2.0},
    "residual": {"expansion": 2.0},
    "bottleneck": {"expansion": 0.5, "groups": 2},
    "mbconv": {"expansion": 2.0, "squeeze": 0.25},
    "dense": {},
    "transition": {},
    "shuffled": {"expansion": 0.5, "groups": 4},
    "eesp": {"groups": 2, "atrous": (1, 2)},
    "qarep": {},
    "split_rates": {"groups": 4, "atrous": (1, 3), "squeeze": 0.25},
}


def stage_of(name: str, channels: int = 16, depth: int = 1, stride: int = 1, **changes: Any) -> Stage:
    """A stage of these blocks. A rate in `atrous` alone is that of all its branches."""
    settings = {**SETTINGS[name], **changes}
    if BLOCK_RULES[name].rates != "turn" and len(settings["atrous"]) == 1:
        settings["atrous"] *= len(SETTINGS[name]["atrous"])
    return Stage(name, channels, depth, stride, **settings)


def leaves(name: str, inputs: int, wanted: int = 16) -> int:
    """About so many channels, which a block that reads so many can leave: some must make a multiple of something."""
    rule = BLOCK_RULES[name]
    beside = rule.grows or (rule.carries and inputs % 8)
    return inputs + wanted if beside else wanted


def place_of(name: str, inputs: int, *, wanted: int = 16, stride: int = 1, atrous: int = 1) -> Place:
    return Place(inputs, leaves(name, inputs, wanted), 0, stride, atrous)


def strided(name: str, size: tuple[int, int], stride: int) -> tuple[int, int]:
    """The size of what a block leaves."""
    if BLOCK_RULES[name].pools:
        return max(1, size[0] // stride), max(1, size[1] // stride)
    return -(-size[0] // stride), -(-size[1] // stride)
