"""A process that trains settles: its threads, all of them on cores beside the reserved ones, and what is timed then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from segsearch.latency.cores import own_cores

# Work on all cores first: an affinity is a thread's own, and these are there already when the process settles.
SETTLING = """
import json, os, sys
from pathlib import Path
import torch
from segsearch.trial.settle import settle_in
threads, timing = json.loads(sys.argv[1])
torch.set_num_threads(2)
image, layer = torch.randn(2, 8, 64, 64), torch.nn.Conv2d(8, 8, 3)
layer(image).sum().backward()
before = len(list(Path("/proc/self/task").iterdir()))
for _ in range(2):
    settle_in(threads, timing)
layer(image).sum().backward()
tasks = [int(task.name) for task in Path("/proc/self/task").iterdir()]
print(json.dumps({
    "threads": torch.get_num_threads(),
    "before": before,
    "cores": sorted({tuple(sorted(os.sched_getaffinity(task))) for task in tasks}),
}))
"""


def settled(threads: int | None, timing: list[int] | None) -> dict[str, Any]:
    command = [sys.executable, "-P", "-c", SETTLING, json.dumps([threads, timing])]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(ended.stdout)
    assert found["before"] > 1
    return found


two_cores = pytest.mark.skipif(len(own_cores()) < 2, reason="there is one core")


@two_cores
def test_every_thread_leaves_the_reserved_core() -> None:
    *rest, reserved = own_cores()
    found = settled(None, [reserved])
    assert found["cores"] == [rest]
    assert found["threads"] == min(2, len(rest))


@two_cores
def test_no_more_threads_than_cores_are_left() -> None:
    found = settled(64, list(own_cores()[1:]))
    assert (found["threads"], found["cores"]) == (1, [[own_cores()[0]]])


@two_cores
@pytest.mark.parametrize("timing", [None, list(own_cores())], ids=["no core is reserved", "all are"])
def test_without_reserved_cores_only_the_threads_are_set(timing: list[int] | None) -> None:
    for threads, expected in ((None, 2), (1, 1), (3, 3)):
        found = settled(threads, timing)
        assert (found["threads"], found["cores"]) == (expected, [list(own_cores())])


# A study with a reserved core: what its trial is timed on, what it is trained on, and what comes to the room meanwhile.
TRIAL = """
import json, os, random, sys
from pathlib import Path
import torch
from segsearch.latency import measure
from segsearch.trial.evaluate import evaluate
from segsearch.trial.prepare import make_bench
from segsearch.trial.settle import settle_in
from segsearch.space.draws import Dice
from segsearch.workshop import Artifacts
from tests.scenes import tiny_dataset
from tests.trial.benches import Notebook
from tests.trial.studies import draw, make_study

ask, orders = measure._ask, []
def asked(model, reference, machine, runtime, effort, **more):
    orders.append(list(machine.affinity))
    return ask(model, reference, machine, runtime, effort, **more)
measure._ask = asked
measure.CALIBRATION_SECONDS, measure.CALIBRATION_MOST_SECONDS = 0.2, 0.0
reserved = int(sys.argv[1])
timing = {"max_seconds": 0.5, "warmup_runs": 1, "cores": [reserved]}
study = make_study(timing=timing)
seen = set()
def look(stage, done, total, /):
    seen.add((stage, tuple(os.sched_getaffinity(0)), torch.get_num_threads()))
bench = make_bench(study, tiny_dataset())
settle_in(study.train.threads, study.timing.cores)
notebook = Notebook(Artifacts(Path(sys.argv[2])))
evidence = evaluate(draw(Dice(random.Random(0))), bench, notebook, progress=look)
rooms = sorted(path.name for path in Path(sys.argv[2]).parent.rglob("*.lock"))
print(json.dumps({"orders": orders, "seen": sorted(seen), "rooms": rooms, "ms": evidence.timing.latency_ms}))
"""


@two_cores
def test_a_trial_trains_beside_the_reserved_core_and_is_timed_on_it(tmp_path: Any) -> None:
    *rest, reserved = own_cores()
    command = [sys.executable, "-c", TRIAL, str(reserved), str(tmp_path / "artifacts")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "2"}
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["ms"] > 0
    assert len(found["orders"]) >= 4  # two references, the gate and the shipped file
    assert all(order == [reserved] for order in found["orders"])
    stages = {stage for stage, _, _ in found["seen"]}
    assert {"gate", "train", "measure", "score"} <= stages
    assert all((cores, threads) == (rest, min(2, len(rest))) for _, cores, threads in found["seen"])
    assert f"door-core-{reserved}.lock" in found["rooms"]  # a measurement
    assert f"room-core-{rest[0]}.lock" in found["rooms"]  # a step
