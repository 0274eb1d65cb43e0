"""A row that two may write: the last one stands with `put`, the first with `put_first`, which knows whether it was."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy

from segsearch.store import open_store, schema
from segsearch.store.put import put, put_first
from tests import fakes


def test_the_last_and_the_first(tmp_path: Path) -> None:
    table = schema.folders
    with open_store(fakes.where(tmp_path), create=True) as store, store.writing() as connection:

        def token() -> str:
            return str(connection.execute(sqlalchemy.select(table.c.token)).scalar_one())

        assert put_first(connection, table, {"study": "a"}, {"token": "1"})
        assert not put_first(connection, table, {"study": "a"}, {"token": "2"})
        assert token() == "1"
        put(connection, table, {"study": "a"}, {"token": "3"})
        assert token() == "3"
