"""Chosen models trained to the end: which, what is kept and said, what is refused, and stops half-way."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.store import GrownRow, open_store
from segsearch.store.grown import grown_of
from tests import fakes
from tests.commands.doors import SLOW_CLI, assert_refused, stopped_half_way
from tests.conftest import Command


@pytest.fixture
def database(command: Command, quick: None, study_file: Path, tmp_path: Path) -> Path:
    """Three trained trials of a study that is whole: its data and its space can be opened."""
    said = command("run", study_file, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    return tmp_path / "run" / "study.db"


def kept(database: Path) -> dict[tuple[int, int], GrownRow]:
    with open_store(database, read_only=True) as store:
        return {(row.trial, row.seed): row for row in grown_of(store, "tiny")}


def test_the_pick_is_trained_to_the_end_and_its_curve_kept(command: Command, database: Path) -> None:
    assert command("pick", database, "--trial", 1).code == 0
    said = command("retrain", database)
    assert said.code == 0, said.err
    ((number, row),) = kept(database).items()
    assert number == (1, 0)
    assert (row.recipe.epochs, row.recipe.train_on, row.train_seconds) == (20, "train", 60.0)
    assert row.looks == ((5, 0.7, 0.3), (10, 0.5, 0.4))
    assert re.search(r"^ *trial +seed +proxy +final miou +test miou +latency_ms", said.out, re.MULTILINE)
    assert f"Model    trial 1, seed 0: {(database.parent / 'artifacts' / row.artifact).resolve()}" in said.out
    assert "as a proxy 0." in said.out


def test_epochs_of_a_pruned_model_are_counted_through_both_trainings(command: Command, database: Path) -> None:
    said = command("retrain", database, "--trial", 0)
    assert re.findall(r"epoch (\d+) of (\d+)", said.out) == [("15", "20"), ("16", "20")]


def test_how_long_it_still_takes_is_told_of_a_single_model(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 10**6, 60))
    monkeypatch.setattr("segsearch.progress.time.monotonic", lambda: float(next(now)))
    said = command("retrain", database, "--trial", 0)
    assert re.search(r"epoch 16 of 20: loss 0\.500, miou 0\.400, about \d+ min left", said.out)


def test_what_is_there_is_not_trained_again_and_more_seeds_go_on(command: Command, database: Path) -> None:
    assert command("retrain", database, "--trial", 0).code == 0
    before = kept(database)
    said = command("retrain", database, "--trial", 0)
    assert said.code == 0
    assert kept(database) == before
    assert "(1 of 1)" not in said.out
    assert command("retrain", database, "--trial", 0, "--seeds", 3).code == 0
    assert kept(database).items() > before.items()
    assert sorted(kept(database)) == [(0, 0), (0, 1), (0, 2)]


def test_a_sample_of_the_front_says_whether_its_proxies_told_the_truth(command: Command, database: Path) -> None:
    said = command("retrain", database, "--front", "--models", 3, "--epochs", 7)
    assert said.code == 0, said.err
    assert sorted(kept(database)) == [(0, 0), (1, 0), (2, 0)]
    assert {row.recipe.epochs for row in kept(database).values()} == {7}
    assert "Kendall's tau of proxy and final miou over 3 models: 1.00" in said.out
    assert "is the best in the end." in said.out
    assert "Of 3 that no other of them beats as proxies, 0 are beaten in the end." in said.out


def test_programs_are_told_in_json_alone(command: Command, database: Path) -> None:
    found = json.loads(command("retrain", database, "--trial", 0, "--trial", 1, "--seeds", 6, "--json").out)
    assert len(found["models"]) == 10
    assert found["failed"] == [{"trial": number, "seed": 5, "reason": "the loss became NaN"} for number in (0, 1)]
    assert found["honesty"]["models"] == 2
    assert found["looks_at_test"] == 0


def test_a_seed_that_fails_is_told_and_the_others_go_on(command: Command, database: Path) -> None:
    said = command("retrain", database, "--seeds", 7, "--trial", 0)
    assert said.code == 0
    assert "Failed   trial 0, seed 5: the loss became NaN" in said.out
    assert [seed for _, seed in kept(database)] == [0, 1, 2, 3, 4, 6]


def test_where_everything_fails_a_program_sees_it(command: Command, database: Path) -> None:
    with open_store(database) as store, store.writing() as connection:
        settings = connection.exec_driver_sql("SELECT settings FROM segsearch_studies").scalar_one()
        seed = str(settings).replace('"seed":0', '"seed":5').replace('"seed": 0', '"seed": 5')
        connection.exec_driver_sql("UPDATE segsearch_studies SET settings = ?", (seed,))
    said = command("retrain", database, "--trial", 0)
    assert (said.code, kept(database)) == (1, {})
    assert "Failed   trial 0, seed 5: the loss became NaN" in said.out
    assert "final miou" not in said.out
    assert command("retrain", database, "--trial", 0, "--json").code == 1


def test_a_folder_that_keeps_nothing_is_said_before_hours_of_training(command: Command, database: Path) -> None:
    folder = database.parent / "artifacts"
    folder.chmod(0o555)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write everywhere")
        assert_refused(command("retrain", database, "--trial", 0), "artifacts need a folder that can be written")
    finally:
        folder.chmod(0o755)


def test_a_study_carried_on_may_say_more_of_retraining(command: Command, database: Path, study_file: Path) -> None:
    study_file.write_text(study_file.read_text() + "\n[retrain]\nepochs = 9\nbalanced = true\n")
    assert command("run", study_file, "--out", database.parent).code == 0
    assert command("retrain", database, "--trial", 0).code == 0
    (row,) = kept(database).values()
    assert (row.recipe.epochs, row.recipe.balanced) == (9, True)


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["nothing was picked from tiny yet", "`segsearch pick`", "--trial"]),
        (["--trial", "99"], ["--trial must name a trained trial of tiny, and 99 is not one"]),
        (["--trial", "1", "--front"], ["give one of them"]),
        (["--trial", "1", "--models", "4"], ["--models says how many --front takes"]),
        (["--trial", "1", "--epochs", "0"], ["--epochs"]),
        (["--trial", "1", "--train-on", "all"], ["--train-on must be one of train, train+val; got 'all'"]),
        (["--trial", "1", "--train-on", "train+val"], ["leaves only test images", "data.test of tiny names none"]),
        (["--trial", "1", "--study", "other"], ["'other'", "tiny"]),
    ],
)
def test_a_wrong_command_line_is_refused(
    command: Command, database: Path, arguments: list[str], words: list[str]
) -> None:
    assert_refused(command("retrain", database, *arguments), *words)
    assert kept(database) == {}


@pytest.mark.parametrize("arguments", [[], ["--trial", "99"], ["--trial", "1", "--train-on", "train+val"], ["--front"]])
def test_a_mistake_on_another_machine_leaves_nothing_of_it(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """The machine is kept once something is trained on it, and only --front asks which one it is."""
    other = replace(fakes.MACHINE, key="other")
    monkeypatch.setattr("segsearch.launch.machine_here", lambda store, study, progress: other)
    said = command("retrain", database, *arguments)
    assert_refused(said)
    if arguments == ["--front"]:
        assert "none of tiny was; `segsearch remeasure` times them here" in said.err
    with open_store(database, read_only=True) as store:
        assert [one.key for one in store.machines()] == [fakes.MACHINE.key]


def test_nothing_trained_yet_is_said(command: Command, quick: None, tmp_path: Path) -> None:
    fakes.start(tmp_path, fakes.make_study())[0].close()
    assert_refused(command("retrain", tmp_path / "study.db"), "has no trained trial to retrain yet")


def test_data_that_changed_is_said_before_anything_is_trained(command: Command, database: Path) -> None:
    with open_store(database) as store, store.writing() as connection:
        connection.exec_driver_sql("UPDATE segsearch_studies SET data_key = 'another'")
    assert_refused(command("retrain", database, "--trial", 0), "the images or masks of tiny changed", "--data")
    assert kept(database) == {}


# ---- stops


HERE = """
import segsearch.launch
from tests import fakes
segsearch.launch.machine_here = lambda store, study, progress: fakes.MACHINE
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_finished_before_a_stop_is_kept_and_the_same_command_goes_on(
    command: Command, database: Path, number: signal.Signals
) -> None:
    wished = ["--trial", "0", "--trial", "1", "--seeds", "3"]
    arguments = ["retrain", str(database), *wished]
    said = stopped_half_way(HERE + SLOW_CLI, arguments, number)
    before = kept(database)
    assert list(before) == [(0, 0)]
    if number == signal.SIGINT:
        assert said.code == 130
        assert f"Carry on with: segsearch retrain {database} --trial 0 --trial 1 --seeds 3" in said.err
    assert command("retrain", database, *wished).code == 0
    assert len(kept(database)) == 6
    assert kept(database).items() >= before.items()
