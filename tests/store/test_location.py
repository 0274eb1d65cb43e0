"""Database URLs as people write them: what is wrong is said in a line or two, and no password is ever repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.errors import DatabaseError
from segsearch.store import open_store
from segsearch.store.location import hides_password, locate, shown
from tests.addresses import SECRETS, WRONG

pytestmark = pytest.mark.sqlite  # nothing is opened here


@pytest.mark.parametrize(("url", "words"), WRONG)
def test_what_is_wrong_with_a_url_is_said_without_its_password(url: str, words: str) -> None:
    """Nowhere: not in what an error was raised from, and not in what it was raised beside."""
    with pytest.raises(DatabaseError, match=words) as raised:
        locate(url, mode="rw", timeout_seconds=30)
    error: BaseException | None = raised.value
    while error is not None:
        said = str(error)
        assert not any(part in said for part in SECRETS)
        assert "\n" not in said
        error = error.__cause__ or error.__context__
    assert shown(url) == "the database"


def test_a_file_whose_name_looks_like_a_url_or_a_path_of_windows_is_meant_where_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("C:\\runs\\study.db", "me:v1@home.db", "sqlite:study.db", "${NAME}.db"):
        Path(name).touch()
        assert locate(name, mode="rw", timeout_seconds=30).file == tmp_path / name
    assert locate("sqlite:///${NAME}.db", mode="rw", timeout_seconds=30).file == tmp_path / "${NAME}.db"
    assert locate("a@b/c:d.db", mode="rw", timeout_seconds=30).file == tmp_path / "a@b/c:d.db"


def test_a_run_s_folder_stands_for_the_database_in_it(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    assert locate(run, mode="rw", timeout_seconds=30).file == run, "and is refused, as it holds none"
    (run / "study.db").touch()
    for written in (run, f"{run}/", run / "study.db"):
        found = locate(written, mode="rw", timeout_seconds=30)
        assert (found.file, found.shown) == (run / "study.db", str(run / "study.db"))


def test_marks_in_a_password_that_can_only_be_its_own_are_taken_as_they_are() -> None:
    for written in ("pa#ss", "pa/ss", "pa?ss", "pa:ss", "pa%2Fss", "${ss}"):
        found = locate(f"postgresql://me:{written}@host:5432/db", mode="rw", timeout_seconds=30)
        assert found.shown == "postgresql://me@host:5432/db"


def test_postgresql_is_spoken_to_by_psycopg_unless_another_driver_is_named() -> None:
    for scheme, driver in (
        ("postgresql", "postgresql+psycopg"),
        ("postgres", "postgresql+psycopg"),
        ("postgresql+psycopg", "postgresql+psycopg"),
        ("postgresql+psycopg2", "postgresql+psycopg2"),
    ):
        found = locate(f"{scheme}://me@host/db", mode="rw", timeout_seconds=30)
        assert found.url == f"{driver}://me@host/db"
        assert found.file is None
        assert found.options["connect_args"]["connect_timeout"] == 10


@pytest.mark.parametrize(
    ("url", "without"),
    [
        ("postgresql://me:sec%40ret@host:5433/db", "postgresql://me@host:5433/db"),
        ("postgresql://me@/db?host=/tmp&password=secret", "postgresql://me@/db?host=%2Ftmp"),
        ("postgresql+psycopg2://me:secret@host/db", "postgresql+psycopg2://me@host/db"),
    ],
)
def test_a_url_is_shown_so_that_it_can_be_typed_but_for_its_password(url: str, without: str) -> None:
    found = locate(url, mode="rw", timeout_seconds=30)
    assert shown(url) == found.shown == without
    assert "secret" not in repr(found)
    assert "%40ret" not in repr(found)
    assert hides_password(url)
    assert not hides_password(without)
    assert shown(without) == without


def test_settings_of_the_url_stand_beside_ours() -> None:
    url = "postgresql://host/db?options=-c%20search_path%3Dmine&connect_timeout=3"
    arguments = locate(url, mode="ro", timeout_seconds=1.5).options["connect_args"]
    assert arguments["options"].startswith("-c search_path=mine -c lock_timeout=1500ms")
    assert "default_transaction_read_only=on" in arguments["options"]
    assert "connect_timeout" not in arguments


def test_a_path_is_a_file_and_is_shown_as_it_was_given(tmp_path: Path) -> None:
    found = locate(tmp_path / "study.db", mode="rw", timeout_seconds=30)
    assert (found.file, found.shown) == (tmp_path / "study.db", str(tmp_path / "study.db"))
    assert locate("sqlite:///a/b.db", mode="rw", timeout_seconds=30).file == Path("a/b.db").absolute()
    assert not hides_password("study.db")


@pytest.mark.parametrize("option", ["sslmod=require", "connect_timeout=abc", "sslmode=bogus"])
def test_an_option_that_the_driver_does_not_take_is_said_and_no_traceback(option: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(DatabaseError, match=option.split("=")[0]) as raised:
        open_store(f"postgresql://me:secret@127.0.0.1:5999/db?{option}")
    assert "secret" not in str(raised.value)
