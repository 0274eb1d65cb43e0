"""Two more draws: dice, to try a space out, and a recorder, to check named choices against it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from segsearch.space.candidate import Named


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
