"""Where a database is: a path, or a SQLAlchemy URL of SQLite or PostgreSQL."""

from __future__ import annotations

import math
import os
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
_NO_FILE = "A study must outlive its process, so a SQLite URL must name a file: sqlite:///study.db."
# What a shell leaves where it does not fill a variable in.
_UNFILLED = re.compile(r"\$\{\w+\}")
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
    """Resolve a path, of a database or of a run's folder, or a SQLAlchemy URL.

    Raises `DatabaseError` for a URL that cannot be used.
    """
    text = str(where)
    if not is_url(text):
        named = _demand_path(text)
        path = database_in(named)
        text = text if path == named else str(path)
    else:
        url = _read(text)
        if url.get_backend_name() != "sqlite":
            return _on_server(url, only_reads=mode == "ro", timeout_seconds=timeout_seconds)
        path = database_in(_sqlite_file(url))
    path = path.absolute()
    uri = f"file:{quote(str(path))}?mode={mode}{'&immutable=1' if immutable else ''}"
    # The URL only chooses the dialect: the connector opens the file, whatever characters its path holds.
    options = {"creator": lambda: _connect(uri, mode, timeout_seconds), "poolclass": QueuePool}
    return Location(text, "sqlite:///by-connector", options, path)


def database_in(path: Path) -> Path:
    """The database of a run where its folder is named, or the path as it is."""
    inside = path / "study.db"
    return inside if path.is_dir() and inside.is_file() else path


def is_url(where: str | Path) -> bool:
    return "://" in str(where)


def shown(where: str | Path) -> str:
    """How a path or URL is named in messages and in commands to type: without a password."""
    try:
        return locate(where, mode="ro", timeout_seconds=1.0).shown
    except DatabaseError:
        return "the database"


def hides_password(where: str | Path) -> bool:
    """Whether `shown` leaves a password out that a command would need. Raises as `locate` does."""
    return locate(where, mode="ro", timeout_seconds=1.0).hides_password


def _demand_path(text: str) -> Path:
    """A path as it was given; what is a URL but for a slip is not taken for the name of a new file.

    Of such a text nothing is repeated: it may hold a password.
    """
    path = Path(text)
    if os.path.lexists(path):
        return path
    if re.match(r"[a-z0-9]*(postgres|mysql|mariadb|sqlite)[a-z0-9+]*:", text, re.IGNORECASE):
        raise DatabaseError(
            "A database URL has :// after its kind, as in postgresql://role@host:5432/name or sqlite:///study.db; this "
            "one has something else."
        )
    if re.match(r"[^/\\]*:.*@", text):
        raise DatabaseError(
            "A database must be a path or a SQLAlchemy URL; this looks like a URL without its kind. "
            "Write postgresql://role@host:5432/name."
        )
    return _demand_local(path)


def _demand_local(path: Path) -> Path:
    """A path of this system, or of a file that has such a name all the same."""
    text = str(path)
    if os.path.lexists(path):
        return path
    if os.name != "nt" and re.match(r"[A-Za-z]:[\\/]", text):
        raise DatabaseError(
            f"{text}: a path of Windows, and this system would take it for a name. Write a path of this system, as in "
            "runs/mine/study.db, or sqlite:////home/me/study.db as a URL."
        )
    if _UNFILLED.search(text):
        raise DatabaseError(
            f"{text}: a variable of the shell stands in this path as it was written. Set it, and do not put it into "
            "single quotes."
        )
    return path


def _read(text: str) -> URL:
    """Take a URL apart. What it holds is never repeated: any part of it may be of a password."""
    scheme, _, rest = text.partition("://")
    if scheme.startswith("sqlite"):
        _demand_slashes(rest)
    elif rest.count("@") > 1:
        raise DatabaseError(
            "A database URL may hold one @, before the host; this one holds several. Write those of the role and the "
            "password as %40, or leave the password out and set PGPASSWORD."
        )
    url, fault = None, ""
    try:
        url = make_url(text)
    except exc.ArgumentError:
        fault = (
            "A database must be a path or a SQLAlchemy URL, as in postgresql://role@host:5432/name; this is neither."
        )
    except ValueError:
        fault = (
            "The port of a database URL must be a number, as in postgresql://role@host:5432/name; this one's is none. "
            "Was a variable of the shell not set?"
        )
    if url is None:  # raised here, so that what SQLAlchemy repeats of the URL is not even a context
        raise DatabaseError(fault)
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


def _demand_slashes(rest: str) -> None:
    """What follows the two slashes of a SQLite URL begins with a third one: it names no host and no role."""
    if rest in ("", ":memory:"):
        raise DatabaseError(_NO_FILE)
    if not rest.startswith("/"):
        path = "PATH" if "@" in rest else rest.partition("?")[0].rstrip("/")
        raise DatabaseError(
            "A SQLite URL has three slashes before a relative path and four before an absolute one; this one has two. "
            f"Write sqlite:///{path}."
        )


def _sqlite_file(url: URL) -> Path:
    if not url.database or url.database == ":memory:":
        raise DatabaseError(_NO_FILE)
    if url.query:
        raise DatabaseError(
            f"A SQLite URL of a study takes no options, and {', '.join(sorted(url.query))} would have no effect. "
            f"Write sqlite:///{url.database}."
        )
    return _demand_local(Path(url.database))


def _demand_server(url: URL) -> None:
    if url.username is None and "@" in (url.database or ""):
        raise DatabaseError(
            "The @ of a database URL stands before the host; in this one a / comes before it. "
            "Write a / of the role or the password as %2F, or leave the password out and set PGPASSWORD."
        )
    if not url.database:
        raise DatabaseError("A PostgreSQL URL must name a database: postgresql://role@host:5432/name.")
    if url.port is not None and not 0 < url.port < 2**16:
        raise DatabaseError("The port of a database URL must lie between 1 and 65535; that of a server is often 5432.")
    for name, part in (("role", url.username), ("host", url.host), ("database", url.database)):
        if part is not None and _UNFILLED.search(part):
            raise DatabaseError(
                f"A variable of the shell stands in the {name} of the database URL as it was written. Set it, and do "
                "not put the URL in single quotes."
            )


def _on_server(url: URL, *, only_reads: bool, timeout_seconds: float) -> Location:
    _demand_server(url)
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
