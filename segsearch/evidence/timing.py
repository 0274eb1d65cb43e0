"""Latency as it was measured: raw runs in blocks with a reference, and the machine that they belong to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Literal

# A percentile means something once this many samples lie beyond it.
BEYOND = 5

# What the caches hold when a run begins: what ran before it (other work of a pipeline), or the model's own.
State = Literal["pipeline", "warm"]


@dataclass(frozen=True)
class Machine:
    """The machine and the runtime a latency belongs to; `key` names it (`machine_key`: what can move a latency).

    `threads` are the runtime's, `affinity` the cores that a measurement may use: how many names the machine, which does
    not. What cannot be read is None or empty. Memory, flags that choose no kernels, governor and clock are told and do
    not name it. `references` are the calibrated milliseconds of the reference models here, by name; `aliases` the keys
    that databases of earlier versions knew it by.
    """

    key: str
    cpu: str
    cores: int
    memory_bytes: int
    system: str
    runtime: str
    threads: int = 1
    affinity: tuple[int, ...] = ()
    flags: tuple[str, ...] = ()
    governor: str | None = None
    max_mhz: float | None = None
    references: tuple[tuple[str, float], ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """How a person names it: the first letters of its key."""
        return self.key[:8]

    def had(self, wanted: str) -> bool:
        """Whether these letters begin a key that it had before."""
        return any(alias.startswith(wanted) for alias in self.aliases)


@dataclass(frozen=True)
class Block:
    """The model and the reference in turn (ABBA): mean milliseconds of a run of each, and the model's runs in it.

    `session` counts how often both files had been opened anew: blocks of one session share its luck with memory.
    """

    session: int
    runs: int
    model_ms: float
    reference_ms: float

    def __post_init__(self) -> None:
        if self.runs < 1 or not all(math.isfinite(mean) and mean > 0 for mean in (self.model_ms, self.reference_ms)):
            raise ValueError(
                f"Block needs at least one run and times that are finite and positive, got {self.runs} runs, "
                f"model_ms {self.model_ms} and reference_ms {self.reference_ms}"
            )


@dataclass(frozen=True)
class Comparison:
    """Model over reference, and what that makes in milliseconds with its 95 % confidence interval.

    `reference_ms` is the reference's calibrated time on the machine: the ratio cancels drift, this gives it a unit.
    """

    reference: str
    reference_ms: float
    blocks: tuple[Block, ...]
    ratio: float
    low: float
    high: float
    ended_by: Literal["interval", "time"]

    def __post_init__(self) -> None:
        if not self.blocks:
            raise ValueError("Comparison.blocks must hold at least one block, got none")
        if not 0 < self.low <= self.ratio <= self.high < math.inf or not 0 < self.reference_ms < math.inf:
            raise ValueError(
                f"Comparison needs 0 < low <= ratio <= high, got {self.low}, {self.ratio}, {self.high}, "
                f"and a positive reference_ms, got {self.reference_ms}"
            )

    @property
    def slowdown(self) -> float:
        """How much longer the reference took than its calibrated time: above 1 the machine was not at its best."""
        return median(block.reference_ms for block in self.blocks) / self.reference_ms


@dataclass(frozen=True)
class Energy:
    """How the energy of a run was found: in one turn of idle, model, reference, reference, model, idle.

    `idle_mw` is the power of all packages before and after, while this process slept, `idle_mj` their mean over the
    length of one run: that much was subtracted from it. `reference_mj` is a run of the reference in the same turn,
    without its own share of the idle machine. What other work took meanwhile is in all of them alike.
    """

    idle_mw: tuple[float, float]
    idle_mj: float
    reference_mj: float

    def __post_init__(self) -> None:
        found = (*self.idle_mw, self.idle_mj, self.reference_mj)
        if not all(math.isfinite(value) and value >= 0 for value in found):
            raise ValueError(f"Energy must be finite and not negative, got {found}")


@dataclass(frozen=True)
class Timing:
    """Raw latency samples of one model on one machine, in the order they were taken.

    `clock` says what a sample is: `cpu` is the processor time of a run on one thread (what the scheduler gave to other
    processes is not the model's), `wall` the time that passed. The fields after `clock` are None or empty where nothing
    could be read, never estimated. `load_ms` and `first_run_ms` hold a sample for each opening of the file,
    `peak_memory_bytes` is what the process took above the bare runtime. `energy_mj` is a run's by the machine's
    counter, and `energy` says how it was found; without it the number is an earlier version's, the idle machine in it.
    `state` is what ran before the measured runs (`pipeline`: the reference; `warm`: runs of the model that are not
    counted). `wall_ms` is the time that passed of the same runs as `samples_ms`, nothing taken out.
    """

    samples_ms: tuple[float, ...]
    warmup_runs: int
    threads: int
    machine: str
    clock: Literal["cpu", "wall"] = "wall"
    comparison: Comparison | None = None
    load_ms: tuple[float, ...] = ()
    first_run_ms: tuple[float, ...] = ()
    peak_memory_bytes: int | None = None
    energy_mj: float | None = None
    state: State = "pipeline"
    wall_ms: tuple[float, ...] = ()
    energy: Energy | None = None

    def __post_init__(self) -> None:
        if not self.samples_ms:
            raise ValueError("Timing.samples_ms must hold at least one sample, got none")
        times = (*self.samples_ms, *self.wall_ms, *self.load_ms, *self.first_run_ms)
        if not all(math.isfinite(sample) and sample > 0 for sample in times):
            raise ValueError("Timing.samples_ms, wall_ms, load_ms and first_run_ms must be finite and positive")
        if self.wall_ms and len(self.wall_ms) != len(self.samples_ms):
            raise ValueError("Timing.wall_ms must hold the runs of samples_ms, in order, or none")
        if not all(math.isfinite(spent) and spent >= 0 for spent in (self.peak_memory_bytes or 0, self.energy_mj or 0)):
            raise ValueError("Timing.peak_memory_bytes and energy_mj must be finite and not negative")
        if self.energy is not None and self.energy_mj is None:
            raise ValueError("Timing.energy says how energy_mj was found, and there is none")
        if not self.machine:
            raise ValueError("Timing.machine must name the machine: a latency without one does not exist")
        blocks = self.comparison.blocks if self.comparison else ()
        if blocks and sum(block.runs for block in blocks) != len(self.samples_ms):
            raise ValueError("Timing.samples_ms must hold the runs of all blocks, in order")

    @property
    def latency_ms(self) -> float:
        """The ratio to the reference times the reference's calibrated time; without a reference the median."""
        if self.comparison is None:
            return self.median_ms
        return self.comparison.ratio * self.comparison.reference_ms

    @property
    def interval_ms(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of `latency_ms`."""
        found = self.comparison
        return None if found is None else (found.low * found.reference_ms, found.high * found.reference_ms)

    @property
    def median_ms(self) -> float:
        """The plain median of the raw samples, drift and all."""
        return float(median(self.samples_ms))

    @cached_property
    def steady_ms(self) -> tuple[float, ...]:
        """The samples with each block's drift taken out, as its reference saw it."""
        if self.comparison is None:
            return self.samples_ms
        blocks, calibrated = self.comparison.blocks, self.comparison.reference_ms
        factors = (factor for block in blocks for factor in [calibrated / block.reference_ms] * block.runs)
        return tuple(sample * factor for sample, factor in zip(self.samples_ms, factors, strict=True))

    def percentile_ms(self, share: float) -> float | None:
        """A percentile of the steady samples (at one thread processor time); None where they are too few."""
        return percentile(self.steady_ms, share)

    def wall_percentile_ms(self, share: float) -> float | None:
        """A percentile of the time that passed, with all that disturbed it; None where the samples are too few."""
        return percentile(self.wall_ms, share)

    @property
    def net_energy_mj(self) -> float | None:
        """Energy of a run without the idle machine's; None where that is not known."""
        return None if self.energy is None else self.energy_mj

    def steadied(self, samples_ms: tuple[float, ...]) -> float | None:
        """The median of other times of the same process, with its drift taken out; None where there is none."""
        if not samples_ms:
            return None
        return median(samples_ms) / (self.comparison.slowdown if self.comparison else 1.0)


def percentile(samples: Sequence[float], share: float) -> float | None:
    """The smallest sample that at least `share` of the samples do not exceed; None where they are too few."""
    if len(samples) < samples_needed(share):
        return None
    return sorted(samples)[max(0, math.ceil(share * len(samples) - 1e-9) - 1)]


def samples_needed(share: float) -> int:
    """Samples that a percentile needs to mean anything: 100 for the 95th, 500 for the 99th."""
    return math.ceil(BEYOND / (1 - share) - 1e-9)
