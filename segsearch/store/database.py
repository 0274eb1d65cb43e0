"""Opening a database and saying in a line or two why it cannot be used."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, exc, inspect, make_url

from segsearch.errors import DatabaseError, StorageFull, UserError
from segsearch.store import schema

Mode = Literal["ro", "rw", "rwc"]
_SQLITE_HEADER = b"SQLite format 3\0"


@dataclass(frozen=True)
class Location:
    """Where a database is: `shown` in messages, `url` and `options` for SQLAlchemy, `file` where it is SQLite."""

    shown: str
    url: str
    options: dict[str, Any]
    file: Path | None


def locate(where: str | Path, *, mode: Mode, timeout_seconds: float, immutable: bool = False) -> Location:
    """Resolve a path or a SQLAlchemy URL. Raises `DatabaseError` for a URL that cannot be used."""
    text = str(where)
    if "://" not in text:
        path = Path(where)
    else:
        try:
            url = make_url(text)
        except exc.ArgumentError:
            raise DatabaseError(f"A database must be a path or a SQLAlchemy URL; got {text!r}.") from None
        if url.get_backend_name() != "sqlite":
            return Location(url.render_as_string(), url.render_as_string(hide_password=False), {}, None)
        if not url.database or url.database == ":memory:":
            raise DatabaseError(
                "A study must outlive its process, so a SQLite URL must name a file: sqlite:///study.db."
            )
        path = Path(url.database)
    path = path.absolute()
    uri = f"file:{quote(str(path))}?mode={mode}{'&immutable=1' if immutable else ''}"
    # The URL only chooses the dialect: the connector opens the file, whatever characters its path holds.
    options = {"creator": lambda: _connect(uri, mode, timeout_seconds), "poolclass": QueuePool}
    return Location(str(where), "sqlite:///by-connector", options, path)


def _connect(uri: str, mode: Mode, timeout_seconds: float) -> sqlite3.Connection:
    # isolation_level=None: transactions begin where `open_engine` says, not where sqlite3 guesses.
    connection = sqlite3.connect(uri, uri=True, timeout=timeout_seconds, isolation_level=None, check_same_thread=False)
    if mode != "ro":
        connection.execute("PRAGMA synchronous=NORMAL")  # safe in WAL mode, and a tenth of the time
    return connection


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
        raise DatabaseError(f"{location.shown}: no driver for this kind of database: {error}.") from None
    if location.file is not None:
        begin_immediate(engine)
    return engine


def begin_immediate(engine: Engine) -> None:
    """Make every transaction of a SQLite engine take the write lock at once, unless its connection only reads.

    A transaction that starts by reading cannot wait for the write lock later: SQLite would refuse it.
    """

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        only_reads = connection.get_execution_options().get("only_reads", False)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def check_file(path: Path, *, create: bool) -> None:
    """Raise `DatabaseError` where a path cannot be a SQLite database of ours; with `create`, make its folder."""
    if path.is_dir():
        raise DatabaseError(f"A database must be a file; {path} is a folder. Name the file in it: {path / 'study.db'}.")
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
        tables = set(inspect(connection).get_table_names())
        if schema.migrations.name in tables:
            version = schema.schema_version(connection)
        elif tables and location.file is not None:
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
        newest = len(schema.MIGRATIONS)
        if version > newest:
            raise DatabaseError(
                f"{shown}: its schema is {version}, this segsearch knows up to {newest}. Update segsearch to open it."
            )
        if version < newest and read_only:
            raise DatabaseError(
                f"{shown}: its schema is {version}, older than {newest}, and it was opened only to read. "
                "`segsearch resume` brings it up to date."
            )
        if not read_only:
            schema.migrate(connection, version)


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """Turn what a user can cause in a database, from SQLAlchemy or through Optuna, into a `UserError`."""
    try:
        yield
    except Exception as error:
        cure = _user_error(error, shown)
        if cure is None:
            raise
        raise cure from None


def _user_error(error: BaseException, shown: str) -> UserError | None:
    cause: BaseException | None = error
    while cause is not None:
        raw = cause.orig if isinstance(cause, exc.DBAPIError) else cause
        if isinstance(cause, exc.OperationalError | sqlite3.OperationalError) or type(raw) is sqlite3.DatabaseError:
            reason = str(raw)
            # A statement that is wrong is a mistake of ours and keeps its traceback.
            return None if reason.startswith(("no such column", "near ")) else _explain(reason, shown)
        if isinstance(cause, exc.TimeoutError):
            return _explain("locked", shown)
        cause = cause.__cause__
    return None


_REASONS: tuple[tuple[str, Callable[[str], UserError]], ...] = (
    (
        "full",
        lambda shown: StorageFull(
            f"{shown}: no room left for the database. Free some space, then run the same command again: "
            "nothing finished is lost."
        ),
    ),
    (
        "locked",
        lambda shown: DatabaseError(
            f"{shown}: another process keeps the database locked. End it (a copy, a browser of databases), then run "
            "the same command again."
        ),
    ),
    (
        "readonly",
        lambda shown: DatabaseError(
            f"{shown}: the database or its folder is read-only. Make both writable, or work on a copy."
        ),
    ),
    (
        "unable to open",
        lambda shown: DatabaseError(f"{shown}: cannot be opened. Check that its folder is there and may be written."),
    ),
    (
        "not a database",
        lambda shown: DatabaseError(f"{shown}: not a SQLite database. Name the study.db that `segsearch run` wrote."),
    ),
    (
        "malformed",
        lambda shown: DatabaseError(f"{shown}: the database is damaged. Restore it from a copy."),
    ),
)


def _explain(reason: str, shown: str) -> UserError:
    for word, explain in _REASONS:
        if word in reason:
            return explain(shown)
    return DatabaseError(f"{shown}: the database cannot be used: {' '.join(reason.split())}.")
