"""The tables `[search]` and `[timing]` of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from segsearch.evidence.timing import State
from segsearch.settings.passwords import demand_no_password
from segsearch.settings.train import Positive
from segsearch.settings.train import Settings as _Frozen

Scalar = str | int | float
# Under which share of a front's hypervolume the next trainings are no more worth their time, where nothing is said.
STOP_GAIN = 0.01


def as_tuple(value: Any) -> Any:
    """TOML writes a list where our frozen settings hold a tuple."""
    return tuple(value) if isinstance(value, list) else value


class TimingSettings(_Frozen):
    """`[timing]`: how latency is measured.

    A measurement goes on until the 95 % confidence interval of its samples is narrower than `interval` (relative to the
    latency), or for `max_seconds`. `cores` are those that it may use; without them all that the process may use.
    Where they are not all, training keeps off them and goes on meanwhile. `state` is whether a model runs among other
    work (`pipeline`) or again and again (`warm`).
    """

    threads: Annotated[int, Field(ge=1, le=256)] = 1
    cores: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    warmup_runs: Annotated[int, Field(ge=1)] = 5
    interval: Annotated[float, Field(gt=0, le=1)] = 0.02
    max_seconds: Annotated[float, Field(ge=0.5, le=300)] = 4.5
    state: State = "pipeline"

    _lists = field_validator("cores", mode="before")(as_tuple)

    @model_validator(mode="after")
    def _cores_for_threads(self) -> TimingSettings:
        if self.cores is not None and len(set(self.cores)) < self.threads:
            raise ValueError(
                f"cores must name at least as many cores as threads ({self.threads}), got {len(set(self.cores))}"
            )
        return self


class SearchSettings(_Frozen):
    """`[search]`: the sampler, and after how many candidates in a row that cannot be kept the search gives up.

    `first` holds designs to begin with, each by all of the space's parameters: the sampler learns from them, and draws
    `startup_trials` at random on top of them before it uses what it learned (with `startup_on_top` false: they count).
    `references` names those that `segsearch compare` compares the front with, where it is given none: they are no part
    of the search. `siblings` is how many further files a training may leave, each a trial of its own that differs in
    what follows the training: its precision, or where a mask's classes are chosen. `tails` is how many networks may
    learn on from it for a while, at some of a training's minutes each: int8, which leaves a file, then pruned ones.
    With a `sibling_gain` those alone are made that are expected to add such a share to the front's hypervolume.
    `screen` is how many candidates are looked at for each one that is trained, the one that promises most of all that
    were looked at; 0 trains every candidate that the sampler proposes. It begins after the first designs and the
    startup trials, with `tpe` alone. Each is the one of so many `proposals` that promises most by costs which those
    before it let foresee. `after` names databases of earlier studies, which are read when the study begins.
    With `stop` = `converged` the search ends before all trials are trained where the next ten trainings are expected to
    add less than the share `stop_gain` to the hypervolume of its front.
    """

    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    startup_trials: Positive = 10
    startup_on_top: bool = True
    give_up_after: Positive = 60
    first: tuple[Mapping[str, Scalar], ...] = ()
    references: tuple[str, ...] = ()
    siblings: Annotated[int, Field(ge=0, le=32)] = 0
    tails: Annotated[int, Field(ge=0, le=16)] = 0
    sibling_gain: Annotated[float, Field(ge=0, le=0.1)] = 0.0
    screen: Annotated[int, Field(ge=0, le=64)] = 0
    proposals: Annotated[int, Field(ge=1, le=256)] = 1
    after: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    stop: Literal["trials", "converged"] = "trials"
    stop_gain: Annotated[float, Field(ge=0, le=0.5)] = STOP_GAIN

    _lists = field_validator("first", "references", "after", mode="before")(as_tuple)

    @property
    def trained_before_screening(self) -> int:
        """After how many trainings a search begins to screen: its first designs, and the random ones beside them."""
        on_top = len(self.first) if self.startup_on_top else 0
        return max(len(self.first), self.startup_trials + on_top)

    @field_validator("after")
    @classmethod
    def _no_password(cls, after: tuple[str, ...]) -> tuple[str, ...]:
        for where in after:
            demand_no_password(where, key="after")
        return after

    @model_validator(mode="after")
    def _one_who_stops(self) -> SearchSettings:
        if self.stop == "trials" and self.stop_gain != STOP_GAIN:
            raise ValueError(f'stop_gain = {self.stop_gain:g} needs stop = "converged", got "trials"; write both')
        return self

    @model_validator(mode="after")
    def _one_who_screens(self) -> SearchSettings:
        if self.screen and self.sampler != "tpe":
            raise ValueError(
                f'screen = {self.screen} needs sampler = "tpe", got {self.sampler!r}; leave one of them out'
            )
        return self
