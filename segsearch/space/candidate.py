"""What is searched: an architecture, how it is trained, and the compression before and after export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol

from segsearch.space.architecture import Architecture
from segsearch.space.keys import content_key
from segsearch.space.own import OwnNetwork
from segsearch.space.rules import demand, demand_step
from segsearch.space.steps import AfterExport, BeforeExport, Distill, Quantize, StoreWeights

# What an exported file says of an image: the class of each pixel, or the scores of all classes.
Output = Literal["mask", "scores"]


class Draw(Protocol):
    """A source of choices. `optuna.Trial`, `optuna.trial.FixedTrial` and `Named` all are one."""

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int: ...

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float: ...

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any: ...


@dataclass(frozen=True)
class Candidate:
    """One point of a search space: a network of ours as data, or one that somebody brought, and what becomes of it."""

    architecture: Architecture | OwnNetwork
    distill: Distill | None = None
    before_export: tuple[BeforeExport, ...] = ()
    after_export: tuple[AfterExport, ...] = ()

    def __post_init__(self) -> None:
        steps = self.after_export
        if isinstance(steps, (tuple, list)) and any(isinstance(step, StoreWeights) for step in steps):
            alone = "StoreWeights must be the only step after the export"
            demand(len(steps) == 1, alone, f"{len(steps)} steps", "int8 files have their weights in 8 bits")

    @property
    def key(self) -> str:
        """Content key: equal candidates have equal keys, on every machine."""
        return content_key(self)

    @property
    def learnt(self) -> Candidate:
        """What its training makes: candidates of which this is equal share one.

        Where a mask's classes are chosen, and what follows the export, is no matter of learning.
        """
        return replace(self, architecture=self.architecture.learnt, after_export=())

    @property
    def parent(self) -> Candidate:
        """What it is before it is compressed: candidates of which this is equal can all be made from one network.

        Those that are pruned, or learn on in int8, have some training of their own on top of that network's.
        """
        return replace(self.learnt, before_export=())

    @property
    def shape(self) -> Candidate:
        """Its layers and their sizes: candidates of which this is equal have the same, whoever teaches them."""
        return replace(self.learnt, distill=None)

    @property
    def learns(self) -> bool:
        """Whether it is trained at all: what somebody brought is not, as it is or only rounded."""
        return isinstance(self.architecture, Architecture) or bool(self.before_export) or self.tail > 0

    @cached_property
    def bits(self) -> int:
        """Bit width of the weights that ship."""
        return min((step.bits for step in self.after_export), default=32)

    @property
    def tolerance(self) -> float | None:
        """The mIoU that may be lost where layers are given back to float by measurement; None where none are."""
        return min((step.tolerance for step in self.int8_steps if step.tolerance is not None), default=None)

    @property
    def tail(self) -> float:
        """The share of the optimizer steps that it learns on for in int8, on top of them."""
        return max((step.tail for step in self.int8_steps), default=0.0)

    @property
    def float_convolutions(self) -> int:
        """How many convolutions of each path stay in float before int8 begins."""
        return max((step.float_convolutions for step in self.int8_steps), default=0)

    @property
    def int8_steps(self) -> tuple[Quantize, ...]:
        """The steps by which it computes in int8: none of one that computes in floats."""
        return tuple(step for step in self.after_export if isinstance(step, Quantize))


@dataclass(frozen=True)
class Named:
    """A `Draw` that answers from named values: a stored candidate's, or a teacher's in a study file.

    Raises `KeyError` for a parameter without a value and `ValueError` for one outside its range.
    """

    values: Mapping[str, Any] = field(default_factory=dict)

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number in [{low}, {high}], got {value!r}")
        demand_step(name, value, low, step)
        return value

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float:
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError(f"{name} must be a number in [{low}, {high}], got {value!r}")
        demand_step(name, value, low, step)
        return float(value)

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any:
        value = self.values[name]
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
        return value
