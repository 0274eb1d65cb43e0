"""The memory of finished stages: what a killed trial continues from, and what trials share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Table, and_, insert, select, update

from segsearch.store import schema
from segsearch.workshop import Artifacts, Outcome, artifact_names

Transaction = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True)
class StoredWorkshop:
    """The `Workshop` of one trial."""

    artifacts: Artifacts
    reading: Transaction
    writing: Transaction
    study: str
    trial: int

    def once(self, stage: str, key: str, make: Callable[[], Outcome], /) -> Outcome:
        """The outcome stored under `key`, made now where there is none or an artifact that it names is gone."""
        named = {"study": self.study, "name": stage, "key": key}
        with self.reading() as connection:
            stored = self._stored(connection, named)
        if stored is not None and self._whole(stored):
            return stored
        start = time.perf_counter()
        outcome = json.dumps(make(), sort_keys=True, allow_nan=False)
        made = {
            "trial": self.trial,
            "outcome": outcome,
            "seconds": time.perf_counter() - start,
            "finished": time.time(),
        }
        with self.writing() as connection:
            # Another worker may have been first. Its outcome is as good and perhaps already in use: it stays.
            other = self._stored(connection, named)
            if other is not None and self._whole(other):
                return other
            put(connection, schema.stages, named, made)
        return cast(Outcome, json.loads(outcome))

    def _stored(self, connection: Connection, named: Mapping[str, str]) -> Outcome | None:
        text = connection.execute(
            select(schema.stages.c.outcome).where(*(schema.stages.c[name] == value for name, value in named.items()))
        ).scalar_one_or_none()
        return None if text is None else cast(Outcome, json.loads(text))

    def _whole(self, outcome: Outcome) -> bool:
        return all(self.artifacts.has(name) for name in artifact_names(outcome))


def put(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Write a row under its key, over the one that may stand there."""
    condition = and_(*(table.c[name] == value for name, value in key.items()))
    if connection.execute(update(table).where(condition).values(**values)).rowcount == 0:
        connection.execute(insert(table).values(**key, **values))
