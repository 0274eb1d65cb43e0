"""Many are looked at, one is trained: what is promoted, what the sampler hears, and that no kill changes either."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import select

from segsearch.errors import SearchStuck, TrialFailed, UserError
from segsearch.evidence.objectives import Rejected, broken_limits
from segsearch.evidence.types import Evidence
from segsearch.search import Evaluate, Event, run_search
from segsearch.search.foresee import most_promising
from segsearch.search.memory import Lesson, open_memory, trial_seed
from segsearch.search.screen import choose, proposals
from segsearch.space.candidate import Candidate
from segsearch.store import Store, TrialRow, open_store, schema
from segsearch.store.worker import at_work
from segsearch.study import Study
from segsearch.workshop import Workshop
from tests import fakes
from tests.samples import stride
from tests.search.test_search import _die_at_commit


def screening(*, screen: int = 4, trials: int = 4, **changes: Any) -> Study:
    search = {"startup_trials": 1, "screen": screen, **changes.pop("search", {})}
    return fakes.make_study(trials=trials, limits=["latency_ms<=12"], search=search, **changes)


def make_gate(study: Study, log: Path | None = None) -> Evaluate:
    """The untrained candidate's latency, as a stage."""

    def look(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        def measure() -> dict[str, float]:
            if log is not None:
                with log.open("a") as lines:
                    lines.write(f"{one.key}\n")
            return {"latency_ms": fakes.latency_of(one)}

        found = fakes.evidence(latency_ms=workshop.once("gate", one.key, measure)["latency_ms"], miou=None)
        if broken := broken_limits(study.bounds, found):
            raise Rejected(found, broken)
        return found

    return look


def make_evaluate(study: Study, log: Path | None = None, gates: Path | None = None) -> Evaluate:
    gate, whole = make_gate(study, gates), fakes.make_evaluate()

    def evaluate(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        gate(number, one, workshop)
        if log is not None:
            with log.open("a") as lines:
                lines.write(f"{one.key}\n")
        return whole(number, one, workshop)

    return evaluate


def search(store: Store, study: Study, **more: Any) -> list[Event]:
    events: list[Event] = []
    keywords = {"draw": fakes.draw, "evaluate": make_evaluate(study), "gate": make_gate(study), **more}
    run_search(store, study.name, on_event=events.append, **keywords)
    return events


def promoted(store: Store, study: Study) -> list[str]:
    """The keys of promoted trials, in that order."""
    table = schema.screenings
    query = select(table.c.trial).where(table.c.promoted.is_not(None)).order_by(table.c.promoted)
    with store.reading() as connection:
        numbers = list(connection.execute(query).scalars())
    return [store.trial(study.name, number).key for number in numbers]


def states(store: Store, study: Study) -> dict[int, TrialState]:
    with open_memory(store, study) as memory:
        return {trial.number: trial.state for trial in memory.optuna_study.get_trials()}


def check_settled(store: Store, study: Study) -> tuple[TrialRow, ...]:
    """What must hold once a search that screens is done, however often it was killed."""
    rows = store.trials(study.name)
    counts = store.counts(study.name)
    assert (counts.trained, counts.running) == (study.trials, 0)
    kept = [row.key for row in rows if row.state != "duplicate"]
    assert len(kept) == len(set(kept))
    with open_memory(store, study) as memory:
        known = {trial.number: trial for trial in memory.optuna_study.get_trials()}
    waiting = {row.number for row in rows if row.state == "screened"}
    assert {number for number, one in known.items() if one.state == TrialState.RUNNING} == waiting
    asked_only = set(known) - {row.number for row in rows}
    assert all(known[number].state == TrialState.FAIL for number in asked_only)
    for row in rows:
        assert known[row.number].params == row.params
        if row.state == "trained":
            assert known[row.number].state == TrialState.COMPLETE
            assert known[row.number].values == [row.values[name] for name in study.objectives]
        elif row.state == "rejected":
            assert known[row.number].state == TrialState.PRUNED
            assert known[row.number].constraints["latency_ms<=12"] > 0
        elif row.state == "screened":
            assert row.gate_only
            assert set(row.values) >= {"latency_ms", "size_bytes", "params", "macs"}
            assert "miou" not in row.values
    stages = Counter((stage.name, stage.key) for stage in store.stages(study.name))
    assert set(stages.values()) == {1}
    return rows


def test_each_training_is_the_best_of_all_that_were_looked_at(tmp_path: Path) -> None:
    study = screening()
    store, _ = fakes.start(tmp_path, study)
    pool, chosen, said = set[int](), list[int](), list[str]()
    looks, rows = 0, store.trials("fake")

    def follow(event: Event) -> None:
        nonlocal looks, rows
        if event.kind == "screened":
            pool.add(event.trial.number)
        if event.kind == "fell_back" and event.why:
            said.append(event.why)
        if event.kind == "promoted":
            assert looks == 4, "so many between two trainings"
            assert event.best_of == len(pool)
            ranking = choose(rows, study, seed=trial_seed(study.seed, len(rows)))
            assert event.trial.number == ranking.numbers[0]
            pool.remove(event.trial.number)
            chosen.append(event.trial.number)
            looks = 0
        if event.kind in ("trained", "screened", "rejected"):
            looks += event.trial.gate_only
            rows = store.trials("fake")

    with store:
        keywords = {"draw": fakes.draw, "evaluate": make_evaluate(study), "gate": make_gate(study)}
        run_search(store, "fake", on_event=follow, **keywords)  # type: ignore[arg-type]
        settled = check_settled(store, study)
        assert len(chosen) == study.trials - 1
        assert pool == {row.number for row in settled if row.state == "screened"}, "the pool stays"
        assert len(said) == len(set(said)), "a reason is said once"
        assert all(store.evidence("fake", number) is not None for number in pool)
        assert {timing.trial for timing in store.timings("fake")} >= pool


def test_nothing_is_looked_at_where_a_study_does_not_screen(tmp_path: Path) -> None:
    study = screening(screen=0)
    store, _ = fakes.start(tmp_path, study)

    def never(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        raise AssertionError("nothing may be looked at")

    with store:
        search(store, study, gate=never)
        assert store.counts("fake").screened == 0
        assert not any(row.gate_only for row in store.trials("fake"))


def test_first_designs_and_startup_trials_are_all_trained(tmp_path: Path) -> None:
    first = [{"channels": 8 * width, "depth": 1, "block": "conv", "kernel": 3, "expansion": 1.0} for width in (1, 2)]
    designs = [{**one, "precision": "float"} for one in first]
    study = screening(trials=5, search={"first": designs, "startup_trials": 2})
    store, _ = fakes.start(tmp_path, study)
    with store:
        events = search(store, study)
        trained = [event.trial for event in events if event.kind == "trained"]
        begun = next(place for place, event in enumerate(events) if event.trial.gate_only)
        assert sum(event.kind == "trained" for event in events[:begun]) == 4
        assert [dict(one.params) for one in trained[:2]] == designs
        check_settled(store, study)


def test_a_search_that_screens_needs_a_gate(tmp_path: Path) -> None:
    study = screening()
    store, _ = fakes.start(tmp_path, study)
    with store, pytest.raises(ValueError, match="a gate must be given"):
        run_search(store, "fake", draw=fakes.draw, evaluate=make_evaluate(study))


def test_a_space_that_is_used_up_ends_with_its_pool(tmp_path: Path) -> None:
    study = screening(trials=2)
    store, _ = fakes.start(tmp_path, study)
    with store:
        search(store, study, draw=fakes.draw_from_two)
        assert store.counts("fake").trained == 2, "the one that was looked at is trained, although few were"
        keywords = {"draw": fakes.draw_from_two, "evaluate": make_evaluate(study), "gate": make_gate(study)}
        assert run_search(store, "fake", trials=3, **keywords).reason == "used_up"  # type: ignore[arg-type]
        assert store.counts("fake").running == 0


def test_candidates_that_all_break_a_limit_end_in_a_bounded_number(tmp_path: Path) -> None:
    study = screening(trials=3, search={"give_up_after": 9})
    store, _ = fakes.start(tmp_path, study)
    bound = study.model_copy(update={"limits": ("latency_ms<=0.001",)})
    with store:
        search(store, study, trials=1)
        with pytest.raises(SearchStuck, match=r"None of the last 9 candidates"):
            search(store, study, trials=3, gate=make_gate(bound))
        counts = store.counts("fake")
        assert (counts.rejected, counts.screened, counts.running) == (9, 0, 0)


def test_trainings_that_all_fail_end_in_a_bounded_number_although_looks_succeed(tmp_path: Path) -> None:
    study = screening(trials=3, search={"give_up_after": 3})
    store, _ = fakes.start(tmp_path, study)

    def diverge(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        raise TrialFailed("diverged", "the loss became NaN")

    with store:
        search(store, study, trials=1)
        with pytest.raises(SearchStuck, match=r"failed with diverged"):
            search(store, study, trials=3, evaluate=diverge)
        failed = store.trials("fake", ["failed"])
        assert 2 <= len(failed) <= 3, "a look that is rejected after them is a miss, too"
        for row in failed:
            assert (row.values, row.artifact, row.gate_only) == ({}, None, False)
            assert store.evidence("fake", row.number) is None, "what the gate said is of no file that there is"
            assert not store.timings("fake", trial=row.number)
            assert states(store, study)[row.number] == TrialState.PRUNED


def test_screening_that_is_turned_off_leaves_the_sampler_no_trials_under_way(tmp_path: Path) -> None:
    """The sampler takes trials that run for bad ones, and trials that wait for its own."""
    study = screening()
    store, _ = fakes.start(tmp_path, study)
    plain = screening(screen=0, trials=6)
    with store:
        search(store, study)
        waiting = {row.number for row in store.trials("fake", ["screened"])}
        assert waiting
        row = store.study("fake")
        store.begin_study(plain, artifacts=tmp_path / "artifacts", space=row.space, data_key="data")
        search(store, plain)
        assert store.counts("fake").trained == 6
        assert {row.number for row in store.trials("fake", ["screened"])} == waiting
        assert {states(store, plain)[number] for number in waiting} == {TrialState.FAIL}
        # And on again: the pool is there yet, and what is trained of it teaches.
        more = screening(trials=8)
        store.begin_study(more, artifacts=tmp_path / "artifacts", space=row.space, data_key="data")
        search(store, more)
        assert store.counts("fake").trained == 8
        late = [one for one in store.trials("fake", ["trained"]) if one.number in waiting]
        with open_memory(store, more) as memory:
            told = memory.optuna_study.get_trials(states=(TrialState.COMPLETE,))
        for one in late:
            values = [one.values["miou"], one.values["latency_ms"]]
            assert [trial.values for trial in told if trial.params == one.params] == [values]


def test_a_worker_killed_before_it_noted_what_it_told_leaves_nobody_told_twice(tmp_path: Path) -> None:
    """Found by the storm of kills: a twin of a candidate under way, and one that waited where nothing is screened."""
    study = screening(trials=2)
    store, row = fakes.start(tmp_path, study)
    with store:
        search(store, study)
        trained = store.trials("fake", ["trained"])[-1]
        with at_work(store, "fake") as worker, open_memory(store, study) as memory:
            number = memory.begin(fakes.draw, trained.params)
            twin = worker.enter(number, trained.candidate, params=trained.params, seed=0)
            assert twin.twin == trained.number
            memory._tell(number, Lesson(TrialState.FAIL))  # what it is told while the other runs
            memory.reconcile(worker)
        told = states(store, study)
        assert [*told] == [one.number for one in store.trials("fake")]
        assert told[number] == TrialState.FAIL

        plain, more = screening(screen=0, trials=2), screening(trials=6)
        for one in (plain, more):  # the first fails those that wait
            store.begin_study(one, artifacts=tmp_path / "artifacts", space=row.space, data_key="data")
            search(store, one)
        before = states(store, more)
        late = next(one for one in store.trials("fake", ["trained"]) if before[one.number] == TrialState.FAIL)
        with at_work(store, "fake") as worker, open_memory(store, more) as memory:
            memory.tell(late, worker)
        assert states(store, more) == before


def test_a_study_turns_screening_on_when_it_is_carried_on(tmp_path: Path) -> None:
    study = screening(screen=0, trials=2)
    store, row = fakes.start(tmp_path, study)
    with store:
        search(store, study)
        more = screening(trials=4)
        store.begin_study(more, artifacts=tmp_path / "artifacts", space=row.space, data_key="data")
        search(store, more)
        check_settled(store, more)
        assert len(promoted(store, more)) == 2


def test_siblings_come_of_promoted_trials_too_and_take_the_place_of_their_twins_in_the_pool(tmp_path: Path) -> None:
    study = screening(search={"siblings": 3})
    store, _ = fakes.start(tmp_path, study)
    with store:
        search(store, study)
        counts = store.counts("fake")
        assert (counts.trained, counts.siblings) == (4, 4), "the fake space has two precisions"
        for row in store.trials("fake", ["duplicate"]):
            assert row.twin is not None
            assert store.trial("fake", row.twin).state == "trained"
        check_settled(store, study)


def test_what_is_looked_at_and_interrupted_is_looked_at_again_and_no_more(tmp_path: Path) -> None:
    study = screening()
    store, _ = fakes.start(tmp_path, study)
    stopped: list[int] = []
    gate = make_gate(study)

    def stops(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        if not stopped:
            stopped.append(number)
            raise KeyboardInterrupt
        return gate(number, one, workshop)

    with store:
        with pytest.raises(KeyboardInterrupt):
            search(store, study, gate=stops)
        left = store.trial("fake", stopped[0])
        assert (left.state, left.worker, left.gate_only) == ("running", None, True)
        events = search(store, study, gate=stops)
        mine = [event.kind for event in events if event.trial.number == left.number]
        assert mine[0] == "resumed"
        assert mine[1] in ("screened", "rejected")
        check_settled(store, study)


def test_a_promoted_trial_that_is_interrupted_is_trained_by_whoever_carries_on(tmp_path: Path) -> None:
    study = screening()
    store, _ = fakes.start(tmp_path, study)
    whole, stopped = make_evaluate(study), list[int]()

    def stops(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        if number and not stopped:
            stopped.append(number)
            raise KeyboardInterrupt
        return whole(number, one, workshop)

    with store:
        with pytest.raises(KeyboardInterrupt):
            search(store, study, evaluate=stops)
        left = store.trial("fake", stopped[0])
        assert (left.state, left.worker, left.gate_only) == ("running", None, False)
        events = search(store, study, evaluate=stops)
        assert [event.kind for event in events if event.trial.number == left.number] == ["resumed", "trained"]
        check_settled(store, study)


# ---- kills and company ---------------------------------------------------------------------------------------------


def work(folder: Path, study: Study, kill_at_commit: int | None = None) -> None:
    if kill_at_commit is not None:
        _die_at_commit(kill_at_commit)
    store, _ = fakes.start(folder, study)
    gates = folder / "gated.log"
    evaluate = make_evaluate(study, folder / "evaluated.log", gates)
    with store:
        run_search(store, study.name, draw=fakes.draw, evaluate=evaluate, gate=make_gate(study, gates))


def spawn(*arguments: Any) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def ended(process: multiprocessing.process.BaseProcess) -> int | None:
    process.join(300)
    return process.exitcode


def lines(path: Path) -> Counter[str]:
    return Counter(path.read_text().split())


@pytest.fixture(scope="module")
def small() -> Study:
    return screening(screen=3, trials=3)


def killed_as_unbroken(folder: Path, study: Study, number: int) -> bool:
    """Die at one commit of a search, then finish it: the same trials as without the kill. False after its end.

    What is drawn at random before it screens goes by the sampler's number, which a kill may leave out: that is done.
    """
    whole, here = folder / "whole", folder / str(number)
    first = study.model_copy(update={"trials": study.search.trained_before_screening})
    if not whole.exists():
        assert ended(spawn(whole, first)) == 0
        assert ended(spawn(whole, study)) == 0
    with open_store(fakes.where(whole)) as store:
        wanted = promoted(store, study)
        everything = [row.key for row in store.trials(study.name)]
    assert ended(spawn(here, first)) == 0
    code = ended(spawn(here, study, number))
    if code == 0:
        return False
    assert code == -signal.SIGKILL
    assert ended(spawn(here, study)) == 0
    with open_store(fakes.where(here)) as store:
        rows = check_settled(store, study)
        assert promoted(store, study) == wanted
        assert [row.key for row in rows] == everything
    # Killed between a stage's end and its commit, that one is made again.
    assert sum((lines(here / "gated.log") - lines(whole / "gated.log")).values()) <= 1
    assert sum((lines(here / "evaluated.log") - lines(whole / "evaluated.log")).values()) <= 1
    return True


@pytest.mark.parametrize("at", [46, 50, 52, 57])
def test_killed_at_a_commit_it_promotes_what_an_unbroken_search_does(tmp_path: Path, small: Study, at: int) -> None:
    assert killed_as_unbroken(tmp_path, small, at)


@pytest.mark.parametrize("at", [30, 44, 63, 78])
def test_killed_where_it_foresees_it_looks_at_and_makes_what_an_unbroken_search_does(tmp_path: Path, at: int) -> None:
    """Which proposal is looked at, and which sibling is worth making, hangs on the rows of that moment alone."""
    search = {"startup_trials": 3, "proposals": 4, "siblings": 3, "sibling_gain": 0.001}
    assert killed_as_unbroken(tmp_path, screening(screen=2, trials=5, search=search), at)


def test_each_look_goes_to_the_most_promising_of_its_proposals(tmp_path: Path) -> None:
    study = screening(search={"startup_trials": 4, "proposals": 6}, trials=6)
    store, _ = fakes.start(tmp_path, study)
    rows, better = store.trials("fake"), 0

    def follow(event: Event) -> None:
        nonlocal rows, better
        if event.trial.gate_only and event.kind in ("screened", "rejected"):
            several = list(islice(proposals(fakes.draw, rows, study, seed=trial_seed(study.seed, len(rows))), 6))
            assert (event.trial.params, event.trial.candidate) == most_promising(several, rows, study)
            better += event.trial.candidate != several[0][1]
        if event.kind in ("trained", "screened", "rejected"):
            rows = store.trials("fake")

    with store:
        run_search(
            store,
            "fake",
            draw=fakes.draw,
            evaluate=make_evaluate(study),
            gate=make_gate(study),
            on_event=follow,
        )
        check_settled(store, study)
    assert better >= 3, "it is seldom the first"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_commits_all_along_it_promotes_what_an_unbroken_search_does(
    tmp_path: Path, small: Study, backend: str
) -> None:
    number, step = 1, stride(4 if backend == "sqlite" else 15)  # a second each; on a server they are the same
    while killed_as_unbroken(tmp_path, small, number):
        number += step
    assert number > 100


def test_three_workers_share_a_pool_and_train_nothing_twice(tmp_path: Path) -> None:
    study = screening(trials=6)
    assert [ended(one) for one in [spawn(tmp_path, study) for _ in range(3)]] == [0, 0, 0]
    with open_store(fakes.where(tmp_path)) as store:
        rows = check_settled(store, study)
        table = schema.screenings
        with store.reading() as connection:
            looks = connection.execute(select(table.c.trial, table.c.promoted)).all()
        promotions = sum(look.promoted is not None for look in looks)
        assert 1 <= promotions <= 5, "startup trials of several workers overlap"
        assert len(looks) >= 4 * promotions
        trained = {row.key for row in rows if row.state == "trained"}
    assert lines(tmp_path / "evaluated.log") == Counter(trained)
    assert set(lines(tmp_path / "gated.log").values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workers", [1, 3])
def test_a_storm_of_kills_costs_nothing(tmp_path: Path, workers: int) -> None:
    study, dice = screening(trials=10), random.Random(workers)
    kept: dict[int, str] = {}
    for _ in range(10):
        crew = [spawn(tmp_path, study) for _ in range(workers)]
        time.sleep(dice.uniform(0.1, 3.0))
        for process in crew:
            if dice.random() < 0.8 or process is crew[0]:
                process.kill()
        assert {ended(process) for process in crew} <= {0, -signal.SIGKILL}
        with suppress(UserError), open_store(fakes.where(tmp_path)) as store:  # killed before there was a database
            now = {row.number: row.state for row in store.trials("fake")}
            assert all(now[number] == state for number, state in kept.items()), "what has ended stays so"
            kept = {number: state for number, state in now.items() if state not in ("running", "screened")}
    assert ended(spawn(tmp_path, study)) == 0
    with open_store(fakes.where(tmp_path)) as store:
        check_settled(store, study)


def test_two_workers_that_want_one_trial_both_get_another(tmp_path: Path) -> None:
    study = screening()
    store, _ = fakes.start(tmp_path, study)
    with store, at_work(store, "fake") as worker, at_work(store, "fake") as other:
        for number in range(3):
            assert worker.next(4) == "ask"
            one = fakes.candidate(8 * (number + 1), 1)
            assert worker.enter(number, one, params={}, seed=0, gate_only=True).gate_only
            kept = worker.keep(number, "screened", evidence=fakes.evidence(miou=None))
            assert kept is not None
            assert (kept.state, kept.gate_only) == ("screened", True)
        assert worker.looks() == 3
        assert worker.promote(0, looks=4) is None, "too few were looked at"
        first = worker.promote(0, looks=3)
        assert first is not None
        assert (first.state, first.gate_only, first.worker, first.finished) == ("running", False, worker.id, None)
        assert other.promote(1, looks=3) is None, "looks that another promotion used up"
        assert other.promote(0, looks=0) is None
        second = other.promote(1, looks=0)
        assert second is not None
        assert second.worker == other.id
        assert other.looks() == 0
        assert worker.keep(1, "trained", evidence=fakes.evidence()) is None
        assert other.keep(1, "trained", evidence=fakes.evidence()) is not None
        assert store.trial("fake", 2).state == "screened"


def test_what_is_trained_by_itself_takes_the_place_of_an_equal_one_that_waits(tmp_path: Path) -> None:
    study = screening()
    store, _ = fakes.start(tmp_path, study)
    one = fakes.candidate(8, 1)
    with store, at_work(store, "fake") as worker:
        worker.enter(0, one, params={}, seed=0, gate_only=True)
        worker.keep(0, "screened", evidence=fakes.evidence(miou=None))
        again = worker.enter(1, one, params={}, seed=0, gate_only=True)
        assert (again.state, again.twin) == ("duplicate", 0)
        assert worker.keys() == frozenset()
        assert worker.enter(2, one, params={}, seed=0).state == "running"
        assert [(row.state, row.twin) for row in store.trials("fake")] == [
            ("duplicate", 2),
            ("duplicate", 2),
            ("running", None),
        ]
        assert worker.keys() == {one.key}
        assert store.evidence("fake", 0) is None
        assert worker.promote(0, looks=0) is None
