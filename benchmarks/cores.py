"""Does training beside a reserved core disturb what is timed on it, and how long does training stand still without one?

    python benchmarks/cores.py [--models 4] [--rounds 3]

Each model is timed on the last core three times a round: on the quiet machine, beside a training that keeps off that
core, and quiet again. Then trials of another worker are timed (a gate and a measurement each) while the same training
goes on, in a room without and with a reserved core. It needs two cores and a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from latency import RUNTIME, write_models

from segsearch.evidence.timing import Machine, Timing
from segsearch.latency.cores import own_cores
from segsearch.latency.measure import Effort, machine_for, measure
from segsearch.latency.room import Room
from segsearch.trial.gate import gate_effort

# Trains until its input ends; then says how many steps it did and how long it stood still between them.
TRAINER = """
import json, sys, threading, time
from pathlib import Path
import torch
from segsearch.latency.room import Room
from segsearch.networks import build
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.trial.settle import settle_in

folder, reserved, told = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "told"
settle_in(None, [reserved])
stages = (Stage("conv", 32, 1, 2), Stage("residual", 64, 2, 2))
network = build(Architecture((EncoderPath(Stem(16), stages),), (), Head(32)), 11)
optimizer = torch.optim.SGD(network.parameters(), 1e-3)
images, labels = torch.rand(8, 3, 96, 128) * 255, torch.randint(0, 11, (8, 96, 128))
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
steps, waited = 0, 0.0
with Room(Path(folder), (reserved,) if told else ()).working() as give_way:
    print("in", flush=True)
    start = time.perf_counter()
    while not ended.is_set():
        scores = torch.nn.functional.interpolate(network(images), labels.shape[1:], mode="bilinear")
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(scores, labels).backward()
        optimizer.step()
        steps += 1
        before = time.perf_counter()
        give_way()
        waited += time.perf_counter() - before
print(json.dumps([steps, waited, time.perf_counter() - start]))
"""


@contextlib.contextmanager
def training(folder: Path, reserved: int, answers: list[tuple[int, float, float]], *, told: bool) -> Iterator[None]:
    """A process that trains beside the reserved core; `told` says whether its room knows of it."""
    command = [sys.executable, "-c", TRAINER, str(folder), str(reserved), "told" if told else "untold"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "in\n"
        time.sleep(2)
        yield
        process.stdin.close()
        answers.append(tuple(json.loads(process.stdout.read())))
        process.wait()
    finally:
        process.kill()
        process.wait()


def compare_beside(files: list[Path], machine: Machine, reserved: int, rounds: int, scratch: Path) -> None:
    def timed(file: Path) -> Timing:
        return measure(file, machine, RUNTIME, effort=Effort())

    print("beside and again: the latency's change against quiet; raw: that of the plain median beside training")
    print(f"{'model':28s} {'quiet [ms]':>10s} {'beside training':>16s} {'quiet again':>12s} {'raw':>7s}")
    beside_all: list[float] = []
    again_all: list[float] = []
    for file in files:
        for number in range(rounds):
            quiet = timed(file)
            with training(scratch / f"{file.stem}-{number}", reserved, [], told=True):
                beside = timed(file)
            again = timed(file)
            changes = [one.latency_ms / quiet.latency_ms - 1 for one in (beside, again)]
            beside_all.append(changes[0])
            again_all.append(changes[1])
            slower = beside.median_ms / quiet.median_ms - 1
            print(
                f"{file.stem:28s} {quiet.latency_ms:10.3f} {changes[0]:+16.2%} {changes[1]:+12.2%} {slower:+7.1%}",
                flush=True,
            )
    for name, changes in (("beside training", beside_all), ("quiet again", again_all)):
        sizes = [abs(change) for change in changes]
        print(
            f"{name} against quiet: {statistics.mean(changes):+.2%} in the mean, {statistics.median(sizes):.2%} in the "
            f"median of the sizes, {max(sizes):.2%} at worst, of {len(changes)}"
        )


def count_standstill(files: list[Path], machine: Machine, reserved: int, scratch: Path) -> None:
    for told in (False, True):
        folder = scratch / f"room-{told}"
        room = Room(folder, (reserved,) if told else ())
        answers: list[tuple[int, float, float]] = []
        with training(folder, reserved, answers, told=told):
            for file in files:
                for effort in (gate_effort(Effort()), Effort()):
                    with room.quiet():
                        measure(file, machine, RUNTIME, effort=effort)
        steps, waited, seconds = answers[0]
        print(
            f"{'with' if told else 'without'} a reserved core: training stood still for {waited / len(files):.2f} s a "
            f"trial of another worker and made {steps / seconds:.2f} steps a second meanwhile"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = own_cores()
    reserved = cores[-1]
    machine = machine_for(RUNTIME, threads=1, cores=[reserved])
    print(f"{machine.cpu}, {machine.runtime}; times on core {reserved}, trains on {list(cores[:-1])}")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        files = write_models(scratch, 12)[:: max(1, 12 // options.models)][: options.models]
        compare_beside(files, machine, reserved, options.rounds, scratch)
        count_standstill(files, machine, reserved, scratch)


if __name__ == "__main__":
    main()
