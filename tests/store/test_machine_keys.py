"""A database whose machines have the keys of schema 2: it opens, its machines become one, and its study goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.errors import StudyError
from segsearch.evidence.machines import former_key, machine_key
from segsearch.evidence.objectives import MACHINE_BOUND, intervals_of, values_of
from segsearch.evidence.timing import Block, Comparison, Machine, Timing
from segsearch.evidence.types import Evidence
from segsearch.judging.fronts import one_machine
from segsearch.latency.machine import this_machine
from segsearch.launch import demand_machine
from segsearch.space.keys import to_json
from segsearch.store import Store, open_store
from segsearch.study import dump_study
from segsearch.workshop import silent
from tests import fakes
from tests.models import RUNTIME
from tests.store.test_store import SCHEMA_1, add_trial_1, dump

TIMINGS = """
CREATE TABLE segsearch_timings (
    study VARCHAR(64) NOT NULL, trial INTEGER NOT NULL, machine VARCHAR(64) NOT NULL, "values" TEXT NOT NULL,
    intervals TEXT NOT NULL, json TEXT NOT NULL, taken FLOAT NOT NULL, PRIMARY KEY (study, trial, machine)
);
INSERT INTO segsearch_migrations VALUES (2, 2.0);
"""
UNIT = (("float32-1", 5.0), ("int8-1", 9.0))
# Keys as segsearch wrote them: by which cores, every flag, governor and clock.
ONE = Machine(
    "cc1d596315c4b12d8924bd046b6c92b0e31953a09174ce2ce38c36eb8dab8108",
    "A Chip",
    4,
    2**33,
    "Linux x86_64",
    "onnxruntime 1.31.1",
    affinity=(0,),
    flags=("avx2", "fpu", "sse2"),
    references=UNIT,
)
OTHER = replace(
    ONE,
    key="d37e9f5c7891ff19db36e7184f24335f467c097f3f7836a5dd81b1558d7ec456",
    affinity=(1,),
    governor="performance",
    max_mhz=3500.0,
)
WIDE = replace(ONE, key="2ea7feed2b9364fc0b6e20af1ed0cb5535846896da11499e9c3b664d464a087f", affinity=(0, 1))
ELSEWHERE = replace(
    ONE, key="c05a863409a303afbd2bc57aabd7720a8ec31a73dd61c47ebd6fcbc5b6130e2c", cpu="Another Chip", references=()
)
TODAY = machine_key(ONE)


def on(machine: Machine, ratio: float, evidence: Evidence | None = None) -> Evidence:
    """Evidence with a ratio to the float reference in the unit of a machine, give or take a tenth."""
    reference_ms = dict(machine.references).get("float32-1", 5.0)
    compared = Comparison("float32-1", reference_ms, (Block(0, 3, 2.0, 1.0),), ratio, 0.9 * ratio, 1.1 * ratio, "time")
    timing = Timing((1.0, 2.0, 3.0), 1, 1, machine.key, "cpu", compared, load_ms=(4.0,), first_run_ms=(6.0,))
    return replace(evidence or fakes.evidence(), timing=timing)


def schema_2(
    path: Path,
    machines: Sequence[Machine],
    trials: Sequence[Evidence | None],
    again: Sequence[tuple[int, Evidence, float]] = (),
) -> None:
    """A study as schema 2 wrote it: a trained trial for each evidence, a running one for None; those timed `again`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA_1 + TIMINGS)
        connection.execute("DELETE FROM segsearch_machines")
        settings = json.loads(dump_study(fakes.make_study(trials=len(trials))))
        settings["train"].pop("threads")
        row = ("fake", json.dumps(settings), "0" * 64 + ".py", "data", "artifacts", 0.0)
        connection.execute("INSERT INTO segsearch_studies VALUES (?, ?, ?, ?, ?, ?)", row)
        for machine in machines:
            record = json.loads(to_json(machine))
            assert record.pop("aliases") == []
            connection.execute("INSERT INTO segsearch_machines VALUES (?, ?)", (machine.key, json.dumps(record)))
        for number, evidence in enumerate(trials):
            add_trial_1(connection, number, "running" if evidence is None else "trained")
            if evidence is not None:
                values = (json.dumps(values_of(evidence)), evidence.timing.machine, evidence.artifact, number)
                connection.execute(
                    'UPDATE segsearch_trials SET "values" = ?, machine = ?, artifact = ? WHERE number = ?', values
                )
                connection.execute("INSERT INTO segsearch_evidence VALUES ('fake', ?, ?)", (number, to_json(evidence)))
                add_timing(connection, number, evidence, 10.0 + number)
        for number, evidence, taken in again:
            add_timing(connection, number, evidence, taken)


def add_timing(connection: sqlite3.Connection, number: int, evidence: Evidence, taken: float) -> None:
    values = {name: value for name, value in values_of(evidence).items() if name in MACHINE_BOUND}
    told = (json.dumps(values), json.dumps(intervals_of(evidence)), to_json(evidence.timing), taken)
    row = (number, evidence.timing.machine, *told)
    connection.execute("INSERT INTO segsearch_timings VALUES ('fake', ?, ?, ?, ?, ?, ?)", row)


def latencies(store: Store) -> list[tuple[int, str, float]]:
    return [(row.trial, row.machine, row.values["latency_ms"]) for row in store.timings("fake")]


def test_the_keys_of_this_test_are_those_of_schema_2() -> None:
    for machine in (ONE, OTHER, WIDE, ELSEWHERE):
        assert former_key(machine) == machine.key
    assert len({machine_key(machine) for machine in (ONE, OTHER, WIDE, ELSEWHERE)}) == 3


def test_machines_that_differ_in_their_cores_become_one(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    trials = (on(ONE, 1.0), on(ONE, 2.0), on(OTHER, 3.0), on(WIDE, 4.0), on(ELSEWHERE, 5.0))
    schema_2(path, (ONE, OTHER, WIDE, ELSEWHERE), trials, [(4, on(ONE, 6.0), 40.0)])
    with open_store(path) as store:
        assert {machine.key: machine for machine in store.machines()} == {
            TODAY: replace(ONE, key=TODAY, aliases=(ONE.key, OTHER.key)),
            machine_key(WIDE): replace(WIDE, key=machine_key(WIDE), aliases=(WIDE.key,)),
            machine_key(ELSEWHERE): replace(ELSEWHERE, key=machine_key(ELSEWHERE), aliases=(ELSEWHERE.key,)),
        }
        assert latencies(store) == [
            (0, TODAY, 5.0),
            (1, TODAY, 10.0),
            (2, TODAY, 15.0),
            (3, machine_key(WIDE), 20.0),
            (4, machine_key(ELSEWHERE), 25.0),
            (4, TODAY, 30.0),
        ]
        stored = store.trials("fake")
        assert [trial.machine for trial in stored[2:]] == [TODAY, machine_key(WIDE), machine_key(ELSEWHERE)]
        assert [trial.values for trial in stored] == [values_of(evidence) for evidence in trials]
        for number, evidence in enumerate(trials):
            found = store.evidence("fake", number)
            key = stored[number].machine
            assert found == replace(evidence, timing=replace(evidence.timing, machine=key))
            assert store.evidence("fake", number, machine=key) == found
    text = "\n".join(line for line in dump(path) if '"aliases"' not in line)
    assert not [machine.key for machine in (ONE, OTHER, WIDE, ELSEWHERE) if machine.key in text]


def test_of_two_timings_of_a_trial_the_newest_stays(tmp_path: Path) -> None:
    again = [(0, on(OTHER, 7.0), 50.0), (1, on(OTHER, 8.0), 5.0)]
    schema_2(tmp_path / "study.db", (ONE, OTHER), (on(ONE, 1.0), on(ONE, 2.0)), again)
    with open_store(tmp_path / "study.db") as store:
        assert latencies(store) == [(0, TODAY, 35.0), (1, TODAY, 10.0)]
        found = store.evidence("fake", 0, machine=TODAY)
        assert found is not None
        assert found.timing == replace(on(OTHER, 7.0).timing, machine=TODAY)
        first = store.evidence("fake", 0)
        assert first is not None
        assert first.timing.latency_ms == 5.0


def test_two_calibrations_of_one_machine_become_one_unit(tmp_path: Path) -> None:
    """A ratio of 3 is 18 ms where the reference took 6 and 15 where it took 5: in one front it must be one of them."""
    slower = replace(OTHER, references=(("float32-1", 6.0), ("int8-2", 1.0)))
    trials = (on(ONE, 1.0), on(ONE, 2.0), on(slower, 3.0))
    assert trials[2].timing.latency_ms == 18.0
    schema_2(tmp_path / "study.db", (ONE, slower), trials, [(1, on(slower, 4.0), 60.0)])
    with open_store(tmp_path / "study.db") as store:
        (machine,) = store.machines()
        # Two timings each: the first one's came earlier.
        assert machine.references == (("float32-1", 5.0), ("int8-1", 9.0), ("int8-2", 1.0))
        assert latencies(store) == [(0, TODAY, 5.0), (1, TODAY, 20.0), (2, TODAY, 15.0)]
        wanted = on(replace(ONE, key=TODAY), 3.0)
        assert store.evidence("fake", 2) == store.evidence("fake", 2, machine=TODAY) == wanted
        assert store.trial("fake", 2).values == values_of(wanted)
        (row,) = (row for row in store.timings("fake") if row.trial == 2)
        assert row.intervals == intervals_of(wanted)
        assert row.values == {name: value for name, value in values_of(wanted).items() if name in MACHINE_BOUND}
        # Load and first run are told at the reference's calibrated speed, too: 4 and 6 ms while it took 1 instead of 5.
        assert (row.values["load_ms"], row.values["first_run_ms"]) == (20.0, 30.0)


def test_a_machine_that_was_used_more_gives_the_unit(tmp_path: Path) -> None:
    slower = replace(OTHER, references=(("float32-1", 6.0),))
    schema_2(tmp_path / "study.db", (ONE, slower), (on(ONE, 1.0), on(slower, 2.0), on(slower, 3.0)))
    with open_store(tmp_path / "study.db") as store:
        assert latencies(store) == [(0, TODAY, 6.0), (1, TODAY, 12.0), (2, TODAY, 18.0)]
        assert store.machines()[0].affinity == (1,)


def test_a_former_key_still_names_the_machine(tmp_path: Path) -> None:
    schema_2(tmp_path / "study.db", (ONE, ELSEWHERE), (on(ONE, 1.0), on(ELSEWHERE, 2.0)))
    with open_store(tmp_path / "study.db") as store:
        known = (store.trials("fake"), store.timings("fake"), store.machines())
        for wanted in (ONE.key, ONE.key[:6], TODAY[:8]):
            assert one_machine(*known, wanted) == TODAY
        assert one_machine(*known, ELSEWHERE.key[:8]) == machine_key(ELSEWHERE)
        with pytest.raises(StudyError, match="must begin the key of one machine"):
            one_machine(*known, "ffffff")


def test_a_machine_without_a_record_of_its_cores_stays(tmp_path: Path) -> None:
    """Of schema 1: its key was made of less, and nobody can tell on how many cores it was timed."""
    unknown = Machine("ab" * 32, "A Chip", 4, 2**33, "Linux x86_64", "onnxruntime 1.31.1")
    schema_2(tmp_path / "study.db", (unknown,), (on(unknown, 1.0),))
    with open_store(tmp_path / "study.db") as store:
        assert store.machines() == (unknown,)
        assert latencies(store) == [(0, unknown.key, 5.0)]


def test_it_is_done_once(tmp_path: Path) -> None:
    schema_2(tmp_path / "study.db", (ONE, OTHER), (on(ONE, 1.0), on(OTHER, 2.0)))
    open_store(tmp_path / "study.db").close()
    before = dump(tmp_path / "study.db")
    open_store(tmp_path / "study.db").close()
    assert dump(tmp_path / "study.db") == before


def test_one_that_is_killed_half_way_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema_2(tmp_path / "study.db", (ONE, OTHER), (on(ONE, 1.0), on(OTHER, 2.0)))
    before = dump(tmp_path / "study.db")

    def killed(*arguments: Any) -> None:
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr("segsearch.store.machine_keys.put", killed)
        with pytest.raises(RuntimeError, match="killed here"):
            open_store(tmp_path / "study.db")
    assert dump(tmp_path / "study.db") == before


# ---- the study goes on


def old_here(**changes: object) -> Machine:
    """This machine as schema 2 named it, with times that nobody could measure here."""
    one = replace(this_machine(RUNTIME), references=(("float32-1", 123.0), ("int8-1", 456.0)))
    one = replace(one, **changes)
    return replace(one, key=former_key(one))


@pytest.fixture
def unmeasured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder of the user's, and nothing may be timed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def never(*arguments: object, **more: object) -> None:
        raise AssertionError("nothing may be measured")

    monkeypatch.setattr("segsearch.latency.measure._ask", never)


@pytest.mark.usefixtures("unmeasured")
def test_a_study_begun_under_a_former_key_goes_on_in_its_unit(tmp_path: Path) -> None:
    """Begun on the cores that a scheduler gave then, with a governor that has changed since."""
    cores = this_machine(RUNTIME).affinity
    old = old_here(affinity=tuple(core + 50 for core in cores), governor="then")
    schema_2(tmp_path / "study.db", (old,), (on(old, 1.0), None))
    with open_store(tmp_path / "study.db") as store:
        for wanted in (None, old.key[:8]):
            here = demand_machine(store, store.study().study, wanted, silent)
            assert (here.key, here.affinity) == (this_machine(RUNTIME).key, cores)
            assert here.references == old.references
            assert here.aliases == (old.key,)
        with pytest.raises(StudyError, match="--machine must name this machine"):
            demand_machine(store, store.study().study, "ffffff", silent)
        kept = store.keep_machine(here)
        assert kept == here
        assert store.machines() == (here,)


@pytest.mark.usefixtures("unmeasured")
def test_whoever_comes_second_takes_the_unit_that_is_stored(tmp_path: Path) -> None:
    """Two nodes of a kind that begin at once have each calibrated themselves."""
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        first = store.keep_machine(replace(ONE, references=(("float32-1", 5.0),)))
        second = store.keep_machine(replace(ONE, affinity=(3,), references=(("float32-1", 5.5), ("int8-1", 9.0))))
        assert first.references == (("float32-1", 5.0),)
        assert second == replace(ONE, affinity=(3,), references=UNIT)
        assert store.machines() == (second,)
