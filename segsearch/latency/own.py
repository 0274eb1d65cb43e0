"""Time any ONNX file of one's own: alone, against another one, or operation by operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from segsearch.errors import StudyError, TrialFailed
from segsearch.evidence.timing import Machine, State, Timing
from segsearch.latency.measure import Effort, compare, machine_for, measure
from segsearch.latency.room import machine_room
from segsearch.runtimes import RUNTIMES, Operation
from segsearch.runtimes.external import load_graph, size_of
from segsearch.runtimes.graphs import Ready, made_ready, with_mask
from segsearch.runtimes.inputs import Input, inputs_of
from segsearch.workshop import Progress, silent

PROFILED_RUNS = 30


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
    against: Path | None = None,
    threads: int = 1,
    shapes: Sequence[str] = (),
    values: Sequence[str] = (),
    interval: float = 0.02,
    max_seconds: float = 4.5,
    mask: bool = False,
    state: State = "pipeline",
    profile: bool = False,
    progress: Progress = silent,
) -> Measured:
    """Time a file; with `mask` as if it answered with classes, whatever it is compared with.

    `shapes` and `values` are those of the inputs of both, by name where a model has several. Raises `StudyError` for
    what is wrong with it, with the reason that the runtime gave.
    """
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
