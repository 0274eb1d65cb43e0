"""What names a machine, what does not, and what is said of it where the system tells nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from segsearch.errors import StudyError
from segsearch.evidence.timing import Machine
from segsearch.latency import machine
from segsearch.latency.cores import own_cores
from segsearch.latency.machine import allowed_cores, this_machine
from segsearch.latency.measure import machine_for
from segsearch.runtimes import NOISE, RUNTIMES, Feed, Operation, Session, Timer
from segsearch.space.keys import from_json, to_json
from tests.models import KNOWN


@dataclass(frozen=True)
class Other:
    """A runtime of any name and version; it runs nothing."""

    name: str = "onnxruntime"
    version: str = "0.0"

    def open(self, model: Path, /, *, threads: int) -> Session:
        raise NotImplementedError

    def timer(self, model: Path, /, *, threads: int, feed: Feed = NOISE) -> Timer:
        raise NotImplementedError

    def profile(self, model: Path, /, *, threads: int, runs: int, feed: Feed = NOISE) -> tuple[Operation, ...]:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What was read of the processor is forgotten, before and after."""
    caches = (machine._cpu_model, machine._flags)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def write(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    """The system's files under /proc and /sys are these and no others."""
    real = Path.read_text

    def read(self: Path, *arguments: Any, **more: Any) -> str:
        if not str(self).startswith(("/proc/", "/sys/")):
            return real(self, *arguments, **more)
        if str(self) in files:
            return files[str(self)]
        raise FileNotFoundError(2, "No such file or directory", str(self))

    monkeypatch.setattr(Path, "read_text", read)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_machine_is_named_with_its_runtime(name: str) -> None:
    found = this_machine(RUNTIMES[name])
    assert found == this_machine(RUNTIMES[name])
    assert len(found.key) == 64
    assert found.short == found.key[:8]
    assert found.cpu
    assert found.cores == os.cpu_count()
    assert found.memory_bytes == psutil.virtual_memory().total
    assert found.runtime == f"{name} {RUNTIMES[name].version}"
    assert (found.threads, found.references) == (1, ())
    assert found.affinity == tuple(sorted(os.sched_getaffinity(0)))
    assert from_json(Machine, to_json(found)) == found


def test_threads_cores_and_the_runtime_name_another_machine() -> None:
    base = this_machine(Other())
    core = min(os.sched_getaffinity(0))
    others = [
        this_machine(Other(), threads=2),
        this_machine(Other(version="0.1")),
        this_machine(Other(name="another")),
    ]
    if len(base.affinity) > 1:
        others.append(this_machine(Other(), cores=[core]))
        assert others[-1].affinity == (core,)
    assert others[0].threads == 2
    assert len({base.key, *(other.key for other in others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("_cpu_model", "Another CPU"),
        ("_flags", ("avx512f", "fpu")),
        ("platform.machine", "riscv64"),
        ("os.cpu_count", 999),
    ],
)
def test_whatever_can_move_a_latency_names_another_machine(
    monkeypatch: pytest.MonkeyPatch, what: str, value: object
) -> None:
    base = this_machine(Other())
    with monkeypatch.context() as patch:
        patch.setattr(f"segsearch.latency.machine.{what}", lambda: value)
        assert this_machine(Other()).key != base.key
    assert this_machine(Other()).key == base.key


@pytest.mark.parametrize(
    ("what", "value"), [("_governor", "powersave"), ("_max_mhz", 1234.0), ("_flags", ("told", "avx2"))]
)
def test_governor_clock_and_flags_that_choose_no_kernel_are_told_and_do_not_name_the_machine(
    monkeypatch: pytest.MonkeyPatch, what: str, value: object
) -> None:
    for name, here in (("_governor", "performance"), ("_max_mhz", 3000.0), ("_flags", ("avx2", "fpu"))):
        monkeypatch.setattr(f"segsearch.latency.machine.{name}", lambda here=here: here)
    base = this_machine(Other())
    monkeypatch.setattr(f"segsearch.latency.machine.{what}", lambda: value)
    found = this_machine(Other())
    assert getattr(found, what.removeprefix("_")) == value != getattr(base, what.removeprefix("_"))
    assert found.key == base.key


# A process that is held on a core, as a scheduler or taskset does it.
HELD = """
import os, sys
os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
from segsearch.latency.machine import this_machine
from segsearch.runtimes import RUNTIMES
found = this_machine(RUNTIMES["onnxruntime"])
print(found.key, *found.affinity)
"""


def held(*cores: int) -> tuple[str, tuple[int, ...]]:
    command = [sys.executable, "-P", "-c", HELD, ",".join(map(str, cores))]
    key, *found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return key, tuple(map(int, found))


@pytest.mark.skipif(len(own_cores()) < 2, reason="there is one core")
def test_whichever_core_a_process_is_given_the_machine_is_the_same() -> None:
    one, other = own_cores()[:2]
    (first, on_one), (second, on_other), (both, on_both) = held(one), held(other), held(one, other)
    assert (on_one, on_other, on_both) == ((one,), (other,), (one, other))
    assert first == second != both


@pytest.mark.skipif(len(own_cores()) < 2, reason="there is one core")
def test_what_is_stored_of_a_machine_does_not_move_its_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database remembers the cores of whoever came last; this process may not be allowed on them."""
    one, other = own_cores()[:2]
    stored = replace(this_machine(RUNTIMES["onnxruntime"], cores=[one]), references=KNOWN, aliases=("former",))
    found = machine_for(RUNTIMES["onnxruntime"], threads=1, cores=[other], known=[stored])
    assert found == replace(stored, affinity=(other,))


def test_memory_is_told_and_does_not_name_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """It differs by some pages between boots."""
    base = this_machine(Other())
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=12345))
    found = this_machine(Other())
    assert found.memory_bytes == 12345
    assert found.key == base.key


def test_cores_are_a_set() -> None:
    core = min(os.sched_getaffinity(0))
    assert allowed_cores([core, core]) == (core,)
    everything = sorted(os.sched_getaffinity(0))
    assert allowed_cores(everything[::-1]) == allowed_cores(None) == tuple(everything)
    assert this_machine(Other(), cores=everything) == this_machine(Other())


@pytest.mark.parametrize("wanted", [[100_000], [0, 100_000], [-1]])
def test_cores_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch, wanted: list[int]) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 0, 1})
    with pytest.raises(StudyError, match=r"timing\.cores must be cores .*\(0, 1, 2\), got \[") as caught:
        this_machine(Other(), cores=wanted)
    assert str(sorted(wanted)) in str(caught.value)


def test_a_core_that_this_process_may_not_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1})
    with pytest.raises(StudyError, match=r"\(1\), got \[0\]"):
        allowed_cores([0])


def test_where_nobody_knows_the_cores_they_are_taken_as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert allowed_cores(None) == ()
    assert allowed_cores([3, 1]) == (1, 3)
    assert this_machine(Other()).affinity == ()


def test_what_the_system_tells_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    frequency = "/sys/devices/system/cpu/cpu0/cpufreq/"
    write(
        monkeypatch,
        {
            "/proc/cpuinfo": "processor\t: 0\nmodel name\t: A Chip: 3 GHz\nflags\t\t: sse2 avx fpu\n",
            f"{frequency}scaling_governor": "performance\n",
            f"{frequency}cpuinfo_max_freq": "3500000\n",
        },
    )
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=1))
    found = this_machine(Other())
    assert found.cpu == "A Chip: 3 GHz"
    assert found.flags == ("avx", "fpu", "sse2")
    assert (found.governor, found.max_mhz) == ("performance", 3500.0)


def test_an_arm_processor_is_read_by_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    write(monkeypatch, {"/proc/cpuinfo": "Features\t: neon asimd\nHardware\t: A Board\n"})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=1))
    found = this_machine(Other())
    assert (found.cpu, found.flags) == ("A Board", ("asimd", "neon"))


@pytest.mark.parametrize("files", [{}, {"/proc/cpuinfo": "model name\nflags\n"}], ids=["absent", "without values"])
def test_what_the_system_does_not_tell_is_not_guessed(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    write(monkeypatch, files | {"/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "<unknown>\n"})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=1))
    monkeypatch.setattr("segsearch.latency.machine.platform.processor", lambda: "")
    found = this_machine(Other())
    assert found.cpu == "unknown CPU"
    assert (found.flags, found.governor, found.max_mhz) == ((), None, None)
