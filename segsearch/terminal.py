"""What a terminal is given: text without markup, what to type next, complaints, and a clean stop."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console
from rich.text import Text

from segsearch.errors import SegsearchError

INTERRUPTED = 130
# Indented lines of a complaint are what one may choose from.
MOST_CHOICES = 12


class Stopped(Exception):
    """The user asked to stop; the message is what to type to carry on."""


@contextmanager
def stoppable(cure: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the work cleanly; a second one while it ends changes nothing.

    A library may make an error of its own of the interrupt (a statement was cancelled): that is the stop, too.
    """
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        for caught in (signal.SIGINT, signal.SIGTERM):
            signal.signal(caught, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except (KeyboardInterrupt, SegsearchError) as error:
        if isinstance(error, SegsearchError) and not asked:
            raise
        raise Stopped(cure()) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def complain(message: str, *, code: int = 2) -> int:
    """Say a message's first two lines and the indented ones, which are choices; returns the exit code."""
    told = [line.rstrip() for line in message.splitlines() if line.strip()]
    choices = [line for line in told if line.startswith("  ")][:MOST_CHOICES]
    lines = [*[line.strip() for line in told if not line.startswith("  ")][:2], *choices]
    typer.echo("segsearch: " + "\n".join(map(plain, lines)), err=True)
    return code


def console() -> Console:
    """Standard output for rich, without markup. Where nobody looks on, lines may be long."""
    narrow = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(markup=False, highlight=False, emoji=False, width=None if narrow else 160)


def say(*lines: str) -> None:
    screen = console()
    for line in lines:
        screen.print(Text(plain(line)), soft_wrap=True)


def write(text: str) -> None:
    sys.stdout.write(text)


def plain(text: str) -> str:
    """Text from a file or a database as a terminal may have it: one line, nothing that steers the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def quoted(path: Path | str) -> str:
    return shlex.quote(str(path))


def suggest(*pairs: str) -> None:
    """What to type next: commands and what each is for, in turn."""
    width = max(len(command) for command in pairs[::2])
    say("", *(f"  {command:<{width}}   {what}" for command, what in zip(pairs[::2], pairs[1::2], strict=True)))
