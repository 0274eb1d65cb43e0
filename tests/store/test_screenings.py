"""Trials that were looked at: their table, and databases from before there was one."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.store import migrate, open_store
from segsearch.store.worker import at_work
from tests import fakes
from tests.store.test_store import dump, schema_1


@pytest.mark.sqlite
def test_its_migration_only_adds_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, place = tmp_path / "study.db", migrate.MIGRATIONS.index(migrate._keep_screenings)
    schema_1(path)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[:place])
        open_store(path).close()
    before = dump(path)
    monkeypatch.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[: place + 1])
    with open_store(path) as store:
        assert not any(row.gate_only for row in store.trials("fake"))
        assert store.counts("fake").screened == 0
    added = [line for line in dump(path) if line not in before]
    assert sorted(line.split("(")[0].strip() for line in added) == [
        "CREATE TABLE segsearch_screenings",
        'INSERT INTO "segsearch_migrations" VALUES',
    ]
    assert [line for line in before if line not in dump(path)] == []


def test_a_worker_that_dies_while_it_looks_leaves_a_trial_that_is_looked_at_again(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study(search={"screen": 4}))
    with store:
        with at_work(store, "fake") as worker:
            assert worker.next(5) == "ask"
            worker.enter(0, fakes.candidate(8, 1), params={}, seed=0, gate_only=True)
        with at_work(store, "fake") as worker:
            found = worker.next(5)
            assert not isinstance(found, str)
            assert (found.trial.number, found.trial.gate_only, found.trial.attempts) == (0, True, 2)
            assert worker.keep(0, "screened", evidence=fakes.evidence(miou=None)) is not None
            assert worker.next(5) == "ask", "what waits is under way with nobody"
            assert worker.untold() == ()
            assert [row.number for row in worker.untold(screened=True)] == [0]
            taken = worker.promote(0, looks=1)
            assert taken is not None
            assert taken.values["latency_ms"] == 1.0, "what the gate found stays known"
            assert store.timings("fake", trial=0) == (), (
                "but no file that ships was timed: another machine may train it"
            )
        with at_work(store, "fake") as worker:
            found = worker.next(5)
            assert not isinstance(found, str)
            assert (found.trial.gate_only, found.trial.attempts) == (False, 2)


def test_a_listing_changes_when_a_trial_is_promoted(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study(search={"screen": 4}))
    with store, at_work(store, "fake") as worker:
        worker.enter(0, fakes.candidate(8, 1), params={}, seed=0, gate_only=True)
        marks = [store.mark("fake")]
        worker.keep(0, "screened", evidence=fakes.evidence(miou=None))
        marks.append(store.mark("fake"))
        worker.promote(0, looks=0)
        marks.append(store.mark("fake"))
        worker.keep(0, "trained", evidence=fakes.evidence())
        marks.append(store.mark("fake"))
        assert len(set(marks[:1] + marks[1:2] + marks[3:])) == 3
        assert marks[2] != marks[1]
