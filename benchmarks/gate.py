"""Seconds a candidate spends in the gate at 360x480: build, prune, export, quantize, time, all untrained.

python benchmarks/gate.py [--candidates 24]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import optuna

from segsearch.datasets import open_dataset
from segsearch.space.draws import settled
from segsearch.space.load import load_space
from segsearch.study import DataSettings, Study, TrainSettings
from segsearch.trial.gate import passed_gate
from segsearch.trial.prepare import make_bench
from segsearch.trial.stages import Stages
from segsearch.workshop import Artifacts, Forgetful


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=24)
    count = parser.parse_args().candidates
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    draw = settled(load_space("mobile").draw, has_teacher=False)
    trials = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    with tempfile.TemporaryDirectory() as scratch:
        data = DataSettings(kind="synthetic", height=360, width=480, train_count=16, validation_count=2)
        study = Study(
            name="gate", trials=1, space="mobile", data=data, train=TrainSettings(epochs=1, height=96, width=128)
        )
        bench = make_bench(study, open_dataset(data, cache=Path(scratch) / "cache"))
        seconds, latencies = [], []
        for _ in range(count):
            candidate = draw(trials.ask())
            start = time.perf_counter()
            evidence = passed_gate(candidate, bench, Stages(Forgetful(Artifacts(Path(scratch) / "artifacts")))).evidence
            seconds.append(time.perf_counter() - start)
            latencies.append(evidence.timing.median_ms)
    print(f"{count} random candidates of the mobile space at 360x480, {bench.machine.cpu}, {bench.machine.cores} cores")
    print(f"gate: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s (the first one warms up)")
    print(f"latency of the candidates: {min(latencies):.1f} to {max(latencies):.1f} ms")


if __name__ == "__main__":
    main()
