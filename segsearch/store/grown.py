"""Trials that were trained to the end, as they are written and read."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import func, select

from segsearch.evidence.images import PerImage, Spread
from segsearch.evidence.objectives import intervals_of, values_of
from segsearch.evidence.types import Evidence
from segsearch.settings.retrain import Recipe
from segsearch.space.keys import content_key, from_json, to_json
from segsearch.store.clock import stamp
from segsearch.store.put import put
from segsearch.store.rows import GrownRow
from segsearch.store.schema import grown
from segsearch.store.spreads import over_images, spread_columns, spread_in
from segsearch.store.store import Store

_LARGE = frozenset({"json", "test_images"})


def keep_grown(
    store: Store,
    study: str,
    trial: int,
    recipe: Recipe,
    seed: int,
    evidence: Evidence,
    *,
    test: PerImage | None,
    looks: Sequence[tuple[int, float, float]],
    train_seconds: float | None,
) -> None:
    """Store what a trial became by a recipe from a seed, over what was stored of that."""
    low, high = over_images(test) if test is not None else (None, None)
    values = {
        "recipe": to_json(recipe),
        "values": json.dumps(values_of(evidence), sort_keys=True, allow_nan=False),
        "intervals": json.dumps(intervals_of(evidence), sort_keys=True, allow_nan=False),
        "artifact": evidence.artifact,
        "train_seconds": train_seconds,
        "looks": json.dumps([list(look) for look in looks], allow_nan=False),
        "test_miou": None if test is None else test.miou,
        "test_low": low,
        "test_high": high,
        "json": to_json(evidence),
        "test_images": None if test is None else to_json(test),
        **spread_columns(evidence.images),
    }
    key = {"study": study, "trial": trial, "recipe_key": content_key(recipe), "seed": seed}
    with store.writing() as connection:
        finished = {"finished": stamp(connection)}
        put(connection, grown, {**key, "machine": evidence.timing.machine}, values | finished)


def grown_of(store: Store, study: str) -> tuple[GrownRow, ...]:
    """All trials of a study that were trained to the end, the oldest first, without their evidence."""
    table = grown.c
    query = select(*(column for column in table if column.name not in _LARGE)).where(table.study == study)
    found = []
    with store.reading() as connection:
        rows = connection.execute(query.order_by(table.finished)).mappings().all()
    for row in rows:
        intervals = {name: (low, high) for name, (low, high) in json.loads(row["intervals"]).items()}
        spread = spread_in(row)
        if isinstance(spread, Spread):
            intervals["miou"] = (spread.low, spread.high)
        found.append(
            GrownRow(
                trial=row["trial"],
                recipe=from_json(Recipe, row["recipe"]),
                seed=row["seed"],
                machine=row["machine"],
                values=json.loads(row["values"]),
                intervals=intervals,
                artifact=row["artifact"],
                train_seconds=row["train_seconds"],
                finished=row["finished"],
                looks=tuple((int(step), loss, miou) for step, loss, miou in json.loads(row["looks"])),
                test=row["test_miou"],
                test_interval=None if row["test_low"] is None else (row["test_low"], row["test_high"]),
                spread=spread,
            )
        )
    return tuple(found)


def grown_evidence(store: Store, study: str, row: GrownRow) -> Evidence:
    """The raw evidence of a row."""
    table = grown.c
    query = select(table.json).where(
        table.study == study,
        table.trial == row.trial,
        table.recipe_key == content_key(row.recipe),
        table.seed == row.seed,
        table.machine == row.machine,
    )
    with store.reading() as connection:
        return from_json(Evidence, connection.execute(query).scalar_one())


def looks_at_test(store: Store, study: str) -> int:
    """How many files of a study were judged on its test images: each look makes them worth less."""
    table = grown.c
    query = select(func.count(table.artifact.distinct())).where(table.study == study, table.test_miou.is_not(None))
    with store.reading() as connection:
        return int(connection.execute(query).scalar_one())
