"""`segsearch measure` as a user types it: real files, real processes, and the words about what was found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper
from rich.console import Console

from segsearch.commands import ownmodel
from segsearch.commands.ownmodel import Measured, as_json, by_type, layer_table, lines_of, type_table
from segsearch.evidence.timing import Block, Comparison, Energy, Machine, Timing
from segsearch.latency.kept import kept_times
from segsearch.latency.measure import calibrated
from segsearch.latency.room import machine_room
from segsearch.runtimes import Operation
from segsearch.runtimes.inputs import Input
from segsearch.runtimes.onnxruntime import OnnxRuntime
from tests.conftest import Command, Said
from tests.models import (
    RUNTIME,
    beside,
    calibrate_at_once,
    convolutions,
    fails_when_run,
    here,
    one_node,
    resized,
    save,
    scoring,
)

SHORT = ("--seconds", 0.5)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calibrate_at_once(monkeypatch, tmp_path / "cache")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return convolutions(tmp_path / "model.onnx")


def assert_refused(said: Said, *words: str) -> None:
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("segsearch: ")
    assert 1 <= len(said.err.strip().splitlines()) <= 2
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


def measured(command: Command, *arguments: object) -> dict[str, Any]:
    said = command("measure", *arguments, *SHORT, "--json")
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


# ---- what is printed


def test_the_numbers_of_a_model_as_a_person_reads_them(command: Command, model: Path) -> None:
    said = command("measure", model, *SHORT)
    assert said.code == 0, said.err
    assert said.err == ""
    lines = said.out.splitlines()
    machine = here()
    assert lines[0] == f"Model    {model}, {model.stat().st_size / 1e3:.3g} kB"
    number = r"[0-9.e-]+"
    ended = "(its time was up|its interval is narrow enough)"
    latency = rf"Latency  {number} ms, 95 % interval {number} to {number} ms \(\d+ runs; it ended because {ended}\)"
    assert lines[1] == "Input    image: float32 1x3x32x32"
    assert re.fullmatch(latency, lines[2])
    words = [line.split()[0] for line in lines]
    assert words[:7] == ["Model", "Input", "Latency", "State", "p95", "p99", "Start"]
    assert words[-1] == "Machine"
    about = f"{machine.cpu}, {machine.cores} cores, {machine.runtime}, 1 thread, cpu clock"
    assert lines[-1] == f"Machine  {machine.short}: {about}"


def test_a_model_of_scores_is_timed_with_the_mask_made_of_them(command: Command, tmp_path: Path) -> None:
    model = scoring(tmp_path / "scores.onnx")
    before = model.read_bytes()
    plain, masked = measured(command, model, "--profile"), measured(command, model, "--mask", "--profile")
    kinds = [{one["type"] for one in found["operations"]} for found in (plain, masked)]
    assert kinds[1] - kinds[0] == {"ArgMax", "Cast"}
    assert (plain["mask"], masked["mask"]) == (False, True)
    assert command("measure", model, "--mask", *SHORT).out.splitlines()[0].endswith(", with a mask")
    assert model.read_bytes() == before


def test_what_answers_no_scores_has_no_mask(command: Command, tmp_path: Path) -> None:
    model = scoring(tmp_path / "flat.onnx", rank=3)
    assert_refused(
        command("measure", model, "--mask", *SHORT), "--mask needs float scores", "rank 3", "Leave --mask out"
    )


def test_the_same_for_programs(command: Command, model: Path) -> None:
    found = measured(command, model)
    assert (found["model"], found["size_bytes"]) == (str(model), model.stat().st_size)
    assert found["reference"] == "float32-1"
    low, high = found["ratio_interval"]
    assert 0 < low <= found["ratio"] <= high
    assert found["latency_ms"] == found["ratio"] * 5.0
    assert found["interval_ms"] == [low * 5.0, high * 5.0]
    assert found["runs"] > 0
    assert found["load_ms"] > 0
    assert found["first_run_ms"] > 0
    assert found["ended_by"] in ("time", "interval")
    assert (found["against"], found["operations"]) == (None, [])
    assert (found["threads"], found["clock"], found["state"]) == (1, "cpu", "pipeline")
    assert found["machine"]["key"] == here().key


def test_a_model_is_timed_warm_where_that_is_asked_for(command: Command, model: Path) -> None:
    assert measured(command, model, "--state", "warm")["state"] == "warm"
    assert_refused(command("measure", model, "--state", "hot"), "--state", "'pipeline', 'warm'")


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one core")
def test_threads_are_the_runtimes_and_make_another_machine(command: Command, model: Path) -> None:
    found = measured(command, model, "--threads", 2)
    assert (found["threads"], found["clock"]) == (2, "wall")
    assert found["machine"]["key"] == here(threads=2).key != here().key


def test_a_wide_interval_is_reached_before_time_is_up(command: Command, model: Path) -> None:
    said = command("measure", model, "--interval", 1.0, "--seconds", 300)
    assert said.code == 0, said.err
    assert "it ended because its interval is narrow enough" in said.out


def test_a_model_against_another_one_of_the_same_name(command: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = convolutions(tmp_path / "other" / "model.onnx", depth=1)
    said = command("measure", model, "--against", other, *SHORT)
    assert said.code == 0, said.err
    number = r"[0-9.e-]+"
    assert re.search(
        rf"^Ratio    {number} times {re.escape(str(other))} \({number} to {number}\)$", said.out, re.MULTILINE
    )
    assert "Note " not in said.out
    found = measured(command, model, "--against", other)
    assert (found["against"], found["reference"]) == (str(other), "model.onnx")
    assert found["interval_ms"][0] <= found["latency_ms"] <= found["interval_ms"][1]


@pytest.mark.parametrize("shape", ["1x3x16x24", "image=1x3x16x24"])
def test_an_open_shape_is_given(command: Command, tmp_path: Path, shape: str) -> None:
    model = convolutions(tmp_path / "model.onnx", size="side")
    before = model.read_bytes()
    found = measured(command, model, "--shape", shape)
    assert (found["model"], found["size_bytes"]) == (str(model), len(before))
    assert model.read_bytes() == before


def test_two_open_shapes_of_one_name_are_given(command: Command, tmp_path: Path) -> None:
    """Both copies are called what their models are; a model may be called `against` as well."""
    (tmp_path / "other").mkdir()
    model = convolutions(tmp_path / "against", size="side")
    other = convolutions(tmp_path / "other" / "against", size="side", depth=1)
    found = measured(command, model, "--against", other, "--shape", "1x3x16x16")
    assert found["against"] == str(other)


def test_a_model_weighs_what_its_files_do_and_its_weights_are_not_copied(command: Command, tmp_path: Path) -> None:
    model = beside(tmp_path / "model.onnx", size="side")
    found = measured(command, model, "--shape", "1x3x16x16", "--mask")
    assert found["size_bytes"] == model.stat().st_size + (tmp_path / "model.data").stat().st_size
    assert found["inputs"] == [{"name": "image", "type": "float32", "shape": [1, 3, 16, 16], "values": None}]


def test_several_inputs_are_given_by_name_and_told(command: Command, tmp_path: Path) -> None:
    model = resized(tmp_path / "model.onnx", open_size=True)
    said = command("measure", model, "--value", "size=1,3,16,24", *SHORT, "--profile")
    assert said.code == 0, said.err
    assert said.out.splitlines()[1:3] == [
        "Input    image: float32 1x3x8x8",
        "Input    size: int64 4 = 1,3,16,24",
    ]


def test_two_models_share_no_names_and_are_compared(command: Command, tmp_path: Path) -> None:
    """A name that only one of them has is no mistake of the other's."""
    model, other = resized(tmp_path / "model.onnx"), convolutions(tmp_path / "other.onnx", size="side")
    given = ("--value", "size=1,3,16,24", "--shape", "image:1x3x8x8")
    assert measured(command, model, "--against", other, *given)["inputs"][1]["values"] == [1, 3, 16, 24]
    assert_refused(command("measure", model, "--against", other, *given, "--value", "sise=1", *SHORT), "'sise=1'")


@pytest.mark.parametrize(
    ("kind", "shape"), [("FLOAT16", (1, 3, 8, 8)), ("UINT8", (1, 8, 8, 3)), ("FLOAT", (8, 3, 8, 8))], ids=str
)
def test_an_input_is_of_its_own_type_and_shape(
    command: Command, tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    model = one_node(tmp_path / "model.onnx", "Identity", shape, dtype=getattr(TensorProto, kind))
    (one,) = measured(command, model)["inputs"]
    assert one["shape"] == list(shape)
    assert one["type"] == {"FLOAT16": "float16", "UINT8": "uint8", "FLOAT": "float32"}[kind]


def test_a_run_that_fails_on_zeros_says_how_to_give_others(command: Command, tmp_path: Path) -> None:
    """A table of indices that must not be 0."""
    node = helper.make_node("Div", ["image", "by"], ["scores"])
    values = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, 32]) for name in ("image", "by")]
    path = save(tmp_path / "bad.onnx", [node], values, output=TensorProto.INT64)
    said = command("measure", path, *SHORT)
    assert_refused(said, "bad.onnx", "image, by were given zeros", "--value image=NUMBER, one for all")
    assert command("measure", path, "--value", "by=1", *SHORT).code == 0


# ---- profiles


def test_a_profile_is_a_table_of_types_and_one_of_layers(command: Command, model: Path) -> None:
    said = command("measure", model, "--profile", *SHORT)
    assert said.code == 0, said.err
    types, layers = said.out.split("\n\n")[1:]
    assert re.match(r"type +operations +ms +share", types)
    assert re.search(r"^\w*Conv\w* +3 +[0-9.]+ +[0-9.]+%$", types, re.MULTILINE)
    assert re.match(r"layer +type +ms +share", layers)
    assert len(re.findall(r" \w*Conv\w* +[0-9.]+ +[0-9.]+%", layers)) == 3
    for table in (types, layers):
        assert sum(map(float, re.findall(r"([0-9.]+)%", table))) == pytest.approx(100, abs=1)


def test_a_profile_for_programs(command: Command, model: Path) -> None:
    operations = measured(command, model, "--profile")["operations"]
    assert len([one for one in operations if "Conv" in one["type"]]) == 3
    assert all(one["name"] and one["mean_ms"] >= 0 for one in operations)


def test_a_profile_is_a_chart_in_one_file(command: Command, model: Path, tmp_path: Path) -> None:
    page = tmp_path / "profile.html"
    said = command("measure", model, "--profile", "--html", page, *SHORT)
    assert said.code == 0, said.err
    assert said.out.endswith(f"Wrote {page}\n")
    text = page.read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text)
    assert "Where the time of" in text
    layers = re.findall(r"<td>([^<]+)</td><td>\w*Conv\w*</td>", text)
    assert len(layers) == 3
    assert measured(command, model, "--profile", "--html", page)["operations"], "both may be asked for"


# ---- what it is made of

LIGHT = """
import sys
from segsearch.commands.app import main
code = main(sys.argv[1:])
heavy = sorted({"torch", "optuna", "plotly"} & set(sys.modules))
assert code == 0 and not heavy, (code, heavy)
"""


def test_measuring_needs_no_torch(model: Path, tmp_path: Path) -> None:
    calibrated(replace(here(), references=()), RUNTIME)
    (tmp_path / "temporary").mkdir()
    said = subprocess.run(
        [sys.executable, "-P", "-c", LIGHT, "measure", str(model), "--profile", "--seconds", "0.5"],
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    assert list((tmp_path / "temporary").iterdir()) == []


def test_it_is_timed_and_profiled_alone_in_the_room(
    command: Command, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    alone: list[bool] = []
    real = OnnxRuntime.profile

    def profile(self: Any, *arguments: Any, **more: Any) -> tuple[Operation, ...]:
        with (machine_room().folder / "room.lock").open("r+") as room:
            try:
                fcntl.flock(room, fcntl.LOCK_SH | fcntl.LOCK_NB)
                alone.append(False)
            except BlockingIOError:
                alone.append(True)
        return real(self, *arguments, **more)

    monkeypatch.setattr(OnnxRuntime, "profile", profile)
    measured(command, model, "--profile")
    assert alone == [True]


# ---- mistakes


def _text(path: Path) -> object:
    return path.write_text("garbage")


def _none(path: Path) -> object:
    return save(path, [helper.make_node("Constant", [], ["scores"], value_float=1.0)], [])


BAD: dict[str, tuple[Callable[[Path], object], tuple[str, ...], tuple[str, ...]]] = {
    "missing": (lambda path: None, (), ("bad.onnx: no such file",)),
    "a folder": (lambda path: path.mkdir(), (), ("bad.onnx: cannot be read", "directory")),
    "empty": (lambda path: path.touch(), (), ("bad.onnx: not an ONNX model",)),
    "text": (_text, (), ("bad.onnx: not an ONNX file", "export")),
    "half a file": (
        lambda path: path.write_bytes(convolutions(path).read_bytes()[:-100]),
        (),
        ("bad.onnx: not an ONNX file",),
    ),
    "unknown operator": (lambda path: one_node(path, "NoSuchThing"), (), ("cannot open bad.onnx", "NoSuchThing")),
    "a size beside the image": (resized, (), ("size (int64, 4 numbers)", "--value size=NUMBER,NUMBER,NUMBER,NUMBER")),
    "two open shapes": (
        lambda path: one_node(path, "Add", (1, 3, "h", "w"), inputs=("one", "two")),
        (),
        ("--shape one:1x3x360x480 --shape two:1x3x360x480",),
    ),
    "whose shape": (
        lambda path: one_node(path, "Add", (1, 3, "h", "w"), inputs=("one", "two")),
        ("--shape", "1x3x8x8"),
        ("has 2 inputs", "--shape one:1x3x360x480"),
    ),
    "no input": (_none, (), ("must have an input", "none")),
    "no weights beside it": (
        lambda path: (beside(path), (path.parent / "model.data").unlink()),
        (),
        ("bad.onnx: its weights lie beside it, in model.data", "no such file"),
    ),
    "strings": (lambda path: one_node(path, "Identity", dtype=TensorProto.STRING), (), ("numbers", "string")),
    "fails when run": (fails_when_run, (), ("bad.onnx could not be timed", "Reshape")),
    "an open shape": (
        lambda path: convolutions(path, size="side"),
        (),
        ("image has no fixed shape (1x3xsidexside)", "--shape 1x3x360x480"),
    ),
    "not a shape": (lambda path: convolutions(path, size="side"), ("--shape", "big"), ("1x3x360x480", "'big'")),
    "another input's shape": (
        lambda path: convolutions(path, size="side"),
        ("--shape", "picture=1x3x8x8"),
        ("--shape must name an input", "'picture=1x3x8x8'", "image"),
    ),
    "a shape that does not fit": (
        convolutions,
        ("--shape", "1x3x8x8"),
        ("must fit the input image (1x3x32x32)", "'1x3x8x8'"),
    ),
    "a shape that no memory holds": (
        lambda path: convolutions(path, size="side"),
        ("--shape", "1x3x999999999x999999999"),
        ("bad.onnx could not be timed",),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_model_that_cannot_be_timed_is_refused(command: Command, tmp_path: Path, case: str) -> None:
    make, arguments, words = BAD[case]
    make(tmp_path / "bad.onnx")
    assert_refused(command("measure", tmp_path / "bad.onnx", *arguments, *SHORT), *words)


@pytest.mark.parametrize("case", ["missing", "text", "unknown operator", "a size beside the image", "an open shape"])
def test_another_model_that_cannot_be_timed_is_refused(
    command: Command, model: Path, tmp_path: Path, case: str
) -> None:
    make, _, words = BAD[case]
    make(tmp_path / "bad.onnx")
    assert_refused(command("measure", model, "--against", tmp_path / "bad.onnx", *SHORT), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["measure"], ["MODEL"]),
        (["measure", "MODEL", "--threads", "0"], ["--threads"]),
        (["measure", "MODEL", "--threads", "many"], ["--threads"]),
        (["measure", "MODEL", "--seconds", "0"], ["--seconds"]),
        (["measure", "MODEL", "--seconds", "nan"], ["--seconds"]),
        (["measure", "MODEL", "--interval", "0"], ["--interval"]),
        (["measure", "MODEL", "--interval", "2"], ["--interval"]),
        (["measure", "MODEL", "--html", "page.html"], ["--html", "--profile"]),
        (["measure", "MODEL", "--against"], ["--against"]),
        (["measure", "MODEL", "--agianst", "MODEL"], ["--agianst"]),
        (["measure", "MODEL", "MODEL"], ["unexpected", "model.onnx"]),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_timed(
    command: Command, model: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    def never(*arguments: object, **more: object) -> None:
        raise AssertionError("nothing may be measured")

    monkeypatch.setattr("segsearch.latency.measure._ask", never)
    real = [str(model) if argument == "MODEL" else argument for argument in arguments]
    assert_refused(command(*real), *words)


def test_a_page_that_cannot_be_written_is_said(command: Command, model: Path, tmp_path: Path) -> None:
    said = command("measure", model, "--profile", "--html", tmp_path / "nowhere" / "page.html", *SHORT)
    assert_refused(said, "--html", "No such file or directory")


def test_a_runtime_that_dies_is_said(command: Command, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process starts and dies at once, as on a processor that lacks an instruction."""
    shell = model.parent / "python"
    shell.write_text("#!/bin/sh\nkill -ILL $$\n")
    shell.chmod(0o755)
    monkeypatch.setattr("segsearch.latency.asking.sys.executable", str(shell))
    assert_refused(command("measure", model, *SHORT), f"{RUNTIME.version} died of SIGILL", "model.onnx")


def test_a_runtime_that_is_not_installed_is_said(
    command: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shims").mkdir()
    (tmp_path / "shims" / "onnxruntime.py").write_text("raise ImportError('no library here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "shims"))
    assert_refused(command("measure", model, *SHORT), "ImportError: no library here")


# ---- words, by hand

MACHINE = Machine("0123456789" * 6 + "abcd", "a CPU", 2, 2**30, "Linux", "onnxruntime 0")
COMPARED = Comparison("float32-1", 5.0, (Block(0, 4, 2.0, 5.0),), 0.4, 0.39, 0.41, "time")
ENERGY = Energy((9_000.0, 11_000.0), 20.0, 4.0)
TIMING = Timing(
    (2.0,) * 4, 5, 1, MACHINE.key, "cpu", COMPARED, (6.0,), (3.0,), 2_500_000, 1.5, wall_ms=(3.0,) * 4, energy=ENERGY
)
INPUTS = (Input("image", "float32", (1, 3, 8, 8)), Input("ids", "int64", (1, 99)))
FOUND = Measured(Path("model.onnx"), MACHINE, TIMING, None, 1_234_567, inputs=INPUTS)


def test_every_line_by_hand() -> None:
    counter = "by the processor's counter, 20 mJ of the idle machine taken out"
    assert lines_of(FOUND) == [
        "Model    model.onnx, 1.23 MB",
        "Input    image: float32 1x3x8x8",
        "Input    ids: int64 1x99, zeros",
        "Latency  2 ms, 95 % interval 1.95 to 2.05 ms (4 runs; it ended because its time was up)",
        "State    pipeline: it ran among other work, which left its own in the caches",
        "p95      too few runs to tell",
        "p99      too few runs to tell",
        "Start    6 ms to load, 3 ms for the first run",
        "Memory   2.5 MB at the most, above the bare runtime",
        f"Energy   1.5 mJ a run {counter}; the reference took 4 mJ",
        "Machine  01234567: a CPU, 2 cores, onnxruntime 0, 1 thread, cpu clock",
    ]


def test_a_machine_that_was_slow_is_noted_and_taken_out() -> None:
    """The reference took 10 ms instead of 5: everything that has no ratio of its own is halved."""
    compared = replace(COMPARED, blocks=(Block(0, 500, 4.0, 10.0),), ended_by="interval")
    timing = replace(TIMING, samples_ms=(4.0,) * 500, wall_ms=(6.0,) * 500, comparison=compared, state="warm")
    timing = replace(timing, peak_memory_bytes=None, energy_mj=None, energy=None)
    assert lines_of(replace(FOUND, timing=timing, inputs=()))[1:-1] == [
        "Latency  2 ms, 95 % interval 1.95 to 2.05 ms (500 runs; it ended because its interval is narrow enough)",
        "State    warm: it ran again and again, its own in the caches",
        "p95      6 ms on the wall clock; 2 ms on the cpu clock, drift taken out",
        "p99      6 ms on the wall clock; 2 ms on the cpu clock, drift taken out",
        "Start    3 ms to load, 1.5 ms for the first run",
        "Note     the machine ran 2.00 times slower than at its best; that is taken out",
    ]


def test_a_unit_of_a_slow_minute_is_noted_with_the_cure() -> None:
    """The reference took 4 ms instead of 5; against another model there is no kept time."""
    compared = replace(COMPARED, blocks=(Block(0, 4, 1.6, 4.0),))
    found = replace(FOUND, timing=replace(TIMING, comparison=compared))
    (note,) = [line for line in lines_of(found) if line.startswith("Note")]
    assert "the reference ran 1.25 times as fast as when its time was kept, in a slow minute" in note
    assert f"delete {kept_times(MACHINE.key)} before the next study" in note
    assert not any(line.startswith("Note") for line in lines_of(replace(found, against=Path("other.onnx"))))


def test_the_ratio_to_another_model_by_hand() -> None:
    """The reference's own times are the unit then: nothing can be said of how slow the machine was."""
    compared = replace(COMPARED, reference="other.onnx", reference_ms=10.0, blocks=(Block(0, 4, 4.0, 10.0),))
    found = replace(FOUND, timing=replace(TIMING, comparison=compared), against=Path("there/other.onnx"))
    lines = lines_of(replace(found, inputs=()))
    assert lines[1].startswith("Latency  4 ms, 95 % interval 3.9 to 4.1 ms")
    assert lines[2] == "Ratio    0.4 times there/other.onnx (0.39 to 0.41)"
    assert not [line for line in lines if line.startswith("Note")]


def test_json_by_hand() -> None:
    operations = (Operation("conv", "Conv", 0.25),)
    assert json.loads(as_json(replace(FOUND, operations=operations))) == {
        "model": "model.onnx",
        "size_bytes": 1_234_567,
        "inputs": [
            {"name": "image", "type": "float32", "shape": [1, 3, 8, 8], "values": None},
            {"name": "ids", "type": "int64", "shape": [1, 99], "values": None},
        ],
        "mask": False,
        "latency_ms": 2.0,
        "interval_ms": [0.39 * 5.0, 0.41 * 5.0],
        "latency_p95_ms": None,
        "latency_p99_ms": None,
        "wall_p95_ms": None,
        "wall_p99_ms": None,
        "load_ms": 6.0,
        "first_run_ms": 3.0,
        "peak_memory_bytes": 2_500_000,
        "energy_mj": 1.5,
        "energy": {"idle_mw": [9_000.0, 11_000.0], "idle_mj": 20.0, "reference_mj": 4.0},
        "runs": 4,
        "ended_by": "time",
        "against": None,
        "reference": "float32-1",
        "ratio": 0.4,
        "ratio_interval": [0.39, 0.41],
        "slowdown": 1.0,
        "clock": "cpu",
        "state": "pipeline",
        "threads": 1,
        "machine": {"key": MACHINE.key, "cpu": "a CPU", "runtime": "onnxruntime 0"},
        "operations": [{"name": "conv", "type": "Conv", "mean_ms": 0.25}],
    }


OPERATIONS = (
    Operation("first", "Conv", 1.0),
    Operation("second", "Resize", 6.0),
    Operation("third", "Conv", 3.0),
)


def printed(table: object) -> list[list[str]]:
    console = Console(width=120)
    with console.capture() as said:
        console.print(table)
    return [line.split() for line in said.get().splitlines()]


def test_types_are_added_up_and_layers_stay_in_their_order() -> None:
    assert by_type(OPERATIONS) == [("Resize", 1, 6.0), ("Conv", 2, 4.0)]
    assert printed(type_table(OPERATIONS))[1:] == [
        ["Resize", "1", "6.000", "60.0%"],
        ["Conv", "2", "4.000", "40.0%"],
    ]
    assert printed(layer_table(OPERATIONS))[1:] == [
        ["first", "Conv", "1.000", "10.0%"],
        ["second", "Resize", "6.000", "60.0%"],
        ["third", "Conv", "3.000", "30.0%"],
    ]


def test_only_the_dearest_layers_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownmodel, "SHOWN_OPERATIONS", 2)
    assert [row[0] for row in printed(layer_table(OPERATIONS))[1:]] == ["second", "third"]


def test_names_of_layers_are_text_and_not_markup() -> None:
    assert "[red]x[/red]" in printed(layer_table([Operation("[red]x[/red]", "Conv", 1.0)]))[1]


def test_nothing_to_show_is_shown_as_nothing() -> None:
    assert by_type(()) == []
    assert len(printed(type_table(()))) == len(printed(layer_table(()))) == 1
    assert printed(layer_table([Operation("idle", "Identity", 0.0)]))[1] == ["idle", "Identity", "0.000", "0.0%"]
