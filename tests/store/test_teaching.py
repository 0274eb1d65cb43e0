"""Whether a teacher is better than its students: who counts, when it is known, and that it is decided once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.space.steps import Distill
from segsearch.store import NO_TRIAL, Store, StudyRow, TrialRow
from segsearch.store.teaching import students, verdict, weighed
from segsearch.study import Study
from tests import fakes

FIRST = [{"depth": depth} for depth in (1, 2, 3)]


def study_with(**teacher: Any) -> Study:
    settings = {"epochs": 9, "choices": {"depth": 12}} | teacher
    return fakes.make_study(teacher=settings, search={"first": FIRST, "startup_trials": 2})


def row(number: int, miou: float | None, *, state: str = "trained", taught: bool = False, **changes: Any) -> TrialRow:
    candidate = fakes.candidate(8, number + 1)
    if taught:
        candidate = replace(candidate, distill=Distill(0.5))
    about: dict[str, Any] = {
        "number": number,
        "state": state,
        "candidate": candidate,
        "key": str(number),
        "params": {"depth": number + 1, "more": "a"},
        "values": {} if miou is None else {"miou": miou},
        **dict.fromkeys(("artifact", "machine", "failure", "twin", "worker", "finished")),
        **dict.fromkeys(("seed", "attempts", "started"), 0),
    }
    return TrialRow(**(about | changes))


def test_a_teacher_is_weighed_against_the_best_first_design_once_all_have_ended() -> None:
    study, rows = study_with(), [row(0, 0.5), row(1, 0.55), row(2, None, state="running")]
    assert weighed(study, rows, 0.9) is None
    rows[2] = row(2, None, state="rejected")
    found = weighed(study, [*rows, row(3, 0.8)], 0.57)  # what the sampler finds later is no matter
    assert found is not None
    assert (found.student, found.trial, found.offered) == (0.55, 1, False)
    assert found.words == "mIoU 0.570, 0.020 above the best of its students (trial 1: 0.550)"
    better = weighed(study, rows, 0.58)
    assert better is not None
    assert better.offered, "0.03 above, to the last digit"
    assert weighed(study, rows, None) is None, "nobody knows the teacher yet"
    always = study_with(better_by=0.0)
    assert weighed(always, rows, 0.1) is None


def test_who_is_taught_a_sibling_or_the_teacher_itself_is_no_student() -> None:
    own = study_with(first=1, epochs=None, choices=None)
    rows = [row(0, 0.5), row(1, 0.9), row(2, 0.8, taught=True), row(3, 0.7, origin=0, params={"depth": 1})]
    assert [one.number for one in students(own, rows)] == [0]
    without = own.model_copy(update={"search": own.search.model_copy(update={"first": ()})})
    assert students(without, rows[:1]) == [], "two are drawn at random before the sampler learns"
    assert [one.number for one in students(without, [*rows, row(4, 0.6)])] == [0, 1]


def stored(tmp_path: Path) -> tuple[Store, StudyRow]:
    return fakes.start(tmp_path, study_with())


def test_a_verdict_is_kept_and_does_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, begun = stored(tmp_path)
    rows = [row(0, 0.5), row(1, 0.55), row(2, 0.52)]
    monkeypatch.setattr(Store, "trials", lambda self, name: tuple(rows))
    with store:
        assert verdict(store, begun) is None
        work = store.workshop(begun.name, NO_TRIAL)
        work.once("teacher", "on all images", lambda: {"miou": 0.9, "on": "data with validation"})
        assert verdict(store, begun) is None, "one that learned the validation labels tells nothing"
        work.once("teacher", "first", lambda: {"miou": 0.56, "on": begun.data_key})
        found = verdict(store, begun)
        assert found is not None
        assert not found.offered
        rows[1] = row(1, 0.1)
        work.once("teacher", "second", lambda: {"miou": 0.99})
        assert verdict(store, begun) == found
