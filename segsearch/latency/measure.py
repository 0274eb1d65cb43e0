"""Measure latency: a model and a reference in turn, in a quiet process of its own, until the interval is narrow."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import quantiles
from typing import Annotated, Any

from segsearch.errors import TrialFailed
from segsearch.evidence.machines import former_key, known_as
from segsearch.evidence.timing import Block, Comparison, Energy, Machine, State, Timing
from segsearch.latency.asking import answer_of
from segsearch.latency.kept import kept_times
from segsearch.latency.machine import this_machine
from segsearch.latency.ratio import of_one_process, ratio_of
from segsearch.latency.reference import REFERENCES, VERSION, empty_bytes, reference_bytes, reference_for
from segsearch.latency.room import machine_room
from segsearch.latency.rounds import shortest
from segsearch.latency.stopwatch import Order
from segsearch.runtimes import NOISE, Feed, Runtime
from segsearch.space.keys import later
from segsearch.workshop import Progress, silent, user_folder

# How long a reference is timed in one round, and how long all rounds of all references may take.
CALIBRATION_SECONDS = 2.0
CALIBRATION_MOST_SECONDS = 45.0
# No process starts, no file opens and nothing settles in less than this.
LEAST_SECONDS = 0.2


@dataclass(frozen=True)
class Effort:
    """How hard to try: until the samples' 95 % interval is narrower than `interval` and `samples` are there, or for
    `max_seconds` in all. `interval` is relative to the latency. `state` is what the measured runs find in the caches:
    what the reference left (`pipeline`), or what runs of their own left that do not count (`warm`)."""

    warmup_runs: int = 5
    interval: float = 0.02
    max_seconds: float = 4.5
    samples: int = 0
    state: Annotated[State, later("pipeline")] = "pipeline"


def measure(model: Path, machine: Machine, runtime: Runtime, *, effort: Effort, feed: Feed = NOISE) -> Timing:
    """Time a model on this machine against its reference. `machine` says how many threads, on which cores; `feed` what
    the model is given beside noise.

    Raises `TrialFailed` of kind `runtime` where the file cannot be run, and `crash` where it ends the process.
    """
    name = _reference_for(model)
    raw = _ask(model, _reference_file(name), machine, runtime, effort, feed=feed)
    calibrated = dict(machine.references)[reference_name(name)]
    return _timing(raw, machine, effort, name=reference_name(name), reference_ms=calibrated)


def compare(
    model: Path,
    reference: Path,
    machine: Machine,
    runtime: Runtime,
    *,
    effort: Effort,
    feed: Feed = NOISE,
    reference_feed: Feed = NOISE,
) -> Timing:
    """Time a model against another one: the ratio is theirs, and the milliseconds are on the other's median."""
    raw = _ask(model, reference, machine, runtime, effort, feed=feed, reference_feed=reference_feed)
    between = sorted(block["reference_ms"] for block in raw["blocks"])
    return _timing(raw, machine, effort, name=reference.name, reference_ms=between[len(between) // 2])


def calibrated(machine: Machine, runtime: Runtime, *, progress: Progress = silent) -> Machine:
    """The machine with its reference times: those kept for this user, or taken now (12 to 45 s, once a machine).

    They are the unit of every latency here, so they are taken once and stay: of several rounds the shortest lower
    quartile of the blocks, the machine at its best (`rounds`). Both states share them. They are taken in the quiet
    room; whoever waited for it takes what was found meanwhile. Times that were kept under the machine's former key are
    taken over.
    """
    kept = kept_times(machine.key)
    found = {**_read(kept), **dict(machine.references)}
    if not _missing(found):
        return replace(machine, references=tuple(sorted(found.items())))
    with machine_room().quiet():
        found = {**_read(kept_times(former_key(machine))), **_read(kept), **dict(machine.references)}
        taken = shortest(
            _missing(found),
            lambda name: _reference_ms(name, machine, runtime),
            most_seconds=CALIBRATION_MOST_SECONDS,
            progress=progress,
        )
        found |= {reference_name(name): time_ms for name, time_ms in taken.items()}
        _replace(kept, json.dumps(found, sort_keys=True).encode())
    return replace(machine, references=tuple(sorted(found.items())))


def machine_for(
    runtime: Runtime,
    *,
    threads: int,
    cores: Sequence[int] | None,
    known: Sequence[Machine] = (),
    progress: Progress = silent,
) -> Machine:
    """This machine, with the reference times that a database knows of it already, else with this user's.

    Its cores are those of this process, not those that it had when it was stored.
    """
    here = this_machine(runtime, threads=threads, cores=cores)
    stored = next((machine for machine in known if machine.key == here.key and machine.references), here)
    return calibrated(known_as(here, stored), runtime, progress=progress)


def reference_name(name: str) -> str:
    return f"{name}-{VERSION}"


def _missing(found: Mapping[str, float]) -> list[str]:
    return [name for name in REFERENCES if reference_name(name) not in found]


def _reference_for(model: Path) -> str:
    try:
        return reference_for(model)
    except Exception as error:  # protobuf's errors are of its own kind
        raise TrialFailed("runtime", f"{model.name}: not an ONNX file ({type(error).__name__}).") from None


def _reference_ms(name: str, machine: Machine, runtime: Runtime) -> float:
    """One round of a reference: the lower quartile of its blocks, in milliseconds."""
    reference, effort = _reference_file(name), Effort(interval=0.0, max_seconds=CALIBRATION_SECONDS)
    raw = _ask(reference, reference, machine, runtime, effort)
    return float(quantiles([block["model_ms"] for block in raw["blocks"]], n=4)[0])


def _reference_file(name: str) -> Path:
    return _kept_file(f"{reference_name(name)}.onnx", reference_bytes(name))


def _kept_file(name: str, content: bytes) -> Path:
    """A file of this content in the user's folder: it stays, so that a kill half-way leaves nothing behind."""
    file = user_folder() / name
    if not file.is_file() or file.read_bytes() != content:
        _replace(file, content)
    return file


def _ask(
    model: Path,
    reference: Path,
    machine: Machine,
    runtime: Runtime,
    effort: Effort,
    *,
    feed: Feed = NOISE,
    reference_feed: Feed = NOISE,
) -> dict[str, Any]:
    """Start the process that measures and read its answer."""
    order = Order(
        runtime=runtime.name,
        model=str(model.absolute()),
        reference=str(reference.absolute()),
        empty=str(_kept_file("empty.onnx", empty_bytes())),
        threads=machine.threads,
        cores=machine.affinity,
        warmup_runs=effort.warmup_runs,
        interval=effort.interval,
        deadline=time.monotonic() + max(effort.max_seconds, LEAST_SECONDS),
        samples=effort.samples,
        parent=os.getpid(),
        state=effort.state,
        feed=feed,
        reference_feed=reference_feed,
    )
    answer: dict[str, Any] = answer_of("segsearch.latency.stopwatch", asdict(order), runtime=runtime, what=model.name)
    return answer


def _timing(raw: dict[str, Any], machine: Machine, effort: Effort, *, name: str, reference_ms: float) -> Timing:
    blocks = tuple(Block(**block) for block in raw["blocks"])
    ratio = of_one_process(ratio_of(blocks))
    return Timing(
        samples_ms=tuple(round(sample, 6) for sample in raw["samples_ms"]),
        warmup_runs=effort.warmup_runs,
        threads=machine.threads,
        machine=machine.key,
        clock=raw["clock"],
        comparison=Comparison(name, reference_ms, blocks, ratio.value, ratio.low, ratio.high, raw["ended_by"]),
        load_ms=tuple(raw["load_ms"]),
        first_run_ms=tuple(raw["first_run_ms"]),
        peak_memory_bytes=raw["peak_memory_bytes"],
        energy_mj=raw["energy_mj"],
        state=effort.state,
        wall_ms=tuple(round(sample, 6) for sample in raw["wall_ms"]),
        energy=None
        if raw["energy"] is None
        else Energy(**raw["energy"] | {"idle_mw": tuple(raw["energy"]["idle_mw"])}),
    )


def _read(kept: Path) -> dict[str, float]:
    try:
        found = json.loads(kept.read_text())
        times = {str(name): float(value) for name, value in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
    return {name: value for name, value in times.items() if 0 < value < math.inf}


def _replace(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    scratch = file.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_bytes(content)
    scratch.replace(file)
