"""May the gate's samples count towards the timing of the file that ships? Two files of one graph, and what it saves.

python benchmarks/pooled.py [--candidates 8]

Random candidates of the mobile space at 240x320. Each is exported untrained, as the gate does, and after some training
steps. Where both graphs are the same, both files are timed in turn, long, and the ratio of their latencies is printed;
then the shipped one as a study times it, alone and with the gate's samples.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
import time
from pathlib import Path

from segsearch.datasets import open_dataset
from segsearch.latency.measure import Effort
from segsearch.runtimes.graphs import graph_shape
from segsearch.space.draws import Dice, settled
from segsearch.space.load import load_space
from segsearch.study import parse_study
from segsearch.trial.files import exported, quantized
from segsearch.trial.gate import gate_effort, gate_file_of, timed
from segsearch.trial.prepare import make_bench
from segsearch.trial.stages import Stages
from segsearch.trial.weights import Fidelity, fine_tuned, trained
from segsearch.workshop import Artifacts, Forgetful

STUDY = {
    "name": "pooled",
    "trials": 1,
    "space": "mobile",
    "data": {"kind": "synthetic", "height": 240, "width": 320, "train_count": 16, "validation_count": 2},
    "train": {"epochs": 2, "fine_tune_epochs": 1, "height": 64, "width": 96, "batch_size": 8},
}
LONG = Effort(interval=0.0, max_seconds=4.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=8)
    count = parser.parse_args().candidates
    draw = settled(load_space("mobile").draw, has_teacher=False)
    study = parse_study(STUDY, where="benchmark")
    ratios, apart, alone_s, pooled_s = [], [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        bench = make_bench(study, open_dataset(study.data, cache=Path(scratch) / "cache"))
        stages = Stages(Forgetful(Artifacts(Path(scratch) / "artifacts")))
        for seed in range(count):
            candidate = draw(Dice(random.Random(seed)))
            fidelity = Fidelity(bench.schedule.epochs)
            weights = trained(candidate, bench, stages, fidelity=fidelity)
            weights = fine_tuned(candidate, weights, bench, stages, fidelity=fidelity)
            shipped = quantized(candidate, exported(candidate, weights, bench, stages), bench, stages)
            model = stages.artifacts.path(shipped.model)
            with gate_file_of(candidate, bench, stages.artifacts) as gate_file:
                same = graph_shape(gate_file) == graph_shape(model)
                print(f"candidate {seed}: {'one graph' if same else 'ANOTHER GRAPH'}", end="", flush=True)
                if not same:
                    print()
                    continue
                times = [timed(file, bench, LONG).latency_ms for file in (gate_file, model, model, gate_file)]
                ratio = (times[0] + times[3]) / (times[1] + times[2])
                ratios.append(ratio)
                gate = timed(gate_file, bench, gate_effort(bench.effort))
                start = time.perf_counter()
                alone = timed(model, bench, bench.effort)
                middle = time.perf_counter()
                pooled = timed(model, bench, bench.effort, before=gate)
                alone_s.append(middle - start)
                pooled_s.append(time.perf_counter() - middle)
                truth = (times[1] + times[2]) / 2
                apart.append((abs(math.log(alone.latency_ms / truth)), abs(math.log(pooled.latency_ms / truth))))
                print(f", gate over shipped {ratio:.4f}; alone {alone_s[-1]:.1f} s, pooled {pooled_s[-1]:.1f} s")
    spread = statistics.stdev(ratios) if len(ratios) > 1 else 0.0
    print(f"{len(ratios)} of {count} have one graph; {bench.machine.cpu}, {bench.machine.cores} cores")
    print(f"gate over shipped: mean {statistics.mean(ratios):.4f}, standard deviation {spread:.4f}")
    for name, errors in zip(("alone", "with the gate's samples"), zip(*apart, strict=True), strict=True):
        print(f"{name}: {statistics.median(errors):.2%} from the long one in the median, {max(errors):.2%} at worst")
    print(f"seconds: alone {statistics.median(alone_s):.2f}, pooled {statistics.median(pooled_s):.2f} in the median")


if __name__ == "__main__":
    main()
