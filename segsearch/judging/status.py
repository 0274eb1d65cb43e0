"""How far a study is, in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from segsearch.evidence.timing import Machine
from segsearch.judging.words import duration, in_words, state_words
from segsearch.latency.kept import slow_unit
from segsearch.store import STATES, StudyRow, TrialRow
from segsearch.store.teaching import Verdict
from segsearch.workshop import Outcome

SHOWN_FAILURES = 3


def status_lines(
    study: StudyRow,
    trials: Sequence[TrialRow],
    machines: Sequence[Machine],
    *,
    alive: Collection[str],
    now: float,
    teachers: Sequence[Outcome] = (),
    verdict: Verdict | None = None,
    slowdowns: Mapping[str, float] | None = None,
) -> list[str]:
    """Trials by state, the pace and the time left, the last failures, the machines. Times are seconds since 1970.

    `alive` are the workers that can still finish what they hold, of whatever study. `teachers` are the outcomes of the
    stage `teacher`; those of an older segsearch tell no mIoU, or one over predicted classes too. `verdict` is what was
    decided of the teacher. `slowdowns` are the least of each machine's measurements, by its key.
    """
    held = [trial for trial in trials if trial.state == "running" and trial.worker in alive]
    waiting = [trial for trial in trials if trial.state == "running" and trial.worker not in alive]
    counts = Counter[str](trial.state for trial in trials)
    trained = sum(trial.is_training for trial in trials)
    counts.update(running=-len(waiting), waiting=len(waiting), siblings=counts["trained"] - trained)
    asked = study.study.trials
    began = datetime.fromtimestamp(study.created).strftime("%Y-%m-%d %H:%M")
    lines = [
        f"Study    {study.name}, begun {began}",
        f"Trials   {trained} of {asked} trained; " + (_others(counts) if trials else "none was begun yet"),
    ]
    lines[-1] = lines[-1].removesuffix("; ")
    seconds = seconds_worked(trials)
    left = max(0, asked - trained)
    if trained and seconds > 0:
        each = seconds / trained
        rest = f"about {duration(each * left)} left" if left else "finished"
        beside = "rejected ones and looks included" if counts["screened"] else "rejected ones included"
        lines.append(f"Pace     {duration(each)} for a trained trial, {beside}; {rest}")
    lines += [
        f"{'Looking' if trial.gate_only else 'Running'}  trial {trial.number}, "
        f"for {duration(max(0.0, now - trial.started))}"
        for trial in held
    ]
    lines += [f"Waiting  trial {trial.number}, to be carried on{_why(trial)}" for trial in waiting]
    if left and not alive:
        lines.append("Idle     no worker is at work; `segsearch resume` carries on")
    failures = [(trial.number, trial.failure) for trial in trials if trial.state == "failed" and trial.failure]
    lines += [f"Failed   trial {number}: {why.kind}: {why.reason}" for number, why in failures[-SHOWN_FAILURES:]]
    rejected = next((trial for trial in reversed(trials) if trial.state == "rejected" and trial.failure), None)
    if rejected is not None and rejected.failure:
        lines.append(f"Rejected trial {rejected.number} last: {rejected.failure.reason}")
    lines += [line for found in teachers for line in _teacher(found)]
    if verdict is not None:
        follows = "candidates may ask for it" if verdict.offered else "no further candidate is offered it"
        lines.append(f"Taught   the teacher has {verdict.words}: {follows}")
    lines += map(_machine, machines)
    for machine in machines:
        if words := slow_unit(machine.key, (slowdowns or {}).get(machine.key, 1.0)):
            lines.append(f"Note     {machine.short}: {words}")
    return lines


def _teacher(outcome: Outcome) -> list[str]:
    """A teacher's own mIoU; one of an older segsearch does not compare with its students', and says so."""
    for name, more in (("miou", ""), ("former_miou", " over predicted classes too: told by an earlier version")):
        if outcome.get(name) is not None:
            return [f"Teacher  mIoU {in_words('miou', outcome[name])}{more}"]
    return []


def _others(counts: Mapping[str, int]) -> str:
    """How many trials are in each state but trained, those that are in any."""
    states = ("siblings", "running", "waiting", *(state for state in STATES if state not in ("trained", "running")))
    return ", ".join(f"{counts[state]} {state_words(state)}" for state in states if counts[state] > 0)


def _why(trial: TrialRow) -> str:
    """A trial that was put back names no worker; one that was left by a dead worker still names it."""
    return "; its worker is gone" if trial.worker else ""


def seconds_worked(trials: Sequence[TrialRow]) -> float:
    """Seconds in which at least one finished trial was at work; pauses between runs do not count."""
    worked, until = 0.0, float("-inf")
    for trial in sorted((trial for trial in trials if trial.finished is not None), key=lambda trial: trial.started):
        end = trial.finished or trial.started
        worked += max(0.0, end - max(trial.started, until))
        until = max(until, end)
    return worked


def _machine(machine: Machine) -> str:
    memory = machine.memory_bytes / 2**30
    return (
        f"Machine  {machine.short}: {machine.cpu}, {machine.cores} cores, {memory:.0f} GiB, {machine.system}, "
        f"{machine.runtime}, {machine.threads} thread{'' if machine.threads == 1 else 's'}"
    )
