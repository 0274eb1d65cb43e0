"""What tests of the commands share: how a refusal looks, and a command line whose trials take half a second."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sized
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


def stopped_half_way(
    code: str, arguments: list[str], kept: Callable[[], Sized], number: signal.Signals, *, seconds: float = 60
) -> tuple[int, str]:
    """Run a command line in a process of its own, send the signal once anything is kept; exit code and what it said."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until = time.monotonic() + seconds
        while not kept():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        return process.returncode, err
