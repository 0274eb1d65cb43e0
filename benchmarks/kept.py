"""Outcomes that cost minutes: each is made once, kept in a file of its own, and shared by processes that run at once.

A benchmark that was stopped goes on where it stood; started twice, each process takes what the other has not begun.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("runs/.cache/benchmarks")


@dataclass(frozen=True)
class Job:
    """What is to be found out: everything that settles the outcome, and how it is made."""

    settles: Sequence[str]
    make: Callable[[], float]

    @property
    def name(self) -> str:
        return hashlib.sha256(json.dumps(list(self.settles)).encode()).hexdigest()[:32]


def outcomes(jobs: Sequence[Job], folder: Path = FOLDER) -> list[float]:
    """The outcome of each job, in order; waits for those that another process is at."""
    folder.mkdir(parents=True, exist_ok=True)
    while left := [job for job in jobs if not (folder / f"{job.name}.json").exists()]:
        took = sum(_tried(job, folder) for job in left)
        if not took:
            time.sleep(2)
    return [float(json.loads((folder / f"{job.name}.json").read_text())["outcome"]) for job in jobs]


def known(jobs: Sequence[Job], folder: Path = FOLDER) -> list[float | None]:
    """The outcome of each job that is kept, in order; nothing is made."""
    kept = [folder / f"{job.name}.json" for job in jobs]
    return [float(json.loads(path.read_text())["outcome"]) if path.exists() else None for path in kept]


def _tried(job: Job, folder: Path) -> bool:
    """Make one outcome, unless somebody is at it; the lock goes with the process that holds it."""
    with open(folder / f"{job.name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        kept = folder / f"{job.name}.json"
        if not kept.exists():
            began = time.monotonic()
            outcome = job.make()
            seconds = time.monotonic() - began
            told = {"outcome": outcome, "seconds": seconds, "settles": list(job.settles)}
            written = kept.with_suffix(f".{os.getpid()}")
            written.write_text(json.dumps(told))
            written.replace(kept)
            print(f"  {outcome:.3f} after {seconds / 60:.1f} min", file=sys.stderr, flush=True)
        return True
