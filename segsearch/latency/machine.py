"""The machine a latency belongs to: what can be read of it, and the name that this makes."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from segsearch.errors import StudyError
from segsearch.evidence.machines import machine_key
from segsearch.evidence.timing import Machine
from segsearch.latency.cores import own_cores
from segsearch.runtimes import Runtime


def this_machine(runtime: Runtime, *, threads: int = 1, cores: Sequence[int] | None = None) -> Machine:
    """The machine this process runs on, with the runtime and the threads that a latency belongs to.

    Raises `StudyError` where `cores` are not all there.
    """
    found = Machine(
        key="",
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        memory_bytes=int(psutil.virtual_memory().total),
        system=f"{platform.system()} {platform.machine()}",
        runtime=f"{runtime.name} {runtime.version}",
        threads=threads,
        affinity=allowed_cores(cores),
        flags=_flags(),
        governor=_governor(),
        max_mhz=_max_mhz(),
    )
    return replace(found, key=machine_key(found))


def allowed_cores(wanted: Sequence[int] | None) -> tuple[int, ...]:
    """The cores that a measurement may use: those asked for, else those of this process; empty where nobody knows."""
    there = own_cores()
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
