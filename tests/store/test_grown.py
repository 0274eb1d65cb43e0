"""Trials that were trained to the end: written over, read back, and looks at the test images counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy

from segsearch.evidence.images import PerImage, Spread
from segsearch.settings.retrain import Recipe
from segsearch.store import NO_TRIAL, Counts, migrate, open_store
from segsearch.store.grown import grown_evidence, grown_of, keep_grown, looks_at_test
from segsearch.store.migrate import schema_version
from segsearch.store.worker import at_work
from tests import fakes
from tests.store.test_store import dump, enter, schema_1

RECIPE = Recipe(epochs=150, ema=0.999, auxiliary=0.4, small_start=0.0, balanced=False)
FOUND = replace(fakes.in_images(0.6), artifact="a" * 64 + ".onnx")
LOOKS = ((10, 0.7, 0.5), (20, 0.5, 0.6))


def test_what_was_kept_is_read_back(tmp_path: Path, backend: str) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    with store:
        assert grown_of(store, row.name) == ()
        keep_grown(store, row.name, 3, RECIPE, 0, FOUND, test=FOUND.images, looks=LOOKS, train_seconds=60.0)
        (one,) = grown_of(store, row.name)
        assert (one.trial, one.recipe, one.seed, one.machine, one.artifact) == (3, RECIPE, 0, "m", FOUND.artifact)
        assert one.values["miou"] == pytest.approx(0.6, abs=0.01)
        assert one.test == one.values["miou"]
        assert isinstance(one.spread, Spread)
        assert one.test_interval == one.intervals["miou"] == (one.spread.low, one.spread.high)
        assert (one.looks, one.train_seconds) == (LOOKS, 60.0)
        assert grown_evidence(store, row.name, one) == FOUND


def test_another_recipe_or_seed_or_machine_stands_beside_and_the_same_is_written_over(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    elsewhere = replace(FOUND, timing=replace(FOUND.timing, machine="n"))
    with store:
        for recipe, seed, evidence in (
            (RECIPE, 0, FOUND),
            (RECIPE, 1, FOUND),
            (replace(RECIPE, epochs=10), 0, FOUND),
            (RECIPE, 0, elsewhere),
            (RECIPE, 0, replace(FOUND, artifact="b" * 64 + ".onnx")),
        ):
            keep_grown(store, row.name, 3, recipe, seed, evidence, test=None, looks=(), train_seconds=None)
        rows = grown_of(store, row.name)
        assert len(rows) == 4
        (again,) = (one for one in rows if (one.recipe, one.seed, one.machine) == (RECIPE, 0, "m"))
        assert again.artifact == "b" * 64 + ".onnx"
        assert {one.test for one in rows} == {None}


def test_a_look_at_the_test_images_is_a_file_that_was_judged_on_them(tmp_path: Path) -> None:
    """The same file timed on two machines was looked at once."""
    store, row = fakes.start(tmp_path, fakes.make_study())
    test = PerImage(("road", "bus"), (((0, 5, 10, 10), (1, 5, 10, 10)), ((0, 5, 10, 10), (1, 5, 10, 10))))
    elsewhere = replace(FOUND, timing=replace(FOUND.timing, machine="n"))
    other = replace(FOUND, artifact="b" * 64 + ".onnx")
    with store:
        assert looks_at_test(store, row.name) == 0
        for seed, evidence, judged in ((0, FOUND, test), (0, elsewhere, test), (1, other, test), (2, FOUND, None)):
            keep_grown(store, row.name, 3, RECIPE, seed, evidence, test=judged, looks=(), train_seconds=None)
        assert looks_at_test(store, row.name) == 2


def test_a_model_that_learned_from_the_validation_images_has_no_miou_there(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    with store:
        recipe = replace(RECIPE, train_on="train+val")
        unseen = replace(FOUND, confusion=None, images=None)
        keep_grown(store, row.name, 3, recipe, 0, unseen, test=FOUND.images, looks=(), train_seconds=None)
        (one,) = grown_of(store, row.name)
        assert "miou" not in one.values
        assert "miou" not in one.intervals
        assert one.test is not None


@pytest.mark.sqlite
def test_a_database_of_before_gets_the_table(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    with store, store.writing() as connection:
        connection.exec_driver_sql("DROP TABLE segsearch_grown")
        connection.exec_driver_sql("DELETE FROM segsearch_migrations WHERE number >= 12")
    with open_store(tmp_path / "study.db") as store:
        assert grown_of(store, row.name) == ()
        with store.reading() as connection:
            assert schema_version(connection) >= 12
        assert store.stages(row.name, NO_TRIAL) == ()


def test_whoever_follows_the_study_hears_of_each(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    with store:
        marks = [store.mark(row.name)]
        for seed, miou in ((0, 0.5), (1, 0.5), (1, 0.6)):
            found = replace(fakes.in_images(miou), artifact=FOUND.artifact)
            keep_grown(store, row.name, 3, RECIPE, seed, found, test=None, looks=(), train_seconds=None)
            marks.append(store.mark(row.name))
        assert len(set(marks)) == 4
        assert store.mark(row.name) == marks[-1]


def test_no_listing_reads_what_is_large(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    asked: list[str] = []
    with store:
        keep_grown(store, row.name, 3, RECIPE, 0, FOUND, test=FOUND.images, looks=LOOKS, train_seconds=60.0)
        sqlalchemy.event.listen(
            store.engine, "before_cursor_execute", lambda c, cursor, statement, *rest: asked.append(statement)
        )
        grown_of(store, row.name)
    (listing,) = [statement for statement in asked if "segsearch_grown" in statement]
    assert "segsearch_grown.resampled" in listing
    assert "segsearch_grown.json" not in listing
    assert "segsearch_grown.test_images" not in listing


def test_they_are_no_trials(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study(trials=2))
    with store, at_work(store, row.name) as worker:
        enter(worker, 0, 1)
        worker.keep(0, "trained", evidence=fakes.evidence())
        before = (store.trials(row.name), store.counts(row.name), store.timings(row.name), worker.untold())
        keep_grown(store, row.name, 0, RECIPE, 0, FOUND, test=None, looks=(), train_seconds=None)
        assert (store.trials(row.name), store.counts(row.name), store.timings(row.name), worker.untold()) == before
        assert store.counts(row.name) == Counts(trained=1)


@pytest.mark.sqlite
def test_its_migration_only_adds_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, place = tmp_path / "study.db", migrate.MIGRATIONS.index(migrate._keep_grown)
    schema_1(path)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[:place])
        open_store(path).close()
    before = dump(path)
    monkeypatch.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[: place + 1])
    with open_store(path) as store:
        assert grown_of(store, "fake") == ()
    added = [line for line in dump(path) if line not in before]
    assert sorted(line.split("(")[0].strip() for line in added) == [
        "CREATE TABLE segsearch_grown",
        'INSERT INTO "segsearch_migrations" VALUES',
    ]
    assert [line for line in before if line not in dump(path)] == []
