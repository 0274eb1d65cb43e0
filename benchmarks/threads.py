"""How training's threads bear company: steps a second on a quiet machine and beside processes that keep a core each.

    python benchmarks/threads.py [--busy 0 1] [--threads 2] [--rounds 3] [--seconds 4]

The first designs of the quickstart and of the CamVid study take steps, each way in a process of its own: on one
thread, on `--threads` as OpenMP has them wait for each other by default, as a study's own processes have them wait
(`segsearch/trial/waiting.py`), and asleep at once (OMP_WAIT_POLICY=PASSIVE). All ways take turns; medians of the
rounds. It needs a machine that does nothing else, and torch with GNU's OpenMP, as it is on Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import torch

from segsearch.networks import build
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Named
from segsearch.space.draws import Facts
from segsearch.space.load import load_space
from segsearch.study import read_study
from segsearch.trial.waiting import DECIDED, environment_of_training

STUDIES = Path(__file__).parents[1] / "studies"
# Study, classes, and how many images of which height and width are a step.
WORK = {"quickstart": (8, 4, 128, 160), "camvid": (11, 4, 360, 480)}


def steps_per_second(name: str, threads: int, seconds: float) -> float:
    """Of one design's forward pass, loss, backward pass and update, after two steps that are not counted."""
    classes, batch, height, width = WORK[name]
    torch.set_num_threads(threads)
    study = read_study(STUDIES / f"{name}.toml")
    architecture = load_space(study.space).draw(Named(study.search.first[0]), Facts()).architecture
    assert isinstance(architecture, Architecture)
    network = build(architecture, classes, seed=0).train()
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    torch.manual_seed(0)
    images, labels = torch.rand(batch, 3, height, width) * 255, torch.randint(0, classes, (batch, height, width))
    begun, steps = 0.0, -2
    while steps < 1 or time.perf_counter() - begun < seconds:
        if steps == 0:
            begun = time.perf_counter()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        steps += 1
    return steps / (time.perf_counter() - begun)


def ways(threads: int) -> dict[str, tuple[int, dict[str, str]]]:
    """Threads and environment of each."""
    plain = {name: value for name, value in os.environ.items() if name not in (*DECIDED, "OMP_NUM_THREADS")}
    return {
        "1 thread": (1, plain),
        f"{threads} threads": (threads, plain),
        f"{threads}, a study's own": (threads, environment_of_training(plain)),
        f"{threads}, asleep at once": (threads, {**plain, "OMP_WAIT_POLICY": "PASSIVE"}),
    }


def asked(name: str, threads: int, environment: Mapping[str, str], seconds: float) -> float:
    command = [sys.executable, __file__, "--one", name, "--threads", str(threads), "--seconds", str(seconds)]
    return float(subprocess.run(command, env=dict(environment), stdout=subprocess.PIPE, text=True, check=True).stdout)


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1], help="processes that keep a core each")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--one", choices=list(WORK), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(steps_per_second(arguments.one, arguments.threads, arguments.seconds))
        return
    each = ways(arguments.threads)
    print(f"{'steps a second':24s}" + "".join(f"{way:>20s}" for way in each))
    for name in WORK:
        for processes in arguments.busy:
            with busy(processes):
                rounds = [
                    [asked(name, *way, arguments.seconds) for way in each.values()] for _ in range(arguments.rounds)
                ]
            found = [median(one) for one in zip(*rounds, strict=True)]
            print(f"{f'{name}, {processes} busy':24s}" + "".join(f"{one:20.2f}" for one in found), flush=True)


if __name__ == "__main__":
    main()
