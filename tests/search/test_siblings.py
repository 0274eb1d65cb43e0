"""One training, many files: siblings come on top of the trials that are asked for, and none is lost or made twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.errors import TrialFailed
from segsearch.evidence.types import Confusion, Evidence
from segsearch.search import Event, run_search
from segsearch.search.earlier import NOTHING
from segsearch.search.family import Family
from segsearch.search.foresee import Proposal
from segsearch.search.loop import Evaluate
from segsearch.search.memory import make_sampler, open_memory
from segsearch.search.taught import Draws
from segsearch.space.candidate import Candidate, Draw, Named
from segsearch.space.keys import as_stored
from segsearch.space.steps import Prune
from segsearch.store import Store, TrialRow, open_store
from segsearch.store.looking import Looking
from segsearch.store.worker import at_work
from segsearch.workshop import Workshop
from tests import fakes

SPACE = "0" * 64 + ".py"

pytestmark = pytest.mark.usefixtures("backend")


def begun(folder: Path, *, siblings: int = 3, **changes: object) -> tuple[Store, str]:
    search = {"startup_trials": 2, "siblings": siblings}
    store, row = fakes.start(folder, fakes.make_study(trials=3, search=search, **changes))
    return store, row.name


def family(store: Store, name: str) -> Counter[int | None]:
    return Counter(trial.origin for trial in store.trials(name, ["trained"]))


def test_each_training_leaves_its_siblings_on_top_of_what_is_asked(tmp_path: Path) -> None:
    events: list[Event] = []
    store, name = begun(tmp_path)
    with store:
        study = store.study(name).study
        evaluate = fakes.make_evaluate(study.bounds)
        ended = run_search(store, name, draw=fakes.draw, evaluate=evaluate, on_event=events.append)
        counts = store.counts(name)
        assert (ended.reason, counts.trained, counts.siblings, counts.duplicate) == ("done", 3, 3, 0)
        found = family(store, name)
        origins = [trial.number for trial in store.trials(name) if trial.origin is None]
        assert found == {None: 3, **dict.fromkeys(origins, 1)}, "the fake space has two precisions"
        for trial in store.trials(name):
            if trial.origin is not None:
                other = store.trial(name, trial.origin)
                assert trial.candidate.learnt == other.candidate.learnt
                assert trial.candidate.bits != other.candidate.bits
                assert trial.seed == other.seed
        assert max(event.trained for event in events) == 3
        assert run_search(store, name, draw=fakes.draw, evaluate=evaluate).reason == "nothing_to_do"


def draw_pruned(choose: Draw) -> Candidate:
    """A space with something of everything that one training leads to."""
    plain = fakes.draw(choose)
    ratio = choose.suggest_float("prune_ratio", 0.0, 0.5, step=0.25)
    return replace(plain, before_export=(Prune(ratio),) if ratio else ())


def test_networks_that_learn_on_from_a_training_are_siblings_with_files_of_their_own(tmp_path: Path) -> None:
    store, row = fakes.start(
        tmp_path, fakes.make_study(trials=2, search={"startup_trials": 9, "siblings": 1, "tails": 2})
    )
    with store:
        evaluate = fakes.make_evaluate(row.study.bounds)
        run_search(store, row.name, draw=draw_pruned, evaluate=evaluate)
        counts = store.counts(row.name)
        assert (counts.trained, counts.duplicate) == (2, 0)
        for origin in store.trials(row.name, ["trained"]):
            if origin.origin is None:
                files = [one for one in store.trials(row.name, ["trained"]) if one.origin == origin.number]
                assert len(files) == 5, "another precision, and two pruned networks in two precisions each"
                networks = {one.candidate.learnt for one in files} | {origin.candidate.learnt}
                assert len(networks) == 3
                assert {one.candidate.parent for one in files} == {origin.candidate.parent}
                assert files[0].candidate.learnt == origin.candidate.learnt, "what needs no training comes first"
        assert run_search(store, row.name, draw=draw_pruned, evaluate=evaluate).reason == "nothing_to_do"


def test_what_learns_nothing_more_is_not_gated(tmp_path: Path) -> None:
    """Files of a training, and further ones of a network that learned on from it: the gate would save no training."""
    store, row = fakes.start(
        tmp_path, fakes.make_study(trials=1, search={"startup_trials": 9, "siblings": 1, "tails": 2})
    )
    whole, rest = list[Candidate](), list[Candidate]()
    plain = fakes.make_evaluate(row.study.bounds)

    def noted(seen: list[Candidate]) -> Evaluate:
        def evaluate(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
            seen.append(candidate)
            return plain(number, candidate, workshop)

        return evaluate

    with store:
        run_search(store, row.name, draw=draw_pruned, evaluate=noted(whole), finish=noted(rest))
        assert store.counts(row.name).siblings == len(whole) + len(rest) - 1 == 5
    assert len({one.learnt for one in whole}) == len(whole) == 3, "what is trained, and both that learn on"
    assert {one.learnt for one in rest} == {one.learnt for one in whole}, "another precision of each"


def draw_wide(choose: Draw) -> Candidate:
    """The fake space with further files that all lose: the classes are chosen at other sizes for no less time."""
    plain = fakes.draw(choose)
    scale = float(choose.suggest_categorical("answer_scale", ["1", "0.5", "0.25"]))
    return replace(plain, architecture=replace(plain.architecture, answer_scale=scale))


def worth(folder: Path, gain: float, trials: int = 9) -> tuple[Store, str, Evaluate]:
    search = {"startup_trials": 9, "siblings": 5, "sibling_gain": gain}
    store, row = fakes.start(folder, fakes.make_study(trials=trials, search=search))
    plain = fakes.make_evaluate(row.study.bounds)

    def evaluate(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
        found = plain(number, candidate, workshop)
        assert found.confusion is not None
        loses = 0.3 * (candidate.architecture.answer_scale < 1)
        hit = round(1000 * max(0.05, 0.5 - loses))
        return replace(found, confusion=Confusion(((hit, 1000 - hit), (1000 - hit, hit))))

    return store, row.name, evaluate


def made(store: Store, name: str) -> list[tuple[int | None, str]]:
    return [(row.origin, row.key) for row in store.trials(name) if row.state != "duplicate"]


def test_siblings_that_add_nothing_to_the_front_are_not_made_once_that_is_learned(tmp_path: Path) -> None:
    counts = {}
    for gain in (0.0, 0.02):
        store, name, evaluate = worth(tmp_path / str(gain), gain)
        with store:
            run_search(store, name, draw=draw_wide, evaluate=evaluate)
            counts[gain] = store.counts(name).siblings
            rows = [row for row in store.trials(name, ["trained"]) if row.origin is not None]
            late = [row for row in rows if row.origin and row.origin > rows[len(rows) // 2].number]
            assert store.counts(name).trained == 9
            if gain:
                assert all(row.candidate.architecture.answer_scale == 1 for row in late)
            assert run_search(store, name, draw=draw_wide, evaluate=evaluate).reason == "nothing_to_do"
            assert store.counts(name).siblings == counts[gain]
            search = {"startup_trials": 9, "siblings": 5}  # and all, where that is asked for later
            study = fakes.make_study(trials=9, search=search)
            store.begin_study(study, artifacts=tmp_path / str(gain) / "artifacts", space=SPACE, data_key="data")
            run_search(store, name, draw=draw_wide, evaluate=evaluate)
            assert store.counts(name).siblings == 45
    assert counts[0.0] == 45
    assert 5 <= counts[0.02] < 30


@pytest.mark.parametrize("stop", [6, 10, 14])
def test_a_search_that_was_stopped_makes_the_siblings_that_an_unbroken_one_does(tmp_path: Path, stop: int) -> None:
    """What is worth making hangs on what was known then, and not on what is found since."""
    store, name, evaluate = worth(tmp_path / "whole", 0.02)
    with store:
        run_search(store, name, draw=draw_wide, evaluate=evaluate)
        whole = made(store, name)
    store, name, evaluate = worth(tmp_path / "broken", 0.02)
    stopped: list[int] = []

    def stops(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
        if number == stop and not stopped:
            stopped.append(number)
            raise KeyboardInterrupt
        return evaluate(number, candidate, workshop)

    with store:
        with pytest.raises(KeyboardInterrupt):
            run_search(store, name, draw=draw_wide, evaluate=stops)
        assert stopped
        run_search(store, name, draw=draw_wide, evaluate=stops)
        assert made(store, name) == whole


def draw_few(choose: Draw) -> Candidate:
    """A small space whose siblings are drawn by themselves, too."""
    width = choose.suggest_int("width", 1, 3)
    depth = choose.suggest_int("depth", 1, 2)
    scale = float(choose.suggest_categorical("answer_scale", ["1", "0.5", "0.25"]))
    quantized = choose.suggest_categorical("precision", ["float", "int8"]) == "int8"
    plain = fakes.candidate(32 * width, depth, quantized=quantized)
    return replace(plain, architecture=replace(plain.architecture, answer_scale=scale))


@pytest.mark.parametrize("seed", range(2))
def test_what_was_worth_making_is_asked_again_as_it_was_asked_then(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that were left out are drawn by themselves later, and fail as those that take nothing: whoever carries on
    asks of what there was then."""
    search = {"sampler": "random", "siblings": 5, "sibling_gain": 0.003, "give_up_after": 40}
    store, row = fakes.start(tmp_path, fakes.make_study(trials=9, search=search, seed=seed))
    asked: list[tuple[object, ...]] = []
    weigh = Family._worth_making

    def noted(family: Family, left: Sequence[Proposal], by_then: Sequence[TrialRow]) -> list[Proposal]:
        known = tuple((one.number, dict(one.values)) for one in by_then if one.state in ("trained", "rejected"))
        asked.append((tuple(one.key for _, one in left), known))
        return weigh(family, left, by_then)

    monkeypatch.setattr(Family, "_worth_making", noted)
    plain = fakes.make_evaluate(row.study.bounds)
    with store:
        run_search(store, row.name, draw=draw_few, evaluate=plain)
        rows = store.trials(row.name)
        made_apart = [one for one in rows if one.origin is None and one.state != "duplicate"]
        assert len(made_apart) >= 9
        then = list(asked)
        asked.clear()
        assert run_search(store, row.name, draw=draw_few, evaluate=plain).reason == "nothing_to_do"
        assert len(store.trials(row.name)) == len(rows)
    assert len(asked) >= 5
    assert all(one in then for one in asked)


def test_nobody_leaves_while_another_makes_a_sibling_that_others_hang_on(tmp_path: Path) -> None:
    store, name, _ = worth(tmp_path, 0.001, trials=1)
    study = store.study(name).study
    with store, at_work(store, name) as other, at_work(store, name) as worker, open_memory(store, study) as memory:
        draws = Draws(store, store.study(name), worker, draw_wide, draw_wide, None)
        family = Family(study, worker, Looking(store, name), draws, NOTHING)
        assert not family.awaits()
        assert other.next(1) == "ask"
        trial = memory.ask()
        candidate = as_stored(draw_wide(trial))
        origin = other.enter(trial.number, candidate, params=trial.params, seed=0)
        other.keep(origin.number, "trained", evidence=fakes.evidence())
        found = family.next(1, family.looking.trials)
        assert found is not None
        number = memory.begin(draw_wide, found.params)
        sibling = as_stored(draw_wide(Named(found.params)))
        other.enter(number, sibling, params=found.params, seed=0, origin=origin.number)
        assert family.next(1, family.looking.trials) is None
        assert family.awaits()
        other.keep(number, "trained", evidence=fakes.evidence())
        assert not family.awaits()
        assert family.next(1, family.looking.trials) is not None, "nobody can say yet what is worth making"


def test_one_file_of_a_step_that_takes_nothing_is_tried_and_the_place_goes_to_a_larger_share(tmp_path: Path) -> None:
    store, row = fakes.start(
        tmp_path, fakes.make_study(trials=2, search={"startup_trials": 9, "siblings": 1, "tails": 1})
    )
    plain = fakes.make_evaluate(row.study.bounds)

    def evaluate(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
        if candidate.before_export == (Prune(0.25),):
            raise TrialFailed("no effect", "A step must take something.")
        return plain(number, candidate, workshop)

    with store:
        run_search(store, row.name, draw=draw_pruned, evaluate=evaluate)
        for origin in (one for one in store.trials(row.name) if one.is_training):
            files = [one for one in store.trials(row.name) if one.origin == origin.number]
            told = [(one.state, one.candidate.before_export) for one in files]
            if origin.candidate.before_export:
                continue
            larger = ("trained", (Prune(0.5),))
            assert told == [("trained", ()), ("failed", (Prune(0.25),)), larger, larger]
        assert run_search(store, row.name, draw=draw_pruned, evaluate=evaluate).reason == "nothing_to_do"


def test_a_study_of_before_has_no_pruned_siblings_as_its_pruned_candidates_train_apart(tmp_path: Path) -> None:
    study = fakes.make_study(trials=2, search={"startup_trials": 9, "tails": 2})
    train = study.train.model_copy(update={"fine_tune_on_top": False})
    store, row = fakes.start(tmp_path, study.model_copy(update={"train": train}))
    with store:
        run_search(store, row.name, draw=draw_pruned, evaluate=fakes.make_evaluate(row.study.bounds))
        assert store.counts(row.name).siblings == 0


def test_the_sampler_is_told_of_siblings(tmp_path: Path) -> None:
    store, name = begun(tmp_path)
    with store:
        study = store.study(name).study
        run_search(store, name, draw=fakes.draw, evaluate=fakes.make_evaluate(study.bounds))
        with open_memory(store, study) as memory:
            told = memory.optuna_study.trials
        for trial in store.trials(name):
            assert told[trial.number].state.name == "COMPLETE"
            assert told[trial.number].params == dict(trial.params)
            assert told[trial.number].values == [trial.values["miou"], trial.values["latency_ms"]]


def test_a_study_that_is_carried_on_with_siblings_makes_those_of_earlier_trainings(tmp_path: Path) -> None:
    store, name = begun(tmp_path, siblings=0)
    with store:
        study = store.study(name)
        evaluate = fakes.make_evaluate(study.study.bounds)
        run_search(store, name, draw=fakes.draw, evaluate=evaluate)
        assert family(store, name) == {None: 3}
        asks = fakes.make_study(trials=3, search={"startup_trials": 2, "siblings": 1})
        store.begin_study(asks, artifacts=tmp_path / "artifacts", space=study.space, data_key="data")
        assert run_search(store, name, draw=fakes.draw, evaluate=evaluate).reason == "done"
        assert store.counts(name).siblings == 3


def test_a_sibling_that_was_interrupted_is_carried_on_although_all_trials_are_trained(tmp_path: Path) -> None:
    store, name = begun(tmp_path)
    with store:
        plain = fakes.make_evaluate(store.study(name).study.bounds)
        stopped: list[int] = []

        def stops(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
            if store.counts(name).trained == 3 and not stopped:
                stopped.append(number)
                raise KeyboardInterrupt
            return plain(number, candidate, workshop)

        with pytest.raises(KeyboardInterrupt):
            run_search(store, name, draw=fakes.draw, evaluate=stops)
        assert store.trial(name, stopped[0]).state == "running"
        assert store.trial(name, stopped[0]).origin is not None
        run_search(store, name, draw=fakes.draw, evaluate=stops)
        assert store.trial(name, stopped[0]).state == "trained"
        assert (store.counts(name).trained, store.counts(name).siblings) == (3, 3)


def test_a_sibling_over_a_limit_or_that_fails_is_kept_with_its_reason_and_not_tried_again(tmp_path: Path) -> None:
    store, name = begun(tmp_path)
    with store:
        limits = store.study(name).study.bounds
        evaluate = fakes.make_evaluate(limits, fails=lambda number: store.trial(name, number).origin is not None)
        run_search(store, name, draw=fakes.draw, evaluate=evaluate)
        counts = store.counts(name)
        assert (counts.trained, counts.siblings, counts.failed) == (3, 0, 3)
        assert run_search(store, name, draw=fakes.draw, evaluate=evaluate).reason == "nothing_to_do"


def test_what_learns_on_does_not_end_the_random_start_of_the_sampler(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study(trials=1, search={"startup_trials": 4, "tails": 2}))
    with store:
        run_search(store, row.name, draw=draw_pruned, evaluate=fakes.make_evaluate(row.study.bounds))
        assert store.counts(row.name).siblings == 2
        with open_memory(store, row.study) as memory:
            memory.ask()
            assert memory.optuna_study.sampler._n_startup_trials == 6  # type: ignore[attr-defined]


def test_siblings_do_not_end_the_random_start_of_the_sampler() -> None:
    settings = fakes.make_study(search={"startup_trials": 4, "siblings": 2}).search
    assert make_sampler(settings, seed=0, siblings=6)._n_startup_trials == 10  # type: ignore[attr-defined]


def test_a_database_of_before_gets_the_table_and_its_trials_trained_for_themselves(tmp_path: Path) -> None:
    store, name = begun(tmp_path, siblings=0)
    with store:
        run_search(store, name, draw=fakes.draw, evaluate=fakes.make_evaluate(store.study(name).study.bounds))
        with store.writing() as connection:
            connection.exec_driver_sql("DROP TABLE segsearch_siblings")
            connection.exec_driver_sql("DELETE FROM segsearch_migrations WHERE number >= 13")
    with open_store(fakes.where(tmp_path)) as store:
        assert {trial.origin for trial in store.trials(name)} == {None}
        assert store.counts(name).trained == 3
