"""Searches and evaluations from Python: settings as a file has them, events, and the same code as the command."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import segsearch
from segsearch import launch
from segsearch.api.begin import candidate_of, study_of
from segsearch.errors import StudyError
from segsearch.evidence.objectives import values_of
from segsearch.space import Architecture, Candidate, EncoderPath, Head, Prune, Quantize, Stage, Stem
from segsearch.space.load import load_space
from segsearch.store import open_store
from segsearch.study import read_study
from tests.conftest import STUDY, Command
from tests.tiny import SPACE, write

ARCHITECTURE = Architecture((EncoderPath(Stem(8), (Stage("conv", 16, 1, 2),)),), (), Head(8))


def tiny_settings(**changes: Any) -> dict[str, Any]:
    return {**tomllib.loads(STUDY), **changes}


@pytest.mark.usefixtures("quick")
def test_settings_of_python_are_those_of_a_file(study_file: Path, tmp_path: Path) -> None:
    """One begins from the file and the other carries it on: they ask for the same."""
    out = tmp_path / "out"
    with segsearch.run(study_file, out=out, trials=1) as run:
        assert run.counts.trained == 1
        assert run.read_only
    with segsearch.run(tiny_settings(), out=str(out)) as run:
        assert (run.counts.trained, run.settings.trials) == (3, 3)
        assert run.settings == study_of(study_file)
        assert run.front()


@pytest.mark.usefixtures("quick")
def test_the_command_carries_on_what_python_began(command: Command, study_file: Path, tmp_path: Path) -> None:
    segsearch.run(tiny_settings(), out=tmp_path / "out", trials=1).close()
    said = command("run", study_file, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    assert "Done: 3 of 3 trials are trained" in said.out


@pytest.mark.usefixtures("quick")
def test_without_a_word_a_run_lies_where_the_command_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    segsearch.run(tiny_settings(), trials=1).close()
    with segsearch.open("runs/tiny") as run:
        assert run.name == "tiny"
    with segsearch.run(tiny_settings(name="there"), db=f"sqlite:///{tmp_path}/there.db", trials=1) as run:
        assert run.source.store.where == f"sqlite:///{tmp_path}/there.db"


@pytest.mark.usefixtures("quick")
def test_every_trial_is_told_as_a_plain_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[segsearch.Event] = []
    stages: list[str] = []
    with segsearch.run(
        tiny_settings(),
        out=tmp_path / "out",
        on_event=told.append,
        progress=lambda stage, done, total: stages.append(stage),
    ) as run:
        trained = [event for event in told if event.kind == "trained"]
        assert [event.trained for event in trained] == [1, 2, 3]
        assert {event.asked for event in told} == {3}
        for event in trained:
            trial = run.trial(event.trial)
            assert (event.values, event.params) == (trial.values, trial.params)
    assert stages
    assert capsys.readouterr().out == ""
    segsearch.run(tiny_settings(), out=tmp_path / "out", trials=4, progress=True).close()
    assert "4 of 4" in capsys.readouterr().out


def test_relative_paths_are_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    from_file = read_study(tmp_path / "studies" / "mine.toml")
    raw = tomllib.loads((tmp_path / "studies" / "mine.toml").read_text())
    raw["space"], raw["data"]["root"] = Path("my_space.py"), Path("my_data")  # paths may be paths, too
    raw["limits"], raw["train"]["crop"] = (), None  # a tuple for a list; None is not said
    assert study_of(raw) == from_file
    assert study_of("studies/mine.toml") == study_of(from_file) == from_file


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (tiny_settings(trails=3), "the study: unknown key 'trails'"),
        (tiny_settings(trials="3"), "the study: trials: .*got '3'"),
        (tiny_settings(trials=None), "'trials' is missing"),
        (7, "got int"),
        ("none.toml", "no such study file"),
    ],
)
def test_what_is_no_study_is_refused(study: Any, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        segsearch.run(study)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"trials": 0}, "trials must be a whole number of 1 or more, got 0"),
        ({"trials": "5"}, "trials must be .* got '5'"),
        ({"trials": True}, "trials must be .* got True"),
        ({"minutes": -1}, "minutes must be a number above 0, got -1"),
        ({"minutes": float("nan")}, "minutes must be .* got nan"),
    ],
)
def test_options_that_are_none_are_refused_before_anything_is_stored(
    tmp_path: Path, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(StudyError, match=words):
        segsearch.run(tiny_settings(), out=tmp_path / "run", **wrong)
    assert not (tmp_path / "run").exists()


def test_what_is_evaluated_may_be_told_in_three_ways(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    study, space = study_of(tiny_settings()), load_space(str(tmp_path / "space.py"))
    by_choices = candidate_of({"width": 16, "prune": 0.0, "ships": "int8"}, study, space, classes=3)
    assert by_choices == Candidate(ARCHITECTURE, after_export=(Quantize(),))
    assert candidate_of(ARCHITECTURE, study, space, classes=3) == Candidate(ARCHITECTURE)
    idle = Candidate(ARCHITECTURE, before_export=(Prune(0.0),))
    assert candidate_of(idle, study, space, classes=3) == Candidate(ARCHITECTURE), "as a search would have it"
    for what, words in (
        ({"width": 16}, "choices: 'prune' is missing; the space is mobile"),
        ({"width": 16, "prune": 0.0, "ships": "int8", "wdith": 1}, "does not ask for 'wdith'"),
        (7, "got int"),
    ):
        with pytest.raises(StudyError, match=words):
            candidate_of(what, study, space, classes=3)  # type: ignore[arg-type]


@pytest.mark.slow
def test_one_candidate_is_evaluated_as_a_search_does(tiny: Path) -> None:
    """The very counts and the very file of the trial that the search trained."""
    with segsearch.open("runs/mine") as run:
        trial = run.trials[1]
        found = segsearch.evaluate(trial.params, "studies/mine.toml", out="mine")
        assert found.state == "trained"
        assert found.values["miou"] == trial.values["miou"]
        assert found.intervals["miou"] == trial.intervals["miou"]
        assert found.sha256 == trial.sha256
        assert found.artifact == tiny / "mine" / f"{trial.sha256}.onnx"
        assert list(found.class_iou) == list(run.classes)
        assert found.values == values_of(found.evidence)
        assert "IoU of road" in found._repr_html_()


@pytest.mark.slow
def test_a_candidate_over_a_limit_comes_back_rejected_and_leaves_nothing(tiny: Path) -> None:
    study = read_study(Path("studies/mine.toml")).model_copy(update={"limits": ("params<=10",)})
    before = sorted(tiny.iterdir())
    found = segsearch.evaluate(ARCHITECTURE, study)
    assert (found.state, found.broken, found.artifact) == ("rejected", ("params<=10",), None)
    assert "miou" not in found.values
    assert found.class_iou == {}
    assert sorted(tiny.iterdir()) == before


def test_the_launch_takes_a_study_and_no_file(quick: None, study_file: Path, tmp_path: Path) -> None:
    """What the command reads from a file and what Python made are one thing from here on."""
    study = read_study(study_file)
    ended = launch.run(
        study,
        data=None,
        out=tmp_path / "out",
        trials=1,
        minutes=None,
        machine=None,
        progress=lambda stage, done, total: None,
        on_event=lambda event: None,
    )
    with open_store(ended.database, read_only=True) as store:
        assert store.study(ended.study).study == study.model_copy(update={"trials": 1})
