"""How far a search has come, as data: hypervolume over trials and time, outcomes with their reasons, the pace."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from segsearch.evidence.objectives import Limit, Objective
from segsearch.judging.fronts import Report, Row
from segsearch.judging.pareto import costs, dominates
from segsearch.judging.status import seconds_worked
from segsearch.store import STATES, State, TrialRow

# Points of a line that only grows; a screen shows no more.
POINTS = 300


@dataclass(frozen=True)
class Reached:
    """After `trained` trainings and `seconds` of work, trial `trial` raised the hypervolume to `share`."""

    trial: int
    trained: int
    seconds: float
    share: float


def reached(report: Report, trials: Sequence[TrialRow]) -> tuple[Reached, ...]:
    """The trials that enlarged the hypervolume, in the order they finished, and the last one whatever it did.

    Hypervolume is the part of objective space that the front so far dominates, as a share of the box from the
    reference point to the best value of each objective seen by now: 1 would be one model that is best in everything.
    The reference is the limit on an objective where there is one, else the worst value of a trained trial. Trials that
    break a limit do not count.
    """
    finished = {trial.number: trial.finished for trial in trials if trial.finished is not None}
    rows = [row for row in report.rows if row.trial in finished and _counts(row, report.objectives)]
    rows.sort(key=lambda row: (finished[row.trial], row.trial))
    clock, found, members = _Clock.of(trials), list[Reached](), list[tuple[float, ...]]()
    siblings = {trial.number for trial in trials if trial.origin is not None}
    share, trainings = 0.0, 0
    for place, (row, point) in enumerate(zip(rows, _scaled(rows, report), strict=True), start=1):
        trainings += row.trial not in siblings
        fresh = not any(dominates(member, point) or member == point for member in members)
        if fresh:
            members = [member for member in members if not dominates(point, member)] + [point]
            share = max(share, volume(members))
        if fresh or place == len(rows):
            found.append(Reached(row.trial, trainings, clock.at(finished[row.trial]), share))
    return tuple(found)


def _counts(row: Row, goals: Sequence[Objective]) -> bool:
    return not row.broken and all(goal.name in row.values for goal in goals)


def _scaled(rows: Sequence[Row], report: Report) -> list[tuple[float, ...]]:
    """The rows as costs between 0, the best seen, and 1, the reference."""
    goals = report.objectives
    points = costs([[row.values[goal.name] for goal in goals] for row in rows], [goal.direction for goal in goals])
    columns = []
    for goal, column in zip(goals, zip(*points, strict=True), strict=bool(points)):
        best, worst = min(column), _reference(goal, column, report.limits)
        span = worst - best
        columns.append([min(1.0, (value - best) / span) if span > 0 else 0.0 for value in column])
    return list(zip(*columns, strict=True))


def _reference(goal: Objective, column: Sequence[float], limits: Sequence[Limit]) -> float:
    """The cost beyond which nothing counts."""
    sign, operator = (-1.0, ">=") if goal.direction == "maximize" else (1.0, "<=")
    bounds = [sign * limit.bound for limit in limits if (limit.objective, limit.operator) == (goal.name, operator)]
    return min(bounds) if bounds else max(column)


def volume(members: Sequence[Sequence[float]]) -> float:
    """The share of the unit box that the members dominate, each a cost between 0 and 1."""
    if not members:
        return 0.0
    if len(members[0]) == 1:
        return 1.0 - min(member[0] for member in members)
    import moocore

    return float(moocore.hypervolume([list(member) for member in members], ref=[1.0] * len(members[0])))


@dataclass(frozen=True)
class _Clock:
    """Seconds of work until a moment: the time in which at least one trial was at work, pauses left out."""

    starts: tuple[float, ...]
    ends: tuple[float, ...]
    before: tuple[float, ...]

    @classmethod
    def of(cls, trials: Sequence[TrialRow]) -> _Clock:
        spans: list[list[float]] = []
        for start, end in sorted((trial.started, trial.finished) for trial in trials if trial.finished is not None):
            if spans and start <= spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], end)
            else:
                spans.append([start, max(start, end)])
        before = accumulate((end - start for start, end in spans), initial=0.0)
        return cls(tuple(start for start, _ in spans), tuple(end for _, end in spans), tuple(before))

    def at(self, moment: float) -> float:
        place = bisect_right(self.starts, moment) - 1
        if place < 0:
            return 0.0
        return self.before[place] + min(moment, self.ends[place]) - self.starts[place]


# ---- outcomes


@dataclass(frozen=True)
class OutcomeCount:
    """How many trials ended in a state for one reason; `example` is the last of them, `said` what it said."""

    state: State
    reason: str
    count: int
    example: int
    said: str


def outcomes(trials: Sequence[TrialRow]) -> tuple[OutcomeCount, ...]:
    """Finished trials by state and reason, in the order of states, the commonest reason first.

    A rejected trial counts once for each limit that it breaks.
    """
    counts: Counter[tuple[State, str]] = Counter()
    last: dict[tuple[State, str], TrialRow] = {}
    for trial in trials:
        if trial.state != "running":
            for reason in _reasons(trial):
                counts[trial.state, reason] += 1
                last[trial.state, reason] = trial
    found = [
        OutcomeCount(state, reason, count, last[state, reason].number, _said(last[state, reason]))
        for (state, reason), count in counts.items()
    ]
    return tuple(sorted(found, key=lambda one: (STATES.index(one.state), -one.count, one.reason)))


def _reasons(trial: TrialRow) -> tuple[str, ...]:
    if trial.state == "duplicate":
        return ("repeats a candidate",)
    if trial.state == "trained" or trial.failure is None:
        return ("",)
    if trial.state == "rejected":
        return tuple(part.split(" broken by ")[0].strip() for part in trial.failure.reason.split(";"))
    return (trial.failure.kind,)


def _said(trial: TrialRow) -> str:
    if trial.twin is not None:
        return f"the same candidate as trial {trial.twin}"
    return trial.failure.reason if trial.failure is not None else ""


# ---- pace


@dataclass(frozen=True)
class Pace:
    """How fast a search goes. `seconds_left` is None before the first trained trial; pauses do not count as work.

    `looked_at` trials wait to be promoted, and are none of the `finished` ones.
    """

    trained: int
    asked: int
    finished: int
    seconds: float
    seconds_left: float | None
    looked_at: int = 0

    @property
    def seconds_each(self) -> float | None:
        """Seconds of work for a trained trial, rejected ones and looks included."""
        return self.seconds / self.trained if self.trained else None


def pace(trials: Sequence[TrialRow], *, asked: int) -> Pace:
    """The pace so far, and the time to the end at that pace."""
    counts = Counter(trial.state for trial in trials)
    seconds, trained = seconds_worked(trials), sum(trial.is_training for trial in trials)
    left = seconds / trained * max(0, asked - trained) if trained else None
    finished = len(trials) - counts["running"] - counts["screened"]
    return Pace(trained, asked, finished, seconds, left, counts["screened"])


def finished_over_time(
    trials: Sequence[TrialRow], *, points: int = POINTS
) -> Mapping[State, tuple[tuple[float, int], ...]]:
    """(seconds of work, trials of that state so far): for each state that there is, at most `points` of them."""
    clock = _Clock.of(trials)
    found: dict[State, list[float]] = {}
    for trial in trials:
        if trial.finished is not None and trial.state != "running":
            found.setdefault(trial.state, []).append(clock.at(trial.finished))
    lines: dict[State, tuple[tuple[float, int], ...]] = {}
    for state in STATES:
        moments = sorted(found.get(state, ()))
        step = max(1, -(-len(moments) // points))
        chosen = sorted({*range(0, len(moments), step), len(moments) - 1}) if moments else []
        if chosen:
            lines[state] = tuple((moments[index], index + 1) for index in chosen)
    return lines
