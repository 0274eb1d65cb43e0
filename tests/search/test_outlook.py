"""Whether more trainings are worth their time, and a search that ends because they are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.search import Summary, run_search
from segsearch.search.outlook import has_converged, outlook, reached_by
from segsearch.store import Store, TrialRow
from segsearch.study import Study
from tests import fakes
from tests.figures.trials import trial
from tests.search.test_screening import ended, make_evaluate, make_gate, spawn


@pytest.fixture(autouse=True)
def either() -> None:
    """One kind of database is enough."""


STUDY = fakes.make_study(trials=60, search={"stop": "converged"})


def rows_of(gains: list[float]) -> list[TrialRow]:
    """Trainings at one latency, of which each is better by so much than the one before, and one that is bad."""
    rows, miou = [trial(0, {"miou": 0.1, "latency_ms": 9.0})], 0.3
    for number, gain in enumerate(gains, start=1):
        miou += gain
        rows.append(trial(number, {"miou": miou, "latency_ms": 3.0}))
    return rows


def test_too_few_trainings_say_nothing() -> None:
    assert outlook(rows_of([0.0] * 18), STUDY) is None
    assert outlook(rows_of([0.0] * 19), STUDY) is not None
    assert outlook([replace(row, origin=0) for row in rows_of([0.0] * 30)], STUDY) is None, "siblings are no trainings"


def test_a_front_that_grows_goes_on_and_one_that_stands_still_has_converged() -> None:
    growing, still = rows_of([0.01] * 30), rows_of([0.02] * 10 + [0.0] * 25)
    assert has_converged(growing, STUDY) is None
    found = has_converged(still, STUDY)
    assert found is not None
    assert (found.trainings, found.gain) == (36, 0.0)
    assert has_converged(list(reversed(still)), STUDY) == found, "in whatever order they are read"
    assert has_converged(still, fakes.make_study(trials=60)) is None, "nobody asked"
    lucky = rows_of([0.0] * 18 + [0.05] + [0.0] * 11)
    seen = outlook(lucky, STUDY)
    assert seen is not None
    assert seen.gain > 0.05, "ten trainings without a gain may be bad luck: twenty are looked at"


def test_what_breaks_a_limit_adds_nothing_and_a_siblings_file_adds_to_its_training() -> None:
    study = fakes.make_study(limits=["latency_ms<=5"])
    rows = [trial(0, {"miou": 0.1, "latency_ms": 4.9}), trial(1, {"miou": 0.9, "latency_ms": 7.0})]
    rows += [trial(2, {"miou": 0.5, "latency_ms": 4.0}), trial(3, {"miou": 0.6, "latency_ms": 2.0}, origin=2)]
    rows.append(trial(4, {"miou": 0.3, "latency_ms": 4.0}))
    first, over, _, last = reached_by(rows, study)
    assert first == over == 0.0
    assert reached_by(rows[:3], study)[-1] < reached_by(rows[:4], study)[-1] == last
    assert reached_by(rows, fakes.make_study(objectives=["latency_ms", "size_bytes"])) == ()


def search(store: Store, study: Study, **more: Any) -> Summary:
    doors: Mapping[str, Any] = {"draw": fakes.draw, "evaluate": make_evaluate(study), "gate": make_gate(study)}
    return run_search(store, study.name, **doors, **more)


def begun_again(store: Store, study: Study, folder: Path) -> None:
    store.begin_study(study, artifacts=folder / "artifacts", space=store.study("fake").space, data_key="data")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three trainings are looked ahead in place of ten."""
    monkeypatch.setattr("segsearch.search.outlook.AHEAD", 3)


@pytest.mark.parametrize("screen", [0, 2])
@pytest.mark.usefixtures("short")
def test_a_search_ends_once_little_is_to_be_gained_and_goes_on_for_less(tmp_path: Path, screen: int) -> None:
    settings = {"startup_trials": 4, "screen": screen, "stop": "converged", "stop_gain": 0.5}
    study = fakes.make_study(trials=60, limits=["latency_ms<=12"], search=settings)
    store, _ = fakes.start(tmp_path, study)
    with store:
        first = search(store, study)
        assert first.reason == "converged"
        assert first.outlook is not None
        assert first.outlook.gain < 0.5
        assert 6 <= first.counts.trained < 60
        again = search(store, study)
        assert (again.reason, again.counts) == ("converged", first.counts), "twice is the same as once"
        settings["stop_gain"] = 0.0
        more = fakes.make_study(trials=first.counts.trained + 2, limits=["latency_ms<=12"], search=settings)
        begun_again(store, more, tmp_path)
        assert search(store, more).reason == "done"


@pytest.mark.usefixtures("short")
def test_where_a_search_ends_is_no_matter_of_a_pause_or_of_company(tmp_path: Path) -> None:
    settings = {"startup_trials": 4, "screen": 2, "stop": "converged", "stop_gain": 0.5}
    study = fakes.make_study(trials=40, limits=["latency_ms<=12"], search=settings)
    counts = []
    for name, steps in (("whole", [40]), ("broken", [7, 40])):
        store, _ = fakes.start(tmp_path / name, study)
        with store:
            for trials in steps:
                search(store, study, trials=trials)
            counts.append([(row.key, row.state) for row in store.trials("fake")])
    assert counts[0] == counts[1]
    assert [ended(one) for one in [spawn(tmp_path, study) for _ in range(2)]] == [0, 0]
    store, _ = fakes.start(tmp_path, study)
    with store:
        assert store.counts("fake").running == 0
        assert 6 <= store.counts("fake").trained < 40


def test_two_workers_of_a_space_that_is_used_up_both_end_well(tmp_path: Path) -> None:
    settings = {"startup_trials": 1, "screen": 2}
    study = fakes.make_study(trials=9, search=settings)
    store, _ = fakes.start(tmp_path, study)
    with store:
        done = run_search(store, "fake", draw=fakes.draw_from_two, evaluate=make_evaluate(study), gate=make_gate(study))
        assert (done.reason, done.counts.trained) == ("used_up", 2)
        again = run_search(
            store, "fake", draw=fakes.draw_from_two, evaluate=make_evaluate(study), gate=make_gate(study)
        )
        assert (again.reason, again.counts.trained, again.counts.running) == ("used_up", 2, 0)
