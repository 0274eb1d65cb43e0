"""A cached reader of the database: what a page shows, read again only where something changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from segsearch.dashboard.limits import Scale, scales
from segsearch.errors import UserError
from segsearch.evidence.objectives import read_limit
from segsearch.evidence.timing import Machine
from segsearch.judging.fronts import Report, make_report, narrowed, one_machine
from segsearch.judging.health import health_of
from segsearch.judging.judgement import Judgement
from segsearch.store import (
    ConfirmationRow,
    GrownRow,
    PickRow,
    ReferenceRow,
    Store,
    StudyRow,
    TimingRow,
    TrialRow,
    open_store,
)
from segsearch.store.explanations import explained_files
from segsearch.store.grown import grown_of
from segsearch.store.location import locate, shown
from segsearch.store.looking import read_again
from segsearch.store.worker import living

# A database that another process holds is said to be locked after this long: a page does not wait for it.
PATIENCE_SECONDS = 1.0
# A file's time of change is too coarse to tell two writes apart that follow each other at once.
SETTLED_SECONDS = 1.0
# A worker that dies writes nothing, and a lock that is given back neither: both are looked at again after this long.
AGAIN_SECONDS = 3.0


@dataclass(frozen=True)
class Seen:
    """What was read of one study. `mark` changes whenever anything of it does; `machines` are those timed on,
    `explained` the files that were explained, and when."""

    study: StudyRow
    trials: tuple[TrialRow, ...]
    timings: tuple[TimingRow, ...]
    machines: tuple[Machine, ...]
    picks: tuple[PickRow, ...]
    workers: int
    mark: str
    confirmations: tuple[ConfirmationRow, ...] = ()
    references: tuple[ReferenceRow, ...] = ()
    grown: tuple[GrownRow, ...] = ()
    explained: Mapping[str, float] = field(default_factory=dict)

    @property
    def picked(self) -> PickRow | None:
        """The pick that counts."""
        return self.picks[-1] if self.picks else None

    def artifact(self, sha256: str) -> str | None:
        """The name of the model of that hash, where a trial has it, or became it."""
        wanted = f"{sha256}.onnx"
        named = {trial.artifact for trial in self.trials} | {one.artifact for one in self.grown}
        return wanted if wanted in named else None

    def trial(self, number: int) -> TrialRow | None:
        return next((trial for trial in self.trials if trial.number == number), None)


@dataclass(frozen=True)
class Looked:
    """One look at a database: the studies in it, the one that is meant, and what is wrong, if anything.

    With `wrong` and a `seen`, what was read last still stands.
    """

    studies: tuple[str, ...] = ()
    seen: Seen | None = None
    wrong: str | None = None

    @property
    def mark(self) -> str:
        return f"{self.wrong or ''}|{','.join(self.studies)}|{self.seen.mark if self.seen else ''}"


@dataclass
class Reader:
    """The one way from the page to the database, which it opens to read only. Safe to use from many threads."""

    where: str = field(repr=False)
    study: str | None = None
    machine: str | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _last: dict[str, tuple[object, Looked, float]] = field(default_factory=dict, repr=False)
    _reports: dict[tuple[str, ...], Report] = field(default_factory=dict, repr=False)
    _scales: tuple[tuple[str, ...], dict[str, Scale]] | None = field(default=None, repr=False)
    _health: tuple[tuple[str, str], tuple[Judgement, ...]] | None = field(default=None, repr=False)

    def look(self, study: str = "") -> Looked:
        """The database as it is now; nothing is read again while its file stays as it was."""
        wanted = study or self.study or ""
        with self._lock:
            kept, last, when = self._last.get(wanted, (None, Looked(), 0.0))
            stamp, now = self._stamp(), time.monotonic()
            unsure = last.wrong is not None or (last.seen is not None and last.seen.workers > 0)
            old = unsure and now - when > AGAIN_SECONDS
            if stamp is not None and stamp == kept and not old:
                return last
            found = self._read(wanted, last)
            if len(self._last) > 8:  # names come from the address
                self._last.clear()
            self._last[wanted] = (stamp, found, now)
            return found

    def report(self, seen: Seen, machine: str = "", limits: tuple[str, ...] = ()) -> Report:
        """The study on one machine under its own limits and further ones. Raises `StudyError` for several machines."""
        wanted = machine or self.machine or ""
        plain, key = (seen.study.name, seen.mark, wanted), (seen.study.name, seen.mark, wanted, *limits)
        with self._lock:
            if plain not in self._reports:
                found = one_machine(seen.trials, seen.timings, seen.machines, wanted or None)
                report = make_report(
                    seen.study,
                    seen.trials,
                    seen.timings,
                    machine=found,
                    confirmations=seen.confirmations,
                    references=seen.references,
                    grown=seen.grown,
                )
                self._keep(plain, report)
            if key not in self._reports:
                self._keep(key, narrowed(self._reports[plain], [read_limit(limit) for limit in limits]))
            return self._reports[key]

    def scales(self, seen: Seen, machine: str = "") -> dict[str, Scale]:
        """The range of each limit's slider; limits do not move it. Raises as `report` does."""
        key = (seen.study.name, seen.mark, machine or self.machine or "")
        with self._lock:
            if self._scales is None or self._scales[0] != key:
                self._scales = (key, scales(self.report(seen, machine)))
            return self._scales[1]

    def _keep(self, key: tuple[str, ...], report: Report) -> None:
        while len(self._reports) >= 6:  # the oldest goes: its study has grown, or its limits have moved
            self._reports.pop(next(name for name in self._reports if name != key[:3]))
        self._reports[key] = report

    def open(self) -> Store:
        """The database, to read. Raises `DatabaseError`."""
        return open_store(self.where, read_only=True, timeout_seconds=PATIENCE_SECONDS)

    def health(self, seen: Seen) -> tuple[Judgement, ...]:
        """The judgements of a search, made once for each state of it; none where the database cannot be read."""
        key = (seen.study.name, seen.mark)
        with self._lock:
            if self._health is None or self._health[0] != key:
                try:
                    with self.open() as store:
                        found = health_of(store, seen.study, seen.trials, seen.timings)
                except UserError:
                    return ()
                self._health = (key, found)
            return self._health[1]

    def forget(self) -> None:
        """Look again at the next call, whatever the file's time says."""
        with self._lock:
            self._last = {name: (None, looked, when) for name, (_, looked, when) in self._last.items()}

    def _read(self, wanted: str, before: Looked) -> Looked:
        try:
            with self.open() as store:
                names = tuple(row.name for row in store.studies())
                if not wanted and len(names) > 1:
                    return Looked(names)
                row = store.study(wanted or None)
                return Looked(names, _seen(store, row, before.seen))
        except UserError as error:
            return replace(before, wrong=str(error))
        except (ValueError, TypeError, KeyError) as error:  # rows of a newer segsearch, or of nobody's
            first = (str(error).splitlines() or [""])[0]
            return replace(before, wrong=f"{shown(self.where)}: a row cannot be read: {type(error).__name__}: {first}")

    def _stamp(self) -> object:
        """Names the state of a SQLite file; None where that cannot be told."""
        try:
            file = locate(self.where, mode="ro", timeout_seconds=PATIENCE_SECONDS).file
        except UserError:
            return None
        if file is None:
            return None
        found: list[object] = []
        for path in (file, Path(f"{file}-wal")):
            try:
                about = path.stat()
            except OSError:
                found.append(None)
                continue
            if time.time() - about.st_mtime < SETTLED_SECONDS:
                return None
            found.append((about.st_ino, about.st_size, about.st_mtime_ns))
        return tuple(found) if found[0] is not None else None


def _seen(store: Store, row: StudyRow, before: Seen | None) -> Seen:
    """Read what changed since; old timings never change."""
    workers = len(living(store))
    mark = f"{store.mark(row.name)};{row.study.trials};{workers}"
    if before is not None and before.study.created == row.created and before.study.artifacts == row.artifacts:
        if before.mark == mark:
            return before
        trials = read_again(store, row.name, {one.number: one for one in before.trials}, spreads=True)
        since = max((timing.taken for timing in before.timings), default=0.0)
        timings = {(timing.trial, timing.machine): timing for timing in before.timings}
        timings |= {(timing.trial, timing.machine): timing for timing in store.timings(row.name, since=since)}
        times = tuple(timings.values())
    else:
        trials, times = store.trials(row.name), store.timings(row.name)
    used = {timing.machine for timing in times}
    machines = tuple(machine for machine in store.machines() if machine.key in used)
    again, beside, grown = store.confirmations(row.name), store.references(row.name), grown_of(store, row.name)
    explained = explained_files(store, row.name)
    return Seen(row, trials, times, machines, store.picks(row.name), workers, mark, again, beside, grown, explained)
