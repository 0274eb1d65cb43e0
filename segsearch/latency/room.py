"""The quiet room: training steps share it, a measurement has it alone. Whoever dies leaves it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsearch.latency.cores import own_cores
from segsearch.workshop import user_folder

try:
    import fcntl
except ImportError:  # Windows has no such locks: there a measurement runs beside the training of other workers
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Room:
    """Locks of the operating system, files in `folder`, for all processes of this machine that name the folder.

    Whoever wants in takes the door first. A measurement keeps the door, so that no new step begins, and waits for the
    steps under way. The system gives the locks of a process back when it ends, however that comes.

    `timing` are cores reserved for measurements. Steps of a process that keeps off them go on beside a measurement
    there: it gives way to those alone that need one of its cores, or all. Measurements take turns in any case.
    """

    folder: Path
    timing: tuple[int, ...] = ()

    @contextlib.contextmanager
    def working(self) -> Iterator[Callable[[], None]]:
        """Be in the room with others; call what is yielded between steps, to let a measurement in."""
        with contextlib.ExitStack() as stack:
            doors = [self._open(stack, name) for name in self._of_steps()]
            for door in doors:
                _enter(*door)

            def give_way() -> None:
                for _, room in doors:
                    _lock(room, alone=None)
                for door in doors:
                    _enter(*door)

            yield give_way

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Be in the room alone; waits for steps that others have begun."""
        with contextlib.ExitStack() as stack:
            for door, room in [self._open(stack, name) for name in self._of_measurements()]:
                _lock(door, alone=True)
                _lock(room, alone=True)
            yield

    # Everybody goes through the doors in one order (the room, aside, cores by number), so that nobody waits in a ring.
    def _of_steps(self) -> tuple[str, ...]:
        """What a step occupies: the room; `aside` and its cores where its process keeps off the reserved ones."""
        cores = own_cores()
        if not self.timing or not cores or set(cores) & set(self.timing):
            return ("",)
        return ("aside", *map(_core, cores))

    def _of_measurements(self) -> tuple[str, ...]:
        """What a measurement needs: the room, and of those aside everybody or whoever is on its cores."""
        return ("", *map(_core, sorted(self.timing))) if self.timing else ("", "aside")

    def _open(self, stack: contextlib.ExitStack, name: str) -> tuple[int, int]:
        """The files of a door and of the room behind it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handles = []
        for kind in ("door", "room"):
            file = self.folder / f"{f'{kind}-{name}' if name else kind}.lock"
            handles.append(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            stack.callback(os.close, handles[-1])
        return handles[0], handles[1]


def machine_room(timing_cores: Sequence[int] | None = None) -> Room:
    """The room of this machine, shared by all that this user runs on it."""
    return Room(user_folder() / f"room-{socket.gethostname()}", tuple(sorted(set(timing_cores or ()))))


def _core(number: int) -> str:
    return f"core-{number}"


def _enter(door: int, room: int) -> None:
    _lock(door, alone=False)
    _lock(room, alone=False)
    _lock(door, alone=None)


def _lock(handle: int, *, alone: bool | None) -> None:
    if fcntl is not None:
        fcntl.flock(handle, {True: fcntl.LOCK_EX, False: fcntl.LOCK_SH, None: fcntl.LOCK_UN}[alone])
