"""Time the stored files of a study again, on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from segsearch.errors import StudyError, TrialFailed
from segsearch.evidence.timing import Machine
from segsearch.judging.fronts import make_report
from segsearch.launch import machine_here
from segsearch.store import Store, StudyRow, TrialRow, open_store
from segsearch.workshop import Progress


@dataclass(frozen=True)
class Remeasured:
    """What was timed again, and where; `failed` gives a reason for each trial that could not be."""

    study: str
    machine: Machine
    timed: int
    failed: tuple[tuple[int, str], ...]


def remeasure(where: str, *, name: str | None, on_front: bool, progress: Progress) -> Remeasured:
    """Time the files of trained trials here; each timing is kept as soon as it is taken, beside those of others.

    With `on_front` only those on the front of a machine that they were timed on. Raises `StudyError` where nothing is
    trained yet, `DatabaseError` where a file is gone or changed, before anything is timed.
    """
    from segsearch.latency.effort import effort_of
    from segsearch.latency.measure import measure
    from segsearch.latency.room import machine_room
    from segsearch.runtimes import RUNTIMES

    with open_store(where) as store:
        row = store.study(name)
        trials = chosen_trials(store, row, on_front=on_front)
        if not trials:
            raise StudyError(
                f"{store.where}: study {row.name} has no trained trial to time yet; `segsearch status` says why."
            )
        files = [row.artifacts.verified(str(trial.artifact)) for trial in trials]
        here = store.keep_machine(machine_here(store, row.study, progress))
        effort, room = effort_of(row.study), machine_room(row.study.timing.cores)
        timed, failed = 0, list[tuple[int, str]]()
        for done, (trial, file) in enumerate(zip(trials, files, strict=True)):
            progress("remeasure", done, len(trials))
            evidence = store.evidence(row.name, trial.number)
            if evidence is None:
                continue
            try:
                with room.quiet():
                    timing = measure(file, here, RUNTIMES["onnxruntime"], effort=effort)
            except TrialFailed as why:
                failed.append((trial.number, str(why)))
                continue
            store.keep_timing(row.name, trial.number, replace(evidence, timing=timing))
            timed += 1
        progress("remeasure", len(trials), len(trials))
    return Remeasured(row.name, here, timed, tuple(failed))


def chosen_trials(store: Store, row: StudyRow, *, on_front: bool) -> tuple[TrialRow, ...]:
    """All trained trials, or those on the front of any machine that they were timed on."""
    trials, timings = store.trials(row.name), store.timings(row.name)
    trained = tuple(trial for trial in trials if trial.state == "trained")
    if not on_front:
        return trained
    machines = {timing.machine for timing in timings}
    reports = [make_report(row, trials, timings, machine=machine) for machine in machines]
    members = {member.trial for report in reports for member in report.front}
    return tuple(trial for trial in trained if trial.number in members)
