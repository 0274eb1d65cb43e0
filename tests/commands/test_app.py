"""The commands as a user types them: what they print, and that every mistake ends in two lines and exit code 2."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segsearch.commands import app
from segsearch.space.load import load_space, space_from_source
from segsearch.store import open_store
from tests.conftest import STUDY, Command, Said

ROOT = Path(__file__).resolve().parents[2]


def assert_refused(said: Said, *words: str) -> None:
    assert said.code == 2
    assert said.err.startswith("segsearch: ")
    assert 1 <= len(said.err.strip().splitlines()) <= 2
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


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


# ---- run, resume


@pytest.mark.usefixtures("quick")
def test_run_reports_each_trial_the_front_and_what_to_type_next(
    command: Command, study_file: Path, tmp_path: Path
) -> None:
    said = command("run", study_file, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    trained = re.findall(r"^trial \d+ +trained +miou .*\((\d) of 3", said.out, re.MULTILINE)
    assert trained == ["1", "2", "3"]
    assert "Done: 3 of 3 trials are trained" in said.out
    assert f"segsearch pick {tmp_path / 'out' / 'study.db'}" in said.out
    with open_store(tmp_path / "out" / "study.db") as store:
        assert store.counts("tiny").trained == 3


@pytest.mark.usefixtures("quick")
def test_run_twice_is_run_once(command: Command, study_file: Path, tmp_path: Path) -> None:
    command("run", study_file, "--out", tmp_path / "out")
    said = command("run", study_file, "--out", tmp_path / "out")
    assert said.code == 0
    assert "Nothing was left to do: 3 of 3" in said.out
    assert not re.search(r"^trial", said.out.split("Nothing")[0], re.MULTILINE)


@pytest.mark.usefixtures("quick")
def test_more_trials_carry_on_by_run_and_by_resume(command: Command, study_file: Path, tmp_path: Path) -> None:
    database = tmp_path / "out" / "study.db"
    assert command("run", study_file, "--out", tmp_path / "out", "--trials", 1).code == 0
    assert "2 of 2 trials" in command("run", study_file, "--out", tmp_path / "out", "--trials", 2).out
    study_file.unlink()
    assert "4 of 4 trials" in command("resume", database, "--trials", 4).out
    status = command("status", database).out
    assert "Trials   4 of 4" in status
    assert re.search(r"^Machine  .+ cores, .+ GiB, .+, onnxruntime", status, re.MULTILINE)


@pytest.mark.usefixtures("quick")
def test_the_default_place_is_runs_in_this_folder(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("run", study_file, "--trials", 1).code == 0
    assert (tmp_path / "runs" / "tiny" / "study.db").is_file()
    assert (tmp_path / "runs" / ".cache" / "segsearch").is_dir()


@pytest.mark.usefixtures("quick")
def test_resume_needs_neither_the_study_file_nor_the_space_file(command: Command, tmp_path: Path) -> None:
    space, study = tmp_path / "mine.py", tmp_path / "mine.toml"
    space.write_text((ROOT / "spaces" / "mobile.py").read_text())
    study.write_text(STUDY.replace('"mobile"', '"mine.py"'))
    assert command("run", study, "--out", tmp_path / "out", "--trials", 1).code == 0
    space.unlink()
    study.unlink()
    said = command("resume", tmp_path / "out" / "study.db", "--trials", 2)
    assert said.code == 0, said.err


@pytest.mark.usefixtures("quick")
def test_resume_refuses_a_space_that_was_changed(command: Command, study_file: Path, tmp_path: Path) -> None:
    command("run", study_file, "--out", tmp_path / "out", "--trials", 1)
    (copy,) = (tmp_path / "out" / "artifacts").glob("*.py")
    copy.write_text("# nothing")
    assert_refused(command("resume", tmp_path / "out" / "study.db", "--trials", 2), copy.name, "changed")


@pytest.mark.usefixtures("quick")
def test_a_study_under_way_keeps_the_built_in_space_that_it_began_with(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("run", study_file, "--out", tmp_path / "out", "--trials", 1)
    now = load_space("mobile")
    newer = space_from_source(now.source + "\n# another version of segsearch\n", name=now.name)
    monkeypatch.setattr("segsearch.launch.load_space", lambda spec: newer)
    said = command("run", study_file, "--out", tmp_path / "out", "--trials", 2)
    assert said.code == 0, said.err
    (copy,) = (tmp_path / "out" / "artifacts").glob("*.py")
    assert copy.read_text() == now.source


SLOW_CLI = """
import sys
from tests.conftest import fake_room
sys.modules["segsearch.trial.contained"] = fake_room(seconds=0.5)
from segsearch.commands.app import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_says_how_to_carry_on(number: int, study_file: Path, tmp_path: Path) -> None:
    database = tmp_path / "out" / "study.db"
    arguments = [sys.executable, "-u", "-c", SLOW_CLI, "run", str(study_file), "--out", str(tmp_path / "out")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        for line in process.stdout:
            if "trained" in line:
                break
        time.sleep(0.2)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == f"segsearch: Stopped. Carry on with: segsearch resume {database}\n"
    with open_store(database) as store:
        assert not [trial for trial in store.trials("tiny", {"running"}) if trial.worker]


def test_a_reader_that_leaves_early_is_no_error(filled: Path) -> None:
    script = Path(sys.executable).with_name("segsearch")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{script}' front '{filled}' --json | head -n 1"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[\n"
    assert done.stderr == ""


# ---- check


@pytest.mark.usefixtures("quick")
def test_check_says_what_it_will_take(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("check", study_file)
    assert said.code == 0, said.err
    assert "4 training and 2 validation images, 8 classes" in said.out
    assert "about 2 min for the trained trials" in said.out
    assert f"segsearch run {study_file}" in said.out
    assert not (tmp_path / "runs" / "tiny").exists()


# ---- status, front, pick


def test_status_counts_states_and_shows_failures(command: Command, filled: Path) -> None:
    said = command("status", filled)
    assert said.code == 0
    assert "Trials   8 of 8 trained" in said.out
    assert "1 failed" in said.out
    assert "trial 2: diverged: the loss became NaN" in said.out
    assert "finished" in said.out


def test_front_prints_its_members_and_marks_the_knee(command: Command, filled: Path) -> None:
    said = command("front", filled)
    assert said.code == 0
    assert said.out.startswith("trial")
    assert len(re.findall(r"^ *\d+\*", said.out, re.MULTILINE)) == 1


def test_front_as_json_lists_all_trained_trials(command: Command, filled: Path) -> None:
    objects = json.loads(command("front", filled, "--json").out)
    assert len(objects) == 8
    for entry in objects:
        assert {"trial", "objectives", "candidate", "artifact", "on_front"} <= entry.keys()
        assert {"miou", "latency_ms", "size_bytes"} <= entry["objectives"].keys()
        assert Path(entry["artifact"]["path"]).name == f"{entry['artifact']['sha256']}.onnx"
        assert Path(entry["artifact"]["path"]).is_absolute()
    assert any(entry["on_front"] for entry in objects)


def test_front_under_a_limit_leaves_out_what_breaks_it(command: Command, filled: Path) -> None:
    everything = json.loads(command("front", filled, "--json").out)
    bound = sorted(entry["objectives"]["latency_ms"] for entry in everything)[3]
    objects = json.loads(command("front", filled, "--json", "--limit", f"latency_ms<={bound}").out)
    assert len(objects) == 8
    over = [entry for entry in objects if entry["objectives"]["latency_ms"] > bound]
    assert over
    assert all(entry["breaks"] and not entry["on_front"] for entry in over)
    assert any(entry["on_front"] for entry in objects)


def test_front_as_csv_says_the_same(command: Command, filled: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(command("front", filled, "--csv").out)))
    objects = json.loads(command("front", filled, "--json").out)
    assert [int(line["trial"]) for line in lines] == [entry["trial"] for entry in objects]
    assert [float(line["latency_ms"]) for line in lines] == [entry["objectives"]["latency_ms"] for entry in objects]
    assert [line["on_front"] == "true" for line in lines] == [entry["on_front"] for entry in objects]


def test_front_as_html_is_one_file(command: Command, filled: Path, tmp_path: Path) -> None:
    page = tmp_path / "front.html"
    assert command("front", filled, "--html", page).code == 0
    text = page.read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text)
    assert "Front of fake" in text


def test_pick_takes_the_knee_and_keeps_the_reason(command: Command, filled: Path) -> None:
    said = command("pick", filled)
    assert said.code == 0, said.err
    knee = int(re.findall(r"^ *(\d+)\*", command("front", filled).out, re.MULTILINE)[0])
    with open_store(filled) as store:
        (kept,) = store.picks("fake")
    assert kept.pick.trial == knee
    assert "knee" in kept.pick.reason
    assert "latency_ms" in kept.pick.reason
    model = re.findall(r"^Model +(.+)$", said.out, re.MULTILINE)[0]
    assert Path(model).is_file()


def test_pick_by_preference_limit_and_number(command: Command, filled: Path) -> None:
    objects = json.loads(command("front", filled, "--json").out)
    best = max(objects, key=lambda entry: entry["objectives"]["miou"])
    fastest = min(objects, key=lambda entry: entry["objectives"]["latency_ms"])
    bound = sorted(entry["objectives"]["latency_ms"] for entry in objects)[4]
    under = [entry for entry in objects if entry["objectives"]["latency_ms"] <= bound]
    best_under = max(under, key=lambda entry: entry["objectives"]["miou"])
    asked = [
        (["--prefer", "miou"], best),
        (["--prefer", "latency_ms"], fastest),
        (["--prefer", "miou", "--limit", f"latency_ms<={bound}"], best_under),
        (["--trial", objects[1]["trial"], "--reason", "the client's wish"], objects[1]),
    ]
    for arguments, expected in asked:
        assert f"Picked trial {expected['trial']}:" in command("pick", filled, *arguments).out
    with open_store(filled) as store:
        reasons = [row.pick.reason for row in store.picks("fake")]
    assert len(reasons) == len(asked)
    assert reasons[-1].startswith("the client's wish (chosen by hand")


def test_names_are_text_and_not_markup(command: Command, filled: Path) -> None:
    with sqlite3.connect(filled) as raw:
        raw.execute("update segsearch_trials set failure_reason = '[red]x[/red] \x1b[2J' where state = 'failed'")
    raw.close()
    said = command("status", filled)
    assert "[red]x[/red]" in said.out
    assert "\x1b" not in said.out


# ---- mistakes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("trials = 3", "trails = 3"), ["unknown key 'trails'", "trials"]),
        (("trials = 3", 'trials = "many"'), ["trials", "'many'"]),
        (("trials = 3", "trials = 0"), ["trials", "0"]),
        (("trials = 3\n", ""), ["'trials' is missing"]),
        (("trials = 3", "trials = "), ["not valid TOML"]),
        (("height = 64", "height = 64\nhight = 1"), ["unknown key 'data.hight'"]),
        (('space = "mobile"', 'space = "nowhere.py"'), ["nowhere.py"]),
        (('space = "mobile"', 'space = "mobil"'), ["mobil"]),
        (('space = "mobile"', 'space = "mobile"\nobjectives = ["speed"]'), ["speed", "latency_ms"]),
        (('space = "mobile"', 'space = "mobile"\nlimits = ["latency_ms<12"]'), ["latency_ms<12"]),
        (('kind = "synthetic"', 'kind = "folders"'), ["root"]),
        (('kind = "synthetic"', 'kind = "folders"\nroot = "nowhere"'), ["nowhere"]),
        (
            ("[train]", "[teacher]\nepochs = 1\nchoices = {}\n\n[train]"),
            ["teacher.choices", "missing"],
        ),
    ],
)
@pytest.mark.parametrize("verb", ["run", "check"])
@pytest.mark.usefixtures("quick")
def test_a_wrong_study_file_is_refused(
    command: Command,
    study_file: Path,
    change: tuple[str, str],
    words: list[str],
    verb: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert change[0] in STUDY
    study_file.write_text(STUDY.replace(*change, 1))
    assert_refused(command(verb, study_file), *words)


@pytest.mark.usefixtures("quick")
def test_a_space_that_raises_is_refused(command: Command, study_file: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def draw(choose):\n    return 1 / 0\n")
    study_file.write_text(STUDY.replace('"mobile"', '"bad.py"'))
    assert_refused(command("run", study_file, "--out", tmp_path / "out"), "bad.py", "ZeroDivisionError")


@pytest.mark.usefixtures("quick")
def test_a_limit_nobody_can_meet_is_said(command: Command, study_file: Path, tmp_path: Path) -> None:
    extra = 'limits = ["latency_ms<=0.001"]\nsearch = {give_up_after = 5, startup_trials = 2}\n'
    study_file.write_text(STUDY.replace("trials = 3\n", f"trials = 3\n{extra}"))
    assert_refused(command("run", study_file, "--out", tmp_path / "out"), "latency_ms<=0.001")


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_database_can_be_read_but_not_written(command: Command, filled: Path) -> None:
    filled.chmod(0o444)
    filled.parent.chmod(0o555)
    try:
        assert command("front", filled).code == 0
        assert_refused(command("pick", filled), "study.db")
    finally:
        filled.parent.chmod(0o755)


def test_an_artifact_that_is_gone_is_said(command: Command, filled: Path) -> None:
    (entry, *_) = [entry for entry in json.loads(command("front", filled, "--json").out) if entry["on_front"]]
    path = Path(entry["artifact"]["path"])
    kept = path.read_bytes()
    path.unlink()
    try:
        assert_refused(command("pick", filled, "--trial", entry["trial"]), path.name)
    finally:
        path.write_bytes(kept)


@pytest.mark.usefixtures("quick")
def test_out_that_is_a_file_is_refused(command: Command, study_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(command("run", study_file, "--out", tmp_path / "file"), "--out")
    assert_refused(command("run", study_file, "--out", tmp_path / "file" / "under"), "--out")


# ---- what a kill or a second study leaves behind


@pytest.mark.usefixtures("quick")
def test_a_database_that_a_kill_left_empty_is_made_whole(command: Command, study_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "study.db").touch()
    assert command("run", study_file, "--out", out).code == 0


@pytest.mark.usefixtures("quick")
def test_two_studies_in_one_folder_are_told_apart(command: Command, study_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert command("run", study_file, "--out", out).code == 0
    study_file.write_text(STUDY.replace('name = "tiny"', 'name = "other"').replace("trials = 3", "trials = 2"))
    said = command("run", study_file, "--out", out)
    assert said.code == 0, said.err
    assert "--study other" in said.out
    assert_refused(command("front", out / "study.db"), "tiny", "other")
    assert command("front", out / "study.db", "--study", "other").code == 0


def test_a_pick_refuses_a_model_whose_bytes_changed(command: Command, filled: Path) -> None:
    front = json.loads(command("front", filled, "--json").out)
    entry = next(entry for entry in front if entry["on_front"])
    Path(entry["artifact"]["path"]).write_bytes(b"something else")
    assert_refused(command("pick", filled, "--trial", entry["trial"]), "the bytes it is named after")
