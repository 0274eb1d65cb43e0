"""`--screen`: many are looked at, one is trained; what was only looked at is no model, and every command says so."""

from __future__ import annotations

from pathlib import Path

import pytest

import segsearch
from segsearch.dashboard.reading import Reader
from segsearch.errors import StudyError
from segsearch.store import open_store
from segsearch.store.worker import at_work
from tests import fakes
from tests.conftest import Command


@pytest.fixture
def database(command: Command, study_file: Path, tmp_path: Path, quick: None) -> Path:
    """A study of which some candidates were only looked at."""
    text = study_file.read_text()
    assert "[search]" not in text
    study_file.write_text(text + "\n[search]\nstartup_trials = 1\n")
    done = command("run", study_file, "--out", tmp_path / "out", "--screen", 4)
    assert done.code == 0, done.err
    assert "Done: 3 of 3 trials are trained (0 rejected by a limit, 0 failed, 6 looked at)" in done.out
    assert done.out.count(" promoted ") == 2
    assert "looked at  latency_ms" not in done.out, "no line for each look"
    assert "the best of 4 looked at: latency_ms" in done.out
    return tmp_path / "out" / "study.db"


def waiting(database: Path) -> int:
    with open_store(database) as store:
        return store.trials("tiny", ["screened"])[0].number


@pytest.mark.usefixtures("quick")
def test_what_is_looked_at_is_in_the_time_that_a_study_takes(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three trials two are the best of sixteen: thirty looks of two seconds, beside 150 s of training."""
    monkeypatch.chdir(tmp_path)
    assert "about 2 min for the trained trials, and" in command("check", study_file).out
    study_file.write_text(study_file.read_text() + "\n[search]\nstartup_trials = 1\nscreen = 16\n")
    found = command("check", study_file)
    assert "about 4 min for the trained trials and the looks before them, and" in found.out
    assert "search.screen begins" not in found.out + found.err
    study_file.write_text(study_file.read_text().replace("startup_trials = 1", "startup_trials = 3"))
    found = command("check", study_file)
    assert "looks before them" not in found.out
    assert "search.screen begins after 3 trainings (first designs and startup_trials), and this study has 3" in (
        found.out + found.err
    )


def test_a_study_is_carried_on_with_it_and_without(database: Path, command: Command) -> None:
    assert "Trials   3 of 3 trained; 6 looked at\n" in command("status", database).out
    assert "rejected ones and looks included; finished" in command("status", database).out
    with open_store(database) as store:
        assert store.study("tiny").study.search.screen == 4
    assert "Done: 4 of 4" in command("resume", database, "--trials", 4, "--screen", 2).out
    with open_store(database) as store:
        assert store.study("tiny").study.search.screen == 2
        assert store.counts("tiny").screened == 7
    assert "Done: 5 of 5" in command("resume", database, "--trials", 5, "--screen", 0).out
    with open_store(database) as store:
        assert store.counts("tiny").screened == 7


def test_no_command_takes_what_was_only_looked_at_for_a_model(database: Path, command: Command, tmp_path: Path) -> None:
    number = waiting(database)
    assert len(command("front", database, "--csv").out.splitlines()) == 4, "three models"
    for arguments in (
        ["pick", database, "--trial", number],
        ["export", database, "--trial", number, "--out", tmp_path / "file"],
        ["retrain", database, "--trial", number],
        ["confirm", database, "--trial", number],
    ):
        refused = command(*arguments)
        assert refused.code == 2, arguments
        assert f"{number} is not one" in refused.err
        assert len(refused.err.splitlines()) <= 2
    with segsearch.open(database) as run:
        assert "6 looked at" in run._repr_html_()
        one = run.trial(number)
        assert (one.state, one.artifact) == ("screened", None)
        assert one.values["latency_ms"] > 0
        with pytest.raises(StudyError, match=rf"trial {number} of this study was only looked at\."):
            one.session()


def test_a_page_sees_that_a_trial_was_promoted(database: Path) -> None:
    reader, number = Reader(str(database)), waiting(database)
    first = reader.look().seen
    assert first is not None
    assert [trial.state for trial in first.trials if trial.number == number] == ["screened"]
    with open_store(database) as store, at_work(store, "tiny") as worker:
        assert worker.promote(number, looks=0) is not None
        assert worker.keep(number, "trained", evidence=fakes.evidence()) is not None
    reader.forget()
    now = reader.look().seen
    assert now is not None
    assert [trial.state for trial in now.trials if trial.number == number] == ["trained"]
