"""The time of each operation of several files, which take their turns in a quiet process of its own.

`python -m segsearch.latency.operations`; `operations_of` starts it. It reads an order from standard input and answers
in JSON. Torch is never loaded here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from segsearch.errors import TrialFailed
from segsearch.evidence.timing import Machine
from segsearch.latency.asking import answer_of
from segsearch.latency.stopwatch import make_quiet
from segsearch.runtimes import RUNTIMES, Operation, Runtime

# Each file is opened anew in every round, and run so often in it.
ROUNDS = 8
RUNS = 8
# Other work makes runs longer, never shorter: the quickest twentieth of the runs tells the operation's own time,
# where the median tells how busy the machine was.
SHARE = 0.05


@dataclass(frozen=True)
class Round:
    """What to run. `parent` is the process that asks; the order is dropped where it is gone."""

    runtime: str
    files: tuple[str, ...]
    threads: int
    cores: tuple[int, ...]
    rounds: int
    runs: int
    parent: int


def operations_of(
    files: Sequence[Path], machine: Machine, runtime: Runtime, *, rounds: int = ROUNDS, runs: int = RUNS
) -> tuple[tuple[Operation, ...], ...]:
    """Of each file its operations in the order they run, with the milliseconds of their quickest runs.

    Raises `TrialFailed` of kind `runtime` where a file cannot be run, and `crash` where it ends the process.
    """
    order = Round(
        runtime=runtime.name,
        files=tuple(str(file.absolute()) for file in files),
        threads=machine.threads,
        cores=machine.affinity,
        rounds=rounds,
        runs=runs,
        parent=os.getpid(),
    )
    answer = answer_of("segsearch.latency.operations", asdict(order), runtime=runtime, what="operations")
    return tuple(tuple(Operation(name, kind, ms) for name, kind, ms in file) for file in answer)


def main() -> int:
    raw = json.load(sys.stdin)
    order = Round(**(raw | {"files": tuple(raw["files"]), "cores": tuple(raw["cores"])}))
    make_quiet(order.cores)
    try:
        json.dump(take(order), sys.stdout)
    except TrialFailed as failed:
        json.dump({"kind": failed.kind, "reason": str(failed)}, sys.stdout)
    return 0


def take(order: Round) -> list[list[tuple[str, str, float]]]:
    """(name, type, milliseconds) of each operation of each file. All files have their turn in every round."""
    runtime = RUNTIMES[order.runtime]
    taken: list[dict[tuple[str, str], list[float]]] = [{} for _ in order.files]
    for _ in range(order.rounds):
        for times, file in zip(taken, order.files, strict=True):
            for one in runtime.profile(Path(file), threads=order.threads, runs=order.runs):
                times.setdefault((one.name, one.kind), []).extend(one.samples_ms)
            if os.getppid() != order.parent:
                sys.exit(1)  # nobody will read the answer
    return [[(*key, round(float(np.quantile(ms, SHARE)), 6)) for key, ms in times.items()] for times in taken]


if __name__ == "__main__":
    sys.exit(main())
