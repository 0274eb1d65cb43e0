"""What it costs that trials run in a child process: its start, once a worker, and the rest, once a trial.

python benchmarks/child.py [--trials 8]

The same small trials in turn in this process and in the child, on generated scenes; nothing is remembered between them.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from segsearch.datasets import open_dataset
from segsearch.evidence.types import Evidence
from segsearch.latency.measure import machine_for
from segsearch.runtimes import RUNTIMES
from segsearch.space.candidate import Candidate
from segsearch.space.draws import Dice, Facts, settled
from segsearch.space.keys import to_json
from segsearch.space.load import load_space
from segsearch.study import dump_study, parse_study
from segsearch.trial.child import Task
from segsearch.trial.contained import contained
from segsearch.trial.evaluate import evaluate
from segsearch.trial.prepare import make_bench
from segsearch.workshop import Artifacts, Forgetful, Outcome

STUDY = {
    "name": "child",
    "trials": 1,
    "space": "mobile",
    "data": {"kind": "synthetic", "height": 96, "width": 128, "train_count": 16, "validation_count": 4},
    "train": {"epochs": 2, "fine_tune_epochs": 1, "height": 48, "width": 64, "batch_size": 8},
    "timing": {"max_seconds": 0.5},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8)
    count = parser.parse_args().trials
    study = parse_study(STUDY, where="benchmark")
    runtime = RUNTIMES["onnxruntime"]
    machine = machine_for(runtime, threads=1, cores=None)
    draw = settled(load_space("mobile").draw, Facts())
    candidates = [draw(Dice(random.Random(seed))) for seed in range(count)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        dataset = open_dataset(study.data, cache=folder / "cache")
        bench = make_bench(study, dataset, machine=machine)
        workshop = Forgetful(Artifacts(folder / "artifacts"))
        order = Task(
            study=dump_study(study),
            teacher=None,
            machine=to_json(machine),
            cache=str(folder / "cache"),
            data_key=dataset.key,
            artifacts=str(folder / "artifacts"),
        )
        with contained(order) as child:

            def here(candidate: Candidate) -> Evidence:
                return evaluate(candidate, bench, workshop)

            def there(candidate: Candidate) -> Evidence:
                return child.evaluate(0, candidate, workshop)

            start = time.perf_counter()
            child.estimate(candidates[:1], workshop.artifacts)
            first = time.perf_counter() - start
            start = time.perf_counter()
            child.estimate(candidates[:1], workshop.artifacts)
            print(f"start of the child, once a worker: {first - (time.perf_counter() - start):.2f} s")
            here(candidates[0])
            there(candidates[0])
            more = []
            for index, candidate in enumerate(candidates):
                seconds = {}
                for where in (here, there) if index % 2 else (there, here):
                    start = time.perf_counter()
                    where(candidate)
                    seconds[where] = time.perf_counter() - start
                more.append(seconds[there] - seconds[here])
            print(
                f"a trial over there against the same one here, {count} pairs: "
                f"median {statistics.median(more):+.3f} s, worst {max(more):+.3f} s"
            )
            known = _Known(workshop.artifacts)
            child.evaluate(0, candidates[0], known)
            start = time.perf_counter()
            for _ in range(20):
                child.evaluate(0, candidates[0], known)
            print(f"a trial whose stages are all known: {(time.perf_counter() - start) / 20:.4f} s")


class _Known:
    """A workshop that remembers in memory."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts
        self.outcomes: dict[str, Outcome] = {}

    def once(self, stage: str, key: str, make: object, /) -> Outcome:
        if key not in self.outcomes:
            self.outcomes[key] = make()  # type: ignore[operator]
        return self.outcomes[key]


if __name__ == "__main__":
    main()
