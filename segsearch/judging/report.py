"""Trials as a person reads them: rows, the front, a pick, and their text, table, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.table import Table
from rich.text import Text

from segsearch.errors import StudyError
from segsearch.evidence.objectives import MACHINE_BOUND, OBJECTIVES, Limit, Objective
from segsearch.evidence.timing import Machine
from segsearch.judging.pareto import Prefer, dominates, front, knee, ties
from segsearch.judging.pareto import costs as as_costs
from segsearch.space.candidate import Architecture, Candidate, Stage
from segsearch.space.candidate import Path as Chain
from segsearch.store import Pick, StudyRow, TimingRow, TrialRow


@dataclass(frozen=True)
class Row:
    """A trained trial. `broken` are the limits it breaks; only trials that break none can be on the front.

    `intervals` are 95 % confidence intervals of those values that have one. `tied` are members of the front that would
    dominate this one by the plain values, but not beyond the intervals.
    """

    trial: int
    candidate: Candidate
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    artifact: Path
    sha256: str
    machine: str
    on_front: bool
    broken: tuple[Limit, ...]
    tied: tuple[int, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a front is drawn from: the trained trials that were timed on `machine`, and what the gate rejected.

    `untimed` trained trials are left out: they were never timed there, or an objective could not be measured there.
    """

    study: str
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...]
    rows: tuple[Row, ...]
    rejected: tuple[Mapping[str, float], ...] = ()
    machine: str = ""
    untimed: int = 0

    @property
    def front(self) -> tuple[Row, ...]:
        """The front, the cheapest first."""
        order = self.objectives[-1]
        turn = -1.0 if order.direction == "maximize" else 1.0
        members = (row for row in self.rows if row.on_front)
        return tuple(sorted(members, key=lambda row: (turn * row.values[order.name], row.trial)))


def make_report(
    study: StudyRow,
    trials: Sequence[TrialRow],
    timings: Sequence[TimingRow],
    limits: Sequence[Limit] = (),
    *,
    machine: str,
) -> Report:
    """A study under its own limits and further ones, as it is on one machine (`one_machine` finds its key).

    Its front is that of the trials that meet all limits. A model is dominated only beyond the confidence intervals.
    """
    bounds = tuple(dict.fromkeys((*study.study.bounds, *limits)))
    goals = study.study.goals
    here = {timing.trial: timing for timing in timings if timing.machine == machine}
    trained = [trial for trial in trials if trial.state == "trained"]
    timed = [_row(study, trial, here[trial.number], bounds) for trial in trained if trial.number in here]
    rows = [row for row in timed if all(goal.name in row.values for goal in goals)]
    meeting = [row for row in rows if not row.broken]
    directions = [goal.direction for goal in goals]
    intervals = [tuple(row.intervals.get(goal.name) for goal in goals) for row in meeting]
    chosen = front([_point(goals, row.values) for row in meeting], directions, intervals=intervals)
    members = [meeting[index] for index in chosen]
    beaten = ties([_point(goals, row.values) for row in members], directions)
    tied = {row.trial: tuple(members[i].trial for i in by) for row, by in zip(members, beaten, strict=True)}
    shown = tuple(replace(row, on_front=row.trial in tied, tied=tied.get(row.trial, ())) for row in rows)
    rejected = tuple(trial.values for trial in trials if trial.state == "rejected" and trial.machine == machine)
    return Report(study.name, goals, bounds, shown, rejected, machine, len(trained) - len(rows))


def narrowed(report: Report, limits: Sequence[Limit]) -> Report:
    """A report under further limits: what `make_report` makes of them, without reading anything again."""
    more = [limit for limit in dict.fromkeys(limits) if limit not in report.limits]
    if not more:
        return report
    goals = report.objectives
    rows = []
    for row in report.rows:
        broken = _broken(more, row.values)
        rows.append(replace(row, broken=row.broken + broken, on_front=False, tied=()) if broken else row)
    if all(any(limit.objective == goal.name and _bounds(limit, goal) for goal in goals) for limit in more):
        # Whatever beats a model in every objective is within the limits on them, too: who was beaten still is.
        members = [row for row in rows if row.on_front]
    else:
        meeting = [row for row in rows if not row.broken and all(goal.name in row.values for goal in goals)]
        intervals = [tuple(row.intervals.get(goal.name) for goal in goals) for row in meeting]
        points = [_point(goals, row.values) for row in meeting]
        chosen = front(points, [goal.direction for goal in goals], intervals=intervals)
        members = [meeting[index] for index in chosen]
    beaten = ties([_point(goals, row.values) for row in members], [goal.direction for goal in goals])
    tied = {row.trial: tuple(members[i].trial for i in by) for row, by in zip(members, beaten, strict=True)}
    shown = tuple(_standing_as(row, tied.get(row.trial)) for row in rows)
    return replace(report, limits=(*report.limits, *more), rows=shown)


def _bounds(limit: Limit, goal: Objective) -> bool:
    """Whether a limit cuts off the worse end of an objective."""
    return (limit.operator == ">=") == (goal.direction == "maximize")


def _standing_as(row: Row, tied: tuple[int, ...] | None) -> Row:
    """A row on the front with these ties, or off it with None."""
    if row.on_front == (tied is not None) and row.tied == (tied or ()):
        return row
    return replace(row, on_front=tied is not None, tied=tied or ())


def one_machine(
    trials: Sequence[TrialRow], timings: Sequence[TimingRow], machines: Sequence[Machine], wanted: str | None = None
) -> str:
    """The key of the one machine that trained trials were timed on, or of the one that `wanted` begins.

    `wanted` may also begin the key of another one of `machines`, where nothing trained was timed yet. Without a
    trained trial it is the machine of the rejected ones, empty where there is none or more than one.
    Raises `StudyError` where there are several to choose from or none is meant.
    """
    trained = {trial.number for trial in trials if trial.state == "trained"}
    counts = Counter(timing.machine for timing in timings if timing.trial in trained)
    known = {machine.key: machine for machine in machines}
    names = "; ".join(f"{key[:8]} ({_in_short(known.get(key), count)})" for key, count in counts.items())
    if wanted is None:
        found = set(counts) or {timing.machine for timing in timings}
        if len(counts) > 1:
            raise StudyError(f"Latencies of different machines do not compare. Choose one with --machine: {names}.")
        return found.pop() if len(found) == 1 else ""
    begun = [{key for key in keys if key.startswith(wanted)} for keys in (counts, known)]
    found = begun[0] or begun[1]
    if len(found) == 1 or wanted in found:
        return wanted if wanted in found else found.pop()
    raise StudyError(
        f"--machine must begin the key of one machine that models were timed on, got {wanted!r}: {names or 'none yet'}."
    )


def _in_short(machine: Machine | None, count: int) -> str:
    models = f"{count} model{'' if count == 1 else 's'}"
    if machine is None:
        return f"unknown, {models}"
    threads = f"{machine.threads} thread{'' if machine.threads == 1 else 's'}"
    return f"{machine.cpu}, {machine.cores} cores, {machine.runtime}, {threads}, {models}"


def _row(study: StudyRow, trial: TrialRow, timing: TimingRow, limits: Sequence[Limit]) -> Row:
    values = {name: value for name, value in trial.values.items() if name not in MACHINE_BOUND} | dict(timing.values)
    return Row(
        trial=trial.number,
        candidate=trial.candidate,
        values=values,
        intervals=timing.intervals,
        artifact=(study.artifacts.folder / (trial.artifact or "")).absolute(),
        sha256=(trial.artifact or "").split(".")[0],
        machine=timing.machine,
        on_front=False,
        broken=_broken(limits, values),
    )


def _broken(limits: Sequence[Limit], values: Mapping[str, float]) -> tuple[Limit, ...]:
    """The limits that are not seen to be met: also those on something that was not measured."""
    return tuple(
        limit for limit in limits if limit.objective not in values or limit.excess(values[limit.objective]) > 0
    )


def _point(goals: Sequence[Objective], values: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(values[goal.name] for goal in goals)


# ---- picking


def knee_of(report: Report) -> Row:
    """The knee of a front that is not empty."""
    members = report.front
    points = [_point(report.objectives, row.values) for row in members]
    return members[knee(points, [goal.direction for goal in report.objectives])]


def pick_from(report: Report, *, prefer: Prefer) -> Pick:
    """The preferred model of the front, with the reason in words. Raises `StudyError` where the front is empty."""
    members = report.front
    if not members:
        raise StudyError(_nothing_to_pick(report))
    if prefer == "knee":
        row, why = knee_of(report), "the knee of the front, nearest to the best of every objective at once"
    else:
        goal = OBJECTIVES[prefer]
        turn = -1.0 if goal.direction == "maximize" else 1.0
        row = min(members, key=lambda member: (turn * member.values[prefer], len(member.tied)))
        why = f"the {'highest' if goal.direction == 'maximize' else 'lowest'} {goal.title} on the front"
        alike = [member.trial for member in members if member is not row and _overlap(member, row, prefer)]
        why += f" (not told apart from trial {', '.join(map(str, alike))})" if alike else ""
    under = f" under {', '.join(map(str, report.limits))}" if report.limits else ""
    return Pick(row.trial, f"{why}{under}: {in_numbers(report, row.values)}{_within(row)}")


def pick_trial(report: Report, trial: int) -> Pick:
    """A trial chosen by hand. Raises `StudyError` where it is not a trained one."""
    chosen = next((row for row in report.rows if row.trial == trial), None)
    if chosen is None:
        known = ", ".join(str(row.trial) for row in report.front) or "none yet"
        timed = f" that was timed on machine {report.machine[:8]}" if report.untimed else ""
        raise StudyError(f"A pick must be a trained trial{timed}; trial {trial} is not one. On the front: {known}.")
    return Pick(trial, f"chosen by hand, {_standing(report, chosen)}: {in_numbers(report, chosen.values)}")


def _standing(report: Report, chosen: Row) -> str:
    if chosen.on_front:
        return f"on the front{_within(chosen)}"
    if chosen.broken:
        unseen = [limit for limit in chosen.broken if limit.objective not in chosen.values]
        words = (f"{limit}{' (not measured)' if limit in unseen else ''}" for limit in chosen.broken)
        return f"though it breaks {', '.join(words)}"
    directions = [goal.direction for goal in report.objectives]
    mine, *others = as_costs([_point(report.objectives, row.values) for row in (chosen, *report.front)], directions)
    better = next(row.trial for row, cost in zip(report.front, others, strict=True) if dominates(cost, mine))
    return f"though trial {better} is at least as good in everything"


def _overlap(one: Row, other: Row, name: str) -> bool:
    """Whether two rows' values are not told apart by their confidence intervals; exact ones are only where equal."""
    (low, high), (least, most) = (row.intervals.get(name, (row.values[name],) * 2) for row in (one, other))
    return low <= most and least <= high


def _within(row: Row) -> str:
    """What to say of a member of the front that others beat by the plain values."""
    return f", within the confidence intervals of trial {', '.join(map(str, row.tied))}" if row.tied else ""


def _nothing_to_pick(report: Report) -> str:
    if not report.rows and report.untimed:
        return (
            f"A pick needs a trained trial that was timed on machine {report.machine[:8]} for every objective, and "
            f"none of {report.untimed} was; `segsearch remeasure` there times them, --machine chooses another."
        )
    if not report.rows:
        return f"A pick needs a trained trial, and study {report.study!r} has none yet; `segsearch status` says why."
    limits = ", ".join(map(str, report.limits))
    unseen = [
        limit.objective for limit in report.limits if all(limit.objective not in row.values for row in report.rows)
    ]
    if unseen:
        return (
            f"A limit must be on what was measured, and {', '.join(unseen)} was not on machine {report.machine[:8]}: "
            f"no trained trial is seen to meet {limits}. Leave that limit out, or choose another with --machine."
        )
    nearest = min(report.rows, key=_distance)
    return (
        f"No trained trial meets {limits}; the nearest is trial {nearest.trial} with "
        f"{in_numbers(report, nearest.values)}. Loosen the limit, or search on with more --trials."
    )


def _distance(row: Row) -> float:
    """How far a model is beyond the limit that it breaks most."""
    excesses = [limit.excess(row.values[limit.objective]) for limit in row.broken if limit.objective in row.values]
    return max(excesses, default=math.inf)


# ---- words


def in_words(name: str, value: float) -> str:
    """One objective's value as a table shows it."""
    if name in ("size_bytes", "params", "macs", "peak_memory_bytes"):
        for bound, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= bound:
                return f"{value / bound:.3g} {suffix}{'B' if name.endswith('_bytes') else ''}"
        return f"{value:.0f}{' B' if name.endswith('_bytes') else ''}"
    return f"{value:.3f}" if name == "miou" else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def in_numbers(report: Report, values: Mapping[str, float]) -> str:
    """The study's objectives in one line: `miou 0.612, latency_ms 4.2`."""
    return ", ".join(
        f"{goal.name} {in_words(goal.name, values[goal.name])}" for goal in report.objectives if goal.name in values
    )


def with_interval(row: Row, name: str) -> str:
    """A value with half the width of its confidence interval: `7.83 ±0.06`."""
    if name not in row.values:
        return "-"
    shown = in_words(name, row.values[name])
    if name not in row.intervals:
        return shown
    low, high = row.intervals[name]
    half = (high - low) / 2
    return f"{shown} ±{half:{'.2g' if half < 99.5 else '.0f'}}"


def precision(candidate: Candidate) -> str:
    """How a candidate's weights ship: fp32 or int8."""
    return "fp32" if candidate.bits == 32 else f"int{candidate.bits}"


def describe(candidate: Candidate) -> str:
    """A candidate in words, in the order data flows through it."""
    words = _architecture(candidate.architecture)
    if candidate.distill is not None and candidate.distill.weight > 0:
        words.append(f"taught {candidate.distill.weight:.2g} at T {candidate.distill.temperature:.2g}")
    words += [step.words for step in candidate.before_export if not step.idle]
    words += [step.words for step in candidate.after_export] or [precision(candidate)]
    return "; ".join(words)


def _architecture(architecture: Architecture) -> list[str]:
    words = [] if architecture.input_scale == 1 else [f"input x{architecture.input_scale:.3g}"]
    for number, path in enumerate(architecture.paths):
        words.append(("" if number == 0 else f"path {number}: ") + _chain(path))
        context = path.context
        if context.kind != "none":
            details = "-".join(map(str, context.bins or context.rates))
            words.append(" ".join(filter(None, (context.kind, details, f"({context.channels})"))))
    words += [f"{join.kind} from stage {join.feature.stage} ({join.channels})" for join in architecture.joins]
    words.append(f"head {architecture.head.channels}")
    return words


def _chain(path: Chain) -> str:
    stem = [f"stem {path.stem.channels}"] if path.stem is not None else []
    return ", ".join([*stem, *(_stage(stage) for stage in path.stages)])


def _stage(stage: Stage) -> str:
    """`inverted 2x24 /2 k5 e4`: two blocks of 24 channels, stride 2, kernel 5, expansion 4."""
    notes = [f"/{stage.stride}"] if stage.stride != 1 else []
    notes += [f"k{stage.kernel}"] if stage.kernel != 3 else []
    notes += [f"e{stage.expansion:.3g}"] if stage.expansion != 1 else []
    notes += [f"g{stage.groups}"] if stage.groups != 1 else []
    notes += ["rates " + "-".join(map(str, stage.atrous))] if set(stage.atrous) != {1} else []
    return " ".join([f"{stage.block} {stage.depth}x{stage.channels}", *notes])


# ---- shapes for machines and people


def _shown(report: Report) -> list[Objective]:
    extra = [OBJECTIVES[name] for name in ("size_bytes", "params") if OBJECTIVES[name] not in report.objectives]
    return [*report.objectives, *extra]


def as_table(report: Report) -> Table:
    """The front, the cheapest first; `*` marks the knee, `~` what another beats within the intervals only."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("trial", justify="right", no_wrap=True)
    for goal in _shown(report):
        table.add_column(goal.name, justify="right", no_wrap=True)
    table.add_column("ships", no_wrap=True)
    table.add_column("design", overflow="fold")
    suggested = knee_of(report).trial if report.front else None
    for row in report.front:
        mark = "*" if row.trial == suggested else "~" if row.tied else " "
        cells = [with_interval(row, goal.name) for goal in _shown(report)]
        shown = (f"{row.trial}{mark}", *cells, precision(row.candidate), describe(row.candidate))
        table.add_row(*map(Text, shown))
    return table


def as_objects(report: Report) -> list[dict[str, Any]]:
    """Every trained trial as plain data, in the order of trials: what `front --json` prints."""
    candidates = TypeAdapter(Candidate)
    return [
        {
            "trial": row.trial,
            "on_front": row.on_front,
            "objectives": dict(row.values),
            "intervals": {name: list(interval) for name, interval in row.intervals.items()},
            "tied_with": list(row.tied),
            "breaks": [str(limit) for limit in row.broken],
            "design": describe(row.candidate),
            "candidate": candidates.dump_python(row.candidate, mode="json"),
            "artifact": {"path": str(row.artifact), "sha256": row.sha256},
            "machine": row.machine,
        }
        for row in report.rows
    ]


def as_json(report: Report) -> str:
    return json.dumps(as_objects(report), indent=2, allow_nan=False) + "\n"


def as_csv(report: Report) -> str:
    """Every trained trial, one line each; numbers in full."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    bounds = ("latency_low_ms", "latency_high_ms")
    writer.writerow(
        ["trial", "on_front", *OBJECTIVES, *bounds, "bits", "breaks", "design", "artifact", "sha256", "machine"]
    )
    for row in report.rows:
        numbers = [row.values.get(name, "") for name in OBJECTIVES]  # an older database lacks newer objectives
        numbers += row.intervals.get("latency_ms", ("", ""))
        words = (row.candidate.bits, " ".join(map(str, row.broken)), describe(row.candidate))
        writer.writerow([row.trial, str(row.on_front).lower(), *numbers, *words, row.artifact, row.sha256, row.machine])
    return stream.getvalue()
