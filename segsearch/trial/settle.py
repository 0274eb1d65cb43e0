"""Where a process that trains settles: its threads, and cores beside those that are reserved for timing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from segsearch.latency.cores import training_cores


def settle_in(threads: int | None, timing_cores: Sequence[int] | None) -> None:
    """Give this process the threads that training asks for, and keep it off the cores that are reserved for timing.

    For good: call it once the machine is known (`this_machine`), in every process that trains or builds what is
    trained. A stopwatch that is started from here takes the reserved cores all the same. Nothing changes where nothing
    is asked for. There are never more threads than cores beside the reserved ones.
    """
    cores = training_cores(timing_cores)
    wanted = threads or torch.get_num_threads()
    if timing_cores and cores and not set(cores) & set(timing_cores):
        for task in _tasks():
            with contextlib.suppress(ProcessLookupError):  # a thread that has ended meanwhile
                os.sched_setaffinity(task, cores)
        wanted = min(wanted, len(cores))
    if wanted != torch.get_num_threads():
        torch.set_num_threads(wanted)


def _tasks() -> Iterator[int]:
    """All threads of this process: an affinity is each thread's own, and only new ones take it over."""
    try:
        yield from [int(task.name) for task in Path("/proc/self/task").iterdir()]
    except OSError:
        yield 0
