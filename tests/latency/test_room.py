"""The quiet room between real processes, each of which does what it is told a line at a time."""

from __future__ import annotations

import contextlib
import select
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from segsearch.latency.cores import own_cores
from segsearch.latency.room import Room, machine_room

# Says what it did; does the next thing when a line comes in.
WORKER = """
import sys
from pathlib import Path
from segsearch.latency.cores import own_cores
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
from segsearch.latency.cores import own_cores
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
from segsearch.latency.cores import own_cores
from segsearch.latency.room import Room
with Room(Path(sys.argv[1])).working() as give_way:
    print("in", flush=True)
    while True:
        give_way()
"""


# A worker that is held on some cores, and knows which are reserved for timing; and who measures on these.
HELD = """
import os, sys
from pathlib import Path
from segsearch.latency.cores import own_cores
from segsearch.latency.room import Room
cores, timing = (tuple(map(int, word.split(","))) for word in sys.argv[2:4])
os.sched_setaffinity(0, cores)
with Room(Path(sys.argv[1]), timing).working() as give_way:
    print("in", flush=True)
    while sys.argv[4:] or sys.stdin.readline().strip() == "step":
        give_way()
        if not sys.argv[4:]:
            print("stepped", flush=True)
print("out", flush=True)
"""

RESERVED = MEASURER.replace("Room(Path(sys.argv[1]))", "Room(Path(sys.argv[1]), (int(sys.argv[2]),))")


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

    def come(self, code: str, *arguments: str) -> Guest:
        """Start a process that wants to be in; it may have to wait."""
        command = [sys.executable, "-P", "-c", code, str(self.folder), *arguments]
        process = self.stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        self.stack.callback(process.kill)
        return Guest(process)

    def worker(self) -> Guest:
        """One that is in."""
        guest = self.come(WORKER)
        assert guest.says("in")
        return guest

    def held(self, cores: Sequence[int], *, timing: Sequence[int]) -> Guest:
        """One that is in, and is held on these cores."""
        guest = self.come(HELD, *(",".join(map(str, some)) for some in (cores, timing)))
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

    def door_is_free(self, name: str = "door") -> bool:
        fcntl = pytest.importorskip("fcntl")
        if not (self.folder / f"{name}.lock").exists():
            return True
        with (self.folder / f"{name}.lock").open("r+") as door:
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


# ---- cores that are reserved for timing

two_cores = pytest.mark.skipif(len(own_cores()) < 2, reason="there is one core")


@two_cores
def test_training_beside_the_reserved_core_goes_on_while_a_model_is_timed(door: Door) -> None:
    rest, reserved = own_cores()[:2]
    worker = door.held([rest], timing=[reserved])
    measurer = door.come(RESERVED, str(reserved))
    assert measurer.says("in")
    late = door.held([rest], timing=[reserved])
    for guest in (worker, late, worker):
        guest.tell("step")
        assert guest.says("stepped")
    next_one = door.come(RESERVED, str(reserved))
    assert next_one.waits()
    measurer.tell("leave")
    assert measurer.says("out")
    assert next_one.says("in")


@two_cores
def test_training_that_may_use_the_reserved_core_gives_way(door: Door) -> None:
    """Of a study without reserved cores, or of one whose process never settled beside them."""
    rest, reserved = own_cores()[:2]
    workers = [door.worker(), door.held([rest, reserved], timing=[reserved])]
    beside = door.held([rest], timing=[reserved])
    measurer = door.come(RESERVED, str(reserved))
    until = time.monotonic() + 60
    while door.door_is_free():
        assert time.monotonic() < until
        time.sleep(0.01)
    for worker in workers:
        assert measurer.waits()
        beside.tell("step")
        assert beside.says("stepped")
        worker.tell("step")
    assert measurer.says("in")
    assert all(worker.waits() for worker in workers)
    measurer.tell("leave")
    assert all(worker.says("stepped") for worker in workers)


@two_cores
def test_a_measurement_on_all_cores_waits_for_training_beside_reserved_ones(door: Door) -> None:
    rest, reserved = own_cores()[:2]
    worker = door.held([rest], timing=[reserved])
    measurer = door.measurer_waiting()
    assert measurer.waits()
    worker.tell("step")
    assert measurer.says("in")
    assert worker.waits()
    measurer.tell("leave")
    assert worker.says("stepped")


@two_cores
def test_two_studies_that_reserve_one_anothers_cores_take_turns(door: Door) -> None:
    one, other = own_cores()[:2]
    trains_on_other = door.held([other], timing=[one])
    trains_on_one = door.held([one], timing=[other])
    measurer = door.come(RESERVED, str(other))
    until = time.monotonic() + 60
    while door.door_is_free(f"door-core-{other}"):  # a step before it came would not wait for it
        assert time.monotonic() < until
        time.sleep(0.01)
    assert measurer.waits()
    trains_on_one.tell("step")
    assert trains_on_one.says("stepped")
    trains_on_other.tell("step")
    assert measurer.says("in")
    assert trains_on_other.waits()
    measurer.tell("leave")
    assert trains_on_other.says("stepped")


@two_cores
def test_training_beside_reserved_cores_that_is_killed_leaves(door: Door) -> None:
    rest, reserved = own_cores()[:2]
    worker = door.held([rest], timing=[reserved])
    measurer = door.measurer_waiting()
    worker.kill()
    assert measurer.says("in")


@two_cores
def test_training_beside_reserved_cores_that_never_rests_keeps_no_measurement_out(door: Door) -> None:
    rest, reserved = own_cores()[:2]
    workers = [door.come(HELD, str(rest), str(reserved), "for ever") for _ in range(3)]
    assert all(worker.says("in") for worker in workers)
    for room in [Room(door.folder), Room(door.folder, (rest,)), Room(door.folder, (reserved,))] * 4:
        with room.quiet():
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
    names = ("door.lock", "room.lock", "door-aside.lock", "room-aside.lock")
    assert modes == dict.fromkeys(names, 0o600)


def test_where_there_are_no_such_locks_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsearch.latency.room.fcntl", None)
    room = Room(tmp_path)
    with room.quiet(), room.working() as give_way, room.quiet():
        give_way()


def test_a_machine_has_one_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a home that several machines share, each has its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert machine_room() == machine_room() == Room(tmp_path / "segsearch" / f"room-{socket.gethostname()}")
    assert machine_room([3, 1, 3]) == Room(machine_room().folder, (1, 3))
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert machine_room().folder.name == "room-another"
