"""What several commands share: a database of an older segsearch is read by all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.commands.showing import open_to_read
from segsearch.errors import DatabaseError, OlderDatabase
from segsearch.store import open_store
from tests import fakes
from tests.conftest import Command
from tests.store.test_store import schema_1


@pytest.mark.parametrize("reads", [("status",), ("front",), ("front", "--json")])
def test_a_command_that_reads_brings_an_older_database_up_to_date(
    command: Command, tmp_path: Path, reads: tuple[str, ...]
) -> None:
    name, *options = reads
    schema_1(tmp_path / "study.db")
    with pytest.raises(OlderDatabase):
        open_store(tmp_path / "study.db", read_only=True)
    said = command(name, tmp_path / "study.db", "--study", "fake", *options)
    assert said.code == 0, said.err
    open_store(tmp_path / "study.db", read_only=True).close()


@pytest.mark.parametrize("reads", ["status", "front"])
def test_a_run_is_named_by_its_folder_as_well(command: Command, tmp_path: Path, reads: str) -> None:
    fakes.start(tmp_path, fakes.make_study())[0].close()
    named, database = command(reads, tmp_path), command(reads, tmp_path / "study.db")
    assert (named.code, named.out) == (0, database.out)


def test_a_database_that_is_none_is_refused_as_before(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no such database"):
        open_to_read(str(tmp_path / "study.db"))
    assert not list(tmp_path.iterdir())
