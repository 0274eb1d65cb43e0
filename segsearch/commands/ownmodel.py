"""`segsearch measure`: what was measured of any ONNX file, in words, as JSON and as tables."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from segsearch.evidence.timing import State, Timing
from segsearch.judging.words import in_words
from segsearch.latency.kept import slow_unit
from segsearch.latency.own import Measured

if TYPE_CHECKING:
    from segsearch.runtimes import Operation

SHOWN_OPERATIONS = 20
_STATES: Mapping[State, str] = {
    "pipeline": "it ran among other work, which left its own in the caches",
    "warm": "it ran again and again, its own in the caches",
}


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
