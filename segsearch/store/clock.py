"""The database's clock: hosts whose own clocks differ agree on it."""

from __future__ import annotations

import time

from sqlalchemy import ColumnElement, Connection, Float, cast, func


def database_now(connection: Connection) -> ColumnElement[float]:
    """Seconds since 1970, as SQL: what leases are written and compared in."""
    if connection.dialect.name == "sqlite":
        return (func.julianday("now") - 2440587.5) * 86400.0
    return cast(func.extract("epoch", func.clock_timestamp()), Float)


def stamp(connection: Connection) -> float | ColumnElement[float]:
    """Seconds since 1970 for a row: the server's, or this host's, which tells milliseconds apart, for a file."""
    return time.time() if connection.dialect.name == "sqlite" else database_now(connection)
