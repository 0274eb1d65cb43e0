"""How much memory a trial may take, and whom the system ends first where there is none left."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from segsearch.latency.cgroup import allowance

# What is left to everybody else.
SHARE = 0.9
# Of all processes of this user the system's memory killer takes this one first.
FIRST_TO_GO = 500


def go_first() -> None:
    """Let the system's memory killer, where there is one, take this process before others of this user."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO))


def limit_memory() -> None:
    """Let this process take most of the machine's memory: beyond it an allocation fails, and with it a trial.

    Without this the system would choose a process to end, and it might be the one that keeps the database. Where
    the system has no such limit, nothing changes.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    # RLIMIT_DATA counts what can be written to and is this process's own: not the files that it maps, nor the large
    # ranges that libraries only reserve.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (round(SHARE * memory_bytes()),) * 2)


def memory_bytes() -> int:
    """The machine's memory, or what this process's control groups may have of it."""
    total = int(psutil.virtual_memory().total)
    return min(total, allowance().memory_bytes or total)
