"""Writing a row that another worker may be writing at the same moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def put(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Write a row under its key, over the one that may stand there."""
    statement = _insert(connection, table).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=dict(values)))


def put_first(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Write a row under its key, unless one stands there; whether it was written.

    Waits for another worker that writes the same key: what it commits can be read after this.
    """
    statement = _insert(connection, table).values(**key, **values)
    statement = statement.on_conflict_do_nothing(index_elements=list(key))
    # Of an INSERT SQLAlchemy keeps the driver's count only where it is asked to.
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1


def _insert(connection: Connection, table: Table) -> Any:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
