"""`segsearch.open`: a study of a database, to read; and to pick from, where that is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import get_args

from segsearch.api.front import Front
from segsearch.api.html import line
from segsearch.api.source import Source
from segsearch.api.trials import Trial, model_of, trial_of
from segsearch.errors import StudyError
from segsearch.judging.fronts import Report
from segsearch.judging.pareto import Prefer
from segsearch.judging.reading import open_to_read, report_of
from segsearch.store import Counts, open_store
from segsearch.study import Study


def open_run(where: str | os.PathLike[str], *, study: str | None = None, read_only: bool = True) -> Run:
    """Open a study: a run's folder, a database's path, or a SQLAlchemy URL. `study` names it where there are several.

    It may be closed, alone or by `with`. Without `read_only` a model can be picked. Raises `DatabaseError` for what is
    no database of ours, `StudyError` where the study is not in it.
    """
    database = os.fspath(where)
    store = open_to_read(database) if read_only else open_store(database)
    try:
        return Run(Source(store, store.study(study)), read_only=read_only)
    except BaseException:
        store.close()
        raise


@dataclass
class Run:
    """A study as its database holds it. What is asked is read anew, so that a running search can be followed."""

    source: Source = field(repr=False)
    read_only: bool = True
    _read: tuple[str, tuple[Trial, ...]] | None = field(default=None, repr=False)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections to the database back."""
        self.source.store.close()

    @property
    def name(self) -> str:
        """The study's name."""
        return self.source.row.name

    @property
    def settings(self) -> Study:
        """The study's settings, as they are stored."""
        return self.source.store.study(self.name).study

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the numbers that masks hold."""
        from segsearch.datasets import classes_of
        from segsearch.settings.texts import texts_of

        row = self.source.row
        return classes_of(row.study.data, row.texts or texts_of(row.study.data))

    @property
    def counts(self) -> Counts:
        """How many trials are in each state."""
        return self.source.store.counts(self.name)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials by number."""
        store, name = self.source.store, self.name
        mark = store.mark(name)
        if self._read is None or self._read[0] != mark:
            timings = {(timing.trial, timing.machine): timing for timing in store.timings(name)}
            rows = store.trials(name)
            found = (trial_of(self.source, row, timings.get((row.number, row.machine or ""))) for row in rows)
            self._read = mark, tuple(found)
        return self._read[1]

    def trial(self, number: int) -> Trial:
        """The trial of that number. Raises `StudyError` where there is none."""
        found = next((trial for trial in self.trials if trial.number == number), None)
        if found is None:
            raise StudyError(f"{self.source.store.where}: study {self.name} has no trial {number!r}.")
        return found

    def front(self, limits: Sequence[str] = (), *, machine: str | None = None) -> Front:
        """The trials that no other one beats, under the study's limits and further ones (`["latency_ms<=12"]`).

        `machine` begins the key of the one whose latencies are meant, where there are several. Raises `StudyError` for
        a limit that is none, and where the machine is not clear.
        """
        report = self._report(limits, machine)
        trials = {trial.number: trial for trial in self.trials}
        members = (
            replace(trials[row.trial], values=row.values, intervals=row.intervals, machine=row.machine, tied=row.tied)
            for row in report.front
        )
        return Front(tuple(members), report)

    @property
    def picked(self) -> Trial | None:
        """The trial that was picked last; None where none was."""
        picks = self.source.store.picks(self.name)
        return self.trial(picks[-1].pick.trial) if picks else None

    def pick(
        self,
        trial: int | None = None,
        *,
        limits: Sequence[str] = (),
        prefer: Prefer = "knee",
        machine: str | None = None,
        reason: str = "",
    ) -> Trial:
        """Choose a model, by its number or from the front by what matters, and record the choice with its reason.

        Raises `StudyError` where there is none to choose, and for a run that was opened to read only.
        """
        from segsearch.judging.picking import pick_from, pick_trial

        if self.read_only:
            raise StudyError("A pick is written into the database: segsearch.open(..., read_only=False).")
        if trial is not None and limits:
            raise StudyError("trial names the model itself: give either trial, or limits and prefer.")
        if prefer not in get_args(Prefer):
            raise StudyError(f"prefer must be one of {', '.join(get_args(Prefer))}; got {prefer!r}.")
        report = self._report(limits, machine)
        chosen = pick_from(report, prefer=prefer) if trial is None else pick_trial(report, trial)
        chosen = chosen.because(reason)
        found = self.trial(chosen.trial)
        self.source.row.artifacts.verified(model_of(found))
        self.source.store.add_pick(self.name, chosen)
        return found

    def _report(self, limits: Sequence[str], machine: str | None) -> Report:
        if isinstance(limits, str):
            raise StudyError(f"limits are several: write limits=[{limits!r}].")
        return report_of(self.source.store, self.name, limits, machine, where="limits")

    def __repr__(self) -> str:
        counts = self.counts
        return f"<Run {self.name!r}: {counts.trained} of {self.settings.trials} trials are trained>"

    def _repr_html_(self) -> str:
        counts, settings = self.counts, self.settings
        words = (
            f"{self.name}: {counts.trained} of {settings.trials} trials are trained, {counts.rejected} rejected by a "
            f"limit, {counts.failed} failed, {counts.duplicate} repeated another, {counts.running} under way"
            f"{f', {counts.screened} looked at' if counts.screened else ''}."
        )
        try:
            return line(words) + self.front()._repr_html_()
        except StudyError as several:  # machines to choose from
            return line(words) + line(str(several))
