"""Opening a database: its engine, its locks, and whether its schema is ours."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, func, inspect, select

from segsearch.errors import DatabaseError, OlderDatabase
from segsearch.store import migrate, schema
from segsearch.store.lease import all_workers, is_alive
from segsearch.store.location import Location

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

_SQLITE_HEADER = b"SQLite format 3\0"
# Advisory locks are numbers that all programs in a PostgreSQL database share: these spell "segsearc", and one more.
_SCHEMA_LOCK = int.from_bytes(b"segsearc", "big")
_SETUP_LOCK = _SCHEMA_LOCK + 1


def use_wal(engine: Engine, *, timeout_seconds: float) -> None:
    """Let readers and a writer work at once. The file stays so."""
    deadline = time.monotonic() + timeout_seconds
    connection = engine.raw_connection()
    try:
        while True:
            try:
                connection.cursor().execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                # Two processes that turn a new file to WAL at once: SQLite refuses one without waiting.
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
    finally:
        connection.close()


def open_engine(location: Location) -> Engine:
    """An engine on the database. Raises `DatabaseError` where its driver is not installed."""
    try:
        engine = create_engine(location.url, **location.options)
    except (ImportError, exc.NoSuchModuleError) as error:
        raise DatabaseError(
            f"{location.shown}: no driver for PostgreSQL is installed ({error}). pip install 'segsearch[postgresql]'"
        ) from None
    if location.file is not None:
        begin_immediate(engine)
    return engine


def begin_immediate(engine: Engine) -> None:
    """Make every transaction of a SQLite engine take the write lock at once, unless its connection only reads.

    A transaction that starts by reading cannot wait for the write lock later: SQLite would refuse it.
    """

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("only_reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def only_reads(engine: Engine) -> dict[str, Any]:
    """Options of a connection that sees the database as it was when its transaction began, and locks nothing."""
    if engine.dialect.name == "sqlite":
        return {"only_reads": True}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


@contextmanager
def set_up_alone(engine: Engine, location: Location, *, timeout_seconds: float = 60.0) -> Iterator[None]:
    """Be the only process that makes tables or rows beside our own transactions, as Optuna does.

    A lock of the server, or of the folder that a SQLite file lies in: its own lock belongs to its transactions.
    Raises `DatabaseError` where another process keeps it too long.
    """
    if location.file is None:
        with engine.begin() as connection:
            _wait_for(connection, _SETUP_LOCK)
            yield
        return
    handle = os.open(location.file.parent, os.O_RDONLY) if fcntl is not None else -1
    try:
        deadline = time.monotonic() + timeout_seconds
        while not _locked(handle):
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"{location.shown}: another process has been setting the database up for {timeout_seconds:.0f} s. "
                    "End it, then run the same command again."
                )
            time.sleep(0.02)
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def _wait_for(connection: Connection, lock: int) -> None:
    """Take an advisory lock for the rest of a transaction. Many may stand in line before a new database."""
    connection.exec_driver_sql("SET LOCAL lock_timeout = '300s'")
    connection.execute(select(func.pg_advisory_xact_lock(lock)))


def _locked(folder: int) -> bool:
    """Try to lock a folder; where the system or its disk has no such locks, two seldom meet."""
    if fcntl is not None:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def check_file(path: Path, *, create: bool) -> None:
    """Raise `DatabaseError` where a path cannot be a SQLite database of ours; with `create`, make its folder."""
    if path.is_dir():
        raise DatabaseError(
            f"A database must be a file; {path} is a folder, and a run's folder holds study.db as a file. Name the "
            "database itself."
        )
    try:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as stream:
            header = stream.read(len(_SQLITE_HEADER))
    except FileNotFoundError:
        if create:
            return
        raise DatabaseError(f"{path}: no such database; `segsearch run STUDY` makes one.") from None
    except OSError as error:
        raise DatabaseError(f"{path}: cannot be opened: {error.strerror}.") from None
    if header and header != _SQLITE_HEADER:
        raise DatabaseError(f"{path}: not a SQLite database. Name the study.db that `segsearch run` wrote.")


def check_schema(engine: Engine, location: Location, *, read_only: bool) -> None:
    """Raise `DatabaseError` for a foreign database or a newer schema; migrate an older one."""
    shown = location.shown
    with engine.begin() if not read_only else engine.connect() as connection:
        if location.file is None and not read_only:  # SQLite has locked its file by now
            _wait_for(connection, _SCHEMA_LOCK)
        tables = set(inspect(connection).get_table_names())
        if schema.migrations.name in tables:
            version = migrate.schema_version(connection)
        elif tables if location.file is not None else "alembic_version" in tables:
            whose = (
                "it is an Optuna database, without segsearch's tables" if "alembic_version" in tables else "not ours"
            )
            raise DatabaseError(
                f"{shown}: a database must be one that `segsearch run` wrote; {whose}. Use another path."
            )
        elif read_only:
            raise DatabaseError(f"{shown}: no study was ever stored here. `segsearch run STUDY` starts one.")
        else:
            version = 0  # new, or its first process was killed before the tables stood
        newest = len(migrate.MIGRATIONS)
        if version > newest:
            raise DatabaseError(
                f"{shown}: its schema is {version}, this segsearch knows up to {newest}. Update segsearch to open it."
            )
        if version < newest and read_only:
            raise OlderDatabase(
                f"{shown}: its schema is {version}, older than {newest}, and it was opened only to read. "
                "`segsearch resume` brings it up to date."
            )
        if not read_only:
            if 0 < version < newest:
                _demand_nobody_at_work(connection, shown)
            migrate.migrate(connection, version)


def _demand_nobody_at_work(connection: Connection, shown: str) -> None:
    """Raise `DatabaseError` while workers of an older segsearch may still write as they know it."""
    count = sum(map(is_alive, all_workers(connection)))
    if count:
        who = "a worker" if count == 1 else f"{count} workers"
        raise DatabaseError(
            f"{shown}: {who} of an older segsearch may be at work here, and the database must be brought up to date "
            "first. End them (Ctrl-C loses nothing), or wait a minute where they were killed; then try again."
        )
