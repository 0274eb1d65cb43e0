"""`segsearch.measure`: the latency of any ONNX file, by the method that times a search's own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from segsearch.api.events import watched
from segsearch.api.html import facts
from segsearch.errors import StudyError
from segsearch.evidence.timing import Machine, State, Timing
from segsearch.latency.kept import slow_unit
from segsearch.latency.own import measure_own
from segsearch.workshop import Progress

Shape = str | Sequence[int]
Number = int | float


@dataclass(frozen=True)
class Latency:
    """What a file takes on a machine: milliseconds, and the 95 % confidence interval.

    `ratio` is how many times slower it is than `against`, where it was compared, with its interval. `machine` is the
    key of `about`, the machine as it was found. `notes` are what one should know of the numbers. `timing` holds every
    sample.
    """

    model: Path
    latency_ms: float
    interval_ms: tuple[float, float]
    machine: str
    threads: int
    state: State
    size_bytes: int
    runs: int
    load_ms: float | None
    first_run_ms: float | None
    peak_memory_bytes: int | None
    against: Path | None = None
    ratio: float | None = None
    ratio_interval: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    about: Machine = field(repr=False, kw_only=True)
    timing: Timing = field(repr=False, kw_only=True)

    def _repr_html_(self) -> str:
        low, high = self.interval_ms
        compared = [] if self.ratio is None else [("ratio", f"{self.ratio:.4g} times {self.against}")]
        return facts(
            [
                ("model", self.model),
                ("latency_ms", f"{self.latency_ms:.4g} (95 %: {low:.4g} to {high:.4g}, {self.runs} runs)"),
                *compared,
                ("state", self.state),
                ("machine", f"{self.about.short}: {self.about.cpu}, {self.about.runtime}, threads {self.threads}"),
                *(("note", note) for note in self.notes),
            ]
        )


def measure(
    model: str | os.PathLike[str],
    *,
    against: str | os.PathLike[str] | None = None,
    threads: int = 1,
    shapes: Shape | Mapping[str, Shape] | None = None,
    values: Mapping[str, Number | Sequence[Number]] | None = None,
    interval: float = 0.02,
    max_seconds: float = 4.5,
    mask: bool = False,
    state: State = "pipeline",
    progress: bool | Progress = False,
) -> Latency:
    """Time an ONNX file until its 95 % interval is narrower than `interval` of it, or for `max_seconds`.

    `shapes` are those of inputs without a fixed one, alone or by name; `values` what inputs that are no pictures are
    given, by name. With `mask` a model of scores is timed with the mask that is made of them. `state` is whether it
    runs among other work (`pipeline`) or again and again (`warm`). Raises `StudyError` for what is wrong with the file.
    """
    for name, value, low, high in (
        ("threads", threads, 1, 256),
        ("interval", interval, 0.0001, 1),
        ("max_seconds", max_seconds, 0.5, 300),
    ):
        if not low <= value <= high:
            raise StudyError(f"{name} must lie in [{low}, {high}], got {value!r}.")
    if state not in get_args(State):
        raise StudyError(f"state must be one of {', '.join(get_args(State))}; got {state!r}.")
    with watched(progress) as (steps, _):
        found = measure_own(
            Path(model),
            against=None if against is None else Path(against),
            threads=threads,
            shapes=_shapes(shapes),
            values=[f"{name}={_joined(given)}" for name, given in (values or {}).items()],
            interval=interval,
            max_seconds=max_seconds,
            mask=mask,
            state=state,
            progress=steps,
        )
    timing, comparison = found.timing, found.timing.comparison
    assert comparison is not None
    compared = found.against is not None
    words = None if compared else slow_unit(found.machine.key, comparison.slowdown)
    return Latency(
        model=found.model,
        latency_ms=timing.latency_ms,
        interval_ms=timing.interval_ms or (timing.latency_ms, timing.latency_ms),
        machine=found.machine.key,
        threads=timing.threads,
        state=timing.state,
        size_bytes=found.size_bytes,
        runs=len(timing.samples_ms),
        load_ms=timing.steadied(timing.load_ms),
        first_run_ms=timing.steadied(timing.first_run_ms),
        peak_memory_bytes=timing.peak_memory_bytes,
        against=found.against,
        ratio=comparison.ratio if compared else None,
        ratio_interval=(comparison.low, comparison.high) if compared else None,
        notes=() if words is None else (words,),
        about=found.machine,
        timing=timing,
    )


def _shapes(shapes: Shape | Mapping[str, Shape] | None) -> list[str]:
    """As `segsearch measure --shape` takes them."""
    if shapes is None:
        return []
    if isinstance(shapes, Mapping):
        return [f"{name}:{_sides(shape)}" for name, shape in shapes.items()]
    return [_sides(shapes)]


def _sides(shape: Shape) -> str:
    return shape if isinstance(shape, str) else "x".join(map(str, shape))


def _joined(given: Number | Sequence[Number]) -> str:
    return str(given) if isinstance(given, (int, float)) else ",".join(map(str, given))
