"""The quiet room: training steps share it, a measurement has it alone. Whoever dies leaves it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from segsearch.workshop import user_folder

try:
    import fcntl
except ImportError:  # Windows has no such locks: there a measurement runs beside the training of other workers
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Room:
    """Two locks of the operating system, files in `folder`, for all processes of this machine that name the folder.

    Whoever wants the room takes the door first. A measurement keeps the door, so that no new step begins, and waits
    for the steps under way. The system gives the locks of a process back when it ends, however that comes.
    """

    folder: Path

    @contextlib.contextmanager
    def working(self) -> Iterator[Callable[[], None]]:
        """Be in the room with others; call what is yielded between steps, to let a measurement in."""
        with self._open("door") as door, self._open("room") as room:
            _enter(door, room)

            def give_way() -> None:
                _lock(room, alone=None)
                _enter(door, room)

            yield give_way

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Be in the room alone; waits for steps that others have begun."""
        with self._open("door") as door, self._open("room") as room:
            _lock(door, alone=True)
            _lock(room, alone=True)
            yield

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[int]:
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield handle
        finally:
            os.close(handle)


def machine_room() -> Room:
    """The room of this machine, shared by all that this user runs on it."""
    return Room(user_folder() / f"room-{socket.gethostname()}")


def _enter(door: int, room: int) -> None:
    _lock(door, alone=False)
    _lock(room, alone=False)
    _lock(door, alone=None)


def _lock(handle: int, *, alone: bool | None) -> None:
    if fcntl is not None:
        fcntl.flock(handle, {True: fcntl.LOCK_EX, False: fcntl.LOCK_SH, None: fcntl.LOCK_UN}[alone])
