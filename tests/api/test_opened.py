"""Runs that are opened to read: what is there, how it stands, and that nothing is written unasked."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

import segsearch
from segsearch.errors import DatabaseError, StudyError
from segsearch.judging.reading import report_of
from segsearch.store import open_store
from segsearch.workshop import sha256_of
from tests import fakes


def test_a_run_is_named_by_its_folder_its_database_or_a_url(filled: Path) -> None:
    for where in (filled.parent, str(filled), filled, f"sqlite:///{filled}"):
        with segsearch.open(where) as run:
            assert run.name == "fake"
            assert run.counts.trained == 8


def test_what_is_no_run_says_so_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="a run's folder holds study"):
        segsearch.open(tmp_path)
    with pytest.raises(DatabaseError):
        segsearch.open(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_of_several_studies_one_must_be_named(filled: Path) -> None:
    with open_store(filled) as store:
        store.begin_study(
            fakes.make_study(name="other"), artifacts=filled.parent / "artifacts", space="0" * 64 + ".py", data_key="d"
        )
    with pytest.raises(StudyError, match="fake, other"):
        segsearch.open(filled)
    with segsearch.open(filled, study="other") as run:
        assert run.trials == ()
        assert len(run.front()) == 0
        assert "nothing is trained yet" in run._repr_html_()


def test_to_read_changes_no_byte(filled: Path) -> None:
    before = sha256_of(filled)
    with segsearch.open(filled) as run:
        assert run.trials
        assert run.front()
        with pytest.raises(StudyError, match="read_only=False"):
            run.pick()
    assert sha256_of(filled) == before


def test_trials_are_the_database_s_rows(filled: Path) -> None:
    with segsearch.open(filled) as run, open_store(filled, read_only=True) as store:
        rows = store.trials("fake")
        assert [trial.number for trial in run.trials] == [row.number for row in rows]
        for trial, row in zip(run.trials, rows, strict=True):
            assert trial.state == row.state
            assert trial.params == row.params
            assert trial.candidate == row.candidate
            assert trial.values == row.values
            assert trial.failure == row.failure
            if row.state == "trained":
                assert row.artifact is not None
                assert trial.artifact == filled.parent / "artifacts" / row.artifact
                assert trial.sha256 == row.artifact.removesuffix(".onnx")
            else:
                assert (trial.artifact, trial.sha256) == (None, None), "an untrained file is not kept"
        failed = next(trial for trial in run.trials if trial.state == "failed")
        assert "diverged" in failed.record()["failure"]
        assert run.trial(failed.number) == failed
        with pytest.raises(StudyError, match="no trial 99"):
            run.trial(99)


def test_trials_are_read_anew_where_something_changed(filled: Path) -> None:
    with segsearch.open(filled) as run:
        before = run.trials
        assert run.trials is before
        with open_store(filled) as store, store.writing() as connection:
            connection.exec_driver_sql("update segsearch_trials set state = 'failed' where number = 0")
        assert (before[0].state, run.trials[0].state) == ("trained", "failed")


def test_a_front_is_the_command_s(filled: Path) -> None:
    with segsearch.open(filled) as run, open_store(filled, read_only=True) as store:
        for limits in ([], ["latency_ms<=5"]):
            report = report_of(store, None, limits, None)
            front = run.front(limits)
            assert [trial.number for trial in front] == [row.trial for row in report.front]
            assert [trial.values for trial in front] == [row.values for row in report.front]
            assert len(front) == len(report.front) > 0
            assert front[0] == next(iter(front)) == front[:1][0]
            assert front.limits == tuple(map(str, report.limits))
        knee = front.knee
        assert knee in front
        assert all(trial.values["latency_ms"] <= 5 for trial in front)
        empty = run.front(limits=["latency_ms<=0.000001"])
        assert len(empty) == 0
        with pytest.raises(StudyError, match="no trained trial meets"):
            _ = empty.knee
        assert "no trained trial meets" in empty._repr_html_()


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ("latency_ms<=5", r"limits=\['latency_ms<=5'\]"),
        (["latency<=5"], "must be one of"),
        (["miou<=0.5"], "limits: miou<=0.5 leaves out"),
    ],
)
def test_a_limit_that_is_none_is_refused_in_the_words_of_python(limits: list[str], words: str, filled: Path) -> None:
    with segsearch.open(filled) as run, pytest.raises(StudyError, match=words):
        run.front(limits)


def test_records_are_flat_and_all_alike(filled: Path) -> None:
    with segsearch.open(filled) as run:
        records = run.front().records()
        assert len(records) > 1
        assert len({tuple(record) for record in records}) == 1
        assert all(isinstance(value, (str, int, float, type(None))) for record in records for value in record.values())
        assert any(record["param_kernel"] is None for record in [*records, {"param_kernel": None}])
        assert records[0]["miou"] == run.front()[0].values["miou"]


def test_a_notebook_shows_tables_and_no_markup_of_others(filled: Path) -> None:
    with segsearch.open(filled) as run:
        front = run.front()
        shown = run._repr_html_()
        assert front._repr_html_() in shown
        assert f"{len(front)} of 8 trained models are on the front" in shown
        assert "8 of 8 trials are trained" in shown
        trial = run.trials[0]
        assert trial.design.replace("&", "&amp;").replace("<", "&lt;") in trial._repr_html_()
        assert "<script" not in shown + trial._repr_html_()
        assert "8 of 8" in repr(run)
        assert repr(trial).startswith("Trial(number=0, state=")


def test_a_front_is_a_figure_of_plotly_s(filled: Path) -> None:
    with segsearch.open(filled) as run:
        front = run.front()
        figure = front.figure()
        points = {number for trace in figure.data if trace.customdata is not None for number in trace.customdata}
        assert {trial.number for trial in front} <= {int(number) for number in points}


def test_a_pick_is_kept_with_its_reason(filled: Path) -> None:
    with segsearch.open(filled, read_only=False) as run:
        assert run.picked is None
        chosen = run.pick(reason="fits the camera")
        assert run.picked == chosen
        assert chosen.number == run.front().knee.number
        assert run.pick(trial=chosen.number).number == chosen.number
        with pytest.raises(StudyError, match="prefer must be one of knee, miou"):
            run.pick(prefer="speed")  # type: ignore[arg-type]
        with pytest.raises(StudyError, match="either trial"):
            run.pick(trial=0, limits=["latency_ms<=5"])
    with open_store(filled, read_only=True) as store:
        assert store.picks("fake")[0].pick.reason.startswith("fits the camera (the knee")


def test_a_pick_of_a_file_that_is_gone_is_refused(filled: Path) -> None:
    shutil.rmtree(filled.parent / "artifacts")
    with segsearch.open(filled, read_only=False) as run, pytest.raises(DatabaseError, match="is gone"):
        run.pick()


def test_a_trial_without_a_model_says_why(filled: Path) -> None:
    with segsearch.open(filled) as run:
        for state in ("failed", "rejected"):
            trial = next(trial for trial in run.trials if trial.state == state)
            for ask in (trial.session, trial.module, partial(trial.predict, "street.jpg")):
                with pytest.raises(StudyError, match=rf"was not trained \({state}\)"):
                    ask()
            assert trial.grown == ()
