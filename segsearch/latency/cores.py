"""Which cores are whose: those of this process, and those that training leaves to measurements."""

from __future__ import annotations

import os
from collections.abc import Sequence


def own_cores() -> tuple[int, ...]:
    """The cores that this thread may run on; empty where nobody knows."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def training_cores(timing_cores: Sequence[int] | None) -> tuple[int, ...]:
    """The cores that training may use: those of this process without the ones reserved for timing.

    All of them where none would be left; empty where nobody knows.
    """
    there = own_cores()
    return tuple(core for core in there if core not in (timing_cores or ())) or there
