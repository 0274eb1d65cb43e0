"""What tests of the commands share: how a refusal looks, and a command line whose second training does not end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


UNDER_WAY = "the second training is under way"
SLOW_CLI = f"""
import itertools, sys, time
from tests.conftest import fake_room
trainings = itertools.count()
def train():
    if next(trainings):
        print({UNDER_WAY!r}, flush=True)
        time.sleep(600)
sys.modules["segsearch.trial.contained"] = fake_room(train)
from segsearch.commands.app import main
sys.exit(main(sys.argv[1:]))
"""


def stopped_half_way(code: str, arguments: list[str], number: signal.Signals) -> Said:
    """Run a command line in a process of its own, and send the signal in its second training; what it said."""
    out: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            for line in process.stdout or ():
                if UNDER_WAY in line:
                    break
                out.append(line)
            else:
                raise AssertionError(f"it ended before: {process.communicate()}")
            process.send_signal(number)
            rest, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return Said(process.returncode, "".join(out) + rest, err)
