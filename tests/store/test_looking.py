"""Trials that are read again and again: every change is seen, and nothing else is read."""

from __future__ import annotations

from pathlib import Path

from segsearch.store import Failure
from segsearch.store.looking import Looking, read_again
from segsearch.store.ranges import ranges_of
from segsearch.store.worker import at_work
from tests import fakes


def test_every_change_of_a_trial_is_seen(tmp_path: Path, backend: str) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store, at_work(store, "fake") as worker, at_work(store, "fake") as other:
        looking = Looking(store, "fake")

        def check() -> None:
            whole = store.trials("fake")
            assert looking.trials() == list(whole)
            assert read_again(store, "fake", {row.number: row for row in whole}, spreads=True) == whole

        check()
        one = fakes.candidate(8, 1)
        worker.enter(0, one, params={}, seed=0, gate_only=True)
        check()
        worker.keep(0, "screened", evidence=fakes.evidence(miou=None))
        check()
        worker.promote(0, looks=0)
        check()
        worker.put_back()
        check()
        other.next(5)
        check()
        other.keep(0, "trained", evidence=fakes.evidence())
        check()
        worker.enter(1, fakes.candidate(8, 2), params={}, seed=0, gate_only=True)
        worker.keep(1, "screened", evidence=fakes.evidence(miou=None))
        check()
        worker.enter(2, fakes.candidate(8, 2), params={}, seed=0)  # takes the place of the one that waits
        check()
        worker.keep(2, "failed", failure=Failure("diverged", "NaN"))
        check()
        assert [row.state for row in looking.trials()] == ["trained", "duplicate", "failed"]


def test_of_many_trials_only_the_changed_one_is_read(tmp_path: Path, backend: str) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store, at_work(store, "fake") as worker:
        for number in range(6):
            worker.enter(number, fakes.candidate(8, number + 1), params={}, seed=0)
            worker.keep(number, "trained", evidence=fakes.evidence())
        looking = Looking(store, "fake")
        before = {row.number: row for row in looking.trials()}
        worker.enter(6, fakes.candidate(8, 7), params={}, seed=0)
        after = looking.trials()
        assert [row.number for row in after] == list(range(7))
        assert all(row is before[row.number] for row in after[:6])


def test_before_anything_was_asked_for_no_range_is_known(tmp_path: Path, backend: str) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store, store.reading() as connection:
        assert ranges_of(connection, "fake") == {}
