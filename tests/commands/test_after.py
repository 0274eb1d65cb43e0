"""Earlier studies from the command line: what is read once, what is refused, and a run that needs them no more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from segsearch.store import open_store
from tests.conftest import STUDY, Command

pytestmark = pytest.mark.usefixtures("quick")

SCREENED = "\n[search]\nstartup_trials = 2\nscreen = 3\n"


@pytest.fixture
def before(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of a study of six trials."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first.toml").write_text(STUDY.replace("tiny", "first").replace("trials = 3", "trials = 6"))
    assert command("run", "first.toml").code == 0
    return tmp_path / "runs" / "first" / "study.db"


def written(folder: Path, after: str, *, space: str = "mobile", more: str = "") -> Path:
    path = folder / "next.toml"
    text = STUDY.replace("tiny", "next").replace('"mobile"', f'"{space}"')
    path.write_text(text + f'{SCREENED}after = ["{after}"]\n{more}')
    return path


def test_a_run_knows_an_earlier_one_and_goes_on_without_it(tmp_path: Path, before: Path, command: Command) -> None:
    study = written(tmp_path, "runs/first/study.db")
    checked = command("check", study)
    assert checked.code == 0, checked.err
    assert "After    " in checked.out
    assert "6 of 6 models can be drawn here" in checked.out
    said = command("run", study)
    assert said.code == 0, said.err
    assert said.out.count("6 of 6 models can be drawn here") == 1
    assert "the same data, recipe and machine" in said.out
    database = tmp_path / "runs" / "next" / "study.db"
    with open_store(before) as store:
        known = {row.key for row in store.trials("first", ["trained"])}
    with open_store(database) as store:
        first = store.trials("next")[0]
        assert first.key in known
        assert store.study().earlier is not None
    shutil.rmtree(before.parent)
    more = command("resume", database, "--trials", 5)
    assert (more.code, more.err) == (0, "")
    assert command("run", study).code == 0, "the file still names it, and it was read"
    study.write_text(study.read_text().replace("first/study.db", "other/study.db"))
    changed = command("run", study)
    assert changed.code == 2
    assert "search.after of next was" in changed.err


def test_databases_of_a_moved_folder_are_the_same_ones(tmp_path: Path, before: Path, command: Command) -> None:
    assert command("run", written(tmp_path, "runs/first/study.db"), "--out", tmp_path / "kept").code == 0
    (tmp_path / "elsewhere").mkdir()
    moved = written(tmp_path / "elsewhere", "runs/first/study.db")
    assert command("run", moved, "--out", tmp_path / "kept").code == 0
    silent = tmp_path / "silent.toml"
    silent.write_text(moved.read_text().replace('after = ["runs/first/study.db"]', ""))
    assert command("run", silent, "--out", tmp_path / "kept").code == 0


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("gone.db", "search.after: "),
        ("next.toml", "search.after: "),
        ("runs/next/study.db", "is this study's own database; name those of earlier ones."),
        ("postgresql://me:secret@host/x", "a password would be kept with the study"),
    ],
)
def test_a_database_that_cannot_be_read_is_refused_before_anything_is_stored(
    tmp_path: Path, before: Path, command: Command, after: str, said: str
) -> None:
    found = command("run", written(tmp_path, after))
    assert found.code == 2
    assert said in found.err
    assert len(found.err.splitlines()) <= 2
    assert "secret" not in found.err
    assert not (tmp_path / "runs" / "next" / "study.db").exists()


def test_a_study_of_another_space_has_nothing_to_say(tmp_path: Path, before: Path, command: Command) -> None:
    found = command("run", written(tmp_path, "runs/first/study.db", space="unet"))
    assert found.code == 2
    assert "has nothing for next: unet draws none of its 6 models." in found.err
    named = command("run", written(tmp_path, "runs/first/study.db"), "--after", "nowhere.db")
    assert named.code == 2
    assert "nowhere.db" in named.err


def test_status_judges_and_says_so_to_programs(before: Path, command: Command) -> None:
    told = json.loads(command("status", before, "--json").out)
    assert told["study"] == "first"
    assert told["counts"]["trained"] == 6
    assert [one for one in told["health"] if one["verdict"] == "sick"] == []
    assert "Look" not in command("status", before).out


def test_a_search_that_has_converged_says_so_and_how_to_go_on(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("segsearch.search.outlook.AHEAD", 2)
    study = tmp_path / "long.toml"
    study.write_text(
        STUDY.replace("tiny", "long").replace("trials = 3", "trials = 60")
        + '\n[search]\nstop = "converged"\nstop_gain = 0.5\n'
    )
    ended = command("run", study)
    assert ended.code == 0, ended.err
    assert "Little is left to gain: " in ended.out
    assert "less than search.stop_gain; a lower --stop-gain goes on." in ended.out
    assert "--stop-gain 0" in ended.out
    with open_store(tmp_path / "runs" / "long" / "study.db") as store:
        trained = store.counts("long").trained
    more = command("resume", "runs/long/study.db", "--stop-gain", 0, "--trials", trained + 1)
    assert f"Done: {trained + 1} of {trained + 1} trials are trained" in more.out


def test_a_gain_without_its_stop_is_refused(tmp_path: Path, command: Command) -> None:
    study = tmp_path / "lost.toml"
    study.write_text(STUDY + "\n[search]\nstop_gain = 0.2\n")
    found = command("check", study)
    assert found.code == 2
    assert 'stop_gain = 0.2 needs stop = "converged"' in found.err
