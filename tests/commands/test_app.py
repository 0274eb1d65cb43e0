"""The door: what it loads, what it lists, and that every mistake ends in two lines and exit code 2."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from segsearch.commands import app
from tests.commands.doors import ROOT, assert_refused
from tests.conftest import Command, Said

# ---- starting


LIGHT = """
import sys
from segsearch.commands.app import main
code = main(sys.argv[1:])
heavy = sorted({"torch", "optuna", "onnx", "onnxruntime", "plotly", "numpy"} & set(sys.modules))
assert code == 0 and not heavy, (code, heavy)
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["--version"], ["status", "DB"], ["front", "DB"], ["pick", "DB"]]
)
def test_light_commands_import_nothing_heavy(arguments: list[str], filled: Path) -> None:
    real = [str(filled) if argument == "DB" else argument for argument in arguments]
    done = subprocess.run([sys.executable, "-c", LIGHT, *real], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_help_lists_every_command(command: Command) -> None:
    for said in (command(), command("--help")):
        assert said.code == 0
        assert {"new", "check", "run", "resume", "status", "front", "pick"} <= set(said.out.split())


def test_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    names = [command.__name__ for command in app.COMMANDS]
    missing = [name for name in names if f"segsearch {name}" not in text]
    assert not missing, f"README.md does not show {missing}"
    assert "make demo" in text
    assert "make test" in text


def test_the_console_script_is_installed() -> None:
    script = Path(sys.executable).with_name("segsearch")
    done = subprocess.run([script, "front", "nowhere.db"], capture_output=True, text=True)
    assert_refused(Said(done.returncode, done.stdout, done.stderr), "nowhere.db")


def test_a_reader_that_leaves_early_is_no_error(filled: Path) -> None:
    script = Path(sys.executable).with_name("segsearch")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{script}' front '{filled}' --json | head -n 1"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[\n"
    assert done.stderr == ""


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "STUDY", "--trials", "0"], ["--trials"]),
        (["run", "STUDY", "--minutes", "-1"], ["--minutes"]),
        (["run", "STUDY", "--data", "."], ["--data", "synthetic"]),
        (["run"], ["STUDY"]),
        (["run", "STUDY", "--wokers", "2"], ["--wokers"]),
        (["frunt", "DB"], ["frunt", "front"]),
        (["resume", "DB", "--trials", "many"], ["--trials"]),
        (["resume", "DB", "--study", "other"], ["other", "fake"]),
        (["status", "nowhere.db"], ["nowhere.db"]),
        (["front", "DB", "--limit", "speed<=3"], ["speed"]),
        (["front", "DB", "--limit", "latency_ms=3"], ["latency_ms=3"]),
        (["front", "DB", "--json", "--csv"], ["--json", "--csv"]),
        (["front", "DB", "--html", "nowhere/front.html"], ["nowhere/front.html"]),
        (["pick", "DB", "--trial", "1", "--limit", "latency_ms<=3"], ["--trial", "--limit"]),
        (["pick", "DB", "--trial", "1", "--prefer", "knee"], ["--trial", "--prefer"]),
        (["pick", "DB", "--trial", "99"], ["99"]),
        (["pick", "DB", "--trial", "2"], ["2"]),
        (["pick", "DB", "--prefer", "beauty"], ["beauty", "knee"]),
        (["pick", "DB", "--limit", "latency_ms<=0.0001"], ["latency_ms<=0.0001", "nearest"]),
    ],
)
@pytest.mark.usefixtures("quick")
def test_a_wrong_command_line_is_refused(
    command: Command,
    study_file: Path,
    filled: Path,
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    real = {"STUDY": str(study_file), "DB": str(filled)}
    assert_refused(command(*(real.get(argument, argument) for argument in arguments)), *words)


def not_a_database(path: Path) -> None:
    path.write_bytes(b"\x89PNG" + b"x" * 4096)


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("create table recipes (name text)")
    raw.close()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("insert into segsearch_migrations values (999, 0)")
    raw.close()


@pytest.mark.parametrize("verb", ["status", "front", "pick", "resume", "run"])
@pytest.mark.parametrize("spoil", [not_a_database, foreign, newer])
@pytest.mark.usefixtures("quick")
def test_a_database_that_is_not_ours_is_refused_and_left_alone(
    command: Command, filled: Path, study_file: Path, verb: str, spoil: object
) -> None:
    if spoil is not newer:
        filled.unlink()
    spoil(filled)  # type: ignore[operator]
    before = filled.read_bytes()
    target = ["run", study_file, "--out", filled.parent] if verb == "run" else [verb, filled]
    assert_refused(command(*target), "study.db")
    assert filled.read_bytes() == before
