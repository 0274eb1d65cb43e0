"""Picks: recorded, listed, and the newest one taken back, inside a transaction."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from segsearch.store import schema
from segsearch.store.clock import stamp
from segsearch.store.rows import Pick, PickRow

table = schema.picks


def picks_of(connection: Connection, study: str) -> tuple[PickRow, ...]:
    """Recorded picks, oldest first."""
    query = select(table).where(table.c.study == study).order_by(table.c.number)
    return tuple(PickRow(Pick(row.trial, row.reason), row.created, row.number) for row in connection.execute(query))


def add(connection: Connection, study: str, pick: Pick) -> None:
    """Record a pick."""
    row = {"study": study, "trial": pick.trial, "reason": pick.reason, "created": stamp(connection)}
    connection.execute(insert(table).values(**row))


def undo(connection: Connection, study: str, number: int, *, created: float | None) -> bool:
    """Take the newest pick back; False where another is newer, or has its number by now."""
    query = select(table).where(table.c.study == study).order_by(table.c.number.desc()).limit(1)
    newest = connection.execute(query).one_or_none()
    if newest is None or newest.number != number or created not in (None, newest.created):
        return False
    return connection.execute(delete(table).where(table.c.number == number)).rowcount == 1
