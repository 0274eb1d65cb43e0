"""What tests of the commands share: how a refusal looks, and a command line whose trials take half a second."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Said

ROOT = Path(__file__).resolve().parents[2]


def assert_refused(said: Said, *words: str) -> None:
    assert said.code == 2
    assert said.err.startswith("segsearch: ")
    assert 1 <= len(said.err.strip().splitlines()) <= 2
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


SLOW_CLI = """
import sys
from tests.conftest import fake_room
sys.modules["segsearch.trial.contained"] = fake_room(seconds=0.5)
from segsearch.commands.app import main
sys.exit(main(sys.argv[1:]))
"""
