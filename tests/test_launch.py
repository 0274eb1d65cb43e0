"""Wiring: what the command line changes, the teacher's choices, the stored space, the cache's place."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from segsearch import launch
from segsearch.errors import StudyError
from segsearch.space.candidate import Candidate, Draw
from segsearch.space.draws import Dice
from segsearch.space.load import load_space
from tests import fakes
from tests.conftest import Command

ROOT = Path(__file__).resolve().parent.parent


def test_the_command_line_changes_trials_and_data(tmp_path: Path) -> None:
    study = fakes.make_study(data={"kind": "folders", "root": "/elsewhere"})
    changed = launch.adjusted(study, data=tmp_path, trials=7)
    assert (changed.trials, changed.data.root) == (7, str(tmp_path))
    assert launch.adjusted(study, data=None, trials=None) == study
    with pytest.raises(StudyError, match="synthetic"):
        launch.adjusted(fakes.make_study(), data=tmp_path, trials=None)


def test_the_command_line_changes_the_search_and_nothing_that_was_not_said() -> None:
    study = fakes.make_study(search={"siblings": 2})
    changed = launch.adjusted(study, data=None, search={"screen": 16, "tails": None})
    assert (changed.search.screen, changed.search.siblings) == (16, 2)
    assert launch.adjusted(changed, data=None, search={"siblings": 0, "screen": 0}).search.screen == 0
    assert "startup_on_top" not in changed.search.model_fields_set, "an older study goes on by what it meant"
    genetic = fakes.make_study(search={"sampler": "nsga2"})
    with pytest.raises(StudyError, match=r'screen = 16 needs sampler = "tpe", got \'nsga2\'; leave one of them out\.'):
        launch.adjusted(genetic, data=None, search={"screen": 16})
    with pytest.raises(StudyError, match=r"search: screen: .*less than or equal to 64"):
        launch.adjusted(study, data=None, search={"screen": 65})


@pytest.mark.usefixtures("quick")
def test_fewer_trials_than_are_trained_leave_nothing_to_do(command: Command, study_file: Path, tmp_path: Path) -> None:
    out, database = tmp_path / "out", tmp_path / "out" / "study.db"
    assert command("run", study_file, "--out", out).code == 0
    for again in (["run", study_file, "--out", out, "--trials", 1], ["resume", database, "--trials", 2]):
        said = command(*again)
        assert said.code == 0, said.err
        assert "Nothing was left to do: 3 of 3 trials are trained" in said.out
        assert "Trials   3 of 3 trained" in command("status", database).out
    assert "Done: 4 of 4" in command("resume", database, "--trials", 4).out


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"width": "narrow", "depth": 2}, None),
        ({"width": "narrow"}, "'depth' is missing"),
        ({"width": "wide", "depth": 2}, "width must be one of narrow"),
        ({"width": "narrow", "depth": 9}, r"depth must be a whole number in \[1, 3\]"),
        ({"width": "narrow", "depth": 2, "dpeth": 1}, "does not ask for 'dpeth'"),
    ],
)
def test_the_teacher_and_first_designs_must_be_of_the_space(
    choices: dict[str, object], words: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "space.py"
    path.write_text(
        "from tests.fakes import candidate\n\n\ndef draw(choose):\n"
        "    choose.suggest_categorical('width', ('narrow', 'none'))\n"
        "    return candidate(8, choose.suggest_int('depth', 1, 3))\n"
    )
    teacher = fakes.make_study(teacher={"epochs": 2, "choices": choices})
    first = fakes.make_study(search={"first": [{"width": "narrow", "depth": 1}, choices]})
    for study, where in ((teacher, "teacher.choices"), (first, "search.first.1")):
        if words is None:
            launch.check_designs(study, load_space(str(path)))
        else:
            with pytest.raises(StudyError, match=f"{where}: .*{words}"):
                launch.check_designs(study, load_space(str(path)))


def test_the_cache_lies_beside_the_runs_or_inside_where_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launch.cache_of(tmp_path / "runs" / "x") == tmp_path / "runs" / ".cache" / "segsearch"
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert launch.cache_of(tmp_path / "x") == tmp_path / "x" / ".cache" / "segsearch"


def test_studies_that_come_along_are_whole() -> None:
    """Each shipped study reads, and its teacher is one of its space."""
    from segsearch.study import read_study

    paths = sorted((ROOT / "studies").glob("*.toml"))
    assert paths
    for path in paths:
        study = read_study(path)
        draw: Draw = Dice(random.Random(0))
        assert isinstance(load_space(study.space).draw(draw), Candidate)
        launch.check_designs(study, load_space(study.space))
        scales = {design["input_scale"] for design in study.search.first}
        assert len(scales) > 1, "designs of one input scale alone would decide what the sampler finds"
