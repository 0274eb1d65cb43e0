"""What goes to a terminal."""

from __future__ import annotations

import os
import signal

import pytest

from segsearch.errors import DatabaseError
from segsearch.terminal import Stopped, plain, stoppable


def test_what_steers_a_terminal_is_not_passed_on() -> None:
    assert plain("a\x1b[2Jb\nc\u202ed") == "a [2Jb c d"


def cancelled() -> None:
    """What a library does that is interrupted in the middle of a statement."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise DatabaseError("the statement was cancelled") from None


def test_an_interrupt_that_a_library_made_an_error_of_is_still_a_stop() -> None:
    with pytest.raises(Stopped, match="segsearch resume x"), stoppable(lambda: "segsearch resume x"):
        cancelled()
    with pytest.raises(DatabaseError, match="is gone"), stoppable(lambda: "segsearch resume x"):
        raise DatabaseError("the database is gone")
