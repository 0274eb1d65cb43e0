"""The gate at 360x480: the seconds a candidate spends in it, and how near its latency comes to the shipped file's.

python benchmarks/gate.py [--candidates 24] [--shipped 8]

The first part builds, prunes, exports, quantizes and times random candidates, all untrained. The second trains some for
a moment at 240x320 and times the untrained file and the shipped one in turn, long: their ratio is what the gate errs by
beyond its own short measurement.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from segsearch.datasets import open_dataset
from segsearch.latency.measure import Effort
from segsearch.networks import wear_in
from segsearch.settings.data import DataSettings
from segsearch.settings.train import TrainSettings
from segsearch.space.draws import Dice, Facts, settled
from segsearch.space.load import load_space
from segsearch.study import Study
from segsearch.trial.bench import Bench
from segsearch.trial.files import exported, quantized
from segsearch.trial.gate import gate_file_of, passed_gate, timed
from segsearch.trial.making import compressed_shape
from segsearch.trial.prepare import make_bench
from segsearch.trial.stages import Stages
from segsearch.trial.weights import Fidelity, fine_tuned, trained
from segsearch.workshop import Artifacts, Forgetful

LONG = Effort(interval=0.0, max_seconds=4.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--shipped", type=int, default=8)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stages = Stages(Forgetful(Artifacts(Path(scratch) / "artifacts")))
        if asked.candidates:
            seconds_of_the_gate(bench_of(Path(scratch), 360, 480), stages, asked.candidates)
        if asked.shipped:
            gate_over_shipped(bench_of(Path(scratch), 240, 320), stages, asked.shipped)


def bench_of(scratch: Path, height: int, width: int) -> Bench:
    data = DataSettings(kind="synthetic", height=height, width=width, train_count=16, validation_count=2)
    train = TrainSettings(epochs=2, fine_tune_epochs=1, height=64, width=96)
    study = Study(name="gate", trials=1, space="mobile", data=data, train=train)
    return make_bench(study, open_dataset(data, cache=scratch / "cache"))


def seconds_of_the_gate(bench: Bench, stages: Stages, count: int) -> None:
    draw = settled(load_space("mobile").draw, Facts())
    seconds, latencies = [], []
    for seed in range(count):
        start = time.perf_counter()
        evidence = passed_gate(draw(Dice(random.Random(seed))), bench, stages)
        seconds.append(time.perf_counter() - start)
        latencies.append(evidence.timing.median_ms)
    print(f"{count} random candidates of the mobile space at 360x480, {bench.machine.cpu}, {bench.machine.cores} cores")
    print(f"gate: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s (the first one warms up)")
    print(f"latency of the candidates: {min(latencies):.1f} to {max(latencies):.1f} ms")


def gate_over_shipped(bench: Bench, stages: Stages, count: int) -> None:
    draw = settled(load_space("mobile").draw, Facts())
    fidelity = Fidelity(bench.schedule.epochs)
    ratios = []
    for seed in range(count):
        candidate = draw(Dice(random.Random(seed)))
        weights = trained(candidate, bench, stages, fidelity=fidelity)
        weights = fine_tuned(candidate, weights, bench, stages, fidelity=fidelity)
        shipped = quantized(candidate, exported(candidate, weights, bench, stages), bench, stages)
        model = stages.artifacts.path(shipped.model)
        untrained = wear_in(compressed_shape(candidate, bench))
        with gate_file_of(untrained, candidate, bench, stages.artifacts) as gate:
            first, second, third, fourth = (timed(file, bench, LONG).latency_ms for file in (gate, model, model, gate))
        ratios.append((first + fourth) / (second + third))
        bits = "int8" if candidate.after_export else "fp32"
        print(f"candidate {seed}, {bits}: untrained over shipped {ratios[-1]:.4f}", flush=True)
    print(f"{count} candidates at 240x320: mean {statistics.mean(ratios):.4f}, worst {max(ratios):.4f}")


if __name__ == "__main__":
    main()
