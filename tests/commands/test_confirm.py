"""Stored models trained again from other seeds: what is kept, what is refused, and stops half-way."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from segsearch.commands.confirm import SEEDS, other_seeds
from segsearch.store import NO_TRIAL, ConfirmationRow, open_store
from tests import fakes
from tests.commands.doors import SLOW_CLI, assert_refused, stopped_half_way
from tests.conftest import STUDY, Command


@pytest.fixture
def database(command: Command, quick: None, study_file: Path, tmp_path: Path) -> Path:
    """Three trained trials of a study that is whole: its data and its space can be opened."""
    said = command("run", study_file, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    return tmp_path / "run" / "study.db"


def kept(database: Path) -> dict[tuple[int, int], ConfirmationRow]:
    with open_store(database, read_only=True) as store:
        return {(row.trial, row.seed): row for row in store.confirmations("tiny")}


def members(command: Command, database: Path) -> list[int]:
    entries = json.loads(command("front", database, "--json").out)
    return [entry["trial"] for entry in entries if entry["on_front"]]


def test_the_front_is_trained_again_from_the_seeds_after_the_studys_own(command: Command, database: Path) -> None:
    said = command("confirm", database, "--seeds", 2)
    assert said.code == 0, said.err
    front = members(command, database)
    assert sorted(kept(database)) == [(trial, seed) for trial in front for seed in (1, 2)]
    for row in kept(database).values():
        assert (database.parent / "artifacts" / row.artifact).is_file()
    assert re.search(r"^ *trial +first miou +seeds +mean +sd +lowest +highest", said.out, re.MULTILINE)
    assert f"({2 * len(front)} of {2 * len(front)})" in said.out
    assert "One seed moves a mIoU by" in said.out


def test_what_is_there_is_not_trained_again_and_more_seeds_go_on(command: Command, database: Path) -> None:
    command("confirm", database, "--seeds", 1)
    before = kept(database)
    said = command("confirm", database, "--seeds", 1)
    assert said.code == 0
    assert kept(database) == before
    assert " of " not in said.out.split("trial    ")[0]
    command("confirm", database, "--seeds", 2)
    assert kept(database).items() > before.items()
    assert {seed for _, seed in kept(database)} == {1, 2}


def test_trials_are_chosen_by_number(command: Command, database: Path) -> None:
    assert command("confirm", database, "--seeds", 1, "--trial", 2, "--trial", 0).code == 0
    assert sorted(kept(database)) == [(0, 1), (2, 1)]


def test_programs_are_told_in_json_alone(command: Command, database: Path) -> None:
    found = json.loads(command("confirm", database, "--seeds", 2, "--trial", 1, "--json").out)
    (one,) = found["trials"]
    assert (one["trial"], one["seeds"], [other["seed"] for other in one["others"]]) == (1, 3, [1, 2])
    assert one["mean"] == pytest.approx((one["first"] + sum(other["miou"] for other in one["others"])) / 3)
    assert found["failed"] == []
    (entry,) = [entry for entry in json.loads(command("front", database, "--json").out) if entry["trial"] == 1]
    assert entry["confirmed"] == {"seeds": 3, "mean": one["mean"], "sd": one["sd"]}


def test_a_seed_that_fails_is_told_and_the_others_go_on(command: Command, database: Path) -> None:
    said = command("confirm", database, "--seeds", 6, "--trial", 0)
    assert said.code == 0
    assert "Failed   trial 0, seed 5: the loss became NaN" in said.out
    assert [seed for _, seed in kept(database)] == [1, 2, 3, 4, 6]


def test_the_front_has_a_column_once_there_are_seeds(command: Command, database: Path) -> None:
    assert "over seeds" not in command("front", database).out
    command("confirm", database, "--seeds", 1)
    shown = command("front", database).out
    assert "miou over seeds" in shown
    assert re.search(r"0\.\d+ ±0\.\d+ \(2\)", shown)


def test_stages_of_other_seeds_are_no_trials(command: Command, database: Path) -> None:
    """The page of a model would show another seed's curve."""
    with open_store(database, read_only=True) as store:
        before = [store.stages("tiny", trial) for trial in range(3)]
    command("confirm", database, "--seeds", 1)
    with open_store(database, read_only=True) as store:
        assert [store.stages("tiny", trial) for trial in range(3)] == before
        assert len(store.stages("tiny", NO_TRIAL)) == len(kept(database))


def test_a_study_of_another_machine_is_confirmed_here(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(*about: object) -> None:
        raise AssertionError("nothing is timed")

    monkeypatch.setattr("segsearch.launch.machine_here", timed)
    assert command("confirm", database, "--seeds", 1).code == 0
    with open_store(database, read_only=True) as store:
        assert {timing.machine for timing in store.timings("tiny")} == {fakes.MACHINE.key}


def test_seeds_stay_what_a_study_may_have() -> None:
    study = fakes.make_study(seed=SEEDS - 2)
    assert other_seeds(study, 3) == (SEEDS - 1, 0, 1)
    assert other_seeds(study, 2) == other_seeds(study, 3)[:2]


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "0"], ["--seeds"]),
        (["--seeds", "many"], ["--seeds"]),
        (["--trial", "99"], ["--trial must name a trained trial of tiny, and 99 is not one. On the front: "]),
        (["--trial", "1", "--on-front"], ["give one of them"]),
        (["--study", "other"], ["'other'", "tiny"]),
    ],
)
def test_a_wrong_command_line_is_refused(
    command: Command, database: Path, arguments: list[str], words: list[str]
) -> None:
    assert_refused(command("confirm", database, *arguments), *words)
    assert kept(database) == {}


def test_nothing_trained_yet_is_said(command: Command, tmp_path: Path) -> None:
    fakes.start(tmp_path, fakes.make_study())[0].close()
    assert_refused(command("confirm", tmp_path / "study.db"), "has no trained trial to confirm yet")


def test_data_that_changed_is_said_before_anything_is_trained(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(database) as store, store.writing() as connection:
        connection.exec_driver_sql("UPDATE segsearch_studies SET data_key = 'another'")
    assert_refused(command("confirm", database), "the images or masks of tiny changed", "--data")
    assert kept(database) == {}


# ---- stops


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_finished_before_a_stop_is_kept_and_the_same_command_goes_on(
    command: Command, tmp_path: Path, quick: None, study_file: Path, number: signal.Signals
) -> None:
    study_file.write_text(STUDY)
    assert command("run", study_file, "--out", tmp_path / "run").code == 0
    database = tmp_path / "run" / "study.db"
    wished = ["--seeds", "3", "--trial", "0", "--trial", "1"]
    arguments = ["confirm", str(database), *wished]
    said = stopped_half_way(SLOW_CLI, arguments, number)
    before = kept(database)
    assert list(before) == [(0, 1)]
    if number == signal.SIGINT:
        assert said.code == 130
        assert f"Carry on with: segsearch confirm {database} --seeds 3 --trial 0 --trial 1" in said.err
    assert command("confirm", database, *wished).code == 0
    assert len(kept(database)) == 6
    assert kept(database).items() >= before.items()
