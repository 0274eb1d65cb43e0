"""Where a database is: a path, or a SQLAlchemy URL of SQLite or PostgreSQL."""

from __future__ import annotations

import math
import re
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import URL, QueuePool, exc, make_url

from segsearch.errors import DatabaseError

Mode = Literal["ro", "rw", "rwc"]
# Drivers that talk to a PostgreSQL server through libpq, which reads PGPASSWORD and ~/.pgpass.
_POSTGRESQL = {"postgresql": "psycopg", "postgres": "psycopg"}
_DRIVERS = {"psycopg", "psycopg2"}
_SECRETS = {"password", "sslpassword"}
# A server that stays silent is given up after this long; libpq takes whole seconds, and at least two.
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Location:
    """Where a database is: `shown` in messages, `url` and `options` for SQLAlchemy, `file` where it is SQLite.

    `shown` names the database to a command too, but for a password, which `hides_password` tells of.
    """

    shown: str
    url: str = field(repr=False)
    options: dict[str, Any] = field(repr=False)
    file: Path | None
    hides_password: bool = False


def locate(where: str | Path, *, mode: Mode, timeout_seconds: float, immutable: bool = False) -> Location:
    """Resolve a path or a SQLAlchemy URL. Raises `DatabaseError` for a URL that cannot be used."""
    text = str(where)
    if not is_url(text):
        path = Path(where)
    else:
        url = _read(text)
        if url.get_backend_name() != "sqlite":
            return _on_server(url, only_reads=mode == "ro", timeout_seconds=timeout_seconds)
        path = _sqlite_file(url)
    path = path.absolute()
    uri = f"file:{quote(str(path))}?mode={mode}{'&immutable=1' if immutable else ''}"
    # The URL only chooses the dialect: the connector opens the file, whatever characters its path holds.
    options = {"creator": lambda: _connect(uri, mode, timeout_seconds), "poolclass": QueuePool}
    return Location(str(where), "sqlite:///by-connector", options, path)


def is_url(where: str | Path) -> bool:
    return "://" in str(where)


def shown(where: str | Path) -> str:
    """How a path or URL is named in messages and in commands to type: without a password."""
    try:
        return locate(where, mode="ro", timeout_seconds=1.0).shown
    except DatabaseError:
        return "the database" if is_url(where) else str(where)


def hides_password(where: str | Path) -> bool:
    """Whether `shown` leaves a password out that a command would need."""
    return is_url(where) and locate(where, mode="ro", timeout_seconds=1.0).hides_password


def _read(text: str) -> URL:
    """Take a URL apart. What it holds is never repeated: any part of it may be of a password."""
    scheme, _, rest = text.partition("://")
    if not scheme.startswith("sqlite") and rest.count("@") > 1:
        raise DatabaseError(
            "A database URL may hold one @, before the host; this one holds several. Write those of the role and the "
            "password as %40, or leave the password out and set PGPASSWORD."
        )
    try:
        url = make_url(text)
    except exc.ArgumentError:
        raise DatabaseError(
            "A database must be a path or a SQLAlchemy URL, as in postgresql://role@host:5432/name; this is neither."
        ) from None
    except ValueError:
        raise DatabaseError(
            "The port of a database URL must be a number, as in postgresql://role@host:5432/name; this one's is none. "
            "Was a variable of the shell not set?"
        ) from None
    backend, _, driver = url.drivername.partition("+")
    if backend in _POSTGRESQL:
        url = url.set(drivername=f"postgresql+{driver or _POSTGRESQL[backend]}")
    known = (driver or "psycopg") in _DRIVERS if backend in _POSTGRESQL else backend == "sqlite"
    if not known:
        name = url.drivername if re.fullmatch(r"[\w+]+", url.drivername) else "this"
        raise DatabaseError(
            f"A study is kept in SQLite or PostgreSQL, and there is no driver for {name!r}. "
            "Name a path, or postgresql://role@host:5432/name."
        )
    return url


def _sqlite_file(url: URL) -> Path:
    if url.host:
        path = f"{url.host}/{url.database or ''}".rstrip("/")
        raise DatabaseError(
            "A SQLite URL has three slashes before a relative path and four before an absolute one; this one has two. "
            f"Write sqlite:///{path}."
        )
    if not url.database or url.database == ":memory:":
        raise DatabaseError("A study must outlive its process, so a SQLite URL must name a file: sqlite:///study.db.")
    if url.query:
        raise DatabaseError(
            f"A SQLite URL of a study takes no options, and {', '.join(sorted(url.query))} would have no effect. "
            f"Write sqlite:///{url.database}."
        )
    return Path(url.database)


def _on_server(url: URL, *, only_reads: bool, timeout_seconds: float) -> Location:
    if not url.database:
        raise DatabaseError("A PostgreSQL URL must name a database: postgresql://role@host:5432/name.")
    secrets = _SECRETS & url.query.keys()
    public = URL.create(
        "postgresql" if url.drivername == "postgresql+psycopg" else url.drivername,
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query={name: value for name, value in url.query.items() if name not in secrets},
    )
    # A worker that stops in the middle of a transaction, or whose host is gone, must not keep the others for ever.
    settings = {
        "lock_timeout": f"{math.ceil(1000 * timeout_seconds)}ms",
        "idle_in_transaction_session_timeout": "120s",
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
    }
    if only_reads:
        settings["default_transaction_read_only"] = "on"
    given = url.query.get("options", "")
    words = [*([given] if isinstance(given, str) else given), *(f"-c {key}={value}" for key, value in settings.items())]
    arguments: dict[str, Any] = {"options": " ".join(word for word in words if word)}
    if "connect_timeout" not in url.query:
        arguments["connect_timeout"] = CONNECT_SECONDS if timeout_seconds >= CONNECT_SECONDS else 2
    # A connection may have been cut while its worker trained for hours: it is tried before it is used again.
    options = {"connect_args": arguments, "pool_pre_ping": True}
    private = url.render_as_string(hide_password=False)
    return Location(
        public.render_as_string(), private, options, None, hides_password=bool(url.password) or bool(secrets)
    )


def _connect(uri: str, mode: Mode, timeout_seconds: float) -> sqlite3.Connection:
    # isolation_level=None: transactions begin where `open_engine` says, not where sqlite3 guesses.
    connection = sqlite3.connect(uri, uri=True, timeout=timeout_seconds, isolation_level=None, check_same_thread=False)
    if mode != "ro":
        connection.execute("PRAGMA synchronous=NORMAL")  # safe in WAL mode, and a tenth of the time
    return connection
