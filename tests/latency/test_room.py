"""The quiet room between real processes, each of which does what it is told a line at a time."""

from __future__ import annotations

import contextlib
import select
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from segsearch.latency.room import Room, machine_room

# Says what it did; does the next thing when a line comes in.
WORKER = """
import sys
from pathlib import Path
from segsearch.latency.room import Room
with Room(Path(sys.argv[1])).working() as give_way:
    print("in", flush=True)
    while sys.stdin.readline().strip() == "step":
        give_way()
        print("stepped", flush=True)
print("out", flush=True)
"""

MEASURER = """
import sys
from pathlib import Path
from segsearch.latency.room import Room
with Room(Path(sys.argv[1])).quiet():
    print("in", flush=True)
    sys.stdin.readline()
print("out", flush=True)
"""

# Steps of no length at all, for ever.
LOOPING = """
import sys
from pathlib import Path
from segsearch.latency.room import Room
with Room(Path(sys.argv[1])).working() as give_way:
    print("in", flush=True)
    while True:
        give_way()
"""


@dataclass(frozen=True)
class Guest:
    """A process that is in the room or wants to be."""

    process: subprocess.Popen[bytes]

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()

    def says(self, word: str, *, seconds: float = 60.0) -> bool:
        """Whether this is the next line; False where none comes in that time."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            return False
        assert self.process.stdout.readline().decode().strip() == word
        return True

    def waits(self) -> bool:
        return not self.says("", seconds=0.3)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Door:
    """Lets processes come to a room of a test."""

    folder: Path
    stack: contextlib.ExitStack

    def come(self, code: str) -> Guest:
        """Start a process that wants to be in; it may have to wait."""
        process = self.stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-P", "-c", code, str(self.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
        self.stack.callback(process.kill)
        return Guest(process)

    def worker(self) -> Guest:
        """One that is in."""
        guest = self.come(WORKER)
        assert guest.says("in")
        return guest

    def measurer_waiting(self) -> Guest:
        """One that has the door already, and waits for the workers in the room."""
        guest = self.come(MEASURER)
        until = time.monotonic() + 60
        while self.door_is_free():
            assert time.monotonic() < until
            time.sleep(0.01)
        return guest

    def first_of(self, one: Guest, other: Guest) -> tuple[Guest, Guest]:
        """The two in the order in which they say something."""
        ready, _, _ = select.select([one.process.stdout, other.process.stdout], [], [], 60)
        return (one, other) if one.process.stdout in ready else (other, one)

    def door_is_free(self) -> bool:
        fcntl = pytest.importorskip("fcntl")
        with (self.folder / "door.lock").open("r+") as door:
            try:
                fcntl.flock(door, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with contextlib.ExitStack() as stack:
        yield Door(tmp_path / "room", stack)


def test_workers_are_in_the_room_together(door: Door) -> None:
    one, other = door.worker(), door.worker()
    for guest in (one, other, one):
        guest.tell("step")
        assert guest.says("stepped")
    for guest in (one, other):
        guest.tell("leave")
        assert guest.says("out")


def test_a_measurement_waits_for_a_step_and_for_no_more_than_one(door: Door) -> None:
    worker = door.worker()
    measurer = door.measurer_waiting()
    assert measurer.waits()
    worker.tell("step")
    assert measurer.says("in")
    assert worker.waits()
    measurer.tell("leave")
    assert measurer.says("out")
    assert worker.says("stepped")


def test_a_measurement_waits_for_every_worker(door: Door) -> None:
    one, other = door.worker(), door.worker()
    measurer = door.measurer_waiting()
    one.tell("step")
    assert measurer.waits()
    assert one.waits()
    other.tell("leave")
    assert other.says("out")
    assert measurer.says("in")
    assert one.waits()
    measurer.tell("leave")
    assert one.says("stepped")


def test_whoever_comes_while_a_measurement_runs_waits_for_it(door: Door) -> None:
    measurer = door.come(MEASURER)
    assert measurer.says("in")
    worker, next_one = door.come(WORKER), door.come(MEASURER)
    assert worker.waits()
    assert next_one.waits()
    measurer.tell("leave")
    first, second = door.first_of(worker, next_one)  # either may be
    assert first.says("in")
    assert second.waits()
    first.tell("leave")
    assert second.says("in")


def test_measurements_take_turns(door: Door) -> None:
    first = door.come(MEASURER)
    assert first.says("in")
    one, other = door.come(MEASURER), door.come(MEASURER)
    assert one.waits()
    assert other.waits()
    first.tell("leave")
    second, third = door.first_of(one, other)
    assert second.says("in")
    assert third.waits()
    second.tell("leave")
    assert third.says("in")


def test_a_worker_that_is_killed_leaves_the_room(door: Door) -> None:
    worker = door.worker()
    measurer = door.measurer_waiting()
    worker.kill()
    assert measurer.says("in")


def test_a_measurer_that_is_killed_leaves_the_room(door: Door) -> None:
    worker = door.worker()
    measurer = door.measurer_waiting()
    worker.tell("step")
    assert measurer.says("in")
    late = door.come(WORKER)
    assert late.waits()
    measurer.kill()
    assert worker.says("stepped")
    assert late.says("in")


def test_a_measurer_that_is_killed_while_it_waits_leaves_the_door(door: Door) -> None:
    worker = door.worker()
    measurer = door.measurer_waiting()
    measurer.kill()
    worker.tell("step")
    assert worker.says("stepped")
    assert door.worker()


def test_workers_that_never_rest_do_not_keep_a_measurement_out(door: Door) -> None:
    workers = [door.come(LOOPING) for _ in range(3)]
    assert all(worker.says("in") for worker in workers)
    for _ in range(10):
        with Room(door.folder).quiet():
            pass  # without an end to the waiting the test would have none
    assert all(worker.process.poll() is None for worker in workers)


def test_an_error_leaves_the_room(tmp_path: Path) -> None:
    room = Room(tmp_path / "deep" / "room")
    for enter in (room.working, room.quiet) * 2:
        with pytest.raises(RuntimeError), enter():
            raise RuntimeError
    with room.quiet():
        pass


def test_rooms_of_two_folders_know_nothing_of_one_another(tmp_path: Path) -> None:
    with Room(tmp_path / "one").quiet(), Room(tmp_path / "other").quiet():
        pass


def test_the_locks_are_files_of_this_user_alone(tmp_path: Path) -> None:
    with Room(tmp_path).quiet():
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"door.lock": 0o600, "room.lock": 0o600}


def test_where_there_are_no_such_locks_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsearch.latency.room.fcntl", None)
    room = Room(tmp_path)
    with room.quiet(), room.working() as give_way, room.quiet():
        give_way()


def test_a_machine_has_one_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a home that several machines share, each has its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert machine_room() == machine_room() == Room(tmp_path / "segsearch" / f"room-{socket.gethostname()}")
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert machine_room().folder.name == "room-another"
