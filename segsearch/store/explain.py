"""What a database complains of, as a line or two for the person who can cure it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from segsearch.errors import DatabaseError, StorageFull, UserError

_AGAIN = "then run the same command again: nothing finished is lost"


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
        state = getattr(raw, "sqlstate", None) or getattr(raw, "pgcode", None)
        if isinstance(cause, exc.ProgrammingError) and cause.statement is None:  # it came while connecting
            return DatabaseError(f"{shown}: its address has an option that the driver does not take: {raw}.")
        if state == _NO_RIGHT:  # to SQLAlchemy a mistake in the program
            return _explain(str(raw), shown)
        if isinstance(cause, exc.OperationalError | sqlite3.OperationalError) or type(raw) is sqlite3.DatabaseError:
            reason = str(raw)
            # A statement that is wrong is a mistake of ours and keeps its traceback.
            return None if reason.startswith(("no such column", "near ")) else _explain(reason, shown)
        if isinstance(cause, exc.InternalError) and state == _READ_ONLY:
            return _explain("read-only transaction", shown)
        if isinstance(cause, exc.DBAPIError) and cause.connection_invalidated:
            return _explain("terminating connection", shown)
        if isinstance(cause, exc.TimeoutError):
            return _explain("locked", shown)
        cause = cause.__cause__
    return None


_NO_RIGHT = "42501"
_READ_ONLY = "25006"


def _refused(text: str) -> Callable[[str], UserError]:
    return lambda shown: DatabaseError(f"{shown}: {text}")


_FULL: Callable[[str], UserError] = lambda shown: StorageFull(  # noqa: E731
    f"{shown}: no room left for the database. Free some space, {_AGAIN}."
)
_READ = _refused("the database or its folder is read-only. Make both writable, or work on a copy.")

# The first words that are found count.
_REASONS: tuple[tuple[str, Callable[[str], UserError]], ...] = (
    # What a server says.
    (
        "password authentication failed",
        _refused("the server refuses the role or its password. Set PGPASSWORD, or write both into ~/.pgpass."),
    ),
    (
        "no password supplied",
        _refused("the server asks for a password. Set PGPASSWORD, or write it into ~/.pgpass."),
    ),
    ("no pg_hba.conf entry", _refused("the server lets nobody in from here. Add this host to its pg_hba.conf.")),
    (
        "too many clients",
        _refused("the server takes no more connections. Start fewer workers, or raise its max_connections."),
    ),
    (
        "permission denied",
        _refused(
            "the role has no right to what segsearch does there. Connect as the database's owner, or GRANT the role "
            "its schema and tables."
        ),
    ),
    ("read-only transaction", _refused("the database was opened only to read, or its server is a read-only replica.")),
    (
        "lock timeout",
        _refused(f"another process keeps the database locked. pg_stat_activity names it; end it, {_AGAIN}."),
    ),
    ("No space left", _FULL),
    ("could not extend file", _FULL),
    ("terminating connection", _refused(f"the server ended the connection. See that it runs, {_AGAIN}.")),
    ("server closed the connection", _refused(f"the server ended the connection. See that it runs, {_AGAIN}.")),
    ("connection is closed", _refused(f"the server ended the connection. See that it runs, {_AGAIN}.")),
    # What SQLite says.
    ("full", _FULL),
    (
        "locked",
        _refused(
            "another process keeps the database locked. End it (a copy, a browser of databases), then run the same "
            "command again."
        ),
    ),
    ("readonly", _READ),
    ("unable to open", _refused("cannot be opened. Check that its folder is there and may be written.")),
    ("not a database", _refused("not a SQLite database. Name the study.db that `segsearch run` wrote.")),
    ("malformed", _refused("the database is damaged. Restore it from a copy.")),
)
_AWAY = (
    "Connection refused",
    "No such file or directory",
    "timeout expired",
    "connection timeout",
    "could not translate host name",
    "failed to resolve host",
    "No route to host",
    "Network is unreachable",
    "SSL negotiation",  # something else listens there
    "starting up",
    "shutting down",
)


def _explain(reason: str, shown: str) -> UserError:
    words = " ".join(reason.split())
    missing = re.search(r'(database|role) "[^"]*" does not exist', words)
    if missing is not None:
        cure = "createdb makes one." if missing[1] == "database" else "Correct the URL, or createuser makes one."
        return DatabaseError(f"{shown}: the server has no such {missing[1]}. {cure}")
    away = next((said for said in _AWAY if said in words), None)
    if away is not None:
        return DatabaseError(
            f"{shown}: the server does not answer ({away}). See that it runs, and that host and port are right."
        )
    for word, explain in _REASONS:
        if word in words:
            return explain(shown)
    return DatabaseError(f"{shown}: the database cannot be used: {words}.")
