"""The loop of a measurement on a runtime whose every time is written down, and the process around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from segsearch.errors import TrialFailed
from segsearch.evidence.timing import Energy
from segsearch.latency import stopwatch
from segsearch.latency.energy import Counter, find_counter
from segsearch.latency.ratio import FEWEST_SESSIONS
from segsearch.latency.stopwatch import LEAST_SESSIONS, MOST_BLOCKS, Order, Orphaned, take
from segsearch.runtimes import NOISE, RUNTIMES, Feed, Operation, Session, Timer
from tests.models import convolutions, one_node

Run = tuple[str, int]


@dataclass
class Script:
    """A runtime that runs nothing: each file takes its milliseconds, and every call is written down."""

    millis: dict[str, float]
    calls: list[Run] = field(default_factory=list)
    drift: float = 0.0
    name: str = "script"
    version: str = "0"

    def open(self, model: Path, /, *, threads: int) -> Session:
        raise NotImplementedError

    def profile(self, model: Path, /, *, threads: int, runs: int, feed: Feed = NOISE) -> tuple[Operation, ...]:
        raise NotImplementedError

    def timer(self, model: Path, /, *, threads: int, feed: Feed = NOISE) -> Scripted:
        self.calls.append((f"open {model}", threads))
        return Scripted(str(model), self)


@dataclass
class Scripted:
    """One file of a script. Its thread's time is the script's, the time on the wall twice that."""

    file: str
    script: Script

    def times_ns(self, runs: int, /) -> list[tuple[int, int]]:
        factor = 1 + self.script.drift * len(self.script.calls)
        self.script.calls.append((self.file, runs))
        taken = round(self.script.millis.get(self.file, 1.0) * factor * 1e6)
        return [(2 * taken, taken)] * runs


def make_order(**changes: object) -> Order:
    order = Order(
        runtime="script",
        model="model",
        reference="reference",
        empty="empty",
        threads=1,
        cores=(),
        warmup_runs=5,
        interval=0.02,
        deadline=time.monotonic() + 600,
        samples=0,
        parent=os.getppid(),
    )
    return replace(order, **changes)  # type: ignore[arg-type]


Start = Callable[..., Script]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Put a script in the place of a runtime."""

    def started(model: float, reference: float, *, drift: float = 0.0) -> Script:
        script = Script({"model": model, "reference": reference}, drift=drift)
        monkeypatch.setitem(RUNTIMES, "script", script)  # type: ignore[arg-type]
        monkeypatch.setattr(stopwatch, "find_counter", lambda: None)
        return script

    return started


# ---- the loop


def test_a_narrow_interval_ends_it_after_the_fewest_sessions(start: Start) -> None:
    """A model of 2 ms: 2 runs a part, 4 of the reference; 16 ms a block, so that 8 blocks are the most."""
    start(2.0, 1.0)
    answer = take(make_order())
    assert answer.ended_by == "interval"
    assert {block.session for block in answer.blocks} == set(range(FEWEST_SESSIONS))
    assert len(answer.blocks) == 6 * 8 == FEWEST_SESSIONS * MOST_BLOCKS
    assert all((block.runs, block.model_ms, block.reference_ms) == (4, 2.0, 1.0) for block in answer.blocks)
    assert answer.samples_ms == (2.0,) * 4 * 48
    assert answer.first_run_ms == (2.0,) * 6
    assert len(answer.load_ms) == 6
    assert answer.energy_mj is None


def test_time_that_is_up_ends_it_after_the_least_sessions_of_one_block_each(start: Start) -> None:
    start(2.0, 1.0)
    answer = take(make_order(deadline=0.0, interval=0.0))
    assert answer.ended_by == "time"
    assert [block.session for block in answer.blocks] == list(range(LEAST_SESSIONS))


def test_an_interval_is_not_asked_for_before_the_fewest_sessions(start: Start) -> None:
    start(2.0, 1.0)
    answer = take(make_order(deadline=0.0))
    assert (answer.ended_by, len(answer.blocks)) == ("time", LEAST_SESSIONS)


@pytest.mark.parametrize("deadline", [0.0, 1e12])
def test_samples_are_honoured_however_narrow_and_however_late(start: Start, deadline: float) -> None:
    """Blocks of 4 runs: past the deadline one a session, so 25 for 97 samples; before it 8 a session, 32 samples."""
    start(2.0, 1.0)
    answer = take(make_order(deadline=deadline, samples=97))
    assert len(answer.samples_ms) == (100 if deadline == 0 else 6 * 32)
    answer = take(make_order(deadline=deadline, samples=500))
    assert len(answer.samples_ms) == (500 if deadline == 0 else 16 * 32)


@pytest.mark.parametrize(
    ("model", "reference", "runs", "of_reference", "blocks"),
    [
        # A part takes 4 ms where a run does not take longer; a block is four parts, a session 250 ms of them.
        (0.5, 1.0, 8, 4, 8),
        (1.0, 5.0, 4, 1, 8),
        (10.0, 5.0, 1, 2, 6),
        # The reference is never run for longer than 40 ms at once: 2 x (1000 + 40) ms are one block.
        (1000.0, 5.0, 1, 8, 1),
        (1000.0, 100.0, 1, 1, 1),
    ],
)
def test_parts_blocks_and_sessions_are_as_long_as_they_should_be(
    start: Start, model: float, reference: float, runs: int, of_reference: int, blocks: int
) -> None:
    script = start(model, reference)
    answer = take(make_order())
    assert all(block.runs == 2 * runs for block in answer.blocks)
    assert len(answer.blocks) == blocks * FEWEST_SESSIONS
    assert script.calls[-4:] == [
        ("model", runs),
        ("reference", of_reference),
        ("reference", of_reference),
        ("model", runs),
    ]


def test_each_session_opens_both_files_anew_and_only_the_first_warms_up_in_full(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopwatch, "_resident", lambda: None)
    script = start(2.0, 1.0)
    take(make_order(deadline=0.0))
    block = [("model", 2), ("reference", 4), ("reference", 4), ("model", 2)]

    def session(warmup: int) -> list[Run]:
        return [
            ("open model", 1),
            ("model", 1),
            ("open reference", 1),
            ("reference", 1),
            ("model", warmup),
            ("reference", warmup),
            ("model", 2),
            ("reference", 2),
            *block,
        ]

    assert script.calls == [("open empty", 1), ("empty", 1), *session(5), *session(2), *session(2)]


@pytest.mark.parametrize(
    ("model", "reference", "unseen"),
    [
        (2.0, 1.0, (1, 2)),  # of 1.5 ms: one run of 2 ms, two of 1 ms
        (0.1, 40.0, (15, 1)),
        (1000.0, 5.0, (1, 1)),
    ],
)
def test_warm_each_switch_is_followed_by_runs_that_do_not_count(
    start: Start, model: float, reference: float, unseen: tuple[int, int]
) -> None:
    """Model, reference, reference, model: nothing is switched between the two parts of the reference."""
    script = start(model, reference)
    warm = take(make_order(state="warm"))
    (_, of_model), (_, of_reference) = script.calls[-6], script.calls[-3]
    assert script.calls[-7:] == [
        ("model", unseen[0]),
        ("model", of_model),
        ("reference", unseen[1]),
        ("reference", of_reference),
        ("reference", of_reference),
        ("model", unseen[0]),
        ("model", of_model),
    ]
    plain = take(make_order())
    assert (warm.samples_ms, warm.wall_ms, warm.blocks) == (plain.samples_ms, plain.wall_ms, plain.blocks)


def test_a_drift_that_is_steady_over_a_block_cancels(start: Start) -> None:
    """Every part is slower than the one before by the same amount; of model, reference, reference, model the mean
    factor of the outer two is that of the inner two."""
    start(2.0, 1.0, drift=0.01)
    answer = take(make_order(deadline=0.0))
    first, *_, last = answer.blocks
    assert last.model_ms > 1.1 * first.model_ms
    for block in answer.blocks:
        assert block.model_ms / block.reference_ms == pytest.approx(2.0, rel=1e-6)


def test_one_thread_is_timed_by_its_own_clock_and_several_by_the_one_on_the_wall(start: Start) -> None:
    for threads, clock, sample in ((1, "cpu", 2.0), (2, "wall", 4.0)):
        script = start(2.0, 1.0)
        answer = take(make_order(deadline=0.0, threads=threads))
        assert (answer.clock, set(answer.samples_ms)) == (clock, {sample})
        assert answer.wall_ms == (4.0,) * len(answer.samples_ms)
        assert {asked for name, asked in script.calls if name.startswith("open")} == {threads}


def test_a_model_of_no_time_at_all_ends_too(start: Start) -> None:
    start(1e-6, 1.0)
    answer = take(make_order(deadline=0.0))
    assert answer.blocks[0].runs == 2 * 40_000  # a part of 4 ms by runs of 100 ns: nothing is timed as shorter
    assert set(answer.samples_ms) == {1e-6}


def test_nobody_measures_for_a_parent_that_is_gone(start: Start) -> None:
    script = start(2.0, 1.0)
    with pytest.raises(Orphaned):
        take(make_order(parent=-1))
    assert len([name for name, _ in script.calls if name == "open reference"]) == 1


# ---- energy and memory


# Sums of these, and of the energies at them, are exact: 32 runs are one part of a turn.
RUN_SECONDS, PART_SECONDS = 1 / 512, 1 / 16


@dataclass
class Meter:
    """A folder as the system's, and the clock by which it counts: so much power, and what each run adds.

    `surge_mw` comes on top once the reference has run.
    """

    folder: Path
    idle_mw: float
    run_mj: dict[str, float]
    surge_mw: float = 0.0
    now: float = 0.0
    spent_mj: float = 0.0
    surged: bool = False

    def __post_init__(self) -> None:
        package = self.folder / "intel-rapl:0"
        package.mkdir()
        (package / "max_energy_range_uj").write_text(f"{2**40}\n")
        self.sleep(0.0)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.spent_mj += seconds * (self.idle_mw + (self.surge_mw if self.surged else 0.0))
        (self.folder / "intel-rapl:0" / "energy_uj").write_text(f"{1e3 * self.spent_mj:.0f}\n")

    def ran(self, file: str) -> None:
        """A run of a file takes its time here, and its energy."""
        self.spent_mj += self.run_mj.get(file, 0.0)
        self.sleep(RUN_SECONDS)
        self.surged = self.surged or file == "reference"


@dataclass(frozen=True)
class Metered:
    """A file whose runs a meter sees."""

    inner: Timer
    file: str
    meter: Meter

    def times_ns(self, runs: int, /) -> list[tuple[int, int]]:
        for _ in range(runs):
            self.meter.ran(self.file)
        return self.inner.times_ns(runs)


def energy_by(meter: Meter, script: Script, monkeypatch: pytest.MonkeyPatch) -> tuple[float, Energy] | None:
    """What a turn under this meter answers, by its clock: on the real one a busy machine stretches any part."""
    monkeypatch.setattr(stopwatch, "find_counter", lambda: find_counter(meter.folder))
    monkeypatch.setattr(stopwatch, "ENERGY_SECONDS", PART_SECONDS)
    monkeypatch.setattr(stopwatch, "time", SimpleNamespace(monotonic=meter.monotonic, sleep=meter.sleep))
    watch = stopwatch._Watch(script, 1, "cpu", os.getppid(), "pipeline")
    files = (Metered(script.timer(Path(name), threads=1), name, meter) for name in ("model", "reference"))
    return watch.energy(*files)


def test_energy_is_what_a_model_adds_to_the_idle_machine(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = start(2.0, 1.0)
    found = energy_by(Meter(tmp_path, 500.0, {"model": 30.0, "reference": 10.0}), script, monkeypatch)
    assert found == (30.0, Energy((500.0, 500.0), 500.0 * RUN_SECONDS, 10.0))
    assert script.calls[2:] == [("model", 1)] * 32 + [("reference", 1)] * 64 + [("model", 1)] * 32


def test_energy_beside_other_work_that_begins_meanwhile_is_not_told(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the reference on 90 W more: the idle machine differs by more than the model ever adds."""
    meter = Meter(tmp_path, 500.0, {"model": 30.0, "reference": 10.0}, surge_mw=90_000.0)
    assert energy_by(meter, start(2.0, 1.0), monkeypatch) is None


def test_a_model_that_adds_nothing_to_a_counter_has_no_energy(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A counter that stands still: a virtual machine's."""
    assert energy_by(Meter(tmp_path, 0.0, {}), start(2.0, 1.0), monkeypatch) is None


def test_a_model_slower_than_a_part_runs_once_in_each(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    script = start(2.0, 1.0)
    monkeypatch.setattr(stopwatch, "ENERGY_SECONDS", 0.0)
    monkeypatch.setattr(stopwatch, "find_counter", lambda: Counter(()))
    assert take(make_order(deadline=0.0)).energy_mj is None
    assert script.calls[-4:] == [("model", 1), ("reference", 1), ("reference", 1), ("model", 1)]


def refuse(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Nobody may read or write in /proc."""
    real = getattr(Path, method)

    def guarded(self: Path, *arguments: object, **more: object) -> object:
        if self.is_relative_to("/proc"):
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *arguments, **more)

    monkeypatch.setattr(Path, method, guarded)


@pytest.mark.parametrize("method", ["read_text", "write_text"])
def test_peak_memory_is_not_guessed_where_it_cannot_be_read(
    start: Start, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    start(2.0, 1.0)
    refuse(monkeypatch, method)
    assert take(make_order(deadline=0.0)).peak_memory_bytes is None


@pytest.mark.parametrize(
    ("status", "peak"),
    [
        (["VmRSS:\t  1000 kB\n", "VmHWM:\t  1500 kB\n"], 500 * 1024),
        (["VmRSS:\t  1000 kB\n", "VmHWM:\t   900 kB\n"], 0),  # the kernel counts in lots of pages
        (["VmRSS:\t  1000 kB\n", "Name:\tpython\n"], None),
        (["Name:\tpython\n", "VmHWM:\t  1500 kB\n"], None),
    ],
)
def test_peak_memory_is_what_the_process_took_above_the_bare_runtime(
    start: Start, monkeypatch: pytest.MonkeyPatch, status: list[str], peak: int | None
) -> None:
    script = start(2.0, 1.0)
    left = iter(status)
    monkeypatch.setattr(Path, "read_text", lambda self: next(left))
    monkeypatch.setattr(Path, "write_text", lambda self, text: script.calls.append((f"{self} {text}", 0)))
    assert take(make_order(deadline=0.0)).peak_memory_bytes == peak
    if status[0].startswith("VmRSS"):
        assert script.calls[:4] == [
            ("open empty", 1),
            ("empty", 1),
            ("/proc/self/clear_refs 5", 0),
            ("open model", 1),
        ]


# ---- with a real runtime, and as a process


def real_order(model: Path, **changes: object) -> Order:
    one_node(model.parent / "empty.onnx", "Identity", (1,))
    convolutions(model.parent / "reference.onnx", depth=1)
    files = {name: str(model.parent / f"{name}.onnx") for name in ("reference", "empty")}
    return make_order(runtime="onnxruntime", model=str(model), deadline=0.0, **files, **changes)


def ask(order: object, **more: str) -> subprocess.CompletedProcess[str]:
    """The process's answer to this one."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "segsearch.latency.stopwatch"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **more},
    )


def test_a_real_model_is_timed_in_this_process_too(tmp_path: Path) -> None:
    answer = take(real_order(convolutions(tmp_path / "model.onnx")))
    assert (answer.ended_by, answer.clock) == ("time", "cpu")
    assert sum(block.runs for block in answer.blocks) == len(answer.samples_ms)
    assert len(answer.wall_ms) == len(answer.samples_ms)
    assert all(sample > 0 for sample in (*answer.samples_ms, *answer.wall_ms, *answer.load_ms, *answer.first_run_ms))


def test_a_file_that_the_runtime_refuses_fails(tmp_path: Path) -> None:
    with pytest.raises(TrialFailed, match="NoSuchThing"):
        take(real_order(one_node(tmp_path / "model.onnx", "NoSuchThing")))


def test_the_process_answers_in_json_and_says_nothing_else(tmp_path: Path) -> None:
    order = real_order(convolutions(tmp_path / "model.onnx"), parent=os.getpid())
    said = ask(asdict(order), TMPDIR=str(tmp_path / "temporary"))
    assert (said.returncode, said.stderr) == (0, "")
    answer = json.loads(said.stdout)
    assert answer.keys() == {
        "samples_ms",
        "wall_ms",
        "blocks",
        "clock",
        "ended_by",
        "load_ms",
        "first_run_ms",
        "peak_memory_bytes",
        "energy_mj",
        "energy",
    }
    assert len(answer["blocks"]) == LEAST_SESSIONS


def test_the_process_answers_a_refused_file_with_kind_and_reason(tmp_path: Path) -> None:
    order = real_order(one_node(tmp_path / "model.onnx", "NoSuchThing"), parent=os.getpid())
    said = ask(asdict(order))
    assert (said.returncode, said.stderr) == (0, "")
    answer = json.loads(said.stdout)
    assert answer.keys() == {"kind", "reason"}
    assert answer["kind"] == "runtime"
    assert "NoSuchThing" in answer["reason"]


def test_the_process_of_a_parent_that_is_gone_answers_nothing(tmp_path: Path) -> None:
    said = ask(asdict(real_order(convolutions(tmp_path / "model.onnx"), parent=os.getpid() + 1)))
    assert (said.returncode, said.stdout, said.stderr) == (1, "", "")


QUIET = """
import gc, json, os
from segsearch.latency.stopwatch import make_quiet
before = os.getpriority(os.PRIO_PROCESS, 0)
make_quiet((min(os.sched_getaffinity(0)),))
print(json.dumps([sorted(os.sched_getaffinity(0)), gc.isenabled(), os.getpriority(os.PRIO_PROCESS, 0) <= before]))
make_quiet(())
print(len(os.sched_getaffinity(0)))
"""


def test_a_quiet_process_keeps_to_its_cores_and_collects_no_garbage() -> None:
    said = subprocess.run([sys.executable, "-P", "-c", QUIET], capture_output=True, text=True, check=True)
    first, second = said.stdout.splitlines()
    assert json.loads(first) == [[min(os.sched_getaffinity(0))], False, True]
    assert second == "1"


@pytest.mark.parametrize(("clock", "ms"), [("cpu", [0.002, 1e-6, 1e-6]), ("wall", [0.003, 0.002, 0.001])])
def test_a_clock_that_stood_still_over_a_run_counts_its_least_step(
    clock: Literal["cpu", "wall"], ms: list[float]
) -> None:
    """On a virtual machine the processor time of a run of two microseconds was nothing, and a measurement was lost."""
    watch = stopwatch._Watch(RUNTIMES["onnxruntime"], 1, clock, os.getppid(), "pipeline")
    assert watch.in_ms([(3000, 2000), (2000, 0), (1000, -500)]) == ms
