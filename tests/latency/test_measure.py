"""A real file timed in a real process of its own: what is answered, what is kept, and every way that it can fail."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from segsearch.errors import TrialFailed
from segsearch.evidence.machines import former_key
from segsearch.evidence.timing import Energy, Machine, Timing
from segsearch.latency import measure as measuring
from segsearch.latency.effort import effort_of
from segsearch.latency.machine import this_machine
from segsearch.latency.measure import Effort, calibrated, compare, machine_for, measure
from segsearch.latency.ratio import FEWEST_SESSIONS, of_one_process, ratio_of
from segsearch.latency.reference import empty_bytes, reference_bytes
from segsearch.latency.rounds import STAGE
from segsearch.latency.stopwatch import LEAST_SESSIONS
from segsearch.space.keys import from_json, to_json
from segsearch.workshop import user_folder
from tests import fakes
from tests.models import KNOWN, RUNTIME, convolutions, fails_when_run, here, one_node, save

SHORT = Effort(warmup_runs=2, max_seconds=0.5)
LONG = Effort(interval=0.0, max_seconds=60.0)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return user_folder()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return convolutions(tmp_path / "model.onnx")


def check_whole(timing: Timing) -> None:
    """What holds of every timing that was taken here."""
    comparison = timing.comparison
    assert comparison is not None
    sessions = sorted({block.session for block in comparison.blocks})
    assert sessions == list(range(len(sessions)))
    assert len(sessions) >= LEAST_SESSIONS
    assert len(timing.samples_ms) == sum(block.runs for block in comparison.blocks)
    assert len(timing.load_ms) == len(timing.first_run_ms) == len(sessions)
    found = of_one_process(ratio_of(comparison.blocks))
    assert (comparison.ratio, comparison.low, comparison.high) == (found.value, found.low, found.high)
    assert timing.latency_ms == comparison.ratio * comparison.reference_ms
    assert timing.energy_mj is None or timing.energy_mj > 0
    assert (timing.energy is None) == (timing.energy_mj is None)
    assert len(timing.wall_ms) == len(timing.samples_ms)
    position = 0
    for block in comparison.blocks:
        mean = np.mean(timing.samples_ms[position : position + block.runs])
        assert mean == pytest.approx(block.model_ms, abs=1e-5)
        position += block.runs


# ---- what is answered


def test_every_field_is_filled_and_fits_the_others(model: Path) -> None:
    machine = here()
    timing = measure(model, machine, RUNTIME, effort=SHORT)
    check_whole(timing)
    assert (timing.machine, timing.threads, timing.clock, timing.warmup_runs) == (machine.key, 1, "cpu", 2)
    assert timing.state == "pipeline"
    assert (timing.comparison.reference, timing.comparison.reference_ms) == ("float32-1", 5.0)
    assert timing.interval_ms == (5.0 * timing.comparison.low, 5.0 * timing.comparison.high)
    assert from_json(Timing, to_json(timing)) == timing


def test_a_warm_measurement_says_so_and_has_the_same_unit(model: Path) -> None:
    timing = measure(model, here(), RUNTIME, effort=replace(SHORT, state="warm"))
    check_whole(timing)
    assert (timing.state, timing.comparison.reference_ms) == ("warm", 5.0)
    assert from_json(Timing, to_json(timing)) == timing


def test_what_the_counter_said_arrives_with_the_timing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be no counter here: the process's answer is a real one, with an energy put into it."""
    real = measuring._ask

    def ask(*arguments: Any, **more: Any) -> dict[str, Any]:
        energy = {"idle_mw": [900.0, 1100.0], "idle_mj": 5.0, "reference_mj": 2.0}
        return real(*arguments, **more) | {"energy_mj": 1.5, "energy": energy}

    monkeypatch.setattr(measuring, "_ask", ask)
    timing = measure(model, here(), RUNTIME, effort=SHORT)
    assert (timing.energy_mj, timing.energy) == (1.5, Energy((900.0, 1100.0), 5.0, 2.0))
    assert from_json(Timing, to_json(timing)) == timing


def test_an_effort_is_written_as_it_always_was() -> None:
    """It is part of the keys of stages: a state that came later is written where it is not the first one."""
    assert to_json(Effort()) == '{"interval":0.02,"max_seconds":4.5,"samples":0,"warmup_runs":5}'
    assert to_json(Effort(state="warm")) == to_json(Effort())[:-1].replace('"warm', '"state":"warm","warm') + "}"


@pytest.mark.parametrize("state", ["pipeline", "warm"])
def test_a_study_is_timed_in_its_own_state(state: str) -> None:
    assert effort_of(fakes.make_study()) == Effort()
    assert effort_of(fakes.make_study(timing={"state": state})).state == state


def test_a_file_of_int8_is_compared_with_the_int8_reference(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(reference_bytes("int8"))
    timing = measure(tmp_path / "model.onnx", here(), RUNTIME, effort=SHORT)
    check_whole(timing)
    assert (timing.comparison.reference, timing.comparison.reference_ms) == ("int8-1", 9.0)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one core")
def test_two_threads_are_timed_by_the_clock_on_the_wall(model: Path) -> None:
    timing = measure(model, here(threads=2), RUNTIME, effort=SHORT)
    check_whole(timing)
    assert (timing.threads, timing.clock) == (2, "wall")


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peaks cannot be read here")
def test_memory_holds_at_least_the_weights(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2048])
    node = helper.make_node("MatMul", ["image", "w"], ["scores"])
    model = save(tmp_path / "model.onnx", [node], [image], [numpy_helper.from_array(weight, "w")])
    timing = measure(model, here(), RUNTIME, effort=SHORT)
    assert timing.peak_memory_bytes is not None
    assert timing.peak_memory_bytes >= weight.nbytes


def test_as_many_samples_as_asked_for_even_when_time_is_up(tmp_path: Path) -> None:
    model = one_node(tmp_path / "model.onnx", shape=(1, 3, 256, 256))
    timing = measure(model, here(), RUNTIME, effort=Effort(interval=0.0, max_seconds=0.2, samples=400))
    check_whole(timing)
    assert len(timing.samples_ms) >= 400
    assert timing.comparison.ended_by == "time"


def test_an_interval_that_is_narrow_enough_ends_it(model: Path) -> None:
    timing = measure(model, here(), RUNTIME, effort=Effort(interval=1000.0, max_seconds=500.0))
    check_whole(timing)
    assert timing.comparison.ended_by == "interval"
    assert len(timing.load_ms) == FEWEST_SESSIONS


def test_a_model_against_itself_is_about_as_fast(model: Path) -> None:
    timing = compare(model, model, here(), RUNTIME, effort=Effort(max_seconds=1.5))
    check_whole(timing)
    assert timing.comparison.reference == "model.onnx"
    # Two files of the same work: no more is meant than that nothing is swapped or counted twice.
    assert 0.3 < timing.comparison.low <= 1.2
    assert 0.8 <= timing.comparison.high < 3
    assert timing.comparison.reference_ms in {block.reference_ms for block in timing.comparison.blocks}


def test_it_is_timed_on_the_cores_that_the_machine_names(model: Path) -> None:
    core = min(os.sched_getaffinity(0))
    machine = here(cores=[core])
    seen: list[list[int]] = []

    def look(child: psutil.Process) -> None:
        while child.is_running() and not seen:
            if (cores := child.cpu_affinity()) == [core]:
                seen.append(cores)
            time.sleep(0.01)

    with meeting(look):
        timing = measure(model, machine, RUNTIME, effort=Effort(interval=0.0, max_seconds=1.5))
    assert timing.machine == machine.key
    assert seen == [[core]]


# ---- the process


def test_the_process_that_measures_loads_a_runtime_and_no_framework() -> None:
    code = "import sys, segsearch.latency.stopwatch; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert "onnxruntime" in loaded.stdout.split()
    assert not {"torch", "optuna", "sqlalchemy", "onnx", "plotly"} & set(loaded.stdout.split())


def test_torch_stays_out_while_it_measures(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim(tmp_path / "shims", "torch", f"open({str(tmp_path / 'loaded')!r}, 'w')", monkeypatch)
    check_whole(measure(model, here(), RUNTIME, effort=SHORT))
    assert not (tmp_path / "loaded").exists()


def test_a_reference_file_that_was_damaged_is_written_again(model: Path, own_folder: Path) -> None:
    (own_folder / "float32-1.onnx").write_bytes(b"damaged")
    (own_folder / "empty.onnx").write_bytes(b"")
    check_whole(measure(model, here(), RUNTIME, effort=SHORT))
    assert (own_folder / "float32-1.onnx").read_bytes() == reference_bytes("float32")
    assert (own_folder / "empty.onnx").read_bytes() == empty_bytes()
    assert sorted(path.name for path in own_folder.iterdir()) == ["empty.onnx", "float32-1.onnx"]


# ---- the machine's reference times


def test_reference_times_are_taken_once_and_kept(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsearch.latency.measure.CALIBRATION_SECONDS", 0.2)
    monkeypatch.setattr("segsearch.latency.measure.CALIBRATION_MOST_SECONDS", 0.0)
    machine = this_machine(RUNTIME)
    first = calibrated(machine, RUNTIME)
    assert replace(first, references=()) == machine
    assert [name for name, _ in first.references] == ["float32-1", "int8-1"]
    assert all(0 < value < math.inf for _, value in first.references)
    (kept,) = own_folder.glob("*.json")
    assert json.loads(kept.read_text()) == dict(first.references)
    assert not list(own_folder.glob("*.tmp"))
    forbid(monkeypatch)
    assert calibrated(machine, RUNTIME) == first


def test_times_that_the_folder_holds_are_believed(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch)
    machine = this_machine(RUNTIME)
    kept_of(machine, own_folder).write_text('{"float32-1": 1.25, "int8-1": 2.5}')
    assert calibrated(machine, RUNTIME).references == (("float32-1", 1.25), ("int8-1", 2.5))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"float32-1": 1.0, "int8-1"',
        b"\xff\xfe\x00",
        b"[1.0, 2.0]",
        b"null",
        b"7",
        b'{"float32-1": "quick", "int8-1": 2.0}',
        b'{"float32-1": null, "int8-1": 2.0}',
        b'{"float32-1": 0, "int8-1": -2.0}',
        b'{"float32-1": NaN, "int8-1": Infinity}',
        b'{"other-1": 1.0}',
    ],
)
def test_a_damaged_file_of_times_is_measured_again(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    asked = counting(monkeypatch)
    machine = this_machine(RUNTIME)
    kept_of(machine, own_folder).write_bytes(content)
    found = dict(calibrated(machine, RUNTIME).references)
    assert asked == ["float32", "int8"] * 3
    assert (found["float32-1"], found["int8-1"]) == (3.0, 3.0)
    assert json.loads(kept_of(machine, own_folder).read_text()) == found


def test_only_the_time_that_is_missing_is_taken(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counting(monkeypatch)
    machine = this_machine(RUNTIME)
    kept_of(machine, own_folder).write_text('{"float32-1": 1.25}')
    assert calibrated(machine, RUNTIME).references == (("float32-1", 1.25), ("int8-1", 3.0))
    assert asked == ["int8"] * 3


def test_each_machine_has_times_of_its_own(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counting(monkeypatch)
    for threads in (1, 2, 1, 2):
        calibrated(this_machine(RUNTIME, threads=threads), RUNTIME)
    assert asked == ["float32", "int8"] * 3 * 2
    assert len(list(own_folder.glob("*.json"))) == 2


def test_a_machine_that_the_database_knows_keeps_its_times(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch)
    machine = this_machine(RUNTIME)
    kept_of(machine, own_folder).write_text('{"float32-1": 1.25, "int8-1": 2.5}')
    other = replace(machine, key="0" * 64, references=(("float32-1", 70.0), ("int8-1", 80.0)))
    bare, stored = machine, replace(machine, references=KNOWN)
    found = machine_for(RUNTIME, threads=1, cores=None, known=[other, bare, stored])
    assert found == stored
    without = machine_for(RUNTIME, threads=1, cores=None, known=[other, bare])
    assert without.references == (("float32-1", 1.25), ("int8-1", 2.5))


def test_times_that_were_kept_under_the_former_key_stay_the_unit(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the cores change afterwards: the first that were found are those of the machine from then on."""
    asked = counting(monkeypatch)
    machine = this_machine(RUNTIME)
    (own_folder / f"reference-{former_key(machine)[:16]}.json").write_text('{"float32-1": 1.25, "int8-1": 2.5}')
    assert calibrated(machine, RUNTIME).references == (("float32-1", 1.25), ("int8-1", 2.5))
    assert json.loads(kept_of(machine, own_folder).read_text()) == {"float32-1": 1.25, "int8-1": 2.5}
    moved = replace(machine, affinity=tuple(core + 1 for core in machine.affinity))
    (own_folder / f"reference-{former_key(moved)[:16]}.json").write_text('{"float32-1": 7.0, "int8-1": 8.0}')
    assert calibrated(moved, RUNTIME).references == (("float32-1", 1.25), ("int8-1", 2.5))
    assert asked == []


def test_the_shortest_of_several_rounds_is_kept_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is slow at first, and again and again."""
    times = {"float32": [6.4, 4.8, 5.9, 4.7], "int8": [12.7, 9.4, 9.2, 10.0]}
    monkeypatch.setattr(measuring, "_reference_ms", lambda name, machine, runtime: times[name].pop(0))
    told = list[tuple[str, int, int]]()
    found = calibrated(this_machine(RUNTIME), RUNTIME, progress=lambda *step: told.append(step))
    assert found.references == (("float32-1", 4.7), ("int8-1", 9.2))
    assert [step[1:] for step in told] == [(0, 3), (1, 3), (2, 3), (3, 4), (4, 4)]
    assert {step[0] for step in told} == {STAGE}


CALIBRATE = """
import json, segsearch.latency.measure as room
from segsearch.latency.machine import this_machine
from segsearch.runtimes import RUNTIMES
room.CALIBRATION_SECONDS, room.CALIBRATION_MOST_SECONDS = 0.2, 0.0
runtime = RUNTIMES["onnxruntime"]
print(json.dumps(room.calibrated(this_machine(runtime), runtime).references))
"""


@pytest.mark.slow
def test_two_that_come_at_once_agree_on_the_times() -> None:
    asked = [
        subprocess.Popen([sys.executable, "-P", "-c", CALIBRATE], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    first, second = (json.loads(process.communicate(timeout=120)[0]) for process in asked)
    assert first == second


# ---- what cannot be timed


@pytest.mark.parametrize("content", [b"garbage", b"\x00" * 200, None], ids=["text", "zeros", "missing"])
def test_what_is_not_a_model_fails_the_trial(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "bad.onnx").write_bytes(content)
    assert_fails(tmp_path / "bad.onnx", r"^bad\.onnx: not an ONNX file \(\w+\)\.$")


def test_half_a_file_fails_the_trial(model: Path, tmp_path: Path) -> None:
    (tmp_path / "half.onnx").write_bytes(model.read_bytes()[:-100])
    assert_fails(tmp_path / "half.onnx", r"half\.onnx")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b""), r"cannot open bad\.onnx"),
        (lambda path: one_node(path, "NoSuchThing"), "NoSuchThing"),
        (
            lambda path: save(path, [helper.make_node("Constant", [], ["y"], value_float=1.0)], []),
            "must have an input; bad.onnx has none",
        ),
        (lambda path: one_node(path, shape=(1, 3, "height", "width")), "fixed shape; bad.onnx takes .*height"),
        (lambda path: one_node(path, "Identity", dtype=TensorProto.STRING), r"numbers; .* takes tensor\(string\)"),
        (fails_when_run, r"bad\.onnx could not be timed: .*Reshape"),
    ],
    ids=["empty", "unknown operator", "no input", "dynamic", "strings", "fails when run"],
)
def test_what_the_runtime_refuses_fails_the_trial(
    tmp_path: Path, make: Callable[[Path], object], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "bad.onnx")
    assert_fails(tmp_path / "bad.onnx", words)
    assert capfd.readouterr() == ("", "")


def test_a_reference_that_the_runtime_refuses_fails_too(model: Path, tmp_path: Path) -> None:
    one_node(tmp_path / "bad.onnx", "NoSuchThing")
    with pytest.raises(TrialFailed, match="NoSuchThing") as caught:
        compare(model, tmp_path / "bad.onnx", here(), RUNTIME, effort=SHORT)
    assert caught.value.kind == "runtime"


def test_a_runtime_that_is_not_installed_is_said(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim(tmp_path / "shims", "onnxruntime", "raise ImportError('libonnxruntime.so: not there')", monkeypatch)
    assert_fails(model, r"^model\.onnx could not be timed: ImportError: libonnxruntime\.so: not there$")


def test_a_process_that_never_ends_is_given_up(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsearch.latency.asking.PATIENCE_SECONDS", 1.0)
    children: list[psutil.Process] = []
    with meeting(children.append), pytest.raises(TrialFailed, match="no end after 1 s of timing") as caught:
        measure(model, here(), RUNTIME, effort=LONG)
    assert caught.value.kind == "runtime"
    assert_gone(children)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_process_that_dies_is_named_with_its_signal(model: Path, number: signal.Signals) -> None:
    def kill(child: psutil.Process) -> None:
        wait_for(lambda: child.cpu_times().user > 0.3)
        child.send_signal(number)

    with meeting(kill), pytest.raises(TrialFailed, match=rf"{RUNTIME.version} died of {number.name} while") as caught:
        measure(model, here(), RUNTIME, effort=LONG)
    assert caught.value.kind == "crash"
    assert "model.onnx" in str(caught.value)


# ---- a parent that ends half-way

PARENT = """
import sys
from dataclasses import replace
from pathlib import Path
from segsearch.latency.machine import this_machine
from segsearch.latency.measure import Effort, measure
from segsearch.runtimes import RUNTIMES
runtime = RUNTIMES["onnxruntime"]
machine = replace(this_machine(runtime), references=(("float32-1", 5.0), ("int8-1", 9.0)))
measure(Path(sys.argv[1]), machine, runtime, effort=Effort(interval=0.0, max_seconds=300.0))
"""


def test_a_parent_that_is_killed_leaves_no_process_and_no_file(model: Path, tmp_path: Path, own_folder: Path) -> None:
    with parent(model, tmp_path) as (process, child):
        process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL
        assert_gone([child])
    assert list((tmp_path / "temporary").iterdir()) == []
    assert sorted(path.name for path in own_folder.iterdir()) == ["empty.onnx", "float32-1.onnx"]


def test_ctrl_c_reaches_the_parent_alone_and_it_ends_both(model: Path, tmp_path: Path) -> None:
    with parent(model, tmp_path) as (process, child):
        assert os.getpgid(child.pid) != os.getpgid(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, err = process.communicate(timeout=60)
        assert "KeyboardInterrupt" in err
        assert_gone([child])
    assert list((tmp_path / "temporary").iterdir()) == []


# ---- helpers


def assert_fails(model: Path, words: str) -> None:
    with pytest.raises(TrialFailed, match=words) as caught:
        measure(model, here(), RUNTIME, effort=SHORT)
    assert caught.value.kind == "runtime"


def kept_of(machine: Machine, folder: Path) -> Path:
    return folder / f"reference-{machine.key[:16]}.json"


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object, **more: object) -> None:
        raise AssertionError("nothing may be measured")

    monkeypatch.setattr("segsearch.latency.measure._ask", never)


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the references that are timed from here on; each takes 3 ms."""
    asked: list[str] = []

    def time_it(name: str, machine: Machine, runtime: object) -> float:
        asked.append(name)
        return 3.0

    monkeypatch.setattr("segsearch.latency.measure._reference_ms", time_it)
    return asked


def shim(folder: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that only a new process sees."""
    folder.mkdir()
    (folder / f"{name}.py").write_text(code + "\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def wait_for(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "never came"
        time.sleep(0.01)


def stopwatch_of(process: psutil.Process) -> psutil.Process | None:
    """The process that measures, once it runs Python."""
    for child in process.children():
        try:
            if "segsearch.latency.stopwatch" in child.cmdline():
                return child
        except psutil.NoSuchProcess:
            continue
    return None


@contextmanager
def meeting(meet: Callable[[psutil.Process], object]) -> Iterator[None]:
    """Call `meet`, in a thread, with the process that measures."""

    def wait() -> None:
        wait_for(lambda: found.append(stopwatch_of(psutil.Process())) or found[-1])
        assert found[-1] is not None
        meet(found[-1])

    found: list[psutil.Process | None] = []
    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join(timeout=120)


@contextmanager
def parent(model: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A process that measures for minutes, and its child that is at it."""
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", PARENT, str(model)],
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            wait_for(lambda: stopwatch_of(psutil.Process(process.pid)))
            child = stopwatch_of(psutil.Process(process.pid))
            assert child is not None
            wait_for(lambda: child.cpu_times().user > 0.8)
            yield process, child
        finally:
            process.kill()


def assert_gone(processes: list[psutil.Process]) -> None:
    assert processes
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive
