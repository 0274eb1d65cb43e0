"""A study in a server's database by the commands: what they say, that hosts share its folder, and what goes wrong."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from segsearch.dashboard.app import make_app
from segsearch.dashboard.reading import Reader
from segsearch.errors import DatabaseError
from segsearch.store import open_store, schema
from segsearch.store.worker import at_work
from tests import fakes
from tests.commands.doors import SLOW_CLI, assert_refused, stopped_half_way
from tests.conftest import Command
from tests.servers import Server, name_of

PASSWORD = "pa@s#s/w%rd"


@pytest.fixture
def fresh(server: Server, tmp_path: Path) -> Iterator[str]:
    """An empty database whose owner must give a password; the URL holds it."""
    name = name_of(tmp_path)
    server.database(name)
    server.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'", f"ALTER DATABASE {name} OWNER TO guarded")
    yield server.url(name, role="guarded", password=PASSWORD)
    server.drop_all()
    server.execute("DROP ROLE guarded")


@pytest.fixture
def run(command: Command, study_file: Path, tmp_path: Path, fresh: str, quick: None) -> Callable[..., Any]:
    def run(*more: object, out: Path | None = None, db: str = fresh) -> Any:
        return command("run", study_file, "--db", db, "--out", out or tmp_path / "out", *more)

    return run


def assert_hides(text: str) -> None:
    assert not [part for part in (PASSWORD, "pa@", "pa%40", "s%23s", "w%25rd") if part in text]


def test_a_study_in_a_servers_database_by_every_command(
    command: Command, run: Callable[..., Any], fresh: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run()
    assert said.code == 0, said.err
    assert "Done: 3 of 3 trials are trained" in said.out
    assert_hides(said.out)
    assert "set PGPASSWORD" in said.out
    assert not (tmp_path / "out" / "study.db").exists()
    suggested = re.findall(r"^ +segsearch ((?:front|pick) .+?)   ", said.out, re.MULTILINE)
    assert len(suggested) == 2
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.chdir(tmp_path)
    for line in suggested:
        assert command(*shlex.split(line)).code == 0
    public = shlex.split(suggested[1])[1]
    assert "--study tiny" in suggested[1]
    assert "Trials   3 of 3 trained" in command("status", public).out
    assert "Wrote front.html" in command("front", public, "--html", "front.html").out
    assert "4 of 4 trials are trained" in command("resume", public, "--trials", 4).out
    assert "5 of 5 trials are trained" in run("--trials", 5, db=public).out
    with open_store(fresh, read_only=True) as store:
        assert store.counts("tiny").trained == 5
        assert [row.pick.trial for row in store.picks("tiny")]
    page = make_app(Reader(fresh), host="127.0.0.1", token=None).server.test_client().get("/_dash-layout")
    text = page.get_data(as_text=True)
    assert page.status_code == 200
    assert "tiny" in text
    assert_hides(text)


def test_a_stopped_run_says_how_to_carry_on_without_the_password(fresh: str, study_file: Path, tmp_path: Path) -> None:
    arguments = ["run", str(study_file), "--db", fresh, "--out", str(tmp_path / "out")]
    said = stopped_half_way(SLOW_CLI, arguments, signal.SIGINT)
    assert said.code == 130
    first, second = said.err.strip().splitlines()
    assert first.startswith(f"segsearch: Stopped. Carry on with: segsearch run {study_file} --out")
    assert "--db 'postgresql://guarded@/" in first
    assert "PGPASSWORD" in second
    assert_hides(said.out + said.err)


# ---- the folder that all hosts share


def test_another_folder_or_another_hosts_folder_of_that_name_is_refused(
    command: Command, run: Callable[..., Any], fresh: str, tmp_path: Path
) -> None:
    assert run("--trials", 1).code == 0
    assert_refused(run("--trials", 2, out=tmp_path / "other"), "share one folder of artifacts", "--out")
    shutil.move(tmp_path / "out" / "artifacts", tmp_path / "away")
    for again in (lambda: run("--trials", 2), lambda: command("resume", fresh, "--trials", 2)):
        said = again()  # as on a host where nothing is mounted there
        assert_refused(said, "share one folder of artifacts", str(tmp_path / "out" / "artifacts"))
        assert_hides(said.err)
    shutil.move(tmp_path / "away", tmp_path / "moved" / "artifacts")
    assert run("--trials", 2, out=tmp_path / "moved").code == 0
    assert command("resume", fresh, "--trials", 3).code == 0


def test_a_folder_is_not_moved_under_a_worker(run: Callable[..., Any], fresh: str, tmp_path: Path) -> None:
    assert run("--trials", 1).code == 0
    shutil.copytree(tmp_path / "out", tmp_path / "mounted elsewhere")
    with open_store(fresh) as store:
        with at_work(store, "tiny") as worker:
            assert worker.next(2) == "ask"
            worker.enter(7, fakes.candidate(8, 1), params={}, seed=0)
            said = run("--trials", 2, out=tmp_path / "mounted elsewhere")
            assert_refused(said, "name its folder alike", str(tmp_path / "out" / "artifacts"))
        with store.writing() as connection:
            connection.execute(delete(schema.trials).where(schema.trials.c.number == 7))
    assert run("--trials", 2, out=tmp_path / "mounted elsewhere").code == 0


def test_a_study_from_before_folders_had_tokens_gets_one(run: Callable[..., Any], fresh: str, tmp_path: Path) -> None:
    assert run("--trials", 1).code == 0
    with open_store(fresh) as store, store.writing() as connection:
        connection.execute(delete(schema.folders))
    (marker,) = (tmp_path / "out" / "artifacts").glob("shared-*.txt")
    marker.unlink()
    assert run("--trials", 2).code == 0
    assert len(list((tmp_path / "out" / "artifacts").glob("shared-*.txt"))) == 1


# ---- mistakes


def test_a_role_a_password_or_a_database_that_is_not_there(
    command: Command, run: Callable[..., Any], server: Server, fresh: str, tmp_path: Path
) -> None:
    name = name_of(tmp_path)
    for url, words in (
        (server.url(name, role="guarded", password="sec@ret"), "refuses the role or its password"),
        (server.url(name, role="guarded"), "asks for a password"),
        (server.url("nowhere"), "no such database"),
        (server.url(name, role="noone", password="sec@ret"), "no such role"),
    ):
        for said in (command("status", url), command("resume", url), run(db=url)):
            assert_refused(said, words)
            assert "sec" not in said.err


def test_a_role_without_rights(command: Command, run: Callable[..., Any], server: Server, tmp_path: Path) -> None:
    server.execute("CREATE ROLE weak LOGIN")
    weak = server.url(name_of(tmp_path), role="weak")
    try:
        assert_refused(run(db=weak), "has no right", "GRANT")
        assert run().code == 0
        assert_refused(command("status", weak), "has no right", "GRANT")
        assert_refused(command("pick", weak), "has no right", "GRANT")
    finally:
        server.execute("DROP ROLE weak")


def test_a_server_that_is_away_or_silent(command: Command, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        start = time.monotonic()
        silent = f"postgresql://me:sec%40ret@127.0.0.1:{port}/x?connect_timeout=2"
        said = command("status", silent)
        assert_refused(said, "does not answer")
        assert "sec" not in said.err
        assert time.monotonic() - start < 30
    for url in (f"postgresql://me:sec%40ret@127.0.0.1:{port}/x", f"postgresql://me@/x?host={tmp_path}"):
        said = command("status", url)
        assert_refused(said, "does not answer")
        assert "sec" not in said.err


def test_a_server_that_ends_is_said(server: Server, fresh: str) -> None:
    with open_store(fresh, create=True) as store:
        ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guarded'"

        def ask_after_the_end() -> None:
            with store.writing() as connection:
                connection.exec_driver_sql("SELECT 1")
                server.execute(ends)
                connection.exec_driver_sql("SELECT 1")

        with pytest.raises(DatabaseError, match="the server ended the connection"):
            ask_after_the_end()
        assert store.studies() == ()  # the next transaction has a new connection


def test_a_row_that_another_holds_for_long_is_said(fresh: str, tmp_path: Path) -> None:
    with open_store(fresh, create=True) as holder, open_store(fresh, timeout_seconds=0.2) as store:
        holder.begin_study(fakes.make_study(), artifacts=tmp_path / "artifacts", space="0" * 64 + ".py", data_key="d")
        with holder.writing() as connection:
            connection.execute(update(schema.studies).values(data_key="e"))
            with pytest.raises(DatabaseError, match="another process keeps the database locked"):
                store.ask_for("fake", 9)


def test_another_programs_tables_are_left_alone(command: Command, run: Callable[..., Any], fresh: str) -> None:
    with open_store(fresh, create=True) as store, store.writing() as connection:
        for table in reversed(schema.migrations.metadata.sorted_tables):
            table.drop(connection)
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
    assert_refused(run(), "Use another")


def test_a_database_opened_to_read_is_not_made(command: Command, fresh: str) -> None:
    assert_refused(command("status", fresh), "no study was ever stored")
    with open_store(fresh, create=True) as store, store.writing() as connection:
        connection.execute(insert(schema.migrations).values(number=999, applied=0.0))
    assert_refused(command("status", fresh), "its schema is 999")
