"""What earlier studies know: which models are drawn again, what they teach, and that it fades."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segsearch.search import run_search
from segsearch.search.earlier import MOST_DESIGNS, Earlier, Known, Source, aligned, drawable, gathered
from segsearch.search.screen import choose
from segsearch.search.surrogate import fit, predict
from segsearch.space.keys import from_json, to_json
from segsearch.store.rows import TrialRow
from tests import fakes
from tests.search.test_screen import STUDY, history, miou_of
from tests.search.test_screening import make_evaluate, make_gate, screening

SOURCE = Source("other", 30, 30, machine=True)


@pytest.fixture(autouse=True)
def either() -> None:
    """One kind of database is enough: what is asked of it here other tests ask of both."""


def known_of(rows: Sequence[TrialRow], *, slower: float = 1.0) -> list[Known]:
    found = drawable(fakes.draw, [row for row in rows if row.state == "trained"])
    return [replace(row, values={**row.values, "latency_ms": slower * row.values["latency_ms"]}) for row in found]


def test_a_model_is_drawn_again_only_as_the_very_same_one() -> None:
    rows = [row for row in history(12, 0) if row.state == "trained"]
    assert len(drawable(fakes.draw, rows)) == 12
    assert drawable(fakes.draw_from_two, rows) == []
    moved = [replace(row, candidate=fakes.candidate(8, 1)) for row in rows]
    assert drawable(fakes.draw, moved) == [], "the parameters of one and the network of another"
    more = [replace(row, params={**row.params, "gone": 3}) for row in rows]
    (first, *_) = drawable(fakes.draw, more)
    assert "gone" not in first.params, "a design holds what is asked here, and nothing else"
    assert drawable(fakes.draw, [replace(rows[0], values={"latency_ms": 1.0})]) == []


def test_designs_are_few_spread_over_the_front_and_none_that_the_study_begins_with() -> None:
    known = known_of(history(40, 0))
    found = gathered([(SOURCE, known)], STUDY)
    mious = [row.values["miou"] for choice in found.designs for row in known if row.params == choice]
    assert 3 <= len(found.designs) <= MOST_DESIGNS
    assert len(mious) == found.sources[0].designs
    assert max(mious) == max(row.values["miou"] for row in known), "the best one is among them"
    assert max(mious) - min(mious) > 0.1
    taken = [row.key for row in known if row.params == found.designs[0]]
    assert found.designs[0] not in gathered([(SOURCE, known)], STUDY, taken).designs
    two = gathered([(SOURCE, known), (SOURCE, [replace(row, source=1) for row in known_of(history(80, 0))])], STUDY)
    assert {source.designs > 0 for source in two.sources} == {True}
    assert {row.source for row in two.rows[:2]} == {0, 1}, "rows come in turns"


def test_a_design_that_surely_breaks_a_limit_is_none_and_one_of_another_machine_may_not() -> None:
    tight = fakes.make_study(limits=["latency_ms<=3"])
    known = known_of(history(40, 0))
    here = gathered([(SOURCE, known)], tight)
    there = gathered([(replace(SOURCE, machine=False), known)], tight)

    def most(found: Earlier) -> float:
        return max(row.values["latency_ms"] for choice in found.designs for row in known if row.params == choice)

    assert most(here) <= 3 < most(there)


def test_costs_of_another_machine_are_told_as_they_are_here() -> None:
    rows = history(12, 0)
    known = known_of(rows, slower=1.7)
    here = [row for row in rows if row.state == "trained"]
    moved = aligned(known, [SOURCE], here[:3])
    for row, own in zip(moved, here, strict=True):
        assert row.values["latency_ms"] == pytest.approx(own.values["latency_ms"])
        assert row.values["miou"] == own.values["miou"]
    assert aligned(known, [SOURCE], []) == known


def test_what_a_study_takes_is_kept_whole() -> None:
    found = gathered([(SOURCE, known_of(history(12, 0)))], STUDY)
    assert from_json(Earlier, to_json(found)) == found
    assert found.words.startswith("other: 30 of 30 models can be drawn here, ")
    assert found.words.endswith(" are first designs; other data and recipe, the same machine")


def error_of(row: TrialRow) -> float:
    return 1 - miou_of(row.candidate)


def worst_rank(rows: list[TrialRow], earlier: Earlier) -> float:
    """How far down the true best of those that wait stands in the ranking, as a share."""
    numbers = choose(rows, STUDY, seed=0, earlier=earlier).numbers
    waiting = {row.number: row for row in rows if row.state == "screened"}

    def worth(number: int) -> float:  # better than what its latency suggests
        return miou_of(waiting[number].candidate) - 0.15 * math.log(waiting[number].values["latency_ms"] + 1)

    best = sorted(numbers, key=worth, reverse=True)[:5]
    return float(np.mean([numbers.index(one) for one in best])) / len(numbers)


def shifted(known: Sequence[Known], seed: int | None = None) -> list[Known]:
    """Errors as other data would show them: another level and another width; with a seed, without any sense."""
    dice = random.Random(seed)
    told = [0.6 * row.values["miou"] - 0.1 if seed is None else dice.uniform(0.1, 0.8) for row in known]
    return [replace(row, values={**row.values, "miou": miou}) for row, miou in zip(known, told, strict=True)]


def test_rows_of_other_data_help_where_little_is_known_here() -> None:
    rows = history(5, 60)
    before = known_of([replace(row, number=1000 + row.number) for row in history(75, 0)[8:]])
    earlier = gathered([(SOURCE, shifted(before))], STUDY)
    assert choose(rows, STUDY, seed=0, earlier=earlier).fell_back is None
    assert worst_rank(rows, earlier) < worst_rank(rows, Earlier())
    mixed = list(rows)
    random.Random(0).shuffle(mixed)
    assert choose(mixed, STUDY, seed=0, earlier=earlier) == choose(rows, STUDY, seed=0, earlier=earlier)


def test_a_prior_that_is_wrong_is_believed_less_and_fades() -> None:
    generator = np.random.default_rng(0)
    places = generator.normal(size=(90, 2)) / 2
    truth, other = np.sin(3 * places[:, 0]) + places[:, 1], -np.sin(3 * places[:, 0])
    sources = np.array([0] * 40 + [1] * 30)

    def fitted(there: np.ndarray, own: int) -> tuple[float, float]:
        kept = [*range(own), *range(40, 70)]
        errors = np.concatenate([truth[:own], there[40:70]])
        scales = fit([places[kept]], errors, sources[kept], [0.95])
        mean, _ = predict([places[[*kept, *range(70, 90)]]], errors, scales, sources[kept])
        return scales.kin[0].correlation, float(np.sqrt(((mean - truth[70:]) ** 2).mean()))

    right, near = fitted(2 + 1.3 * truth, 8)
    wrong, far = fitted(other, 40)
    assert right >= 0.9 > 0.6 >= wrong
    alone, _ = predict([places[[*range(8), *range(70, 90)]]], truth[:8], fit([places[:8]], truth[:8]))
    assert near < 0.75 * float(np.sqrt(((alone - truth[70:]) ** 2).mean()))
    assert far < 0.25 * truth.std(), "forty of its own say more than thirty that are wrong"


def test_designs_come_behind_the_studys_own_and_a_kill_changes_nothing(tmp_path: Path) -> None:
    first = {"channels": 16, "depth": 1, "block": "conv", "kernel": 3, "expansion": 1.0, "precision": "float"}
    study = screening(trials=8, search={"startup_trials": 6, "first": [first]})
    earlier = gathered([(SOURCE, known_of(history(40, 0)))], STUDY)
    begun = 1 + len(earlier.designs)
    assert earlier.trained_before_screening(study.search) == min(7, begun)
    doors = {"draw": fakes.draw, "gate": make_gate(study), "earlier": earlier}

    def keys(folder: Path, stop_at: int | None) -> list[tuple[str, str]]:
        store, _ = fakes.start(folder, study)
        whole, count = make_evaluate(study), 0

        def evaluate(number, one, workshop):  # type: ignore[no-untyped-def]
            nonlocal count
            count += 1
            if count == stop_at:
                raise KeyboardInterrupt
            return whole(number, one, workshop)

        with store:
            for _ in range(2):
                try:
                    run_search(store, "fake", evaluate=evaluate, **doors)  # type: ignore[arg-type]
                    break
                except KeyboardInterrupt:
                    continue
            rows = store.trials("fake")
            assert [dict(row.params) for row in rows[:begun]] == [first, *(dict(one) for one in earlier.designs)]
            assert any(row.gate_only or row.state == "screened" for row in rows[begun:])
            return [(row.key, row.state) for row in rows]

    unbroken = keys(tmp_path / "whole", None)
    for stop_at in (3, begun + 1):
        assert keys(tmp_path / str(stop_at), stop_at) == unbroken
