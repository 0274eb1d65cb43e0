"""Every command that takes a database: a name that cannot be one is refused in a line or two, and nothing is made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.addresses import SECRETS, WRONG
from tests.commands.doors import assert_refused
from tests.conftest import Command

TYPED = dict(WRONG)


def refuse(command: Command, arguments: list[object], typed: str, folder: Path) -> None:
    before = sorted(folder.iterdir())
    said = command(*arguments)
    assert_refused(said)
    assert re.search(TYPED[typed], said.err)
    assert not any(part in said.err + said.out for part in SECRETS)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("verb", ["status", "resume", "run"])
@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.usefixtures("quick")
def test_a_name_that_is_no_database_is_refused(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, verb: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refuse(command, ["run", study_file, "--db", typed] if verb == "run" else [verb, typed], typed, tmp_path)


@pytest.mark.parametrize("verb", ["front", "pick", "remeasure", "confirm", "compare", "dashboard"])
@pytest.mark.parametrize(
    "typed", ["postgresql://optuna:pa@ss#w/rd@db.example:5432/optuna", "optuna:secret@db.example:5432/optuna"]
)
@pytest.mark.usefixtures("quick")
def test_the_other_commands_refuse_alike(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, verb: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refuse(command, [verb, typed], typed, tmp_path)
