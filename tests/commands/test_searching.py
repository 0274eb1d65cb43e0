"""Check, run, resume and status as a user types them: what they print, and what they refuse."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from segsearch.commands import health
from segsearch.space.load import load_space, space_from_source
from segsearch.store import open_store
from segsearch.trial.child import Task
from segsearch.trial.types import Estimate
from segsearch.workshop import Progress
from tests.commands.doors import ROOT, SLOW_CLI, assert_refused, stopped_half_way
from tests.conftest import STUDY, Command, fake_room

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
    monkeypatch.setattr("segsearch.forecast.load_space", lambda spec: newer)
    said = command("run", study_file, "--out", tmp_path / "out", "--trials", 2)
    assert said.code == 0, said.err
    (copy,) = (tmp_path / "out" / "artifacts").glob("*.py")
    assert copy.read_text() == now.source


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_says_how_to_carry_on(
    number: signal.Signals, study_file: Path, tmp_path: Path
) -> None:
    database = tmp_path / "out" / "study.db"
    said = stopped_half_way(SLOW_CLI, ["run", str(study_file), "--out", str(tmp_path / "out")], number)
    assert re.search(r"^trial 0 +trained", said.out, re.MULTILINE)
    assert said.code == 130, said.err
    assert said.err == f"segsearch: Stopped. Carry on with: segsearch resume {database}\n"
    with open_store(database) as store:
        assert not [trial for trial in store.trials("tiny", {"running"}) if trial.worker]


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
    assert "Train    each trial 2 steps of 8 images (2 epochs) on crops of 64x64 pixels" in said.out
    warnings = [line for line in said.out.splitlines() if line.startswith("Warning")]
    assert len(warnings) == 1
    assert "2 steps a trial (4 images, batches of 8, 2 epochs) are few" in warnings[0]
    study_file.write_text(STUDY.replace("epochs = 2\nfine_tune_epochs = 1", "steps = 600"))
    said = command("check", study_file)
    assert said.code == 0, said.err
    assert "600 steps of 8 images (600 epochs)" in said.out
    assert "Warning" not in said.out


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("threads", "others", "told"), [(None, 0.9, True), (None, 0.02, False), (1, 0.9, False)])
def test_check_says_where_the_threads_of_training_would_wait_for_each_other(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    threads: int | None, others: float, told: bool,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(health, "busy_share", lambda: others)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr("segsearch.latency.cores.training_cores", lambda timing: tuple(range(8)))
    if threads is not None:
        study_file.write_text(STUDY.replace("[train]\n", f"[train]\nthreads = {threads}\n"))
    said = command("check", study_file)
    assert said.code == 0, said.err
    line = "Cores    others use 90% of 8 now, and threads of a training wait for each other: beside them it is quicker"
    assert (f"{line} with [train] threads = 1" in said.out) == told
    assert ("Cores  " in said.out) == told


@pytest.mark.usefixtures("quick")
def test_check_tells_of_rates_and_bins_that_are_larger_than_their_map(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = (
        r"^Maps     (\d+) of 200 draws ask for a rate or bins larger than their map, which add nothing: rate \d+ in .+"
    )
    found = re.search(line, command("check", study_file).out, re.MULTILINE)
    assert found is not None
    assert 0 < int(found[1]) < 200
    study_file.write_text(
        STUDY.replace("height = 64\nwidth = 64\ntrain_count", "height = 64\nwidth = 1024\ntrain_count")
    )
    assert "Maps" not in command("check", study_file).out


@pytest.mark.usefixtures("quick")
def test_a_space_is_told_the_same_of_its_data_by_whoever_draws(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a design that `check` finds in the space would be none of it when the search begins."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from segsearch.space import *\n\n\ndef draw(choose, facts):\n"
        "    assert (facts.classes, facts.height, facts.width) == (8, 64, 64), facts\n"
        "    width = choose.suggest_int(f'width for {facts.classes}', 8, 64, step=8)\n"
        "    return Candidate(Architecture((EncoderPath(Stem(8), (Stage('conv', width, 1, 2),)),), (), Head(8)))\n"
    )
    study_file.write_text(
        STUDY.replace('"mobile"', '"mine.py"')
        + '\n[[search.first]]\n"width for 8" = 16\n\n[teacher]\nepochs = 1\nchoices = { "width for 8" = 32 }\n'
    )
    for words in (
        ("check", study_file),
        ("run", study_file, "--trials", 1),
        ("resume", "runs/tiny/study.db", "--trials", 2),
    ):
        said = command(*words)
        assert said.code == 0, said.err


@pytest.mark.usefixtures("quick")
def test_check_knows_a_study_under_way_by_what_it_began_with(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update of segsearch changed the built-in space: what `run` carries on, `check` must not refuse."""
    monkeypatch.chdir(tmp_path)
    assert command("run", study_file, "--trials", 1).code == 0
    newer = space_from_source("def draw(choose):\n    raise ValueError('another space')\n", name="mobile.py")
    monkeypatch.setattr("segsearch.forecast.load_space", lambda spec: newer)
    assert command("check", study_file).code == 0
    study_file.write_text(study_file.read_text().replace('name = "tiny"', 'name = "other"'))
    assert "another space" in command("check", study_file).err


def test_check_names_each_limit_that_no_draw_meets_and_how_near_they_came(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = fake_room()
    near = ("latency_ms<=0.1 is broken by 5, of which the nearest has 1.3", "params<=9 is broken by 2, of which ...")
    found = Estimate(2.0, 30.0, 0.0, 1_000_000, looked=5, within=0, nearest=near)

    @contextmanager
    def contained(order: Task, *, progress: Progress) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(estimate=lambda candidates, artifacts: found)

    monkeypatch.setattr(room, "contained", contained)
    monkeypatch.setitem(sys.modules, "segsearch.trial.contained", room)
    monkeypatch.chdir(tmp_path)
    study_file.write_text(
        STUDY.replace("epochs = 2\nfine_tune_epochs = 1", "steps = 600").replace(
            "trials = 3\n", 'trials = 3\nlimits = ["latency_ms<=0.1", "params<=9"]\n'
        )
    )
    said = command("check", study_file)
    assert said.code == 0, said.err
    assert "Limits   kept by 0 of 5 draws, before training" in said.out
    (warning,) = [line for line in said.out.splitlines() if line.startswith("Warning")]
    assert warning.startswith(f"Warning: none of 5 draws meets the limits: {near[0]}; {near[1]}. The time is that of")


@pytest.mark.usefixtures("quick")
def test_a_study_that_began_with_an_upper_bound_on_quality_goes_on(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions took it; a study goes on as it began."""
    monkeypatch.chdir(tmp_path)
    study_file.write_text(STUDY.replace("trials = 3\n", 'trials = 3\nlimits = ["miou<=0.9"]\n'))
    with monkeypatch.context() as earlier:
        earlier.setattr("segsearch.launch.demand_sense", lambda limits, where: None)
        assert command("run", study_file, "--trials", 1).code == 0
    for again in (("run", study_file, "--trials", 2), ("check", study_file), ("resume", "runs/tiny/study.db")):
        said = command(*again)
        assert said.code == 0, said.err


# ---- status


def test_status_counts_states_and_shows_failures(command: Command, filled: Path) -> None:
    said = command("status", filled)
    assert said.code == 0
    assert "Trials   8 of 8 trained" in said.out
    assert "1 failed" in said.out
    assert "trial 2: diverged: the loss became NaN" in said.out
    assert "finished" in said.out


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
        (('space = "mobile"', 'space = "mobile"\nlimits = ["miou<=0.9"]'), ["limits: miou<=0.9", "miou>=0.9"]),
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
