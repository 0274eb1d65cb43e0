"""Is a latency the same on a busy machine? segsearch's estimate beside one cold run and the plain median of 50.

    python benchmarks/latency.py [--models 12] [--repetitions 100]
    python benchmarks/latency.py --states 5 [--models 6]

Each model is measured on the quiet machine and again with a busy process on every core, all three ways. Then one model
is measured `--repetitions` times, and the intervals that hold the long-run value are counted. With `--states` each
model is timed that many times in the pipeline state, in the warm one and in a plain warm loop, in turn, and nothing
else is done. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segsearch.compression.quantize import quantize
from segsearch.evidence.timing import Block, Machine, Timing
from segsearch.latency.measure import Effort, machine_for, measure
from segsearch.latency.ratio import ratio_of
from segsearch.latency.reference import reference_bytes
from segsearch.networks import build, wear_in
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture, Context, EncoderPath, Feature, Head, Join, Stage, Stem
from segsearch.space.steps import Quantize
from segsearch.trial.export import export

SIZE = (192, 256)
RUNTIME = RUNTIMES["onnxruntime"]
# Arithmetic and memory traffic, as a training beside would make.
BUSY = """
import numpy as np
a, big = np.ones((256, 256), np.float32), np.ones(4_000_000, np.float32)
while True:
    a @ a
    big += 1
"""


def write_models(folder: Path, count: int) -> list[Path]:
    """Models of different blocks and widths, as float and as int8."""
    images = [np.random.default_rng(0).uniform(0, 255, (1, 3, *SIZE)).astype(np.float32)]
    files: list[Path] = []
    for block, width in itertools.product(("conv", "separable", "residual", "inverted_residual"), (32, 48, 80)):
        stages = tuple(
            Stage(block, width * (i + 1), 1, 2 if i < 2 else 1, expansion=2.0 if "inv" in block else 1.0)
            for i in range(3)
        )
        joins = (Join("add", Feature(0, 1), 32),)
        path = EncoderPath(Stem(16), stages, Context("pyramid_pooling", 32, bins=(1, 2)))
        network = wear_in(build(Architecture((path,), joins, Head(32, block="separable")), 11))
        file = folder / f"{block}-{width}-fp32.onnx"
        export(network, SIZE, file)
        if len(files) % 2:
            quantized = folder / f"{block}-{width}-int8.onnx"
            quantize(file, quantized, Quantize(), images=images)
            file = quantized
        files.append(file)
    return files[:count]


@dataclass(frozen=True)
class Ways:
    """One model measured in three ways, in milliseconds."""

    ours: Timing
    cold: float
    median_of_50: float
    seconds: float


def all_ways(file: Path, machine: Machine) -> Ways:
    """One cold inference, the plain median of 50 after 10, and segsearch's estimate."""
    timer = RUNTIME.timer(file, threads=1)
    cold = timer.times_ns(1)[0][0] / 1e6
    timer.times_ns(10)
    plain = statistics.median(wall for wall, _ in timer.times_ns(50)) / 1e6
    start = time.perf_counter()
    ours = measure(file, machine, RUNTIME, effort=Effort())
    return Ways(ours, cold, plain, time.perf_counter() - start)


@contextlib.contextmanager
def busy_machine() -> Iterator[None]:
    """A busy process for every core."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    others = [subprocess.Popen([sys.executable, "-c", BUSY], env=environment) for _ in range(os.cpu_count() or 1)]
    try:
        time.sleep(1)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def compare_ways(files: list[Path], machine: Machine) -> None:
    quiet = [all_ways(file, machine) for file in files]
    with busy_machine():
        busy = [all_ways(file, machine) for file in files]
    print(f"{'model':28s} {'quiet, 95 % interval [ms]':>28s} {'busy':>8s} {'differ':>7s} {'cold':>13s} {'plain':>15s}")
    for file, calm, loud in zip(files, quiet, busy, strict=True):
        low, high = calm.ours.interval_ms or (0.0, 0.0)
        print(
            f"{file.stem:28s} {calm.ours.latency_ms:9.3f} ({low:6.3f} to {high:6.3f}) {loud.ours.latency_ms:8.3f} "
            f"{loud.ours.latency_ms / calm.ours.latency_ms - 1:+7.1%} {calm.cold:6.2f}/{loud.cold:6.2f} "
            f"{calm.median_of_50:7.2f}/{loud.median_of_50:7.2f}"
        )
    pairs = [pair for pair in itertools.combinations(range(len(files)), 2) if apart(quiet, *pair)]
    told: dict[str, Callable[[Ways], float]] = {
        "segsearch": lambda way: way.ours.latency_ms,
        "one cold run": lambda way: way.cold,
        "median of 50": lambda way: way.median_of_50,
    }
    for name, of in told.items():
        gaps = [abs(of(loud) / of(calm) - 1) for calm, loud in zip(quiet, busy, strict=True)]
        turned = sum((of(quiet[a]) < of(quiet[b])) != (of(busy[a]) < of(busy[b])) for a, b in pairs)
        print(
            f"{name:13s} quiet against busy: {statistics.median(gaps):6.1%} in the median, {max(gaps):6.1%} at worst; "
            f"{turned} of {len(pairs)} pairs that are apart when quiet change order"
        )
    seconds = [way.seconds for way in quiet]
    print(
        f"a measurement takes {statistics.median(seconds):.1f} s in the median, {max(seconds):.1f} s at worst (quiet)"
    )


def apart(quiet: list[Ways], one: int, other: int) -> bool:
    """Whether the quiet intervals of two models do not meet."""
    (a, b), (c, d) = (quiet[index].ours.interval_ms or (0.0, 0.0) for index in (one, other))
    return b < c or d < a


def session_spread(blocks: Sequence[Block]) -> float:
    """Standard deviation of the ratio between the sessions of one measurement: what opening a file anew changes."""
    sessions: dict[int, list[float]] = {}
    for block in blocks:
        sessions.setdefault(block.session, []).append(block.model_ms / block.reference_ms)
    return statistics.stdev(statistics.median(ratios) for ratios in sessions.values())


def count_coverage(file: Path, machine: Machine, repetitions: int) -> None:
    """How many of the intervals hold the value that all repetitions together give."""
    timings = [measure(file, machine, RUNTIME, effort=Effort()) for _ in range(repetitions)]
    found = [timing.comparison for timing in timings if timing.comparison is not None]
    together = [
        Block(1000 * number + block.session, block.runs, block.model_ms, block.reference_ms)
        for number, one in enumerate(found)
        for block in one.blocks
    ]
    truth = ratio_of(together, resamples=10).value
    holds = sum(one.low <= truth <= one.high for one in found)
    widths = [(one.high - one.low) / one.ratio for one in found]
    ends = sum(one.ended_by == "interval" for one in found)
    ratios = [one.ratio / truth - 1 for one in found]
    within = [session_spread(one.blocks) / truth for one in found]
    print(
        f"{file.stem}: {holds} of {repetitions} intervals hold the long-run value ({truth:.4f} of the reference); "
        f"width {statistics.median(widths):.2%} in the median, {ends} ended by it; "
        f"estimates spread by {statistics.pstdev(ratios):.2%} (standard deviation), "
        f"the sessions of one by {statistics.median(within):.2%} in the median"
    )


def plain_loop(file: Path, seconds: float) -> float:
    """Median milliseconds of processor time of a file that runs again and again, opened anew."""
    timer = RUNTIME.timer(file, threads=1)
    timer.times_ns(10)
    times, until = list[int](), time.monotonic() + seconds
    while time.monotonic() < until:
        times += [cpu for _, cpu in timer.times_ns(1)]
    return statistics.median(times) / 1e6


def compare_states(files: list[Path], machine: Machine, rounds: int) -> None:
    """Each state beside a plain loop: raw milliseconds over the loop's, of what was taken one after the other.

    The last columns are in one unit: the loop's is its ratio to a loop of the reference.
    """
    print(
        f"{'model':28s} {'loop [ms]':>9s} {'pipeline':>9s} {'warm':>9s}   "
        f"latency_ms {'pipeline':>8s} {'warm':>8s} {'loop':>8s}"
    )
    efforts = [Effort(interval=0.0, max_seconds=2.0, state=state) for state in ("pipeline", "warm")]
    of_all: list[list[float]] = [[], []]
    for file in files:
        loops, told, raw = list[float](), [list[float](), list[float]()], [list[float](), list[float]()]
        in_unit = list[float]()
        for _ in range(rounds):
            timings = [measure(file, machine, RUNTIME, effort=effort) for effort in efforts]
            loops.append(plain_loop(file, 1.0))
            name = timings[0].comparison.reference if timings[0].comparison else ""
            reference = file.with_name(f"{name}.onnx")
            reference.write_bytes(reference_bytes(name.rsplit("-", 1)[0]))
            unit = plain_loop(reference, 1.0)
            in_unit.append(loops[-1] / unit * dict(machine.references)[name])
            for index, timing in enumerate(timings):
                told[index].append(timing.latency_ms)
                raw[index].append(timing.median_ms / loops[-1])
        slower = [statistics.median(ratios) - 1 for ratios in raw]
        for index, share in enumerate(slower):
            of_all[index].append(share)
        print(
            f"{file.stem:28s} {statistics.median(loops):9.3f} {slower[0]:+9.1%} {slower[1]:+9.1%}              "
            f"{statistics.median(told[0]):8.3f} {statistics.median(told[1]):8.3f} {statistics.median(in_unit):8.3f}",
            flush=True,
        )
    pipeline, warm = (f"{min(shares):+.1%} to {max(shares):+.1%}" for shares in of_all)
    print(f"raw times over a plain loop's: {pipeline} in the pipeline state, {warm} warm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--states", type=int, default=0, metavar="ROUNDS")
    options = parser.parse_args()
    machine = machine_for(RUNTIME, threads=1, cores=None)
    print(f"{machine.cpu}, {machine.cores} cores, {machine.runtime}; references {dict(machine.references)}")
    with tempfile.TemporaryDirectory() as scratch:
        files = write_models(Path(scratch), options.models)
        if options.states:
            compare_states(files, machine, options.states)
            return
        compare_ways(files, machine)
        if options.repetitions:
            count_coverage(files[0], machine, options.repetitions)


if __name__ == "__main__":
    main()
