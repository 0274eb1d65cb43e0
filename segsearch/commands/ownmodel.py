"""`segsearch measure`: time any ONNX file of one's own, alone, against another one, or operation by operation."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from segsearch.errors import StudyError, TrialFailed
from segsearch.evidence.timing import Machine, State, Timing
from segsearch.judging.words import in_words
from segsearch.latency.kept import slow_unit
from segsearch.workshop import Progress

if TYPE_CHECKING:
    from segsearch.runtimes import Operation
    from segsearch.runtimes.graphs import Ready
    from segsearch.runtimes.inputs import Input

PROFILED_RUNS = 30
SHOWN_OPERATIONS = 20
_STATES: Mapping[State, str] = {
    "pipeline": "it ran among other work, which left its own in the caches",
    "warm": "it ran again and again, its own in the caches",
}


@dataclass(frozen=True)
class Measured:
    """A model's timing on a machine; `against` names the model that it was compared with, if any.

    `size_bytes` is that of the file and of the weights that lie beside it; `inputs` are those that it was fed.
    """

    model: Path
    machine: Machine
    timing: Timing
    against: Path | None
    size_bytes: int
    mask: bool = False
    operations: tuple[Operation, ...] = ()
    inputs: tuple[Input, ...] = ()


def measure_own(
    model: Path,
    *,
    against: Path | None,
    threads: int,
    shapes: Sequence[str] = (),
    values: Sequence[str] = (),
    interval: float,
    max_seconds: float,
    mask: bool = False,
    state: State = "pipeline",
    profile: bool,
    progress: Progress,
) -> Measured:
    """Time a file; with `mask` as if it answered with classes, whatever it is compared with.

    `shapes` and `values` are those of the inputs of both, by name where a model has several. Raises `StudyError` for
    what is wrong with it, with the reason that the runtime gave.
    """
    from segsearch.latency.measure import Effort, compare, machine_for, measure
    from segsearch.latency.room import machine_room
    from segsearch.runtimes import RUNTIMES
    from segsearch.runtimes.external import load_graph, size_of
    from segsearch.runtimes.graphs import made_ready, with_mask
    from segsearch.runtimes.inputs import inputs_of

    runtime = RUNTIMES["onnxruntime"]
    effort = Effort(interval=interval, max_seconds=max_seconds, state=state)
    with TemporaryDirectory(prefix="segsearch-") as scratch:
        for name in ("model", "against"):  # both files may have one name
            (Path(scratch) / name).mkdir()
        names = [{value.name for value in inputs_of(load_graph(one))} if one else set() for one in (against, model)]
        said = {"shapes": shapes, "values": values}
        file = made_ready(model, Path(scratch) / "model" / model.name, **said, elsewhere=names[0])
        if mask:
            file = with_mask(file, Path(scratch) / "model" / f"mask-{model.name}")
        other = None
        if against is not None:
            other = made_ready(against, Path(scratch) / "against" / against.name, **said, elsewhere=names[1])
        progress("machine", 0, 1)
        machine = machine_for(runtime, threads=threads, cores=None, progress=progress)
        progress("measure", 0, 1)
        try:
            with machine_room().quiet():
                if other is None:
                    timing = measure(file.path, machine, runtime, effort=effort, feed=file.feed)
                else:
                    feeds = {"feed": file.feed, "reference_feed": other.feed}
                    timing = compare(file.path, other.path, machine, runtime, effort=effort, **feeds)
                runs = PROFILED_RUNS if profile else 0
                operations = runtime.profile(file.path, threads=threads, runs=runs, feed=file.feed) if runs else ()
        except TrialFailed as failed:
            why = " ".join(str(failed).split())
            raise StudyError("\n".join([why, *_zeros_of(file, other)])) from failed
    return Measured(model, machine, timing, against, size_of(model), mask, operations, file.inputs)


def _zeros_of(*files: Ready | None) -> list[str]:
    """Where whole numbers were 0 and a run failed: how they are given others."""
    names = list(dict.fromkeys(one.name for file in files if file for one in file.inputs if one.zeros))
    if not names:
        return []
    were = "was" if len(names) == 1 else "were"
    return [f"{', '.join(names)} {were} given zeros. Where it needs others: --value {names[0]}=NUMBER, one for all."]


def lines_of(found: Measured) -> list[str]:
    """What was measured, as a person reads it."""
    timing, machine = found.timing, found.machine
    comparison = timing.comparison
    assert comparison is not None
    low, high = timing.interval_ms or (timing.latency_ms, timing.latency_ms)
    why = "its interval is narrow enough" if comparison.ended_by == "interval" else "its time was up"
    spread = f"95 % interval {low:.4g} to {high:.4g} ms ({len(timing.samples_ms)} runs; it ended because {why})"
    lines = [
        f"Model    {found.model}, {in_words('size_bytes', found.size_bytes)}{', with a mask' if found.mask else ''}",
        f"Latency  {timing.latency_ms:.4g} ms, {spread}",
    ]
    lines[1:1] = [f"Input    {one.words}{', zeros' if one.zeros else ''}" for one in found.inputs]
    if found.against is not None:
        lines.append(
            f"Ratio    {comparison.ratio:.4g} times {found.against} ({comparison.low:.4g} to {comparison.high:.4g})"
        )
    lines.append(f"State    {timing.state}: {_STATES[timing.state]}")
    lines += [f"{name:<8s} {_percentile(timing, share)}" for share, name in ((0.95, "p95"), (0.99, "p99"))]
    load, first = timing.steadied(timing.load_ms), timing.steadied(timing.first_run_ms)
    lines.append(f"Start    {load:.4g} ms to load, {first:.4g} ms for the first run")
    if timing.peak_memory_bytes is not None:
        memory = in_words("peak_memory_bytes", timing.peak_memory_bytes)
        lines.append(f"Memory   {memory} at the most, above the bare runtime")
    if timing.energy_mj is not None and timing.energy is not None:
        lines.append(
            f"Energy   {timing.energy_mj:.4g} mJ a run by the processor's counter, {timing.energy.idle_mj:.4g} mJ of "
            f"the idle machine taken out; the reference took {timing.energy.reference_mj:.4g} mJ"
        )
    if found.against is None and comparison.slowdown > 1.05:
        lines.append(
            f"Note     the machine ran {comparison.slowdown:.2f} times slower than at its best; that is taken out"
        )
    if found.against is None and (words := slow_unit(machine.key, comparison.slowdown)):
        lines.append(f"Note     {words}")
    lines.append(
        f"Machine  {machine.short}: {machine.cpu}, {machine.cores} cores, {machine.runtime}, "
        f"{machine.threads} thread{'' if machine.threads == 1 else 's'}, {timing.clock} clock"
    )
    return lines


def _percentile(timing: Timing, share: float) -> str:
    steady, wall = timing.percentile_ms(share), timing.wall_percentile_ms(share)
    if steady is None or wall is None:
        return "too few runs to tell"
    return f"{wall:.4g} ms on the wall clock; {steady:.4g} ms on the {timing.clock} clock, drift taken out"


def as_json(found: Measured) -> str:
    """The same for programs; numbers in full."""
    timing, comparison = found.timing, found.timing.comparison
    assert comparison is not None
    return (
        json.dumps(
            {
                "model": str(found.model),
                "size_bytes": found.size_bytes,
                "inputs": [
                    {"name": one.name, "type": one.kind, "shape": list(one.shape), "values": list(one.values) or None}
                    for one in found.inputs
                ],
                "mask": found.mask,
                "latency_ms": timing.latency_ms,
                "interval_ms": list(timing.interval_ms or ()),
                "latency_p95_ms": timing.percentile_ms(0.95),
                "latency_p99_ms": timing.percentile_ms(0.99),
                "wall_p95_ms": timing.wall_percentile_ms(0.95),
                "wall_p99_ms": timing.wall_percentile_ms(0.99),
                "load_ms": timing.steadied(timing.load_ms),
                "first_run_ms": timing.steadied(timing.first_run_ms),
                "peak_memory_bytes": timing.peak_memory_bytes,
                "energy_mj": timing.net_energy_mj,
                "energy": None if timing.energy is None else asdict(timing.energy),
                "runs": len(timing.samples_ms),
                "ended_by": comparison.ended_by,
                "against": None if found.against is None else str(found.against),
                "reference": comparison.reference,
                "ratio": comparison.ratio,
                "ratio_interval": [comparison.low, comparison.high],
                "slowdown": comparison.slowdown,
                "clock": timing.clock,
                "state": timing.state,
                "threads": timing.threads,
                "machine": {"key": found.machine.key, "cpu": found.machine.cpu, "runtime": found.machine.runtime},
                "operations": [
                    {"name": one.name, "type": one.kind, "mean_ms": one.mean_ms} for one in found.operations
                ],
            },
            indent=2,
            allow_nan=False,
        )
        + "\n"
    )


def by_type(operations: Sequence[Operation]) -> list[tuple[str, int, float]]:
    """(type, how many, milliseconds of a run in all), the dearest first."""
    spent: dict[str, list[float]] = defaultdict(list)
    for one in operations:
        spent[one.kind].append(one.mean_ms)
    return sorted(((kind, len(times), sum(times)) for kind, times in spent.items()), key=lambda row: -row[2])


def type_table(operations: Sequence[Operation]) -> Table:
    total = sum(one.mean_ms for one in operations) or 1.0
    rows = [(kind, str(count), f"{spent:.3f}", f"{spent / total:.1%}") for kind, count, spent in by_type(operations)]
    return _table(("type", "operations", "ms", "share"), rows)


def layer_table(operations: Sequence[Operation]) -> Table:
    """The dearest operations, in the order of the graph."""
    total = sum(one.mean_ms for one in operations) or 1.0
    dear = sorted(operations, key=lambda one: -one.mean_ms)[:SHOWN_OPERATIONS]
    rows = [
        (one.name, one.kind, f"{one.mean_ms:.3f}", f"{one.mean_ms / total:.1%}") for one in operations if one in dear
    ]
    return _table(("layer", "type", "ms", "share"), rows)


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in ("type", "layer") else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
