"""Which model is handed over: pick or trial, final or proxy, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.errors import DatabaseError, StudyError
from segsearch.evidence.images import Spread
from segsearch.handover.chosen import Chosen, chosen
from segsearch.store import open_store
from segsearch.store.grown import grown_of
from tests.handover.runs import RECIPE, artifact_of, finish, numbers_of, pick


def found(database: Path, trial: int | None = None, machine: str = "m") -> Chosen:
    with open_store(database, read_only=True) as store:
        return chosen(store, store.study("small"), trial=trial, machine=machine)


def test_the_newest_pick_is_meant_and_a_trial_goes_before_it(masks: Path) -> None:
    first, second = numbers_of(masks)
    with pytest.raises(StudyError, match="nothing was picked from small yet"):
        found(masks)
    pick(masks, second, "an earlier one")
    pick(masks, first)
    model = found(masks)
    assert (model.trial.number, model.reason, model.final, model.finals) == (first, "fits the camera", None, 0)
    assert model.path == artifact_of(masks, first)
    assert found(masks, second).trial.number == second
    assert found(masks, second).reason == "an earlier one"


def test_a_proxy_brings_the_stored_numbers(masks: Path) -> None:
    number = numbers_of(masks)[0]
    model = found(masks, number)
    assert model.values["miou"] == model.trial.values["miou"]
    assert model.values["latency_ms"] == 2.0
    assert model.intervals["latency_ms"] == (1.98, 2.04)
    assert isinstance(model.spread, Spread) == ("miou" in model.intervals)
    assert model.evidence.timing.machine == "m"


def test_a_trial_that_is_none_is_refused(masks: Path) -> None:
    with pytest.raises(StudyError, match="--trial must name a trained trial of small, and 99 is not one"):
        found(masks, 99)


def test_the_best_final_of_the_machine_goes_before_the_proxy(masks: Path) -> None:
    number = numbers_of(masks)[0]
    names = {seed: finish(masks, number, seed=seed) for seed in (10, 11, 12)}
    elsewhere = finish(masks, number, seed=13, machine="another")
    model = found(masks, number)
    with open_store(masks, read_only=True) as store:
        rows = [row for row in grown_of(store, "small") if row.machine == "m"]
    best = max(rows, key=lambda row: row.values["miou"])
    assert model.final is not None
    assert (model.final.seed, model.finals) == (best.seed, 3)
    assert model.evidence.artifact == names[best.seed] == model.path.name
    assert model.values["miou"] == best.values["miou"]
    assert model.final.test == pytest.approx(best.values["miou"])
    assert found(masks, number, "another").path.name == elsewhere
    assert found(masks, number, "a third").final is not None, "a file is good wherever it was timed"


def test_what_learned_from_all_counts_where_nothing_else_is_there(masks: Path) -> None:
    number = numbers_of(masks)[0]
    both = replace(RECIPE, train_on="train+val")
    finish(masks, number, seed=10, recipe=both, judged=False)
    newest = finish(masks, number, seed=11, recipe=both, judged=False)
    model = found(masks, number)
    assert (model.path.name, model.finals) == (newest, 2)
    assert "miou" not in model.values
    assert "miou" not in model.intervals
    judged = finish(masks, number, seed=12)
    finish(masks, number, seed=13, recipe=both, judged=False)
    assert (found(masks, number).path.name, found(masks, number).finals) == (judged, 1)


@pytest.mark.parametrize(("harm", "words"), [("missing", "is gone. Copy it back"), ("altered", "it was changed")])
def test_a_file_that_is_not_what_was_stored_is_refused(masks: Path, harm: str, words: str) -> None:
    number = numbers_of(masks)[0]
    path = artifact_of(masks, number)
    if harm == "missing":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.raises(DatabaseError, match=words):
        found(masks, number)
