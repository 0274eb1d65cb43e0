"""Channels of maps as pruning sees them: runs that one set of layers makes, side by side in a map, shared by maps.

It foretells what `compression.prune` finds in a network: which channels go together, and how many of them stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from segsearch.space.steps import Prune


@dataclass(eq=False)
class Group:
    """Runs that one layer makes or reads all of, so that they are pruned together.

    `fixed` ones keep all channels: a stem's, class scores, what a grouped convolution would divide at other places
    than the runs. `spread` ones are read side by side by a depthwise convolution.
    """

    fixed: bool = False
    spread: bool = False
    other: Group | None = None  # the group that this one became a part of

    @property
    def now(self) -> Group:
        return self if self.other is None else self.other.now


@dataclass(eq=False)
class Run:
    """Channels that the same layers make. `splits` is what the grouped convolutions among them divide them into."""

    width: int
    group: Group
    splits: int = 1
    parts: list[Run] = field(default_factory=list)  # what it was cut into, or the run that it turned out to be


# The channels of a map, in order.
Channels = list[Run]


def made(width: int, *, splits: int = 1, fixed: bool = False) -> Channels:
    """The channels of a map that one convolution makes; a grouped one of so many splits."""
    return [Run(width, Group(fixed), splits)]


def width_of(channels: Channels) -> int:
    return sum(run.width for run in _whole(channels))


def same(one: Channels, other: Channels) -> None:
    """The two maps have the same channels: they are added, or one layer makes both."""
    while True:
        pairs = zip(_whole(one), _whole(other), strict=False)
        found = next(((a, b) for a, b in pairs if a is not b), None)
        if found is None:
            return
        narrow, wide = sorted(found, key=lambda run: run.width)
        if narrow.width < wide.width:
            _cut(wide, narrow.width)
        else:
            _join(narrow, wide)
            wide.parts, narrow.splits = [narrow], math.lcm(narrow.splits, wide.splits)


def split(channels: Channels, groups: int) -> None:
    """A grouped convolution reads the map. Where runs lie side by side no choice of channels suits all its groups."""
    runs = list(_whole(channels))
    for run in runs:
        if len(runs) > 1 and groups > 1:
            run.group.now.fixed = True
        run.splits = math.lcm(run.splits, groups)


def spread(channels: Channels) -> None:
    """A depthwise convolution reads the map: runs that lie side by side in it are pruned together."""
    first, *others = dict.fromkeys(_whole(channels))
    for run in others:
        _join(first, run)
        first.group.now.spread = True


def taken(maps: Iterable[Channels], step: Prune) -> None:
    """Prune every run once."""
    runs = list(dict.fromkeys(run for channels in maps for run in _whole(channels)))
    divided = {run.group.now for run in runs if run.splits > 1}
    for run in runs:
        group = run.group.now
        if not group.fixed and not (group.spread and group in divided):
            run.width = step.left(run.width, multiple=math.lcm(step.round_to, run.splits))


def _whole(channels: Iterable[Run]) -> Iterator[Run]:
    """The runs of a map as they are by now."""
    for run in channels:
        if run.parts:
            yield from _whole(run.parts)
        else:
            yield run


def _cut(run: Run, width: int) -> None:
    """Other layers make its first channels than its others. A grouped convolution would divide it elsewhere."""
    if run.splits > 1:
        run.group.now.fixed = True
    run.parts = [Run(part, run.group, run.splits) for part in (width, run.width - width)]


def _join(one: Run, other: Run) -> None:
    a, b = one.group.now, other.group.now
    if a is not b:
        a.fixed, a.spread, b.other = a.fixed or b.fixed, a.spread or b.spread, a
