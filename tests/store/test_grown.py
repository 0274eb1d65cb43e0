"""Trials that were trained to the end: written over, read back, and looks at the test images counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.evidence.images import PerImage, Spread
from segsearch.settings.retrain import Recipe
from segsearch.store import NO_TRIAL, open_store
from segsearch.store.grown import grown_evidence, grown_of, keep_grown, looks_at_test
from segsearch.store.schema import schema_version
from tests import fakes

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
        connection.exec_driver_sql("DELETE FROM segsearch_migrations WHERE number = 12")
    with open_store(tmp_path / "study.db") as store:
        assert grown_of(store, row.name) == ()
        with store.reading() as connection:
            assert schema_version(connection) >= 12
        assert store.stages(row.name, NO_TRIAL) == ()
