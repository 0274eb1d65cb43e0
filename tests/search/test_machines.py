"""A study that goes on on another machine ranks by what its trials cost there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.evidence.timing import Machine
from segsearch.evidence.types import Evidence
from segsearch.search import Evaluate, run_search
from segsearch.search import screening as by_screening
from segsearch.search.machines import as_here, timed_elsewhere
from segsearch.search.screen import Ranking
from segsearch.space.candidate import Candidate
from segsearch.store import TrialRow
from segsearch.store.rows import TimingRow
from segsearch.workshop import Workshop
from tests import fakes
from tests.search.test_screen import row_of


def timed(trial: int, machine: str, **values: float) -> TimingRow:
    return TimingRow(trial, machine, values, {}, 0.0)


def on(machine: str | None, number: int, latency_ms: float) -> TrialRow:
    made = row_of(number, "trained", fakes.candidate(8, 1), {}, {})
    return replace(made, machine=machine, values={"miou": 0.5, "latency_ms": latency_ms, "size_bytes": 1000.0})


def machine(key: str, **references: float) -> Machine:
    return Machine(key, "cpu", 2, 1, "system", "runtime", references=tuple(references.items()))


def test_what_was_timed_again_stands_so_and_the_rest_moves_by_the_same_factor() -> None:
    rows = [on("a", 0, 10.0), on("a", 1, 40.0), on("a", 2, 7.0), on("b", 3, 5.0), on("c", 4, 3.0), on(None, 5, 1.0)]
    timings = [
        *(timed(one.number, one.machine, latency_ms=one.values["latency_ms"]) for one in rows if one.machine),
        timed(0, "b", latency_ms=20.0),
        timed(1, "b", latency_ms=320.0, energy_mj=9.0),
    ]
    machines = [machine("a", dense=1.0), machine("b", dense=100.0)]
    found = as_here(rows, timings, machines, "b")
    assert [one.values["latency_ms"] for one in found] == pytest.approx([20, 320, 28, 5, 3, 1]), "nothing tells of c"
    assert found[1].values["energy_mj"] == 9.0, "which the other machine could not tell"
    assert all(one.values["size_bytes"] == 1000 and one.values["miou"] == 0.5 for one in found)
    assert timed_elsewhere(rows, "b")


def test_a_model_that_only_the_new_machine_trained_tells_of_both_where_the_old_one_timed_it_too() -> None:
    rows = [on("b", 0, 20.0), on("a", 1, 3.0)]
    timings = [timed(0, "a", latency_ms=10.0), timed(0, "b", latency_ms=20.0), timed(1, "a", latency_ms=3.0)]
    assert [one.values["latency_ms"] for one in as_here(rows, timings, [], "b")] == pytest.approx([20, 6])


def test_where_no_model_was_timed_on_both_the_reference_networks_tell_of_times_alone() -> None:
    old = replace(on("a", 0, 10.0), values={"miou": 0.5, "latency_ms": 10.0, "wall_p95_ms": 20.0, "energy_mj": 7.0})
    machines = [machine("a", dense=2.0, light=1.0, gone=1.0), machine("b", dense=4.0, light=8.0)]
    (found,) = as_here([old], [timed(0, "a", latency_ms=10.0)], machines, "b")
    assert found.values == pytest.approx({"miou": 0.5, "latency_ms": 40.0, "wall_p95_ms": 80.0, "energy_mj": 7.0})


def test_rows_of_one_machine_are_left_alone() -> None:
    rows = [on("b", 0, 10.0), on(None, 1, 40.0)]
    assert not timed_elsewhere(rows, "b")
    assert not timed_elsewhere([on("a", 0, 1.0)], None), "a search that was told of no machine"
    assert as_here(rows, [], [], "b") == rows


def found_on(machine: str, one: Candidate, *, times: float = 1.0, miou: float | None = None) -> Evidence:
    found = fakes.evidence(latency_ms=times * fakes.latency_of(one), miou=miou)
    assert found.timing is not None
    return replace(found, timing=replace(found.timing, machine=machine))


def test_what_waits_from_another_machine_is_ranked_by_what_it_costs_on_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = fakes.make_study(trials=3, search={"startup_trials": 1, "screen": 3})
    seen: list[Sequence[TrialRow]] = []
    choose = by_screening.choose

    def noting(rows: Sequence[TrialRow], *about: Any, **more: Any) -> Ranking:
        seen.append(rows)
        return choose(rows, *about, **more)

    monkeypatch.setattr(by_screening, "choose", noting)

    def looks(machine: str, times: float, last: int = 1000) -> Evaluate:
        def look(number: int, one: Candidate, workshop: Workshop) -> Evidence:
            if number == last:
                raise KeyboardInterrupt
            return found_on(machine, one, times=times)

        return look

    def trains(machine: str, times: float) -> Evaluate:
        return lambda number, one, workshop: found_on(machine, one, times=times, miou=0.3 + number / 100)

    store, row = fakes.start(tmp_path, study)
    with store:
        more: dict[str, Any] = {"draw": fakes.draw}
        with pytest.raises(KeyboardInterrupt):
            run_search(store, row.name, evaluate=trains("old", 10), gate=looks("old", 10, last=3), **more)
        store.keep_machine(machine("old", dense=50.0))
        store.keep_machine(machine("new", dense=5.0))
        run_search(store, row.name, evaluate=trains("new", 1), gate=looks("new", 1), machine="new", **more)
        assert {one.machine for one in store.trials(row.name)} >= {"old", "new"}
    assert len(seen) == 2
    for one in (one for rows in seen for one in rows):
        assert one.values["latency_ms"] == pytest.approx(fakes.latency_of(one.candidate)), one.number
