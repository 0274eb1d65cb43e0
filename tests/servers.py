"""A PostgreSQL server of the tests' own: on a socket in a folder of its own, without a network, gone at the end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.split(".")[0]))
# Durable writes would cost most of the time, and a test's server need not survive its machine.
SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "deadlock_timeout": "200ms",
}
# Whoever is called `guarded` must give a password; everybody else is let in.
RULES = "local all guarded scram-sha-256\nlocal all all trust\n"


def missing() -> str | None:
    """What to install so that PostgreSQL can be tested, if anything."""
    if binary("postgres") is None or binary("initdb") is None:
        return "no PostgreSQL server on this machine: apt-get install postgresql to test studies on a server"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "no driver for PostgreSQL: pip install 'psycopg[binary]' to test studies on a server"
    if os.geteuid() == 0 and _somebody() is None:
        return "PostgreSQL does not run as root, and there is no user postgres or nobody to run it as"
    return None


def binary(name: str) -> str | None:
    found = shutil.which(name)
    if found is not None:
        return found
    return next((str(folder / name) for folder in reversed(BINARIES) if (folder / name).is_file()), None)


@dataclass(frozen=True)
class Server:
    """A running server: its socket lies in `folder`."""

    folder: Path
    process: subprocess.Popen[bytes]

    def url(self, database: str, *, role: str = "postgres", password: str = "") -> str:
        secret = f":{quote(password, safe='')}" if password else ""
        return f"postgresql://{role}{secret}@/{database}?host={quote(str(self.folder), safe='')}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements, each in a transaction of its own."""
        import psycopg

        with psycopg.connect(self._words(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def database(self, name: str) -> str:
        """The URL of an empty database of that name, which is made where there is none."""
        import psycopg

        # Several processes may ask for it at once.
        with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def drop_all(self) -> None:
        """Drop the databases that `database` made, whoever is still connected."""
        import psycopg

        with psycopg.connect(self._words("postgres"), autocommit=True) as connection:
            names = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate").fetchall()
        self.execute(*(f"DROP DATABASE {name} WITH (FORCE)" for (name,) in names if name != "postgres"))

    def _words(self, database: str) -> str:
        return f"host={self.folder} user=postgres dbname={database}"


def name_of(folder: Path) -> str:
    """A database's name for a test's folder."""
    return f"t{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server of its own. Call `missing` before."""
    folder = Path(tempfile.mkdtemp(prefix="segsearch-pg-"))
    try:
        user = _somebody() if os.geteuid() == 0 else None
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        _check([str(binary("initdb")), "-D", str(data), "-U", "postgres", "-N", "--locale=C", "-E", "UTF8"], user=user)
        (data / "pg_hba.conf").write_text(RULES)
        arguments = [str(binary("postgres")), "-D", str(data), "-k", str(folder)]
        for name, value in SETTINGS.items():
            arguments += ["-c", f"{name}={value.strip(chr(39))}"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(arguments, stdout=log, stderr=log, **_as(user))
        try:
            server = Server(folder, process)
            _await(server)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # end now, without waiting for those who are connected
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _await(server: Server) -> None:
    import psycopg

    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            server.execute("SELECT 1")
            return
        except psycopg.OperationalError:
            if server.process.poll() is not None:
                break
            time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not start: {(server.folder / 'log').read_text()}")


def _check(arguments: list[str], *, user: str | None) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd="/", **_as(user))
    if done.returncode != 0:
        raise RuntimeError(f"{arguments[0]} failed: {done.stdout}{done.stderr}")


def _as(user: str | None) -> dict[str, object]:
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _somebody() -> str | None:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None
