"""Candidates near a stored one: a space is drawn again, answered as that one did but for a parameter or two."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import Dice, DrawCandidate

Params = Mapping[str, Any]


@dataclass
class Replay:
    """A `Draw` that answers as named values say, and by the first choice where a branch asks for something new.

    `choices` is what each parameter that was asked for could be, `params` what was answered; a float without a step has
    no choices but its own.
    """

    values: Params
    params: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        return int(self._answer(name, tuple(range(low, high + 1, step))))

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float:
        if step is None:
            value = float(self.values.get(name, low))
            return float(self._answer(name, (min(max(value, low), high),)))
        return float(self._answer(name, tuple(low + step * index for index in range(round((high - low) / step) + 1))))

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any:
        return self._answer(name, tuple(choices))

    def _answer(self, name: str, choices: tuple[Any, ...]) -> Any:
        wanted = self.values.get(name)
        self.choices[name] = choices
        self.params[name] = _nearest(wanted, choices)
        return self.params[name]


@dataclass(frozen=True)
class Mutation:
    """A `Draw` that answers as stored values do, but for those `changed` and what these open, which dice settle."""

    values: Params
    changed: frozenset[str]
    dice: Dice

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        return int(self._answer(name, lambda one: one.suggest_int(name, low, high, step=step)))

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float:
        return float(self._answer(name, lambda one: one.suggest_float(name, low, high, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any:
        return self._answer(name, lambda one: one.suggest_categorical(name, choices))

    def _answer(self, name: str, ask: Callable[[Any], Any]) -> Any:
        if name not in self.changed:
            with suppress(KeyError, ValueError):  # not asked for there, or out of a range that depends on a change
                return ask(Named(self.values))
        return ask(self.dice)


def _nearest(wanted: Any, choices: tuple[Any, ...]) -> Any:
    """The choice that was wanted, up to a float's last digits; the first where there is no such choice."""
    if isinstance(wanted, float):
        return min(choices, key=lambda one: abs(one - wanted) if isinstance(one, (int, float)) else float("inf"))
    return wanted if wanted in choices else choices[0]


def neighbours(draw: DrawCandidate, params: Params) -> Iterator[tuple[Params, Candidate]]:
    """Every legal point that differs from `params` in one parameter, and in what depends on it, with its candidate."""
    for _, point, candidate in _changed(draw, params, leave=frozenset()):
        yield point, candidate


def _changed(draw: DrawCandidate, params: Params, *, leave: Collection[str]) -> Iterator[tuple[str, Params, Candidate]]:
    """Neighbours with the name of what was changed, which is none of `leave`."""
    here = Replay(params)
    draw(here)
    for name, choices in here.choices.items():
        for other in () if name in leave else choices:
            if other != here.params[name]:
                there = Replay({**here.params, name: other})
                candidate = draw(there)
                yield name, there.params, candidate


def siblings(
    draw: DrawCandidate,
    params: Params,
    *,
    most: int,
    tails: int = 0,
    pruned: bool = True,
    idle: Collection[Candidate] = (),
) -> list[tuple[Params, Candidate]]:
    """Candidates that one training leads to: first those that it makes, then those with a tail of their own.

    At most `most` differ in where a mask's classes are chosen and in the steps after the export. `tails` more networks
    learn on for a while: those in int8 first, which leave a file each, then (`pruned`) those with steps before the
    export, which have `most` further files, too. The nearest come first. None has the shape of any in `idle`, whose
    steps take nothing. A space that asks for nothing of that kind has none.
    """
    first = Replay(params)
    origin = draw(first)
    free = {origin.learnt, *([origin.parent] if pruned else [])}  # a pruned network was trained whole
    related = _related(draw, first.params, origin, free, tails if pruned else 0, idle) if most or tails else []
    # What is learnt together: a network with its files, or one file that learns on.
    families: dict[Candidate, list[tuple[Params, Candidate]]] = {origin.learnt: []}
    for point, candidate in related:
        family = families.setdefault(_family(candidate), [])
        if len(family) < most + (_family(candidate) != origin.learnt):
            family.append((point, candidate))
    dear = [one for one in families if one not in free and (pruned or one.before_export == origin.before_export)]
    dear = [one for one in dear if not one.tail or one.architecture == origin.architecture]
    chosen = [one for one in families if one in free] + sorted(dear, key=lambda one: bool(one.before_export))[:tails]
    return [one for family in chosen for one in families[family]]


def _family(candidate: Candidate) -> Candidate:
    """What settles all that a candidate learns."""
    return candidate if candidate.tail else candidate.learnt


def _related(
    draw: DrawCandidate,
    params: Params,
    origin: Candidate,
    free: Collection[Candidate],
    most: int,
    idle: Collection[Candidate],
) -> list[tuple[Params, Candidate]]:
    """Other candidates that are made from the same network by compression alone, the nearest first.

    Those of `free` networks, what is one change from them, and all of the `most` networks that are nearest to these.
    """
    seen, found, wave = {origin.key}, list[tuple[Params, Candidate]](), [params]
    followed = set(free)
    leave: set[str] = set()  # parameters of the network itself
    while wave:
        touched, following = set[str](), list[Params]()
        for near in wave:
            for name, point, candidate in _changed(draw, near, leave=leave):
                if candidate.parent != origin.parent:
                    continue
                touched.add(name)
                if candidate.key in seen:
                    continue
                seen.add(candidate.key)
                if candidate.shape in idle:
                    following.append(point)  # a larger share may lie behind it
                    continue
                found.append((point, candidate))
                if candidate.learnt not in followed and len(followed) < len(free) + most:
                    followed.add(candidate.learnt)
                if candidate.learnt in followed:
                    following.append(point)
        leave = leave or set(params) - touched
        wave = following
    return found
