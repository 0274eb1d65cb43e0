"""The machine a latency belongs to: what can be read of it, and the name that this makes."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import psutil

from segsearch.errors import StudyError
from segsearch.evidence.timing import Machine
from segsearch.runtimes import Runtime
from segsearch.space.keys import content_key


def this_machine(runtime: Runtime, *, threads: int = 1, cores: Sequence[int] | None = None) -> Machine:
    """The machine this process runs on, with the runtime and the threads that a latency belongs to.

    Total memory is told but does not name the machine; neither does its current frequency, which moves all the time.
    Raises `StudyError` where `cores` are not all there.
    """
    cpu, system = _cpu_model(), f"{platform.system()} {platform.machine()}"
    count, memory = os.cpu_count() or 1, int(psutil.virtual_memory().total)
    affinity = allowed_cores(cores)
    flags, governor, frequency = _flags(), _governor(), _max_mhz()
    name = f"{runtime.name} {runtime.version}"
    named = [cpu, str(count), system, name, str(threads), str(affinity), " ".join(flags), str(governor), str(frequency)]
    return Machine(content_key(named), cpu, count, memory, system, name, threads, affinity, flags, governor, frequency)


def allowed_cores(wanted: Sequence[int] | None) -> tuple[int, ...]:
    """The cores that a measurement may use: those asked for, else those of this process; empty where nobody knows."""
    there = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()
    if wanted is None:
        return there
    cores = tuple(sorted(set(wanted)))
    if there and not set(cores) <= set(there):
        raise StudyError(
            f"timing.cores must be cores that this process may use ({', '.join(map(str, there))}), got {list(cores)}."
        )
    return cores


@functools.cache
def _cpu_model() -> str:
    found = _cpuinfo("model name") or _cpuinfo("Hardware")
    return found or platform.processor() or "unknown CPU"


@functools.cache
def _flags() -> tuple[str, ...]:
    return tuple(sorted((_cpuinfo("flags") or _cpuinfo("Features") or "").split()))


def _cpuinfo(key: str) -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    except (OSError, IndexError):
        pass
    return None


def _governor() -> str | None:
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        return None


def _max_mhz() -> float | None:
    try:
        return int(Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").read_text()) / 1000
    except (OSError, ValueError):
        return None
