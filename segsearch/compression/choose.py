"""Which layers of an int8 file are given back to float: those that gain most for a measured millisecond."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from segsearch.compression.layers import Layer, Pair
from segsearch.evidence.layers import Choice, Drawn, Ended, Step, Times
from segsearch.workshop import Progress, silent

# The mIoU that is expected to be lost with these layers in float.
Lost = Callable[[Collection[str]], float]
# Of what the whole int8 file loses: less is not told from what rounding elsewhere happens to do.
LEAST_GAIN = 0.02
# Of the whole int8 file's time: less is within what two measurements differ by.
LEAST_SAVING = 0.01
# Convolutions that are given back at once: those around one map.
MOST_AT_ONCE = 4


def choose(
    pair: Pair, times: Times, tolerance: float, *, drawn: Drawn, lost: Lost, progress: Progress = silent
) -> Choice:
    """Give layers back until what is lost is within `tolerance`, those first that gain most for a millisecond.

    What saves time and loses nothing is given back in any case. A map is rounded until all that makes and reads it is
    in float: moves are single convolutions, and those around one map. The same times and losses give the same choice.
    """
    table = _Table(pair, times, lost, progress)
    here = pair.settled(())
    steps = [Step((), 0.0, lost(here))]
    least = LEAST_GAIN * max(steps[0].lost, 0.0)
    table.look_at(table.moves, here)
    ended: Ended | None = None
    while ended is None:
        within = steps[-1].lost <= tolerance
        move = table.best(here, steps[-1].lost, least=least, only_free=within)
        if move is None:
            ended = "within the tolerance" if within else "nothing more gains"
            break
        there = pair.settled(here | move)
        if not table.is_free(move, here) and times.int8_ms + table.spent_ms(there) >= times.float_ms:
            ended = "no quicker than float"
            break
        added = tuple(layer.name for layer in pair.layers if layer.name in there - here)
        steps.append(Step(added, table.spent_ms(there), table.lost_with[move]))
        here = there
        table.look_again(move, here, steps[-1].lost)
    progress("choose-layers", table.most, table.most)
    return Choice(tolerance, drawn, tuple(steps), ended)


def moves_of(pair: Pair) -> tuple[frozenset[str], ...]:
    """What can be given back at once: each convolution, and for each map those that make and read it."""
    found = [frozenset({layer.name}) for layer in pair.convolutions]
    for name in pair.quantizers:
        around = frozenset(layer.name for layer in _around(pair, name) if layer.convolves)
        if 1 < len(around) <= MOST_AT_ONCE:
            found.append(around)
    return tuple(dict.fromkeys(found))


def spent_ms(pair: Pair, times: Times, in_float: Collection[str]) -> float:
    """Milliseconds of layers and conversions with these layers in float, beyond those of the whole int8 file."""
    known = times.by_name
    layers = sum(known[name].float_ms - known[name].int8_ms for name in in_float)
    numbers = pair.converted(in_float) - pair.converted(pair.settled(()))
    return layers + times.million_ms * numbers / 1e6


def _around(pair: Pair, name: str) -> Iterable[Layer]:
    """The layers that make and read a map; of one that is no convolution, those that make what it reads, too."""
    nodes = [*([pair.makers[name]] if name in pair.makers else []), *pair.readers.get(name, ())]
    for layer in dict.fromkeys(pair.of_node[node.name] for node in nodes if node.name in pair.of_node):
        yield layer
        if not layer.convolves:
            makers = (pair.makers[each] for each in layer.reads if each in pair.makers)
            yield from (pair.of_node[maker.name] for maker in makers if maker.name in pair.of_node)


@dataclass
class _Table:
    """What is known of each move: what is lost with it, as it was looked at last."""

    pair: Pair
    times: Times
    lost: Lost
    progress: Progress
    lost_with: dict[frozenset[str], float] = field(default_factory=dict)
    gains: dict[frozenset[str], float] = field(default_factory=dict)
    fresh: set[frozenset[str]] = field(default_factory=set)
    looked: int = 0

    def __post_init__(self) -> None:
        self.moves = moves_of(self.pair)
        self.most = 2 * len(self.moves) + 1  # about as often as it looks

    def look_at(self, moves: Collection[frozenset[str]], here: frozenset[str], lost: float | None = None) -> None:
        """Find out what is lost with each of these moves on top of `here`, which loses `lost`."""
        now = self.lost(here) if lost is None else lost
        for move in moves:
            self.lost_with[move] = self.lost(self.pair.settled(here | move))
            self.gains[move] = now - self.lost_with[move]
            self.fresh.add(move)
            self.looked += 1
            self.progress("choose-layers", min(self.looked, self.most - 1), self.most)

    def look_again(self, taken: frozenset[str], here: frozenset[str], lost: float) -> None:
        """After a step: at the moves beside it, which gain more now; at others only once one seems the best."""
        self.moves = tuple(move for move in self.moves if not move <= here)
        self.fresh.clear()
        maps = {name for name in self.pair.quantizers if taken & {layer.name for layer in _around(self.pair, name)}}
        beside = {layer.name for name in maps for layer in _around(self.pair, name)}
        self.look_at([move for move in self.moves if move & beside], here, lost)

    def best(self, here: frozenset[str], lost: float, *, least: float, only_free: bool) -> frozenset[str] | None:
        """The move that gains most for its time; None where none gains `least`, or none for nothing."""
        while (move := self._seems_best(here, least=least, only_free=only_free)) is not None:
            if move in self.fresh:
                return move
            self.look_at([move], here, lost)
        return None

    def _seems_best(self, here: frozenset[str], *, least: float, only_free: bool) -> frozenset[str] | None:
        found = [move for move in self.moves if self.gains[move] > 0 and self.is_free(move, here)]
        if not found and not only_free:
            found = [move for move in self.moves if self.gains[move] >= least and self.gains[move] > 0]
        return max(found, key=lambda move: (self.worth(move, here), -len(move), sorted(move)), default=None)

    def worth(self, move: frozenset[str], here: frozenset[str]) -> float:
        """mIoU for a millisecond, of which a little is counted at least."""
        return self.gains[move] / max(self.costs_ms(move, here), LEAST_SAVING * self.times.int8_ms)

    def is_free(self, move: frozenset[str], here: frozenset[str]) -> bool:
        """Whether a move saves time, by more than two measurements differ."""
        return self.costs_ms(move, here) < -LEAST_SAVING * self.times.int8_ms

    def costs_ms(self, move: frozenset[str], here: frozenset[str]) -> float:
        return self.spent_ms(self.pair.settled(here | move)) - self.spent_ms(here)

    def spent_ms(self, in_float: Collection[str]) -> float:
        return spent_ms(self.pair, self.times, in_float)
