"""Candidates near a stored one: a space is drawn again, answered as that one did but for a parameter or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    here = Replay(params)
    draw(here)
    for name, choices in here.choices.items():
        for other in choices:
            if other != here.params[name]:
                there = Replay({**here.params, name: other})
                candidate = draw(there)
                yield there.params, candidate


def siblings(draw: DrawCandidate, params: Params, *, most: int) -> list[tuple[Params, Candidate]]:
    """At most so many candidates that the same training makes, the nearest first.

    They differ in where a mask's classes are chosen and in the steps after the export, but for those with a tail of
    training of their own. A space that asks for nothing of that kind has none.
    """
    if most < 1:
        return []
    first = Replay(params)
    origin = draw(first)
    seen, found, wave = {origin.key}, list[tuple[Params, Candidate]](), [dict(first.params)]
    while wave:
        following = []
        for near in wave:
            for point, candidate in neighbours(draw, near):
                if candidate.learnt == origin.learnt and not candidate.tail and candidate.key not in seen:
                    seen.add(candidate.key)
                    found.append((point, candidate))
                    following.append(dict(point))
                    if len(found) == most:
                        return found
        wave = following
    return found
