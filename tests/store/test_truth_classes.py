"""A database of schema 7, whose mIoUs are over predicted classes too: its numbers become comparable, or say so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import delete, select, update

from segsearch.evidence.images import NoSpread, PerImage, Spread
from segsearch.evidence.objectives import values_of
from segsearch.evidence.resample import spread_of
from segsearch.evidence.types import Confusion, Evidence
from segsearch.judging.status import status_lines
from segsearch.search.memory import open_memory
from segsearch.space.keys import to_json
from segsearch.store import Store, migrate, open_store, schema
from segsearch.store.truth_classes import NO_COUNTS, former_miou
from segsearch.store.worker import at_work
from segsearch.study import Study
from tests import fakes
from tests.store.test_store import dump

STUDY = fakes.make_study(trials=9, limits=["miou>=0.5"])
# Of three classes the truth holds two. One pixel of the road is taken for the third by the second model.
CLEAN = ((0, 60, 100, 80), (1, 40, 60, 80))
STRAY = ((0, 59, 100, 79), (1, 40, 60, 80), (2, 0, 0, 1))


def scored(*images: tuple[tuple[int, int, int, int], ...]) -> Evidence:
    """Evidence of these images: what a class misses is taken for the other one, but for the strays."""
    per_image = PerImage(("road", "bus", "sky"), images)
    sums = per_image.pooled
    stray = sums[2][2]
    road = (sums[0][0], sums[0][1] - sums[0][0] - stray, stray)
    bus = (sums[1][1] - sums[1][0], sums[1][0], 0)
    return replace(fakes.evidence(), confusion=Confusion((road, bus, (0, 0, 0))), images=per_image)


def former(found: Evidence) -> float:
    assert found.confusion is not None
    return former_miou(found.confusion)


TWO = (scored(CLEAN, CLEAN, CLEAN), scored(STRAY, CLEAN, CLEAN))


def test_what_the_numbers_were_by_hand() -> None:
    clean, stray = TWO
    assert values_of(clean)["miou"] == former(clean) == (180 / 360 + 120 / 300) / 2
    assert former(stray) == (179 / 360 + 120 / 300 + 0 / 1) / 3
    assert values_of(stray)["miou"] == (179 / 360 + 120 / 300) / 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Both models trained, a duplicate of the second, a seed of each, all told: as schema 7 wrote them."""
    opened, _ = fakes.start(tmp_path, STUDY)
    with opened, at_work(opened, "fake") as worker, open_memory(opened, STUDY) as memory:
        for number, found in enumerate((*TWO, None)):
            asked = memory.ask()
            asked.suggest_int("depth", 1, 12)
            one = fakes.candidate(8, 1 + min(number, 1))
            worker.enter(asked.number, one, params=asked.params, seed=asked.seed)
            kept = worker.keep(number, "trained", evidence=found) if found else opened.trial("fake", number)
            assert kept is not None
            memory.tell(kept, worker)
        for seed, found in enumerate(TWO):
            outcome = {"confusion": to_json(found.confusion), "images": to_json(found.images)}
            opened.workshop("fake", -1).once("score", f"seed {seed}", lambda outcome=outcome: outcome)  # type: ignore[misc]
            opened.keep_confirmation(
                "fake", seed, seed + 1, artifact=f"{seed}.onnx", miou=former(found), images=found.images
            )
    with open_store(fakes.where(tmp_path)) as opened:
        as_of_schema_7(opened)
    with open_store(fakes.where(tmp_path)) as again:
        yield again


def as_of_schema_7(opened: Store) -> None:
    """The numbers of then, and the version, so that it is brought up to date when it is opened."""
    with opened.writing() as connection:
        for number, found in enumerate(TWO):
            values = values_of(found) | {"miou": former(found)}
            here = schema.trials.c.number == number
            connection.execute(update(schema.trials).where(here).values(values=json.dumps(values, sort_keys=True)))
            connection.execute(
                update(schema.spreads).where(schema.spreads.c.trial == number).values(low=former(found), high=1.0)
            )
        connection.exec_driver_sql(
            f"UPDATE trial_values SET value = {former(TWO[1])!r} WHERE objective = 0 AND trial_id > 1"
        )
        connection.exec_driver_sql(
            "UPDATE trial_system_attributes SET value_json = '0.4' WHERE key = 'constraints:miou>=0.5' AND trial_id > 1"
        )
        connection.execute(delete(schema.migrations).where(schema.migrations.c.number >= 8))


def test_trials_their_intervals_and_seeds_are_told_over_the_classes_of_the_truth(store: Store) -> None:
    trials = store.trials("fake")
    for number, found in enumerate(TWO):
        assert trials[number].values == values_of(found)
        assert store.images("fake", number) == found.images
        assert store.evidence("fake", number) == replace(found, images=None)
    spread = spread_of(TWO[1].images)
    assert isinstance(spread, Spread)
    assert trials[1].spread == spread
    again = store.confirmations("fake")
    assert [(one.trial, one.miou, one.interval is None) for one in again] == [
        (0, values_of(TWO[0])["miou"], False),
        (1, values_of(TWO[1])["miou"], False),
    ]
    assert again[1].interval == (spread.low, spread.high)


def test_a_model_whose_numbers_were_right_keeps_its_row(store: Store) -> None:
    kept = store.trials("fake")[0].spread
    assert isinstance(kept, Spread)
    assert (kept.low, kept.high) == (former(TWO[0]), 1.0), "nothing was counted anew"


def test_the_sampler_learns_the_same_numbers(store: Store) -> None:
    """Also of the duplicate, which taught as its twin did."""
    with open_memory(store, STUDY) as memory:
        told = memory.optuna_study.get_trials()
    clean, stray = (values_of(found)["miou"] for found in TWO)
    assert [trial.values[0] for trial in told] == [clean, stray, stray]
    assert [trial.values[1] for trial in told] == [1.0] * 3
    for trial, miou in zip(told, (clean, stray, stray), strict=True):
        assert trial.constraints == {"miou>=0.5": (0.5 - miou) / 0.5, "failed": 0.0}


def test_nothing_changes_where_the_split_has_every_class(tmp_path: Path) -> None:
    opened, _ = fakes.start(tmp_path, STUDY)
    with opened, at_work(opened, "fake") as worker:
        worker.enter(0, fakes.candidate(8, 1), params={}, seed=0)
        worker.keep(0, "trained", evidence=fakes.in_images(0.5))
        opened.workshop("fake", 0).once("teacher", "key", lambda: {"miou": 0.7})
        odd = {"miou": 0.123}  # not what its counts make: whatever stands here stays
        with opened.writing() as connection:
            connection.execute(update(schema.trials).values(values=json.dumps(odd)))
        before = opened.trials("fake"), opened.stages("fake")
        with opened.writing() as connection:
            migrate.MIGRATIONS[7](connection)
        assert (opened.trials("fake"), opened.stages("fake")) == before


def test_what_has_no_counts_says_so_and_a_seed_without_any_is_made_again(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(delete(schema.evidence).where(schema.evidence.c.trial == 1))
        connection.execute(delete(schema.stages).where(schema.stages.c.key == "seed 1"))
    former_row = store.trials("fake")[1].values
    with store.writing() as connection:
        connection.execute(update(schema.confirmations).values(miou=former(TWO[1])))
        migrate.MIGRATIONS[7](connection)
    trial = store.trials("fake")[1]
    assert trial.values == former_row
    assert trial.spread == NoSpread(NO_COUNTS)
    assert store.confirmations("fake") == ()


def test_a_teacher_whose_counts_were_not_kept_tells_its_number_as_what_it_is(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(delete(schema.stages))
    for key, outcome in (("old", {"miou": 0.7}), ("void", {"miou": None}), ("new", {"miou": 0.6, "confusion": "{}"})):
        store.workshop("fake", 0).once("teacher", key, lambda outcome=outcome: outcome)  # type: ignore[misc]
    with store.writing() as connection:
        migrate.MIGRATIONS[7](connection)
    teachers = [stage.outcome for stage in store.stages("fake", name="teacher")]
    assert {"miou": None, "former_miou": 0.7} in teachers
    lines = status_lines(store.study("fake"), (), (), alive=(), now=0.0, teachers=teachers)
    assert [line for line in lines if line.startswith("Teacher")] == [
        "Teacher  mIoU 0.700 over predicted classes too: told by an earlier version",
        "Teacher  mIoU 0.600",
    ]


def test_a_study_that_no_sampler_knows_yet_is_brought_up_to_date(tmp_path: Path) -> None:
    opened, _ = fakes.start(tmp_path, STUDY)
    with opened, at_work(opened, "fake") as worker:
        worker.enter(0, fakes.candidate(8, 1), params={}, seed=0)
        worker.keep(0, "trained", evidence=TWO[1])
        with opened.writing() as connection:
            connection.execute(update(schema.trials).values(values=json.dumps({"miou": 0.3})))
            assert not sqlalchemy.inspect(connection).has_table("trial_values")
            migrate.MIGRATIONS[7](connection)
        assert opened.trial("fake", 0).values == {"miou": values_of(TWO[1])["miou"]}


@pytest.mark.sqlite
def test_opening_it_again_changes_nothing(store: Store, tmp_path: Path) -> None:
    before = dump(tmp_path / "study.db")
    open_store(tmp_path / "study.db").close()
    assert dump(tmp_path / "study.db") == before
    with store.reading() as connection:
        assert connection.execute(select(schema.migrations.c.number)).scalars().all()[-1] == len(migrate.MIGRATIONS)


def test_the_study_of_these_tests_limits_what_changed() -> None:
    assert isinstance(STUDY, Study)
    assert [str(limit) for limit in STUDY.bounds] == ["miou>=0.5"]
