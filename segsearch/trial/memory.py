"""How much memory a trial may take, and whom the system ends first where there is none left."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

# What is left to everybody else.
SHARE = 0.9
# Of all processes of this user the system's memory killer takes this one first.
FIRST_TO_GO = 500
_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def limit_memory() -> None:
    """Let this process take most of the machine's memory: beyond it an allocation fails, and with it a trial.

    Without this the system would choose a process to end, and it might be the one that keeps the database. Where
    the system has no such limit, nothing changes.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO))
    try:
        import resource
    except ImportError:  # Windows
        return
    # RLIMIT_DATA counts what can be written to and is this process's own: not the files that it maps, nor the large
    # ranges that libraries only reserve.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (round(SHARE * memory_bytes()),) * 2)


def memory_bytes(cgroup: tuple[Path, ...] = _CGROUP) -> int:
    """The machine's memory, or what this process's control group may have of it."""
    found = [int(psutil.virtual_memory().total)]
    for path in cgroup:
        with contextlib.suppress(OSError, ValueError):
            found.append(int(path.read_text()))
    return min(found)
