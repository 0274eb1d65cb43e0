from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np
import psutil
import pytest

from segsearch.measure import MIN_RUNS, measure, this_machine
from segsearch.runtimes import RUNTIMES
from segsearch.runtimes.types import Image


@dataclass
class Counting:
    """A session that runs nothing, counts, and takes the time that it is told to."""

    shape: tuple[int, int, int, int] = (1, 3, 4, 6)
    calls: list[tuple[int, int]] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)

    def run(self, image: Image, /) -> Image:
        raise NotImplementedError

    def time_ms(self, image: Image, /, *, warmup_runs: int, runs: int) -> list[float]:
        self.calls.append((warmup_runs, runs))
        self.images.append(image)
        return [float(number + 1) for number in range(runs)]


def test_every_sample_after_the_warm_up_is_kept_in_order() -> None:
    session = Counting()
    timing = measure(session, threads=2, warmup_runs=4, runs=7, max_seconds=1e9, machine="m")
    assert timing.samples_ms == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
    assert (timing.warmup_runs, timing.threads, timing.machine) == (4, 2, "m")
    assert sum(warm + runs for warm, runs in session.calls) == 4 + 7


def test_a_slow_model_is_run_less_often_and_still_enough() -> None:
    timing = measure(Counting(), threads=1, warmup_runs=2, runs=100, max_seconds=0.0, machine="m")
    assert len(timing.samples_ms) == MIN_RUNS


def test_never_more_runs_than_asked_for() -> None:
    timing = measure(Counting(), threads=1, warmup_runs=2, runs=3, max_seconds=0.0, machine="m")
    assert len(timing.samples_ms) == 3


def test_the_input_is_noise_of_one_seed_in_the_range_of_pixels() -> None:
    session = Counting()
    for _ in range(2):
        measure(session, threads=1, warmup_runs=1, runs=1, max_seconds=1.0, machine="m")
    first = session.images[0]
    assert first.shape == session.shape
    assert first.dtype == np.float32
    assert 0 <= first.min() < first.max() <= 255
    assert all(np.array_equal(first, image) for image in session.images)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_machine_is_named_with_its_runtime(name: str) -> None:
    machine = this_machine(RUNTIMES[name])
    assert machine == this_machine(RUNTIMES[name])
    assert machine.cores == os.cpu_count()
    assert machine.memory_bytes == psutil.virtual_memory().total
    assert machine.runtime == f"{name} {RUNTIMES[name].version}"
    assert machine.cpu
    assert len(machine.key) == 64


def test_another_version_of_the_runtime_is_another_machine() -> None:
    @dataclass(frozen=True)
    class Other:
        name: str = "onnxruntime"
        version: str = "0.0"

        def open(self, model: object, /, *, threads: int) -> Counting:
            return Counting()

    assert this_machine(Other()).key != this_machine(RUNTIMES["onnxruntime"]).key
