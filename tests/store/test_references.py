"""Networks of the field in the database: kept beside the trials, for each machine, and counted among them by nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy

from segsearch.evidence.images import NOT_KEPT, NoSpread, Spread
from segsearch.evidence.objectives import values_of
from segsearch.evidence.resample import spread_of
from segsearch.evidence.types import Evidence
from segsearch.space.keys import from_json
from segsearch.store import Counts, Failure, ReferenceRow, Store, migrate, open_store, schema
from segsearch.store.worker import at_work
from tests import fakes
from tests.store.test_store import dump, enter, on, schema_1


def keep(store: Store, name: str, found: Evidence | Failure, *, precision: str = "fp32", machine: str = "m") -> None:
    one = fakes.candidate(8, 3, quantized=precision == "int8")
    store.keep_reference("fake", name, one, found, precision=precision, machine=machine, train_seconds=90.5)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    found = replace(on("m", 3.0), confusion=fakes.in_images(0.5).confusion, images=fakes.in_images(0.5).images)
    with store:
        assert store.references("fake") == ()
        keep(store, "unet-mobile", found)
        keep(store, "unet-mobile", Failure("diverged", "the loss became NaN"), precision="int8")
        keep(store, "alexnet", fakes.evidence())
    with open_store(fakes.where(tmp_path), read_only=True) as store:
        plain, trained, failed = store.references("fake")
        spread = spread_of(found.images)
        assert isinstance(spread, Spread)
        assert trained == ReferenceRow(
            name="unet-mobile",
            precision="fp32",
            machine="m",
            state="trained",
            candidate=fakes.candidate(8, 3),
            values=values_of(found),
            intervals={"latency_ms": (pytest.approx(5.4), pytest.approx(6.6)), "miou": (spread.low, spread.high)},  # type: ignore[dict-item]
            artifact=found.artifact,
            failure=None,
            train_seconds=90.5,
            finished=trained.finished,
            spread=spread,
        )
        assert (failed.state, failed.failure) == ("failed", Failure("diverged", "the loss became NaN"))
        assert (failed.values, failed.intervals, failed.artifact, failed.spread) == ({}, {}, None, NOT_KEPT)
        assert (plain.name, plain.spread, plain.intervals) == ("alexnet", NOT_KEPT, {})


def test_the_whole_evidence_is_kept_and_no_listing_reads_it(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    found, table = fakes.in_images(0.5), schema.references
    with store:
        keep(store, "unet-mobile", found)
        with store.reading() as connection:
            assert from_json(Evidence, connection.execute(sqlalchemy.select(table.c.json)).scalar_one()) == found
        asked: list[str] = []
        sqlalchemy.event.listen(
            store.engine, "before_cursor_execute", lambda c, cursor, statement, *rest: asked.append(statement)
        )
        store.references("fake")
    (listing,) = [statement for statement in asked if "segsearch_references" in statement]
    assert "segsearch_references.resampled" in listing
    assert "segsearch_references.json" not in listing


def test_why_there_is_no_interval_is_kept_too(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    whole = fakes.in_images(0.5)
    assert whole.images is not None
    alone = replace(whole.images, images=whole.images.images[:1])
    with store:
        keep(store, "unet-mobile", replace(whole, confusion=None, images=None))
        (row,) = store.references("fake")
        assert row.spread == NOT_KEPT
        hits, truth, _ = alone.pooled[0]
        counts = replace(whole.confusion, counts=((hits, truth - hits), (truth - hits, hits)))  # type: ignore[type-var]
        keep(store, "unet-mobile", replace(whole, confusion=counts, images=alone))
        (row,) = store.references("fake")
        assert row.spread == NoSpread("one validation image alone has pixels that count")
        assert "miou" not in row.intervals


def test_each_machine_and_precision_has_its_own_and_the_newest_stays(tmp_path: Path) -> None:
    store, row = fakes.start(tmp_path, fakes.make_study())
    with store:
        marks = [store.mark("fake")]
        for machine, ratio in (("m", 1.0), ("other", 2.0), ("m", 3.0)):
            keep(store, "unet-mobile", on(machine, ratio), machine=machine)
            marks.append(store.mark("fake"))
        keep(store, "unet-mobile", on("m", 0.5), precision="int8")
        found = {(one.precision, one.machine): one.values["latency_ms"] for one in store.references("fake")}
        assert found == {("fp32", "m"): 6.0, ("fp32", "other"): 4.0, ("int8", "m"): 1.0}
        assert len(set(marks)) == 4, "whoever follows the study hears of each"
        keep(store, "unet-mobile", Failure("crash", "The process died."))
        assert {one.state for one in store.references("fake") if one.precision == "fp32"} == {"failed", "trained"}
        store.begin_study(
            fakes.make_study(name="other"), artifacts=row.artifacts.folder, space="0" * 64 + ".py", data_key="data"
        )
        assert store.references("other") == ()


def test_they_are_no_trials(tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study(trials=2))
    with store, at_work(store, "fake") as worker:
        enter(worker, 0, 1)
        worker.keep(0, "trained", evidence=fakes.evidence())
        before = (store.trials("fake"), store.counts("fake"), store.timings("fake"), worker.untold())
        keep(store, "unet-mobile", fakes.evidence())
        assert (store.trials("fake"), store.counts("fake"), store.timings("fake"), worker.untold()) == before
        assert store.counts("fake") == Counts(trained=1)
        assert worker.next(2) == "ask", "the study asks for as many trials as before"


@pytest.mark.sqlite
def test_its_migration_only_adds_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, place = tmp_path / "study.db", migrate.MIGRATIONS.index(migrate._keep_references)
    schema_1(path)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[:place])
        open_store(path).close()
    before = dump(path)
    assert not [line for line in before if "segsearch_references" in line]
    monkeypatch.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[: place + 1])
    with open_store(path) as store:
        assert store.references("fake") == ()
    added = [line for line in dump(path) if line not in before]
    assert sorted(line.split("(")[0].strip() for line in added) == [
        "CREATE TABLE segsearch_references",
        'INSERT INTO "segsearch_migrations" VALUES',
    ]
    assert [line for line in before if line not in dump(path)] == []
