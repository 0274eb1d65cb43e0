"""How long work is shown: bars with an estimate on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from segsearch.judging.words import duration, in_words, state_words
from segsearch.terminal import plain

if TYPE_CHECKING:
    from segsearch.search import Event

# A stage that takes long says how far it is this often where there are no bars.
SIGN_OF_LIFE_SECONDS = 30.0

# A stage is timed this long before its rest is estimated.
SETTLING_SECONDS = 5.0


class Watch(Protocol):
    """Somebody who looks on: `progress` hears of a stage's steps, `event` of a search's trials, `counted` of others."""

    def progress(self, stage: str, done: int, total: int, /) -> None: ...

    def event(self, event: Event, /) -> None: ...

    def counted(self, what: str, done: int, total: int, line: str, /, *, running: str) -> None:
        """`done` of `total` pieces of work are; `line` says how the last one ended, if any, `running` what is next."""
        ...


class Silent:
    """Nobody looks on."""

    def progress(self, stage: str, done: int, total: int, /) -> None: ...

    def event(self, event: Event, /) -> None: ...

    def counted(self, what: str, done: int, total: int, line: str, /, *, running: str) -> None: ...


@contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """Bars where `console` is a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        yield BarWatch(bars)


@dataclass
class Pace:
    """How long the rest takes, from the trials trained since the first began here; rejected ones are in the price."""

    began: float = 0.0
    first: int | None = None

    def left(self, trained: int, asked: int) -> float | None:
        """Seconds left, None while nothing was trained here yet."""
        if self.first is None:
            self.began, self.first = time.monotonic(), trained
        gained = trained - self.first
        return (time.monotonic() - self.began) / gained * (asked - trained) if gained > 0 else None


@dataclass
class StagePace:
    """How long the rest of a stage takes, from the steps made here: one that goes on began elsewhere."""

    stage: tuple[str, int] = ("", 0)
    pace: Pace = field(default_factory=Pace)

    def left(self, stage: str, done: int, total: int) -> float | None:
        """Seconds left, None while too little was seen of it, and at its end."""
        if self.stage != (stage, total):
            self.stage, self.pace = (stage, total), Pace()
        left = self.pace.left(done, total)
        return left if done < total and time.monotonic() - self.pace.began > SETTLING_SECONDS else None


@dataclass
class Repeats:
    """Whether a candidate that was known follows on another one: a space that is used up draws dozens in a row."""

    last: str = ""

    def hears(self, event: Event) -> bool:
        before, self.last = self.last, event.kind
        return before == event.kind == "duplicate"


@dataclass
class Lines:
    """One line for each trial that ends, and a sign of life in long stages and among many looks."""

    console: Console
    pace: Pace = field(default_factory=Pace)
    steps: StagePace = field(default_factory=StagePace)
    repeats: Repeats = field(default_factory=Repeats)
    stage: str = ""
    said: float = 0.0

    def progress(self, stage: str, done: int, total: int, /) -> None:
        now, left = time.monotonic(), self.steps.left(stage, done, total)
        if stage != self.stage:
            self.stage, self.said = stage, now
        elif now - self.said >= SIGN_OF_LIFE_SECONDS and done < total:
            self.said = now
            _say(self.console, f"  {stage}: {_of(done, total, left)}")

    def event(self, event: Event, /) -> None:
        left = self.pace.left(event.trained, event.asked)
        now = time.monotonic()
        quiet = _is_look(event) or self.repeats.hears(event)
        if event.kind != "started" and (not quiet or now - self.said >= SIGN_OF_LIFE_SECONDS):
            self.said = now
            _say(self.console, _sentence(event, left))

    def counted(self, what: str, done: int, total: int, line: str, /, *, running: str) -> None:
        left = self.pace.left(done, total)
        if line:
            self.said = time.monotonic()
            _say(self.console, f"{line}   ({_of(done, total, left)})")


@dataclass
class BarWatch:
    """Two bars: the trials of the study, and the steps of the present stage; finished trials scroll above."""

    bars: Bars
    pace: Pace = field(default_factory=Pace)
    trials: TaskID | None = None
    stage: TaskID | None = None
    steps: StagePace = field(default_factory=StagePace)
    repeats: Repeats = field(default_factory=Repeats)
    name: str = ""
    running: str = ""

    def progress(self, stage: str, done: int, total: int, /) -> None:
        label = f"{self.running}: {stage}" if self.running else stage
        if label != self.name:
            if self.stage is not None:
                self.bars.remove_task(self.stage)
            self.stage, self.name = self.bars.add_task(plain(label), note=""), label
        left = self.steps.left(label, done, total)
        if self.stage is not None:
            note = f"about {duration(left)} left" if left is not None else ""
            self.bars.update(self.stage, completed=done, total=total, note=note)

    def event(self, event: Event, /) -> None:
        left = self._all("trained trials", event.trained, event.asked)
        self.running = f"trial {event.trial.number}" if event.under_way else ""
        if event.kind not in ("started", "resumed") and not _is_look(event) and not self.repeats.hears(event):
            _say(self.bars.console, _sentence(event, left))

    def counted(self, what: str, done: int, total: int, line: str, /, *, running: str) -> None:
        left = self._all(what, done, total)
        self.running = running
        if line:
            _say(self.bars.console, f"{line}   ({_of(done, total, left)})")

    def _all(self, what: str, done: int, total: int) -> float | None:
        """The bar over all stages; the seconds that are left."""
        left = self.pace.left(done, total)
        if self.trials is None:
            self.trials = self.bars.add_task(what, total=total, note="")
        note = f"about {duration(left)} left" if left is not None else "estimating"
        self.bars.update(self.trials, completed=done, total=total, note=note)
        return left


def _sentence(event: Event, left: float | None) -> str:
    """`trial 7   trained    miou 0.512, latency_ms 4.31   41 s   (3 of 8, about 3 min left)`; of a teacher its mIoU."""
    if event.start is not None:
        return f"start: {event.start}"
    if event.why is not None:
        about = {"earlier": "after", "untaught": "teacher"}
        return f"{about.get(event.kind, 'screening')}: {event.why}"
    if event.teacher_miou is not None:
        return f"teacher: mIoU {in_words('miou', event.teacher_miou)}"
    trial = event.trial
    details: dict[str, Callable[[], str]] = {
        "trained": lambda: (
            numbers(trial.values) + ("" if trial.origin is None else f"   sibling of trial {trial.origin}")
        ),
        "screened": lambda: numbers(trial.values),
        "promoted": lambda: f"the best of {event.best_of} looked at: {numbers(trial.values)}",
        "rejected": lambda: trial.failure.reason if trial.failure else "over a limit",
        "failed": lambda: f"{trial.failure.kind}: {trial.failure.reason}" if trial.failure else "failed",
        "duplicate": lambda: f"the same as trial {trial.twin}",
        "resumed": lambda: "left unfinished earlier; goes on from its last finished stage",
        "waiting": lambda: "another worker makes a stage that both need",
        "put_back": lambda: "to go on with next time",
    }
    seconds = (trial.finished or 0.0) - trial.started
    took = f"   {duration(seconds)}" if trial.finished and event.kind in ("trained", "failed") else ""
    kind = state_words(event.kind).replace("_", " ")
    rest = _of(event.trained, event.asked, left)
    return f"trial {trial.number:<4d} {kind:<10s} {details[event.kind]()}{took}   ({rest})"


def _is_look(event: Event) -> bool:
    """Whether it is one of the many looks before a training: what comes of them the promotion tells."""
    return event.trial.gate_only and event.kind in ("screened", "rejected", "duplicate")


def numbers(values: Mapping[str, float]) -> str:
    """What a line about a trial shows: `miou 0.512, latency_ms 4.31`."""
    return ", ".join(f"{name} {in_words(name, values[name])}" for name in shown_values(values))


def _of(done: int, total: int, left: float | None) -> str:
    return f"{done} of {total}" + (f", about {duration(left)} left" if left else "")


def shown_values(values: Mapping[str, float]) -> tuple[str, ...]:
    """The numbers that a line about a trial shows."""
    return tuple(name for name in ("miou", "latency_ms", "size_bytes") if name in values)


def _say(console: Console, line: str) -> None:
    console.print(Text(plain(line)), soft_wrap=True)
