"""How sure a mIoU is, in the database: kept with the trial, read with a listing, and absent where it never was."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy

from segsearch.evidence.images import NOT_KEPT, NoSpread, Spread
from segsearch.evidence.resample import spread_of
from segsearch.evidence.types import Confusion
from segsearch.store import ConfirmationRow, Store, migrate, open_store
from segsearch.store.worker import Worker, at_work
from tests import fakes
from tests.store.test_store import dump, enter, schema_1


def test_counts_of_each_image_are_kept_apart_from_the_evidence(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    found = fakes.in_images(0.5)
    with store, at_work(store, "fake") as worker:
        enter(worker, 0, 1)
        assert store.trial("fake", 0).spread == NOT_KEPT
        worker.keep(0, "trained", evidence=found)
        assert store.images("fake", 0) == found.images
        assert store.evidence("fake", 0) == replace(found, images=None)
        expected = spread_of(found.images)
        assert isinstance(expected, Spread)
        assert store.trial("fake", 0).spread == expected
        assert [trial.spread for trial in store.trials("fake")] == [expected]
        assert store.images("fake", 1) is None


def test_why_there_is_no_interval_is_kept_too(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    images = fakes.in_images(0.5).images
    assert images is not None
    one = replace(images, images=images.images[:1])
    counts = fakes.in_images(0.5)
    with store, at_work(store, "fake") as worker:
        enter(worker, 0, 1)
        hit = images.images[0][0][1]
        confusion = Confusion(((hit, 1000 - hit), (1000 - hit, hit)))
        worker.keep(0, "trained", evidence=replace(counts, confusion=confusion, images=one))
        enter(worker, 1, 2)
        worker.keep(1, "rejected", evidence=fakes.evidence(miou=None))
        first, second = store.trials("fake")
        assert first.spread == NoSpread("one validation image alone has pixels that count")
        assert store.images("fake", 0) == one
        assert second.spread == NOT_KEPT


def test_a_trial_that_another_worker_took_over_leaves_no_counts(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store, at_work(store, "fake") as worker:
        enter(worker, 0, 1)
        assert Worker(store, "fake", "other").keep(0, "trained", evidence=fakes.in_images(0.5)) is None
        assert store.images("fake", 0) is None


def test_spreads_belong_to_their_study(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    with store:
        store.begin_study(
            fakes.make_study(name="other"), artifacts=row.artifacts.folder, space="0" * 64 + ".py", data_key="data"
        )
        for name, miou in (("fake", 0.5), ("other", 0.7)):
            with at_work(store, name) as worker:
                enter(worker, 0, 1)
                worker.keep(0, "trained", evidence=fakes.in_images(miou))
        for name, miou in (("fake", 0.5), ("other", 0.7)):
            (trial,) = store.trials(name)
            assert trial.spread == spread_of(fakes.in_images(miou).images)


# ---- other seeds


def confirm(store: Store, trial: int, seed: int, miou: float = 0.5) -> None:
    images = fakes.in_images(miou).images
    assert images is not None
    store.keep_confirmation("fake", trial, seed, artifact=f"{seed:064x}.onnx", miou=images.miou, images=images)


def test_what_other_seeds_scored_is_kept_once_each(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    with store:
        assert store.confirmations("fake") == ()
        before = store.mark("fake")
        for trial, seed in ((3, 2), (3, 1), (0, 1)):
            confirm(store, trial, seed)
        assert store.mark("fake") != before
        rows = store.confirmations("fake")
        assert [(row.trial, row.seed) for row in rows] == [(0, 1), (3, 1), (3, 2)]
        images = fakes.in_images(0.5).images
        assert images is not None
        spread = spread_of(images)
        assert isinstance(spread, Spread)
        assert rows[0] == ConfirmationRow(
            0, 1, images.miou, (spread.low, spread.high), f"{1:064x}.onnx", rows[0].finished
        )
        confirm(store, 3, 1, 0.6)
        assert store.confirmations("fake")[1].miou == pytest.approx(0.6, abs=0.01)
        assert len(store.confirmations("fake")) == 3
        assert store.confirmations("other") == ()


# ---- older databases


@pytest.mark.sqlite
def test_trials_of_an_older_database_have_no_interval_and_say_so(tmp_path: Path) -> None:
    schema_1(tmp_path / "study.db")
    with open_store(tmp_path / "study.db") as store:
        assert {trial.spread for trial in store.trials("fake")} == {NOT_KEPT}
        assert NOT_KEPT.reason == "scored before counts were kept for each image"
        assert store.confirmations("fake") == ()


@pytest.mark.sqlite
def test_schema_7_only_adds_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "study.db"
    schema_1(path)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[:6])
        open_store(path).close()
    before = dump(path)
    assert not [line for line in before if "segsearch_spreads" in line]
    monkeypatch.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[:7])
    open_store(path).close()
    added = [line for line in dump(path) if line not in before]
    assert sorted(line.split("(")[0].strip() for line in added) == [
        "CREATE TABLE segsearch_confirmations",
        "CREATE TABLE segsearch_spreads",
        'INSERT INTO "segsearch_migrations" VALUES',
    ]
    assert [line for line in before if line not in dump(path)] == []


def test_a_listing_reads_no_counts_of_images(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    asked: list[str] = []
    with store:
        sqlalchemy.event.listen(
            store.engine, "before_cursor_execute", lambda c, cursor, statement, *rest: asked.append(statement)
        )
        store.trials("fake")
    with closing(store):
        (listing,) = [statement for statement in asked if "segsearch_trials" in statement]
    assert "segsearch_spreads.resampled" in listing
    assert "segsearch_spreads.images" not in listing
