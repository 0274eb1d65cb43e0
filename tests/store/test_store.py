"""The database on its own: what goes in comes out, and what cannot be used is said in a line."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
import sqlalchemy

from segsearch.errors import DatabaseError, StorageFull, StudyError
from segsearch.evidence.objectives import MACHINE_BOUND, values_of
from segsearch.evidence.timing import Block, Comparison, Machine, Timing
from segsearch.evidence.types import Evidence
from segsearch.judging.fronts import make_report, one_machine
from segsearch.space.keys import from_json, to_json
from segsearch.store import Counts, Pick, Store, TimingRow, migrate, open_store, schema
from segsearch.store.worker import Claimed, Worker, at_work, living
from segsearch.study import dump_study
from tests import fakes

SPACE = "0" * 64 + ".py"


def enter(worker: Worker, number: int, depth: int) -> None:
    assert worker.next(1_000_000) == "ask"
    worker.enter(number, fakes.candidate(8, depth), params={"depth": depth, "x": 0.1}, seed=number)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    study = fakes.make_study(
        limits=["latency_ms<=3"], teacher={"epochs": 2, "choices": {"width": 1.5, "block": "conv"}}
    )
    store, row = fakes.start(tmp_path, study)
    machine = Machine("m", "a CPU", 2, 1024, "Linux", "onnxruntime 1")
    with store:
        with at_work(store, "fake") as worker:
            enter(worker, 0, 1)
            assert store.counts("fake") == Counts(running=1)
            worker.keep(0, "trained", evidence=fakes.evidence(latency_ms=1 / 3))
            enter(worker, 3, 2)
            worker.keep(3, "rejected", evidence=fakes.evidence(miou=None))
        store.keep_machine(machine)
        store.keep_machine(machine)
        store.add_pick("fake", Pick(0, "the knee"))
    with open_store(fakes.where(tmp_path), read_only=True) as store:
        assert store.studies() == (row,)
        assert row.study == study
        assert store.study() == store.study("fake") == row
        trained, rejected = store.trials("fake")
        assert (trained.number, trained.candidate, trained.params) == (0, fakes.candidate(8, 1), {"depth": 1, "x": 0.1})
        assert trained.values == values_of(fakes.evidence(latency_ms=1 / 3))
        assert store.evidence("fake", 0) == fakes.evidence(latency_ms=1 / 3)
        assert (trained.artifact, trained.machine, trained.attempts) == (fakes.evidence().artifact, "m", 1)
        assert "miou" not in rejected.values
        assert store.trials("fake", ["rejected"]) == (rejected,) == (store.trial("fake", 3),)
        assert store.counts("fake") == Counts(trained=1, rejected=1)
        assert store.machines() == (machine,)
        assert [pick.pick for pick in store.picks("fake")] == [Pick(0, "the knee")]
        with pytest.raises(StudyError, match="has no trial 1"):
            store.trial("fake", 1)
        assert store.evidence("fake", 1) is None


@pytest.mark.sqlite  # a file that lies beside its artifacts
def test_a_run_folder_can_be_moved(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path / "here", fakes.make_study())
    with store:
        name = row.artifacts.keep_bytes(b"weights", ".bin")
    shutil.move(tmp_path / "here", tmp_path / "there")
    with open_store(tmp_path / "there" / "study.db") as store:
        assert store.study().artifacts.path(name).read_bytes() == b"weights"


def test_artifacts_elsewhere_are_found_by_their_whole_path(tmp_path: Path) -> None:
    with open_store(fakes.where(tmp_path / "db"), create=True) as store:
        row = store.begin_study(fakes.make_study(), artifacts=tmp_path / "far", space=SPACE, data_key="data")
        assert row.artifacts.folder == tmp_path / "far"


# ---- timings -------------------------------------------------------------------------------------------------------


def on(machine: str, ratio: float, evidence: Evidence | None = None) -> Evidence:
    """Evidence whose latency on that machine is `ratio` times a reference of 2 ms, give or take a tenth."""
    compared = Comparison("float-1", 2.0, (Block(0, 3, 2.0, 1.0),), ratio, 0.9 * ratio, 1.1 * ratio, "interval")
    timing = Timing(
        (1.0, 2.0, 3.0), 1, 1, machine, "cpu", compared, load_ms=(1 / 3,), first_run_ms=(4.0,), peak_memory_bytes=2**40
    )
    return replace(evidence or fakes.evidence(), timing=timing)


def plain(rows: tuple[TimingRow, ...]) -> list[tuple[int, str, float]]:
    return [(row.trial, row.machine, row.values["latency_ms"]) for row in rows]


def stored_timing(store: Store, trial: int, machine: str) -> Timing:
    table = schema.timings
    with store.reading() as connection:
        text = connection.execute(
            sqlalchemy.select(table.c.json).where(
                table.c.study == "fake", table.c.trial == trial, table.c.machine == machine
            )
        ).scalar_one()
    return from_json(Timing, text)


def test_a_trial_that_is_kept_has_its_timing_on_its_machine(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store, at_work(store, "fake") as worker:
        assert store.timings("fake") == ()
        enter(worker, 0, 1)
        worker.keep(0, "trained", evidence=on("m", 1 / 3))
        enter(worker, 1, 2)
        worker.keep(1, "rejected", evidence=fakes.evidence(miou=None))
        enter(worker, 2, 3)
        worker.keep(2, "failed")
        first, second = store.timings("fake")
        assert (first.trial, first.machine, second.trial, second.machine) == (0, "m", 1, "m")
        values = values_of(on("m", 1 / 3))
        assert first.values == {name: value for name, value in values.items() if name in MACHINE_BOUND}
        assert set(first.values) == {"latency_ms", "load_ms", "first_run_ms", "peak_memory_bytes"}
        low, high = first.intervals["latency_ms"]
        assert (low, high) == on("m", 1 / 3).timing.interval_ms
        assert second.intervals == {}
        assert first.taken <= second.taken
        assert stored_timing(store, 0, "m") == on("m", 1 / 3).timing
        assert store.timings("other") == ()


def test_a_trial_that_another_worker_took_over_leaves_no_timing(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store, at_work(store, "fake") as worker:
        enter(worker, 0, 1)
        assert Worker(store, "fake", "other").keep(0, "trained", evidence=on("m", 2.0)) is None
        assert store.timings("fake") == ()


def test_timing_again_replaces_that_machine_and_leaves_others(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        with at_work(store, "fake") as worker:
            for number in range(2):
                enter(worker, number, number + 1)
                worker.keep(number, "trained", evidence=on("m", 1.0 + number))
        begin(store, name="other")
        before, trials = store.timings("fake"), store.trials("fake")
        store.keep_timing("fake", 0, on("n", 5.0))
        store.keep_timing("other", 0, on("n", 7.0))
        assert plain(store.timings("fake")) == [(0, "m", 2.0), (0, "n", 10.0), (1, "m", 4.0)]
        store.keep_timing("fake", 0, on("m", 6.0))
        assert plain(store.timings("fake")) == [(0, "n", 10.0), (0, "m", 12.0), (1, "m", 4.0)]  # the oldest first
        assert stored_timing(store, 0, "m") == on("m", 6.0).timing
        assert store.timings("fake")[2] == before[1]
        assert plain(store.timings("other")) == [(0, "n", 14.0)]
        # What the sampler was told, and what the trial was kept with, stay as they were.
        assert store.trials("fake") == trials
        assert store.evidence("fake", 0) == on("m", 1.0)
        assert store.evidence("fake", 0, machine="n") == on("n", 5.0)
        assert store.evidence("fake", 0, machine="nowhere") == on("m", 1.0)
        assert store.evidence("fake", 0) == on("m", 1.0)


def test_a_front_is_that_of_the_newest_timing_on_its_machine(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    with store:
        with at_work(store, "fake") as worker:
            for number, miou in enumerate((0.4, 0.6)):
                enter(worker, number, number + 1)
                worker.keep(number, "trained", evidence=on("m", 1.0 + number, fakes.evidence(miou=miou)))

        def members(machine: str) -> list[int]:
            report = make_report(row, store.trials("fake"), store.timings("fake"), machine=machine)
            return [member.trial for member in report.front]

        assert members("m") == [0, 1]
        store.keep_timing("fake", 1, on("m", 0.5))
        assert members("m") == [1]
        store.keep_timing("fake", 0, on("n", 3.0))
        assert (members("m"), members("n"), members("o")) == ([1], [0], [])
        with pytest.raises(StudyError, match=r"Choose one with --machine: m .*2 models.*; n .*1 model"):
            one_machine(store.trials("fake"), store.timings("fake"), store.machines())


# ---- the study -----------------------------------------------------------------------------------------------------


def begin(store: Store, **changes: Any) -> None:
    there = store.studies()
    folder = there[0].artifacts.folder if there else changes.pop("artifacts")
    fixed: dict[str, Any] = {"artifacts": folder, "space": SPACE, "data_key": "data"}
    words = {key: changes.pop(key) for key in list(changes) if key in ("space", "data_key") and "0" not in changes}
    store.begin_study(fakes.make_study(**changes), **(fixed | words))


@pytest.mark.parametrize(
    "change",
    [
        {"trials": 9},
        {"search": {"startup_trials": 4, "give_up_after": 7}},
        {"search": {"startup_trials": 4, "references": ["unet-mobile"]}},
        {"train": {"device": "cpu"}},
        {"train": {"threads": 2}},
        {"timing": {"cores": [3]}},
        {"data": {"root": "/elsewhere"}},
    ],
)
def test_what_leaves_the_trials_as_they_are_may_change(tmp_path: Path, change: dict[str, Any]) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        begin(store, **change)
        assert store.study().study == fakes.make_study(**change)


def test_a_study_never_asks_for_fewer_trials_than_are_trained(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study(trials=9))
    with store:
        with at_work(store, "fake") as worker:
            for number, state in enumerate(("trained", "rejected", "trained", "trained")):
                enter(worker, number, number + 1)
                worker.keep(number, state, evidence=fakes.evidence())  # type: ignore[arg-type]
        begin(store, name="other", trials=1)
        for asked, kept in ((1, 3), (3, 3), (4, 4), (9, 9)):
            begin(store, trials=asked)
            assert store.study("fake").study == fakes.make_study(trials=kept)
            store.ask_for("fake", 20)
            store.ask_for("fake", asked)
            assert store.study("fake").study.trials == kept
        assert store.study("other").study.trials == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 3}, r"seed of fake was 0, now it is 3"),
        ({"objectives": ["miou", "size_bytes"]}, r"objectives of fake was \('miou', 'latency_ms'\)"),
        ({"limits": ["latency_ms<=4"]}, r"limits of fake"),
        ({"train": {"epochs": 5}}, r"train\.epochs of fake was 4, now it is 5"),
        ({"search": {"sampler": "random"}}, r"search\.sampler of fake was 'tpe', now it is 'random'"),
        ({"timing": {"threads": 2}}, r"timing\.threads"),
        ({"timing": {"state": "warm"}}, r"timing\.state of fake was 'pipeline', now it is 'warm'"),
        ({"teacher": {"epochs": 3, "choices": {"width": 1.0}}}, r"teacher of fake was None|teacher\.epochs"),
        ({"seed": 3, "train": {"epochs": 5}}, r"; seed of fake"),
        ({"data_key": "other"}, r"the images or masks of fake changed"),
        ({"space": "1" * 64 + ".py"}, r"the source of its space mobile changed"),
    ],
)
def test_what_makes_it_another_study_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    with store:
        with pytest.raises(StudyError, match=message) as raised:
            begin(store, **change)
        assert "another name or --out" in str(raised.value)
        assert store.study() == row


WEIGHTS, OTHERS = ("2" * 64 + ".safetensors", "3" * 64 + ".safetensors")


def test_the_pretrained_weights_of_a_study_are_kept_and_stay(tmp_path: Path) -> None:
    """They may lie elsewhere, or be called otherwise, as long as they are the same."""
    study = fakes.make_study(train={"pretrained": "/a/w.pth"})
    words: dict[str, Any] = {"artifacts": tmp_path / "artifacts", "space": SPACE, "data_key": "data"}
    with open_store(fakes.where(tmp_path), create=True) as store:
        assert store.begin_study(study, **words, start=WEIGHTS).start == WEIGHTS
        moved = fakes.make_study(train={"pretrained": "/b/w.pth"})
        row = store.begin_study(moved, **words, start=WEIGHTS)
        assert (row.start, row.study.train.pretrained) == (WEIGHTS, "/b/w.pth")
        for other, start, message in (
            (moved, OTHERS, r"the weights that train\.pretrained = '/b/w\.pth' of fake means changed"),
            (study, OTHERS, r"train\.pretrained of fake was '/b/w\.pth', now it is '/a/w\.pth', and these are other"),
            (fakes.make_study(), None, r"train\.pretrained of fake was '/b/w\.pth', now it is 'none'"),
        ):
            with pytest.raises(StudyError, match=message):
                store.begin_study(other, **words, start=start)
        assert store.study() == row
        rate = fakes.make_study(train={"pretrained": "/b/w.pth", "start_rate": 0.5})
        with pytest.raises(StudyError, match=r"train\.start_rate of fake was 1\.0, now it is 0\.5"):
            store.begin_study(rate, **words, start=WEIGHTS)


def test_what_a_study_was_given_is_kept_and_stays(tmp_path: Path) -> None:
    """A file may lie elsewhere later; another one, or other images without labels, make another study."""
    words: dict[str, Any] = {"artifacts": tmp_path / "artifacts", "space": SPACE, "data_key": "data"}
    given = {"teacher": "2" * 64 + ".onnx", "unlabelled": "pixels"}
    with open_store(fakes.where(tmp_path), create=True) as store:
        row = store.begin_study(fakes.make_study(teacher={"file": "/a/t.onnx"}), **words, given=given)
        assert row.given == given
        moved = fakes.make_study(teacher={"file": "/b/t.onnx"})
        row = store.begin_study(moved, **words, given=given)
        assert row.study == moved
        for other, message in (
            ({**given, "teacher": "3" * 64 + ".onnx"}, "the teacher that fake names is another one"),
            ({"teacher": given["teacher"]}, "the images that data.unlabelled of fake names changed"),
        ):
            with pytest.raises(StudyError, match=message):
                store.begin_study(moved, **words, given=other)
        better = fakes.make_study(teacher={"file": "/b/t.onnx", "better_by": 0.0})
        with pytest.raises(StudyError, match=r"teacher\.better_by of fake was 0\.03, now it is 0\.0"):
            store.begin_study(better, **words, given=given)
        assert store.study() == row


def test_a_study_without_pretrained_weights_stays_without(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    assert row.start is None
    with store, pytest.raises(StudyError, match="was 'none', now it is 'efficientnet-lite0'"):
        store.begin_study(
            fakes.make_study(train={"pretrained": "efficientnet-lite0"}),
            artifacts=row.artifacts.folder,
            space=SPACE,
            data_key="data",
            start=WEIGHTS,
        )


def test_a_database_of_before_pretrained_weights_has_a_place_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[:9])
        store, row = fakes.start(tmp_path, fakes.make_study())
        with store, store.writing() as connection:
            schema.starts.drop(connection)
    with open_store(fakes.where(tmp_path)) as store:
        assert store.study() == row
        begin(store)


@pytest.mark.parametrize(("of_study", "of_timing"), [("pipeline", "warm"), ("warm", "pipeline")])
def test_no_study_holds_timings_of_two_states(tmp_path: Path, of_study: str, of_timing: Any) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study(timing={"state": of_study}))
    message = rf"one timing\.state, '{of_study}' in fake; trial 0 was timed '{of_timing}'"
    mine, other = (replace(on("m", 1.0), timing=replace(on("m", 1.0).timing, state=s)) for s in (of_study, of_timing))
    with store:
        with at_work(store, "fake") as worker:
            enter(worker, 0, 1)
            with pytest.raises(StudyError, match=message):
                worker.keep(0, "trained", evidence=other)
            assert (store.trial("fake", 0).state, store.timings("fake")) == ("running", ())
            worker.keep(0, "trained", evidence=mine)
        before = store.timings("fake")
        with pytest.raises(StudyError, match=message):
            store.keep_timing("fake", 0, other)
        assert store.timings("fake") == before


def test_the_timings_of_one_trial_are_read_alone(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store, at_work(store, "fake") as worker:
        for number in range(2):
            enter(worker, number, number + 1)
            worker.keep(number, "trained", evidence=on("m", 1.0 + number))
        assert [plain(store.timings("fake", trial=number)) for number in range(3)] == [
            [(0, "m", 2.0)],
            [(1, "m", 4.0)],
            [],
        ]


def test_a_name_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    with open_store(fakes.where(tmp_path), create=True) as store:
        with pytest.raises(StudyError, match="no study was ever stored"):
            store.study()
        begin(store, name="one", artifacts=tmp_path / "artifacts")
        assert store.study().name == "one"
        begin(store, name="two")
        with pytest.raises(StudyError, match=r"holds no study 'three'; it holds: one, two\."):
            store.study("three")
        with pytest.raises(StudyError, match=r"choose one with --study: one, two\."):
            store.study()


# ---- stages --------------------------------------------------------------------------------------------------------


def test_a_finished_stage_is_never_made_again_and_is_shared(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    made: list[str] = []

    def make(word: str) -> dict[str, Any]:
        made.append(word)
        return {"word": word, "files": [row.artifacts.keep_bytes(word.encode(), ".bin")], "sizes": (1, 2)}

    with store:
        first, second = store.workshop("fake", 0), store.workshop("fake", 1)
        outcome = first.once("train", "k", lambda: make("a"))
        assert outcome["sizes"] == [1, 2]  # as the database gives it, from the first time on
        assert second.once("train", "k", lambda: make("b")) == outcome
        assert second.once("train", "other", lambda: make("c"))["word"] == "c"
        assert second.once("export", "k", lambda: make("d"))["word"] == "d"
        assert made == ["a", "c", "d"]
        assert [(stage.trial, stage.name, stage.key) for stage in store.stages("fake")] == [
            (0, "train", "k"),
            (1, "train", "other"),
            (1, "export", "k"),
        ]
        assert [stage.outcome for stage in store.stages("fake", 0)] == [outcome]
        assert all(stage.seconds >= 0 for stage in store.stages("fake"))


def test_a_stage_whose_file_is_gone_is_made_again(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    with store:
        workshop = store.workshop("fake", 0)

        def make() -> dict[str, Any]:
            return {"nested": {"list": [row.artifacts.keep_bytes(b"weights", ".bin")]}}

        name = workshop.once("train", "k", make)["nested"]["list"][0]
        row.artifacts.path(name).unlink()
        assert workshop.once("train", "k", make)["nested"]["list"] == [name]
        assert row.artifacts.has(name)
        assert len(store.stages("fake")) == 1


def test_where_two_workers_make_a_stage_the_first_commit_stays(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        slow, quick = store.workshop("fake", 0), store.workshop("fake", 1)

        def overtaken() -> dict[str, Any]:
            quick.once("train", "k", lambda: {"by": "quick"})
            return {"by": "slow"}

        assert slow.once("train", "k", overtaken) == {"by": "quick"}
        assert slow.once("train", "k", overtaken) == {"by": "quick"}
        assert [stage.trial for stage in store.stages("fake")] == [1]


def test_a_stage_that_raises_leaves_nothing(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        workshop = store.workshop("fake", 0)
        for bad in (float("nan"), object()):
            with pytest.raises((ValueError, TypeError)):
                workshop.once("train", "k", lambda bad=bad: {"loss": bad})  # type: ignore[misc]
        assert store.stages("fake") == ()


# ---- workers -------------------------------------------------------------------------------------------------------


def test_a_worker_that_ended_in_this_process_leaves_its_trial_at_once(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        with at_work(store, "fake") as worker:
            enter(worker, 0, 1)
        with at_work(store, "fake") as worker:
            work = worker.next(1)
            assert isinstance(work, Claimed)
            assert (work.trial.number, work.trial.attempts) == (0, 2)


def test_promised_and_running_trials_count_as_taken(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store, at_work(store, "fake") as worker:
        # A living process of this host other than this one: the one that started the tests.
        parent = os.getppid()
        started = psutil.Process(parent).create_time()
        assert worker.next(2) == "ask"
        with store.writing() as connection:
            connection.execute(
                sqlalchemy.insert(schema.workers).from_select(
                    ["id", "host", "pid", "pid_started", "lease_until", "asking"],
                    sqlalchemy.select(
                        sqlalchemy.literal("other"),
                        schema.workers.c.host,
                        sqlalchemy.literal(parent),
                        sqlalchemy.literal(started),
                        sqlalchemy.literal(0.0),
                        sqlalchemy.literal("fake"),
                    ),
                )
            )
        assert worker.next(1) == "wait"
        assert worker.strays([5]) == ()  # trial 5 may be the one that the other worker is about to enter
        assert worker.next(2) == "ask"
        other = Worker(store, "fake", "other")
        other.enter(5, fakes.candidate(8, 5), params={}, seed=0)
        assert worker.strays([5, 6]) == (6,)
        with store.writing() as connection:  # its pid goes to another process: it has ended
            connection.exec_driver_sql("UPDATE segsearch_workers SET pid_started = 1.0 WHERE id = 'other'")
        assert isinstance(worker.next(1), Claimed)


def test_who_is_alive_can_be_read(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store, open_store(fakes.where(tmp_path), read_only=True) as reader:
        assert living(reader) == frozenset()
        with at_work(store, "fake") as worker:
            assert living(reader) == {worker.id}
            with store.writing() as connection:  # this process's number once belonged to another one
                connection.exec_driver_sql("UPDATE segsearch_workers SET pid_started = 1.0")
            assert living(reader) == frozenset()
            for lease, alive in ((1e12, {worker.id}), (0.0, set())):
                with store.writing() as connection:
                    connection.execute(sqlalchemy.update(schema.workers).values(host="elsewhere/", lease_until=lease))
                assert living(reader) == alive


# ---- databases that cannot be used ---------------------------------------------------------------------------------


def made_by(statement: str) -> Any:
    def make(path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()

    return make


def newer(path: Path) -> None:
    fakes.start(path.parent, fakes.make_study())[0].close()
    made_by("INSERT INTO segsearch_migrations VALUES (999, 0.0)")(path)


def damaged(path: Path) -> None:
    fakes.start(path.parent, fakes.make_study())[0].close()
    content = bytearray(path.read_bytes())
    content[100:4096] = bytes(3996)
    path.write_bytes(content)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, r"no such database; `segsearch run STUDY` makes one"),
        (lambda path: path.mkdir(), r"must be a file; .*study\.db is a folder"),
        (lambda path: path.write_text("a study\n" * 100), r"not a SQLite database"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 2000), r"not a SQLite database|damaged"),
        (made_by("CREATE TABLE people (name TEXT)"), r"a database must be one that `segsearch run` wrote; not ours"),
        (
            lambda path: optuna.storages.RDBStorage(f"sqlite:///{path}").engine.dispose(),
            r"it is an Optuna database, without segsearch's tables",
        ),
        (newer, rf"its schema is 999, this segsearch knows up to {len(migrate.MIGRATIONS)}\. Update segsearch"),
        (damaged, r"damaged|not a SQLite database|cannot be used"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_no_database_of_ours_is_refused_in_a_line(
    tmp_path: Path, make: Any, message: str, read_only: bool
) -> None:
    path = tmp_path / "study.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DatabaseError, match=message) as raised:
        open_store(path, read_only=read_only)
    assert "\n" not in str(raised.value)
    assert before == (path.read_bytes() if path.is_file() else None)


@pytest.mark.sqlite
def test_creating_never_takes_over_a_foreign_database(tmp_path: Path) -> None:
    made_by("CREATE TABLE people (name TEXT)")(tmp_path / "study.db")
    with pytest.raises(DatabaseError, match="not ours"):
        open_store(tmp_path / "study.db", create=True)


@pytest.mark.sqlite
def test_an_empty_file_that_a_kill_left_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / "study.db").touch()
    with pytest.raises(DatabaseError, match="no study was ever stored"):
        open_store(tmp_path / "study.db", read_only=True)
    with open_store(tmp_path / "study.db") as store, pytest.raises(StudyError, match="no study was ever stored"):
        store.study()


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("nothing://x/y", "no driver"),
        ("://", "a path or a SQLAlchemy URL"),
    ],
)
def test_a_url_that_cannot_be_opened_is_said(url: str, message: str) -> None:
    with pytest.raises(DatabaseError, match=message):
        open_store(url)


@pytest.mark.sqlite
def test_a_sqlite_url_and_a_strange_path_are_opened(tmp_path: Path) -> None:
    folder = tmp_path / "a {b} 100% #1? & ü"
    fakes.start(folder, fakes.make_study())[0].close()
    assert (folder / "study.db").is_file()
    with open_store(folder / "study.db", read_only=True) as store:
        assert store.study().name == "fake"
    fakes.start(tmp_path, fakes.make_study())[0].close()
    with open_store(f"sqlite:///{tmp_path / 'study.db'}") as store:
        assert store.study().name == "fake"


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Root may write anywhere, so that as root these tests become nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder whose parents everybody may enter, as pytest's own may not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.sqlite
def test_a_finished_database_in_a_read_only_folder_can_be_read(open_folder: Path) -> None:
    fakes.start(open_folder, fakes.make_study())[0].close()
    (open_folder / "study.db").chmod(0o444)
    open_folder.chmod(0o555)
    with as_somebody_else():
        with open_store(open_folder / "study.db", read_only=True) as store:
            assert store.study().name == "fake"
        with pytest.raises(DatabaseError, match=r"read-only|cannot be opened"):
            open_store(open_folder / "study.db")


@pytest.mark.sqlite
def test_a_file_that_may_not_be_read_is_said(open_folder: Path) -> None:
    fakes.start(open_folder, fakes.make_study())[0].close()
    (open_folder / "study.db").chmod(0o000)
    with as_somebody_else(), pytest.raises(DatabaseError, match="cannot be opened: Permission denied"):
        open_store(open_folder / "study.db", read_only=True)


@pytest.mark.sqlite
def test_a_folder_that_may_not_be_written_is_said(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with as_somebody_else(), pytest.raises(DatabaseError, match="cannot be opened"):
        open_store(open_folder / "study.db", create=True)


def test_a_database_opened_to_read_is_not_written(tmp_path: Path) -> None:
    fakes.start(tmp_path, fakes.make_study())[0].close()
    with open_store(fakes.where(tmp_path), read_only=True) as store:
        with pytest.raises(DatabaseError, match="read-only"):
            store.add_pick("fake", Pick(0, "because"))
        assert store.picks("fake") == ()


def test_reading_goes_on_while_another_writes(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store, open_store(fakes.where(tmp_path), read_only=True, timeout_seconds=0.1) as reader:
        with store.writing() as connection:
            connection.exec_driver_sql("UPDATE segsearch_studies SET data_key = 'changed'")
            assert reader.study().data_key == "data"
        assert reader.study().data_key == "changed"


@pytest.mark.sqlite
def test_a_locked_database_without_a_log_is_said_and_not_read_as_it_stands(tmp_path: Path) -> None:
    fakes.start(tmp_path, fakes.make_study())[0].close()
    with closing(sqlite3.connect(tmp_path / "study.db", isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode=DELETE")
        raw.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match="another process keeps the database locked"):
            open_store(tmp_path / "study.db", read_only=True, timeout_seconds=0.1)
        raw.execute("ROLLBACK")
    with open_store(tmp_path / "study.db", read_only=True) as store:
        assert store.study().name == "fake"


@pytest.mark.sqlite
def test_a_locked_database_is_said(tmp_path: Path) -> None:
    fakes.start(tmp_path, fakes.make_study())[0].close()
    locked = pytest.raises(DatabaseError, match="another process keeps the database locked")
    with open_store(tmp_path / "study.db") as holder, holder.writing(), locked:
        open_store(tmp_path / "study.db", timeout_seconds=0.1)


@pytest.mark.sqlite
def test_a_full_database_is_said(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        with store.reading() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StorageFull, match="no room left"):
            store.add_pick("fake", Pick(0, "x" * 9000))
        assert store.picks("fake") == ()


def test_a_mistake_of_ours_keeps_its_traceback(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        with pytest.raises(sqlalchemy.exc.IntegrityError), store.writing() as connection:
            connection.exec_driver_sql("INSERT INTO segsearch_studies (name) VALUES ('fake')")
        wrong = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.ProgrammingError)  # SQLite's word, PostgreSQL's word
        with pytest.raises(wrong), store.writing() as connection:
            connection.exec_driver_sql("SELECT nothing FROM segsearch_studies")


def test_migrations_run_once_each_and_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.start(tmp_path, fakes.make_study())[0].close()

    def adds(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE segsearch_new (x INTEGER)")

    def breaks(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE segsearch_other (x INTEGER)")
        raise RuntimeError("killed here")

    monkeypatch.setattr(migrate, "MIGRATIONS", (*migrate.MIGRATIONS, adds, breaks))
    with pytest.raises(RuntimeError, match="killed here"):
        open_store(fakes.where(tmp_path))
    with pytest.raises(DatabaseError, match="older than"):
        open_store(fakes.where(tmp_path), read_only=True)
    monkeypatch.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[:-1])
    for _ in range(2):
        with open_store(fakes.where(tmp_path)) as store, store.reading() as connection:
            names = sqlalchemy.inspect(connection).get_table_names()
            assert "segsearch_new" in names
            assert "segsearch_other" not in names
            assert migrate.schema_version(connection) == len(migrate.MIGRATIONS)


def test_an_energy_with_the_idle_machine_in_it_is_dropped_from_values_and_kept_in_evidence(tmp_path: Path) -> None:
    """Two kinds of energy in one front would order models by which version measured them."""
    store, _ = fakes.start(tmp_path, fakes.make_study())
    old = replace(on("m", 1.0), timing=replace(on("m", 1.0).timing, energy_mj=70.0))
    with store:
        with at_work(store, "fake") as worker:
            for number in range(2):
                enter(worker, number, number + 1)
                worker.keep(number, "trained", evidence=old)
        plain_trials, plain_timings = store.trials("fake"), store.timings("fake")
        with store.writing() as connection:
            for table, row in ((schema.trials, plain_trials[0]), (schema.timings, plain_timings[0])):
                values = json.dumps(dict(row.values) | {"energy_mj": 70.0})
                connection.execute(sqlalchemy.update(table).values(values=values))
        assert all(row.values["energy_mj"] == 70.0 for row in (*store.trials("fake"), *store.timings("fake")))
        with store.writing() as connection:
            migrate._leave_out_gross_energy(connection)
        assert (store.trials("fake"), store.timings("fake")) == (plain_trials, plain_timings)
        found = store.evidence("fake", 1)
        assert found is not None
        assert (found.timing.energy_mj, found.timing.energy) == (70.0, None)


# ---- schema 1 ------------------------------------------------------------------------------------------------------

# The tables and rows as segsearch wrote them before timings were kept by machine.
SCHEMA_1 = """
CREATE TABLE segsearch_migrations (number INTEGER NOT NULL, applied FLOAT NOT NULL, PRIMARY KEY (number));
CREATE TABLE segsearch_studies (
    name VARCHAR(64) NOT NULL, settings TEXT NOT NULL, space VARCHAR(80) NOT NULL, data_key VARCHAR(64) NOT NULL,
    artifacts TEXT NOT NULL, created FLOAT NOT NULL, PRIMARY KEY (name)
);
CREATE TABLE segsearch_workers (
    id VARCHAR(32) NOT NULL, host VARCHAR(255) NOT NULL, pid INTEGER NOT NULL, pid_started FLOAT NOT NULL,
    lease_until FLOAT NOT NULL, asking VARCHAR(64), PRIMARY KEY (id)
);
CREATE TABLE segsearch_trials (
    study VARCHAR(64) NOT NULL, number INTEGER NOT NULL, state VARCHAR(16) NOT NULL, candidate TEXT NOT NULL,
    "key" VARCHAR(64) NOT NULL, params TEXT NOT NULL, "values" TEXT NOT NULL, artifact VARCHAR(80),
    machine VARCHAR(64), failure_kind VARCHAR(64), failure_reason TEXT, twin INTEGER, seed INTEGER NOT NULL,
    attempts INTEGER NOT NULL, stages_before INTEGER NOT NULL, stalled INTEGER NOT NULL, worker VARCHAR(32),
    told INTEGER NOT NULL, started FLOAT NOT NULL, finished FLOAT, PRIMARY KEY (study, number)
);
CREATE INDEX segsearch_trials_by_state ON segsearch_trials (study, state);
CREATE INDEX segsearch_trials_by_told ON segsearch_trials (study, told);
CREATE INDEX segsearch_trials_by_key ON segsearch_trials (study, "key");
CREATE TABLE segsearch_evidence (
    study VARCHAR(64) NOT NULL, trial INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (study, trial)
);
CREATE TABLE segsearch_stages (
    study VARCHAR(64) NOT NULL, name VARCHAR(64) NOT NULL, "key" VARCHAR(128) NOT NULL, trial INTEGER NOT NULL,
    outcome TEXT NOT NULL, seconds FLOAT NOT NULL, finished FLOAT NOT NULL, PRIMARY KEY (study, name, "key")
);
CREATE INDEX segsearch_stages_by_trial ON segsearch_stages (study, trial);
CREATE TABLE segsearch_machines ("key" VARCHAR(64) NOT NULL, json TEXT NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE segsearch_picks (
    number INTEGER NOT NULL, study VARCHAR(64) NOT NULL, trial INTEGER NOT NULL, reason TEXT NOT NULL,
    created FLOAT NOT NULL, PRIMARY KEY (number)
);
INSERT INTO segsearch_migrations VALUES (1, 1.0);
INSERT INTO segsearch_machines VALUES ('m',
    '{"cores":2,"cpu":"a CPU","key":"m","memory_bytes":1024,"runtime":"onnxruntime 1","system":"Linux"}');
INSERT INTO segsearch_picks VALUES (1, 'fake', 1, 'the knee', 9.0);
"""
SETTINGS_1 = """{
"name":"fake","seed":0,"trials":5,"space":"mobile","objectives":["miou","latency_ms"],"limits":["latency_ms<=9"],
"data":{"kind":"synthetic","height":64,"width":64,"root":null,"images":"images","masks":"masks","train":"train",
"validation":"val","classes":"classes.txt","void":255,"train_count":192,"validation_count":48},
"train":{"epochs":4,"height":64,"width":64,"batch_size":8,"fine_tune_epochs":2,"learning_rate":0.003,
"weight_decay":0.01,"class_weights":"log","jaccard_weight":1.0,"smallest_zoom":0.5,"largest_zoom":2.0,"device":"auto"},
"teacher":null,"timing":{"threads":1,"warmup_runs":5,"runs":30},
"search":{"sampler":"tpe","startup_trials":4,"give_up_after":60,"first":[]}}"""


def evidence_1(latency_ms: float, confusion: str) -> str:
    return (
        f'{{"artifact":"{"0" * 64}.onnx","confusion":{confusion},"macs":100,"parity_max_abs":null,"params":10,"seed":0,'
        f'"size_bytes":1000,"timing":{{"machine":"m","samples_ms":[{latency_ms},{latency_ms},{latency_ms}],'
        '"threads":1,"warmup_runs":1},"versions":[["python","3.11"]]}'
    )


def schema_1(path: Path) -> None:
    """Two studies, one of them with two trained trials, a rejected one, a failed one and one that was killed."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA_1)
        for created, name in enumerate(("fake", "empty")):
            settings = SETTINGS_1.replace("fake", name)
            row = (name, settings, SPACE, "data", "artifacts", float(created))
            connection.execute("INSERT INTO segsearch_studies VALUES (?, ?, ?, ?, ?, ?)", row)
        counts = ([[250, 250], [250, 250]], [[800, 100], [100, 800]])
        add_trial_1(connection, 0, "trained", latency_ms=1 / 3, counts=counts[0])
        add_trial_1(connection, 1, "trained", latency_ms=4.0, counts=counts[1])
        add_trial_1(connection, 2, "rejected", latency_ms=12.0)
        add_trial_1(connection, 3, "failed")
        add_trial_1(connection, 4, "running")


def add_trial_1(
    connection: sqlite3.Connection,
    number: int,
    state: str,
    *,
    latency_ms: float | None = None,
    counts: list[list[int]] | None = None,
) -> None:
    one = fakes.candidate(8, number + 1)
    row: dict[str, Any] = {
        "study": "fake",
        "number": number,
        "state": state,
        "candidate": to_json(one),
        "key": one.key,
        "params": "{}",
        "values": "{}",
        "seed": 7,
        "attempts": 1,
        "stages_before": 0,
        "stalled": 0,
        "worker": "gone",
        "told": 1,
        "started": 5.0,
        "finished": None if state == "running" else 10.0 + number,
    }
    if latency_ms is not None:
        values = {"latency_ms": latency_ms, "latency_p95_ms": latency_ms, "macs": 100.0, "params": 10.0}
        values |= {"size_bytes": 1000.0} | ({"miou": counts[0][0] / 1000} if counts else {})
        row |= {"values": json.dumps(values), "machine": "m", "artifact": f"{'0' * 64}.onnx"}
        evidence = evidence_1(latency_ms, json.dumps({"counts": counts} if counts else None))
        connection.execute("INSERT INTO segsearch_evidence VALUES ('fake', ?, ?)", (number, evidence))
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO segsearch_trials ({names}) VALUES ({marks})", list(row.values()))


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.mark.sqlite
def test_a_database_of_schema_1_is_brought_up_to_date(tmp_path: Path) -> None:
    schema_1(tmp_path / "study.db")
    with open_store(tmp_path / "study.db") as store:
        fresh = fakes.make_study(limits=["latency_ms<=9"], output="scores")
        train, search = (
            fresh.train.model_copy(update={"recipe": 1, "fine_tune_on_top": False}),
            {"startup_on_top": False},
        )
        data = fresh.data.model_copy(update={"levels": "high_byte"})
        fresh = fresh.model_copy(
            update={"data": data, "train": train, "search": fresh.search.model_copy(update=search)}
        )
        assert store.study("fake").study == fresh, "what newer settings would change is said"
        assert json.loads(dump_study(store.study("empty").study))["timing"]["interval"] == fresh.timing.interval
        assert store.timings("empty") == ()
        assert store.timings("fake") == (
            TimingRow(0, "m", {"latency_ms": 1 / 3, "latency_p95_ms": 1 / 3}, {}, taken=10.0),
            TimingRow(1, "m", {"latency_ms": 4.0, "latency_p95_ms": 4.0}, {}, taken=11.0),
            TimingRow(2, "m", {"latency_ms": 12.0, "latency_p95_ms": 12.0}, {}, taken=12.0),
        )
        assert stored_timing(store, 0, "m") == Timing((1 / 3,) * 3, warmup_runs=1, threads=1, machine="m")
        assert store.counts("fake") == Counts(running=1, trained=2, rejected=1, failed=1)
        assert [trial.candidate for trial in store.trials("fake")] == [fakes.candidate(8, n) for n in range(1, 6)]
        assert store.evidence("fake", 1) == replace(
            fakes.evidence(latency_ms=4.0, miou=0.8), timing=Timing((4.0,) * 3, 1, 1, "m")
        )
        assert store.machines() == (Machine("m", "a CPU", 2, 1024, "Linux", "onnxruntime 1"),)
        assert [pick.pick for pick in store.picks("fake")] == [Pick(1, "the knee")]
        with store.reading() as connection:
            assert migrate.schema_version(connection) == len(migrate.MIGRATIONS)


@pytest.mark.sqlite
def test_the_front_of_a_database_of_schema_1_is_what_it_was(tmp_path: Path) -> None:
    schema_1(tmp_path / "study.db")
    with open_store(tmp_path / "study.db") as store:
        trials, timings = store.trials("fake"), store.timings("fake")
        machine = one_machine(trials, timings, store.machines())
        report = make_report(store.study("fake"), trials, timings, machine=machine)
        assert [(row.trial, row.values["latency_ms"], row.intervals) for row in report.front] == [
            (0, 1 / 3, {}),
            (1, 4.0, {}),
        ]
        assert (machine, report.untimed, len(report.rejected)) == ("m", 0, 1)


@pytest.mark.sqlite
def test_a_study_of_schema_1_can_be_carried_on_and_timed_again(tmp_path: Path) -> None:
    schema_1(tmp_path / "study.db")
    with open_store(tmp_path / "study.db") as store:
        begin(store, name="fake", limits=["latency_ms<=9"])
        with at_work(store, "fake") as worker:
            work = worker.next(5)
            assert isinstance(work, Claimed)
            assert worker.keep(work.trial.number, "trained", evidence=on("n", 1.0)) is not None
        store.keep_timing("fake", 0, on("n", 2.0))
        assert plain(store.timings("fake")) == [
            (0, "m", 1 / 3),
            (0, "n", 4.0),
            (1, "m", 4.0),
            (2, "m", 12.0),
            (4, "n", 2.0),
        ]


@pytest.mark.sqlite
def test_opening_a_migrated_database_again_changes_nothing(tmp_path: Path) -> None:
    schema_1(tmp_path / "study.db")
    open_store(tmp_path / "study.db").close()
    before = dump(tmp_path / "study.db")
    open_store(tmp_path / "study.db").close()
    assert dump(tmp_path / "study.db") == before
    with open_store(tmp_path / "study.db", read_only=True) as store:
        assert len(store.timings("fake")) == 3


@pytest.mark.sqlite
def test_a_database_of_schema_1_is_not_changed_to_read_it_and_the_cure_is_said(tmp_path: Path) -> None:
    schema_1(tmp_path / "study.db")
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(
        DatabaseError,
        match=rf"its schema is 1, older than {len(migrate.MIGRATIONS)}, .*`segsearch resume` brings it up to date",
    ):
        open_store(tmp_path / "study.db", read_only=True)
    assert (tmp_path / "study.db").read_bytes() == before


@pytest.mark.sqlite
def test_a_migrated_database_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    schema_1(tmp_path / "study.db")
    open_store(tmp_path / "study.db").close()
    fakes.start(tmp_path / "new", fakes.make_study())[0].close()

    def tables(path: Path) -> dict[str, list[str]]:
        with closing(sqlite3.connect(path)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: [str(row[1:]) for row in connection.execute(f"PRAGMA table_info({name})")] for name in names}

    assert tables(tmp_path / "study.db") == tables(tmp_path / "new" / "study.db")


@pytest.mark.sqlite
def test_a_database_is_not_brought_up_to_date_under_workers_that_know_it_as_it_was(tmp_path: Path) -> None:
    """They would go on writing machines under their old names, and nobody would read them."""
    path = tmp_path / "study.db"
    schema_1(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO segsearch_workers VALUES ('w', 'here/pid', 1, 0.0, ?, NULL)", (time.time() + 60,)
        )
    before = dump(path)
    with pytest.raises(DatabaseError, match="a worker of an older segsearch may be at work here"):
        open_store(path)
    assert dump(path) == before
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE segsearch_workers SET lease_until = ?", (time.time() - 1,))
    open_store(path).close()


@pytest.mark.sqlite
def test_a_migration_that_is_killed_half_way_leaves_schema_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema_1(tmp_path / "study.db")
    before = dump(tmp_path / "study.db")

    first, *between, last = migrate.MIGRATIONS

    def killed(connection: sqlalchemy.Connection) -> None:
        last(connection)
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(migrate, "MIGRATIONS", (first, *between, killed))
        with pytest.raises(RuntimeError, match="killed here"):
            open_store(tmp_path / "study.db")
    assert dump(tmp_path / "study.db") == before
    with open_store(tmp_path / "study.db") as store:
        assert len(store.timings("fake")) == 3
