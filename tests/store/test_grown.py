"""Trials that were trained to the end: kept beside the trials by recipe, seed and machine, and counted by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy

from segsearch.evidence.images import NOT_KEPT, Spread
from segsearch.evidence.objectives import values_of
from segsearch.evidence.resample import spread_of
from segsearch.store import Counts, GrownRow, Store, open_store, schema
from segsearch.store.grown import grown_evidence, grown_of, looks_at_test
from segsearch.store.worker import at_work
from tests import fakes
from tests.store.test_store import dump, enter, schema_1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A study of two trained trials."""
    opened, _ = fakes.start(tmp_path, fakes.make_study(trials=2))
    with opened, at_work(opened, "fake") as worker:
        for number in range(2):
            enter(worker, number, 1 + number)
            worker.keep(number, "trained", evidence=fakes.evidence())
        yield opened


def test_what_goes_in_comes_out(store: Store, tmp_path: Path) -> None:
    assert grown_of(store, "fake") == ()
    found = fakes.keep_final(store, "fake", 1, 0.6, seed=3, test=0.55)
    with open_store(fakes.where(tmp_path), read_only=True) as reading:
        (row,) = grown_of(reading, "fake")
        spread, tested = spread_of(found.images), spread_of(fakes.in_images(0.55).images)
        assert isinstance(spread, Spread)
        assert isinstance(tested, Spread)
        assert row == GrownRow(
            trial=1,
            recipe=fakes.RECIPE,
            seed=3,
            machine="m",
            values=values_of(found),
            intervals={"miou": (spread.low, spread.high)},
            artifact=found.artifact,
            train_seconds=90.5,
            finished=row.finished,
            looks=fakes.LOOKS,
            test=pytest.approx(0.55, abs=0.01),  # type: ignore[arg-type]
            test_interval=(tested.low, tested.high),
            spread=spread,
        )
        assert grown_evidence(reading, "fake", row) == replace(found, images=found.images)


def test_what_learned_from_the_validation_images_has_no_miou_there(store: Store) -> None:
    fakes.keep_final(store, "fake", 0, None, recipe=replace(fakes.RECIPE, train_on="train+val"), test=0.5)
    (row,) = grown_of(store, "fake")
    assert "miou" not in row.values.keys() | row.intervals.keys()
    assert row.spread == NOT_KEPT
    assert row.test is not None


def test_recipes_seeds_and_machines_stand_beside_one_another_and_the_newest_stays(store: Store) -> None:
    for seed, recipe, machine in (
        (0, fakes.RECIPE, None),
        (1, fakes.RECIPE, None),
        (0, replace(fakes.RECIPE, epochs=80), None),
        (0, fakes.RECIPE, "other"),
    ):
        fakes.keep_final(store, "fake", 0, 0.5, seed=seed, recipe=recipe, machine=machine)
    assert len(grown_of(store, "fake")) == 4
    fakes.keep_final(store, "fake", 0, 0.7)
    rows = grown_of(store, "fake")
    assert len(rows) == 4
    assert (rows[-1].seed, rows[-1].values["miou"]) == (0, pytest.approx(0.7, abs=0.01))


def test_whoever_follows_the_study_hears_of_each(store: Store) -> None:
    marks = [store.mark("fake")]
    for seed, miou in ((0, 0.5), (1, 0.5), (1, 0.6)):
        fakes.keep_final(store, "fake", 0, miou, seed=seed)
        marks.append(store.mark("fake"))
    assert len(set(marks)) == 4
    assert store.mark("fake") == marks[-1]


def test_a_file_that_was_judged_on_two_machines_is_one_look_at_the_test_images(store: Store) -> None:
    assert looks_at_test(store, "fake") == 0
    fakes.keep_final(store, "fake", 0, 0.5)
    assert looks_at_test(store, "fake") == 0
    for machine in (None, "other"):
        fakes.keep_final(store, "fake", 0, 0.5, test=0.4, machine=machine)
    fakes.keep_final(store, "fake", 1, 0.5, test=0.4)
    assert looks_at_test(store, "fake") == 2


def test_no_listing_reads_what_is_large(store: Store) -> None:
    fakes.keep_final(store, "fake", 0, 0.5, test=0.4)
    asked: list[str] = []
    sqlalchemy.event.listen(
        store.engine, "before_cursor_execute", lambda c, cursor, statement, *rest: asked.append(statement)
    )
    grown_of(store, "fake")
    (listing,) = [statement for statement in asked if "segsearch_grown" in statement]
    assert "segsearch_grown.resampled" in listing
    assert "segsearch_grown.json" not in listing
    assert "segsearch_grown.test_images" not in listing


def test_they_are_no_trials(store: Store) -> None:
    before = (store.trials("fake"), store.counts("fake"), store.timings("fake"))
    fakes.keep_final(store, "fake", 0, 0.9)
    assert (store.trials("fake"), store.counts("fake"), store.timings("fake")) == before
    assert store.counts("fake") == Counts(trained=2)


@pytest.mark.sqlite
def test_its_migration_only_adds_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, place = tmp_path / "study.db", schema.MIGRATIONS.index(schema._keep_grown)
    schema_1(path)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:place])
        open_store(path).close()
    before = dump(path)
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[: place + 1])
    with open_store(path) as store:
        assert grown_of(store, "fake") == ()
    added = [line for line in dump(path) if line not in before]
    assert sorted(line.split("(")[0].strip() for line in added) == [
        "CREATE TABLE segsearch_grown",
        'INSERT INTO "segsearch_migrations" VALUES',
    ]
    assert [line for line in before if line not in dump(path)] == []
