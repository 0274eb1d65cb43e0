"""Two more draws: dice, and a recorder that checks named choices; and a draw without what cannot matter."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from segsearch.errors import StudyError
from segsearch.space.candidate import Candidate, Draw, Named, Output
from segsearch.space.own import OwnNetwork, Way

DrawCandidate = Callable[[Draw], Candidate]


@dataclass(frozen=True)
class Facts:
    """What a space may know of the study that it is drawn for: what the files answer, and whether anybody teaches.

    `classes` is how many the data has, `height` and `width` the size of a file's input in pixels; None where a space
    is drawn for no study. `network` is the one that the study's `[network]` brings, `ways` how that may be compressed.
    """

    output: Output = "mask"
    has_teacher: bool = False
    classes: int | None = None
    height: int | None = None
    width: int | None = None
    network: OwnNetwork | None = None
    ways: tuple[Way, ...] = ()


class DrawFor(Protocol):
    """A space's draw: one candidate from a source of choices, for a study of which this is known."""

    def __call__(self, choose: Draw, facts: Facts = Facts(), /) -> Candidate: ...


@dataclass(frozen=True)
class Dice:
    """A `Draw` that throws dice."""

    source: random.Random

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        return self.source.randrange(low, high + 1, step)

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float:
        if step is None:
            return self.source.uniform(low, high)
        return low + step * self.source.randint(0, round((high - low) / step))

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any:
        return self.source.choice(choices)


@dataclass
class Recorder:
    """A `Draw` that passes named values on, and remembers what was asked and what was wrong with the answer."""

    named: Named
    asked: set[str] = field(default_factory=set)
    fault: str | None = None

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        return int(self._ask(name, lambda: self.named.suggest_int(name, low, high, step=step)))

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float:
        return float(self._ask(name, lambda: self.named.suggest_float(name, low, high, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any:
        return self._ask(name, lambda: self.named.suggest_categorical(name, choices))

    def _ask(self, name: str, answer: Callable[[], Any]) -> Any:
        self.asked.add(name)
        try:
            return answer()
        except KeyError:
            self.fault = f"{name!r} is missing"
            raise
        except ValueError as error:
            self.fault = str(error)
            raise


@dataclass
class Noting:
    """A `Draw` that passes on what another one answers, and notes it by name."""

    source: Draw
    noted: dict[str, Any] = field(default_factory=dict)

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        found = self.noted[name] = self.source.suggest_int(name, low, high, step=step)
        return found

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float:
        found = self.noted[name] = self.source.suggest_float(name, low, high, step=step)
        return found

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any:
        found = self.noted[name] = self.source.suggest_categorical(name, choices)
        return found


def demand_point(
    where: str,
    choices: Mapping[str, Any],
    draw: DrawFor,
    facts: Facts,
    *,
    cure: str = "correct it in the study file",
) -> Candidate:
    """The candidate that these choices, all of a space's parameters, draw. Raises `StudyError` where they are not."""
    recorder = Recorder(Named(choices))
    try:
        found = draw(recorder, facts)
    except Exception as error:
        if recorder.fault is None:
            raise
        raise StudyError(f"{where}: {recorder.fault}; {cure}.") from error
    unknown = sorted(choices.keys() - recorder.asked)
    if unknown:
        raise StudyError(f"{where}: the space does not ask for {', '.join(map(repr, unknown))} here; remove it.")
    return found


def settled(draw: DrawFor, facts: Facts) -> DrawCandidate:
    """A space's `draw` for a study, without what cannot matter there: what would be trained alike is then equal."""

    def draw_settled(choose: Draw) -> Candidate:
        candidate = draw(choose, facts)
        taught = facts.has_teacher and candidate.distill is not None and candidate.distill.weight > 0
        steps = tuple(step for step in candidate.before_export if not step.idle)
        architecture = candidate.architecture
        if facts.output == "scores":  # those of the full size
            architecture = replace(architecture, answer_scale=1.0)
        return replace(
            candidate, architecture=architecture, distill=candidate.distill if taught else None, before_export=steps
        )

    return draw_settled
