"""Workers that do the same thing at the same moment, as processes of their own: nobody dies, nothing is made twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from segsearch.errors import TrialFailed
from segsearch.search.memory import open_memory
from segsearch.store import Store, open_store, schema
from segsearch.store.worker import Worker, at_work
from tests import fakes

FORK = multiprocessing.get_context("fork")


def crew(count: int, work: Callable[[int], None]) -> list[BaseProcess]:
    """So many processes, each at `work` with its number; they begin together."""
    gate = FORK.Barrier(count)

    def wait_and_work(number: int) -> None:
        gate.wait(60)
        work(number)

    processes = [FORK.Process(target=wait_and_work, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    return processes


def join(processes: list[BaseProcess]) -> list[int | None]:
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def note(folder: Path, word: str) -> None:
    with (folder / "log").open("a") as log:
        log.write(f"{word}\n")


def noted(folder: Path) -> list[str]:
    return (folder / "log").read_text().split() if (folder / "log").exists() else []


def wait_for(folder: Path, word: str, times: int = 1) -> None:
    deadline = time.monotonic() + 60
    while noted(folder).count(word) < times:
        assert time.monotonic() < deadline, f"{word} never came"
        time.sleep(0.02)


def claims(store: Store) -> list[str]:
    with store.reading() as connection:
        return list(connection.execute(sqlalchemy.select(schema.claims.c.name)).scalars())


def test_six_that_open_a_new_database_at_once_all_open_it(tmp_path: Path) -> None:
    first = [{"depth": 1}, {"depth": 2}]
    study = fakes.make_study(search={"first": first})

    def work(number: int) -> None:
        store, row = fakes.start(tmp_path, study)
        with store, open_memory(store, row.study):
            pass

    fakes.where(tmp_path)
    assert join(crew(6, work)) == [0] * 6
    with open_store(fakes.where(tmp_path)) as store, open_memory(store, study) as memory:
        assert [trial.system_attrs["fixed_params"] for trial in memory.optuna_study.get_trials()] == first
        assert [row.name for row in store.studies()] == ["fake"]


def test_four_that_know_one_machine_differently_agree_on_its_unit(tmp_path: Path) -> None:
    """Nodes of one kind have one key, and each calibrated for itself: one front must have one unit."""
    fakes.start(tmp_path, fakes.make_study())[0].close()

    def work(number: int) -> None:
        mine = replace(fakes.MACHINE, references=(("float32-1", 4.0 + number),))
        with open_store(fakes.where(tmp_path)) as store:
            kept = store.keep_machine(mine)
            note(tmp_path, str(dict(kept.references)["float32-1"]))

    assert join(crew(4, work)) == [0] * 4
    said = noted(tmp_path)
    with open_store(fakes.where(tmp_path)) as store:
        (stored,) = store.machines()
    assert said == [str(dict(stored.references)["float32-1"])] * 4


def test_four_that_finish_one_stage_at_once_keep_the_first(tmp_path: Path) -> None:
    fakes.start(tmp_path, fakes.make_study())[0].close()
    together = FORK.Barrier(4)

    def work(number: int) -> None:
        def make() -> dict[str, Any]:
            together.wait(60)
            return {"by": number}

        with open_store(fakes.where(tmp_path)) as store:
            note(tmp_path, f"{store.workshop('fake', number).once('train', 'k', make)['by']}")

    assert join(crew(4, work)) == [0] * 4
    with open_store(fakes.where(tmp_path)) as store:
        (stage,) = store.stages("fake")
        assert noted(tmp_path) == [str(stage.outcome["by"])] * 4
        assert stage.trial == stage.outcome["by"]


def test_four_that_want_one_teacher_make_it_once(tmp_path: Path) -> None:
    fakes.start(tmp_path, fakes.make_study())[0].close()

    def work(number: int) -> None:
        with open_store(fakes.where(tmp_path)) as store, at_work(store, "fake") as worker:
            waited: list[str] = []

            def wait(stage: str) -> None:
                waited.append(stage)
                note(tmp_path, "waiting")

            workshop = store.workshop("fake", number, worker=worker.id, on_wait=wait)

            def teach() -> dict[str, Any]:
                note(tmp_path, "made")
                wait_for(tmp_path, "waiting", times=3)
                time.sleep(1.0)  # ... and they keep waiting
                return {"logits": workshop.artifacts.keep_bytes(b"logits", ".npy"), "by": number}

            def train() -> dict[str, Any]:
                return {"taught": workshop.once("teacher", "k", teach)["by"]}

            taught = workshop.once("train", f"{number}", train)["taught"]
            note(tmp_path, f"taught-by-{taught}")
            assert waited == ([] if taught == number else ["teacher"])

    assert join(crew(4, work)) == [0] * 4
    with open_store(fakes.where(tmp_path)) as store:
        (teacher,) = [stage for stage in store.stages("fake") if stage.name == "teacher"]
        assert noted(tmp_path).count("made") == 1
        assert noted(tmp_path).count(f"taught-by-{teacher.trial}") == 4
        assert claims(store) == []


def hold(tmp_path: Path, store: Store) -> BaseProcess:
    """A process that makes the teacher for as long as it lives."""

    def work() -> None:
        with open_store(fakes.where(tmp_path)) as own, at_work(own, "fake") as worker:

            def teach() -> dict[str, Any]:
                note(tmp_path, "begun")
                time.sleep(300)
                return {"by": "the first"}

            own.workshop("fake", 0, worker=worker.id).once("teacher", "k", teach)

    process = FORK.Process(target=work)
    process.start()
    wait_for(tmp_path, "begun")
    assert claims(store) == ["teacher"]
    return process


def test_a_maker_that_is_killed_hands_the_stage_on(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        maker = hold(tmp_path, store)

        def work(number: int) -> None:
            with open_store(fakes.where(tmp_path)) as own, at_work(own, "fake") as worker:
                waiting = own.workshop("fake", 1, worker=worker.id, on_wait=lambda stage: note(tmp_path, "waiting"))
                found = waiting.once("teacher", "k", lambda: {"by": "the second"})
                note(tmp_path, "-".join(str(found["by"]).split()))

        (second,) = crew(1, work)
        wait_for(tmp_path, "waiting")
        time.sleep(1.0)
        assert noted(tmp_path) == ["begun", "waiting"]
        maker.kill()
        assert join([maker, second]) == [-signal.SIGKILL, 0]
        assert noted(tmp_path)[-1] == "the-second"
        assert claims(store) == []


def test_who_waits_can_be_interrupted_and_leaves_no_claim(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        maker = hold(tmp_path, store)

        def work(number: int) -> None:
            with open_store(fakes.where(tmp_path)) as own, at_work(own, "fake") as worker:
                workshop = own.workshop("fake", 1, worker=worker.id, on_wait=lambda stage: note(tmp_path, "waiting"))

                def train() -> dict[str, Any]:
                    return dict(workshop.once("teacher", "k", dict))

                try:
                    workshop.once("train", "k", train)
                except KeyboardInterrupt:
                    note(tmp_path, "interrupted")

        (second,) = crew(1, work)
        wait_for(tmp_path, "waiting")
        assert sorted(claims(store)) == ["teacher", "train"]
        os.kill(second.pid or 0, signal.SIGINT)
        assert join([second]) == [0]
        assert noted(tmp_path)[-1] == "interrupted"
        assert claims(store) == ["teacher"]  # the maker's
        maker.kill()
        maker.join(60)


def test_a_stage_that_failed_is_the_next_ones_at_once(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())

    def fail() -> dict[str, Any]:
        assert claims(store) == ["train"]
        raise TrialFailed("diverged", "the loss became NaN")

    with store, at_work(store, "fake") as worker:
        workshop = store.workshop("fake", 0, worker=worker.id)
        with pytest.raises(TrialFailed, match="NaN"):
            workshop.once("train", "k", fail)
        assert claims(store) == []
        assert workshop.once("train", "k", lambda: {"ok": True}) == {"ok": True}
        assert claims(store) == []


def test_a_stage_of_a_far_worker_is_waited_for_until_its_lease_is_over(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())

    def end_lease(stage: str) -> None:
        waited.append(stage)
        with store.writing() as connection:
            connection.execute(
                sqlalchemy.update(schema.workers).where(schema.workers.c.id == "far").values(lease_until=1.0)
            )

    waited: list[str] = []
    with store, at_work(store, "fake") as worker:
        with store.writing() as connection:
            far = {"id": "far", "host": "elsewhere", "pid": 1, "pid_started": 0.0, "lease_until": store.now() + 60}
            connection.execute(sqlalchemy.insert(schema.workers).values(**far))
            claim = {"study": "fake", "name": "teacher", "key": "k", "worker": "far"}
            connection.execute(sqlalchemy.insert(schema.claims).values(**claim))
        workshop = store.workshop("fake", 0, worker=worker.id, on_wait=end_lease)
        assert workshop.once("teacher", "k", lambda: {"by": "here"}) == {"by": "here"}
        assert waited == ["teacher"]
        # What the far worker still brings comes too late: what is stored may be in use.
        assert store.workshop("fake", 1).once("teacher", "k", lambda: {"by": "far"}) == {"by": "here"}


# ---- leases --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of_worker", "of_observer"), [(-90.0, 0.0), (0.0, 90.0), (90.0, -90.0)])
def test_a_host_whose_clock_is_wrong_keeps_its_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_worker: float, of_observer: float
) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    real = time.time

    def far_away() -> None:
        """A worker on a host with another name, whose clock differs."""
        own_process = ("elsewhere/", os.getpid(), 0.0)
        monkeypatch.setattr("segsearch.store.worker.this_process", lambda: own_process)
        monkeypatch.setattr("segsearch.store.lease.this_process", lambda: own_process)
        monkeypatch.setattr("time.time", lambda: real() + of_worker)
        with open_store(fakes.where(tmp_path)) as own, at_work(own, "fake") as worker:
            assert worker.next(1) == "ask"
            worker.enter(0, fakes.candidate(8, 1), params={}, seed=0)
            note(tmp_path, "entered")
            time.sleep(300)

    process = FORK.Process(target=far_away)
    process.start()
    wait_for(tmp_path, "entered")
    monkeypatch.setattr("time.time", lambda: real() + of_observer)
    with store:
        with at_work(store, "fake") as worker:
            assert worker.next(1) == "wait"
            assert not worker.bury()
            assert store.trial("fake", 0).worker != worker.id
        process.kill()
        process.join(60)


def test_who_took_its_lease_again_is_not_buried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that slept is seen dead, and wakes up before it is forgotten."""
    store, _ = fakes.start(tmp_path, fakes.make_study())
    table = schema.workers
    with store, at_work(store, "fake") as worker:
        sleeper = {"host": "elsewhere/", "pid": 1, "pid_started": 0.0}
        with store.writing() as connection:
            for name in ("sleeper", "dead"):
                connection.execute(sqlalchemy.insert(table).values(id=name, lease_until=1.0, **sleeper))
        whole = Store.writing

        def wake_first(self: Store) -> Any:
            monkeypatch.setattr(Store, "writing", whole)
            with self.writing() as connection:
                awake = sqlalchemy.update(table).where(table.c.id == "sleeper").values(lease_until=1e12)
                connection.execute(awake)
            return self.writing()

        monkeypatch.setattr(Store, "writing", wake_first)
        assert worker.bury()
        with store.reading() as connection:
            left = set(connection.execute(sqlalchemy.select(table.c.id)).scalars())
        assert left == {"sleeper", worker.id}
        assert not Worker(store, "fake", worker.id).bury()
