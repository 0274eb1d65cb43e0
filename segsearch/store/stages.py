"""The memory of finished stages: what a killed trial continues from, and what trials share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, select, update

from segsearch.errors import UserError
from segsearch.store import schema
from segsearch.store.clock import stamp
from segsearch.store.lease import others
from segsearch.store.put import put_first
from segsearch.store.rows import StageRow
from segsearch.workshop import Artifacts, Outcome, artifact_names

Transaction = Callable[[], AbstractContextManager[Connection]]

WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class StoredWorkshop:
    """The `Workshop` of one trial; with a `worker`, a stage that another living one makes is waited for.

    Waiting cannot go round in a circle. A stage asks for others only while it is made (`train` for `teacher`), and
    its key holds the keys of those, so that no stage is asked for by one that it asks for. A worker that waits holds
    claims of stages around the awaited one alone, and whoever makes that one never waits for those. The machine's
    quiet room is entered inside a stage's `make`, after every stage that it asks for: nobody waits in it.
    """

    artifacts: Artifacts
    reading: Transaction
    writing: Transaction
    study: str
    trial: int
    worker: str | None = None
    on_wait: Callable[[str], None] = lambda stage: None
    on_made: Callable[[str, Outcome], None] = lambda stage, outcome: None

    def once(self, stage: str, key: str, make: Callable[[], Outcome], /) -> Outcome:
        """The outcome stored under `key`, made now where there is none or an artifact that it names is gone."""
        named = {"study": self.study, "name": stage, "key": key}
        with self.reading() as connection:
            stored = self._stored(connection, named)
        if stored is not None:
            return stored
        if self.worker is None:
            return self._make(named, make)
        try:
            made = self._claim_or_wait(named, self.worker)
            return made if made is not None else self._make(named, make)
        except BaseException:
            with suppress(UserError):  # a claim counts for nothing once its worker has ended
                self._release(named, self.worker)
            raise

    def _make(self, named: Mapping[str, str], make: Callable[[], Outcome]) -> Outcome:
        start = time.perf_counter()
        outcome = json.dumps(make(), sort_keys=True, allow_nan=False)
        made: dict[str, Any] = {
            "trial": self.trial,
            "outcome": outcome,
            "seconds": time.perf_counter() - start,
        }
        table = schema.stages
        with self.writing() as connection:
            made["finished"] = stamp(connection)
            if not put_first(connection, table, named, made):
                # Another worker was first. Its outcome is as good and perhaps already in use: it stays.
                connection.execute(select(table.c.trial).where(_is(table, named)).with_for_update())
                other = self._stored(connection, named)
                if other is not None:
                    return other
                connection.execute(update(table).where(_is(table, named)).values(**made))
            self._forget(connection, named)
        stored = cast(Outcome, json.loads(outcome))
        self.on_made(named["name"], stored)
        return stored

    def _claim_or_wait(self, named: Mapping[str, str], worker: str) -> Outcome | None:
        """What another worker made of a stage while this one waited; None once the stage is this worker's to make."""
        said = False
        while True:
            claimed, stored = self._claim(named, worker)
            if claimed:
                return stored
            if not said:
                self.on_wait(named["name"])
                said = True
            while self._in_good_hands(named, worker):
                time.sleep(WAIT_SECONDS)

    def _claim(self, named: Mapping[str, str], worker: str) -> tuple[bool, Outcome | None]:
        """Whether the stage is this worker's to make or stored, and what is stored."""
        table = schema.claims
        with self.writing() as connection:
            if not put_first(connection, table, named, {"worker": worker}):
                query = select(table.c.worker).where(_is(table, named)).with_for_update()
                holder = connection.execute(query).scalar_one_or_none()
                if holder is None or self._alive(connection, holder, worker):
                    return False, None
                connection.execute(update(table).where(_is(table, named)).values(worker=worker))
            # The claim may be free because the stage was stored a moment ago.
            stored = self._stored(connection, named)
            if stored is not None:
                self._forget(connection, named)
            return True, stored

    def _in_good_hands(self, named: Mapping[str, str], worker: str) -> bool:
        """Whether a living worker still makes a stage. It only reads, so that many may ask again and again."""
        table = schema.claims
        with self.reading() as connection:
            holder = connection.execute(select(table.c.worker).where(_is(table, named))).scalar_one_or_none()
            return holder is not None and self._alive(connection, holder, worker)

    def _alive(self, connection: Connection, holder: str, worker: str) -> bool:
        return holder != worker and holder in others(connection, worker)[0]

    def _release(self, named: Mapping[str, str], worker: str) -> None:
        with self.writing() as connection:
            connection.execute(delete(schema.claims).where(_is(schema.claims, named), schema.claims.c.worker == worker))

    def _forget(self, connection: Connection, named: Mapping[str, str]) -> None:
        """The stage is stored, so that nobody needs a claim on it, whoever holds one."""
        connection.execute(delete(schema.claims).where(_is(schema.claims, named)))

    def _stored(self, connection: Connection, named: Mapping[str, str]) -> Outcome | None:
        """The stored outcome of a stage, where its artifacts are there too."""
        table = schema.stages
        text = connection.execute(select(table.c.outcome).where(_is(table, named))).scalar_one_or_none()
        outcome = None if text is None else cast(Outcome, json.loads(text))
        whole = outcome is not None and all(self.artifacts.has(name) for name in artifact_names(outcome))
        return outcome if whole else None


def stages_of(
    connection: Connection, study: str, trial: int | None = None, *, name: str | None = None
) -> tuple[StageRow, ...]:
    """Finished stages in the order they finished; those that `trial` did, those of that name, or all."""
    table = schema.stages
    query = select(table).where(table.c.study == study).order_by(table.c.finished)
    if trial is not None:
        query = query.where(table.c.trial == trial)
    if name is not None:
        query = query.where(table.c.name == name)
    return tuple(
        StageRow(
            trial=row.trial,
            name=row.name,
            key=row.key,
            outcome=json.loads(row.outcome),
            seconds=row.seconds,
            finished=row.finished,
        )
        for row in connection.execute(query)
    )


def _is(table: Table, named: Mapping[str, str]) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in named.items()))
