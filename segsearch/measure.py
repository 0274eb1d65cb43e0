"""Measure latency: one opened model, fixed threads, warm, raw samples kept, on a machine with a name."""

from __future__ import annotations

import functools
import os
import platform
import time
from pathlib import Path

import numpy as np
import psutil

from segsearch.candidate import content_key
from segsearch.evidence import Machine, Timing
from segsearch.runtimes import Runtime, Session

MIN_RUNS = 5


def measure(session: Session, *, threads: int, warmup_runs: int, runs: int, max_seconds: float, machine: str) -> Timing:
    """Time `runs` runs after `warmup_runs`; fewer (at least 5) where they would take longer than `max_seconds`.

    The input is noise of a fixed seed: the time of a convolution does not depend on the picture, and noise has no
    denormals.
    """
    image = np.random.default_rng(0).uniform(0, 255, session.shape).astype(np.float32)
    start = time.perf_counter()
    session.time_ms(image, warmup_runs=0, runs=warmup_runs)
    one = max((time.perf_counter() - start) / warmup_runs, 1e-6)
    affordable = int(max_seconds / one)
    samples = session.time_ms(image, warmup_runs=0, runs=max(min(runs, affordable), min(runs, MIN_RUNS)))
    return Timing(tuple(samples), warmup_runs=warmup_runs, threads=threads, machine=machine)


def this_machine(runtime: Runtime) -> Machine:
    """The machine this process runs on, with the runtime that the latency belongs to."""
    cpu, system = _cpu_model(), f"{platform.system()} {platform.machine()}"
    cores, memory = os.cpu_count() or 1, int(psutil.virtual_memory().total)
    runtime_name = f"{runtime.name} {runtime.version}"
    # Total memory differs by a few pages between boots of one machine: it is told, but does not name the machine.
    key = content_key([cpu, str(cores), system, runtime_name])
    return Machine(key, cpu, cores, memory, system, runtime_name)


@functools.cache
def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown CPU"
