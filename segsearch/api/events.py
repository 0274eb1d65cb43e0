"""What `segsearch.run` tells on its way, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segsearch.settings.search import Scalar
from segsearch.workshop import Progress, silent

if TYPE_CHECKING:
    from segsearch.search import Event as Happened


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial; `trained` of the `asked` trials are done.

    `kind` is `started`, `resumed`, `earlier`, `fell_back`, `untaught`, `promoted`, `waiting`, `taught`, `begun`,
    `trained`, `screened`, `rejected`, `failed`, `duplicate` or `put_back`. `values` are the trial's objectives as far
    as they are known, `reason` says why it was rejected or failed, `teacher_miou` is told with `taught` and `start`
    (what inherits pretrained weights) with `begun`. `origin` is the trial whose training makes a sibling's file, too.
    One that is `promoted` is the best of `best_of` that were looked at. `why` is told with `fell_back` (no surrogate
    said so), with `earlier` (what the study knows of earlier ones) and with `untaught` (the teacher is no better than
    its students, and nobody is offered it any more).
    """

    kind: str
    trial: int
    trained: int
    asked: int
    params: Mapping[str, Scalar]
    values: Mapping[str, float]
    reason: str | None = None
    twin: int | None = None
    teacher_miou: float | None = None
    start: str | None = None
    origin: int | None = None
    best_of: int | None = None
    why: str | None = None


OnEvent = Callable[[Event], None]


def as_record(happened: Happened) -> Event:
    """An event of the search as a plain record."""
    trial = happened.trial
    return Event(
        kind=happened.kind,
        trial=trial.number,
        trained=happened.trained,
        asked=happened.asked,
        params=trial.params,
        values=trial.values,
        reason=None if trial.failure is None else trial.failure.reason,
        twin=trial.twin,
        teacher_miou=happened.teacher_miou,
        start=happened.start,
        origin=trial.origin,
        best_of=happened.best_of,
        why=happened.why,
    )


@contextmanager
def watched(
    progress: bool | Progress, on_event: OnEvent | None = None
) -> Iterator[tuple[Progress, Callable[[Happened], None]]]:
    """Who hears of steps and of events: with `progress=True` standard output does, as with the commands."""

    def told(happened: Happened) -> None:
        if on_event is not None:
            on_event(as_record(happened))

    if progress is not True:
        yield (progress or silent), told
        return
    from segsearch.progress import watching
    from segsearch.terminal import console

    with watching(console()) as watch:

        def both(happened: Happened) -> None:
            watch.event(happened)
            told(happened)

        yield watch.progress, both
