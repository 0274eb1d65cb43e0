"""A front: the trials that no other one beats, as a sequence of records, a table and a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from segsearch.api.html import line, table
from segsearch.api.trials import Trial
from segsearch.errors import StudyError
from segsearch.evidence.objectives import OBJECTIVES
from segsearch.judging.fronts import Report, knee_of
from segsearch.judging.words import with_interval


@dataclass(frozen=True)
class Front(Sequence[Trial]):
    """The trials on the front of one machine under some limits, the cheapest first.

    `report` is what it was drawn from: all trained trials and how they stand.
    """

    trials: tuple[Trial, ...]
    report: Report = field(repr=False)

    @overload
    def __getitem__(self, index: int) -> Trial: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Trial, ...]: ...

    def __getitem__(self, index: int | slice) -> Trial | tuple[Trial, ...]:
        return self.trials[index]

    def __len__(self) -> int:
        return len(self.trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    @property
    def limits(self) -> tuple[str, ...]:
        """The study's own limits and those that were asked for."""
        return tuple(map(str, self.report.limits))

    @property
    def knee(self) -> Trial:
        """The trial that is nearest to the best of every objective at once. Raises `StudyError` where there is none."""
        if not self.trials:
            raise StudyError(f"A knee needs a front, and {_nothing(self.report)}")
        wanted = knee_of(self.report).trial
        return next(trial for trial in self.trials if trial.number == wanted)

    def records(self) -> list[dict[str, Any]]:
        """A flat dictionary for each trial, all with the same keys: `pandas.DataFrame(front.records())`."""
        found = [trial.record() for trial in self.trials]
        names = dict.fromkeys(name for record in found for name in record)
        return [{name: record.get(name) for name in names} for record in found]

    def figure(self) -> Any:
        """The chart of `segsearch front --html`, as a Plotly figure."""
        from segsearch.figures import figure

        return figure(self.report)

    def _repr_html_(self) -> str:
        if not self.trials:
            return line(f"The front is empty: {_nothing(self.report)}")
        goals = self.report.objectives
        beside = [name for name in ("size_bytes", "params") if OBJECTIVES[name] not in goals]
        names = [*(goal.name for goal in goals), *beside]
        knee = self.knee.number
        rows = [
            (
                f"{trial.number}{'*' if trial.number == knee else '~' if trial.tied else ''}",
                *(with_interval(trial, name) for name in names),
                trial.ships,
                trial.design,
            )
            for trial in self.trials
        ]
        limits = f" under {', '.join(self.limits)}" if self.limits else ""
        words = f"{len(self.trials)} of {len(self.report.rows)} trained models are on the front{limits}; * is its knee."
        words += " ~ is beaten by another, but not beyond the confidence intervals." if self._tied else ""
        return table(["trial", *names, "ships", "design"], rows) + line(words)

    @property
    def _tied(self) -> bool:
        return any(trial.tied for trial in self.trials)


def _nothing(report: Report) -> str:
    if report.rows:
        return f"no trained trial meets {', '.join(map(str, report.limits))}."
    if report.untimed:
        return f"none of {report.untimed} trained models was timed on machine {report.machine[:8]}."
    return "nothing is trained yet."
