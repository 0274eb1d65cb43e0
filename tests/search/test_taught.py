"""A teacher that is no better than its students: the sampler is not offered it, and a study goes on alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.evidence.types import Evidence
from segsearch.search import Event, run_search
from segsearch.space.candidate import Candidate, Draw
from segsearch.space.steps import Distill
from segsearch.store import Store
from segsearch.workshop import Workshop
from tests import fakes

FIRST = [
    {"channels": 64, "depth": depth, "block": "separable", "expansion": 1.0, "precision": "float", "taught": "no"}
    for depth in (3, 6)
]


def draw(choose: Draw) -> Candidate:
    taught = choose.suggest_categorical("taught", ("no", "yes")) == "yes"
    return replace(fakes.draw(choose), distill=Distill(0.5) if taught else None)


def begun(folder: Path, **search: Any) -> tuple[Store, str]:
    teacher = {"epochs": 9, "choices": {"depth": 12}}
    about = {"first": FIRST, "startup_trials": 2, **search}
    store, row = fakes.start(folder, fakes.make_study(trials=12, teacher=teacher, search=about))
    return store, row.name


def evaluating(teacher: float, *, stop_at: int | None = None) -> Any:
    plain = fakes.make_evaluate()

    def evaluate(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
        if number == stop_at:
            raise KeyboardInterrupt
        if candidate.distill is not None:
            workshop.once("teacher", "teacher", lambda: {"miou": teacher})
        return plain(number, candidate, workshop)

    return evaluate


def taught(store: Store, name: str) -> list[int]:
    return [trial.number for trial in store.trials(name) if trial.candidate.distill is not None]


def searched(store: Store, name: str, teacher: float, **more: Any) -> list[Event]:
    events: list[Event] = []
    run_search(
        store,
        name,
        draw=draw,
        alone=fakes.draw,
        evaluate=evaluating(teacher, **more),
        gate=fakes.make_gate(),
        on_event=events.append,
    )
    return events


def test_a_teacher_below_its_students_teaches_one_and_no_more(tmp_path: Path) -> None:
    store, name = begun(tmp_path)
    with store:
        events = searched(store, name, 0.3)
        (said,) = [event for event in events if event.kind == "untaught"]
        best = max(store.trial(name, number).values["miou"] for number in (0, 1))
        assert said.why is not None
        assert said.why.startswith(f"mIoU 0.300, {best - 0.3:.3f} below the best of its students (trial 1: {best:.3f})")
        assert len(taught(store, name)) == 1
        later = [trial for trial in store.trials(name) if trial.number > taught(store, name)[0]]
        assert len(later) > 3
        assert not any("taught" in trial.params for trial in later), "it is not even asked for"
        assert [event.kind for event in searched(store, name, 0.3)] == ["untaught"], "said again by who carries on"


def test_a_teacher_that_is_trained_already_is_asked_before_anybody_learns_from_it(tmp_path: Path) -> None:
    asked: list[int] = []
    study = fakes.make_study(trials=6, teacher={"first": 0}, search={"first": FIRST, "startup_trials": 2})
    store, row = fakes.start(tmp_path, study)

    def teach(workshop: Workshop) -> None:
        asked.append(store.counts(row.name).trained)
        workshop.once("teacher", "teacher", lambda: {"miou": 0.3})

    with store:
        run_search(store, row.name, draw=draw, alone=fakes.draw, evaluate=evaluating(0.3), teach=teach)
        assert asked == [2], "once, when its students are trained"
        assert not taught(store, row.name)


def test_a_teacher_that_is_better_stays_on_offer(tmp_path: Path) -> None:
    store, name = begun(tmp_path)
    with store:
        assert not [event for event in searched(store, name, 0.99) if event.kind == "untaught"]
        assert len(taught(store, name)) > 1


@pytest.mark.parametrize("stop_at", [4, 7])
def test_a_study_that_was_stopped_draws_what_an_unbroken_one_does(tmp_path: Path, stop_at: int) -> None:
    found = []
    for stops in (None, stop_at):
        store, name = begun(tmp_path / f"{stops}")
        with store:
            if stops is not None:
                with pytest.raises(KeyboardInterrupt):
                    searched(store, name, 0.3, stop_at=stops)
            searched(store, name, 0.3)
            found.append([(trial.number, trial.key, dict(trial.params)) for trial in store.trials(name)])
    assert found[0] == found[1]


def test_siblings_of_a_taught_trial_are_taught_as_it_was(tmp_path: Path) -> None:
    """They are files of its training: drawn without the teacher they would be others, and trained anew."""
    store, name = begun(tmp_path, siblings=3, first=[*FIRST, {**FIRST[0], "depth": 4, "taught": "yes"}])
    with store:
        searched(store, name, 0.3)
        (origin,) = [number for number in taught(store, name) if store.trial(name, number).origin is None]
        files = [trial for trial in store.trials(name, ["trained"]) if trial.origin == origin]
        assert len(files) == 1
        assert files[0].candidate.learnt == store.trial(name, origin).candidate.learnt


def test_those_that_wait_to_be_taught_are_promoted_last(tmp_path: Path) -> None:
    store, name = begun(tmp_path, screen=3)
    with store:
        searched(store, name, 0.3)
        trained = [trial for trial in store.trials(name, ["trained"]) if trial.candidate.distill is not None]
        assert len(trained) <= 1
