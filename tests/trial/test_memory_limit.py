"""How much memory a trial may take: the machine's or its control group's, and what happens beyond it."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest

from segsearch.latency.cgroup import Allowance
from segsearch.trial.memory_limit import FIRST_TO_GO, memory_bytes

TOTAL = psutil.virtual_memory().total

# A process whose control group has 1 GiB; what it asks for is never written to, and so takes nothing of the machine.
LIMITED = """
import json
from pathlib import Path
from segsearch.latency.cgroup import Allowance
from segsearch.trial import memory_limit

def can_have(size):
    try:
        bytearray(size)
    except MemoryError:
        return False
    return True

sizes = [2**26, 2**31]
memory_limit.allowance = lambda: Allowance(None, 2**30)
before = [can_have(size) for size in sizes]
memory_limit.go_first()
memory_limit.limit_memory()
after = [can_have(size) for size in sizes]
print(json.dumps([before, after, int(Path("/proc/self/oom_score_adj").read_text())]))
"""


@pytest.mark.parametrize(("limit", "expected"), [(None, TOTAL), (2**20, 2**20), (TOTAL + 1, TOTAL)])
def test_a_control_groups_limit_counts_where_it_is_the_lower_one(
    monkeypatch: pytest.MonkeyPatch, limit: int | None, expected: int
) -> None:
    monkeypatch.setattr("segsearch.trial.memory_limit.allowance", lambda: Allowance(None, limit))
    assert memory_bytes() == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_an_allocation_beyond_the_limit_fails_and_smaller_ones_go_on() -> None:
    ended = subprocess.run([sys.executable, "-c", LIMITED], stdout=subprocess.PIPE, text=True, check=True)
    before, after, first_to_go = json.loads(ended.stdout)
    assert before == [True, True]
    assert after == [True, False]
    assert first_to_go == FIRST_TO_GO
