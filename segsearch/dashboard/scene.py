"""What one look at the database means for one state of the page; what stands in the way is said here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from segsearch.dashboard.reading import Looked, Reader, Seen
from segsearch.dashboard.state import State, from_address
from segsearch.errors import StudyError
from segsearch.evidence.timing import Machine
from segsearch.judging.fronts import Report, Row, knee_of
from segsearch.judging.words import state_words


@dataclass(frozen=True)
class Scene:
    """The study in view and its report under the page's limits."""

    state: State
    seen: Seen
    report: Report

    @property
    def up(self) -> str:
        return self.state.up or self.report.objectives[0].name

    @property
    def across(self) -> str | None:
        """The objective across; None is the trial's number, where there is only one objective."""
        goals = self.report.objectives
        if self.state.across:
            return self.state.across
        return next((goal.name for goal in goals if goal.name != self.up), None)

    @property
    def depth(self) -> str | None:
        """The objective in depth, where any model has it."""
        wanted = self.state.depth
        return wanted if wanted and any(wanted in row.values for row in self.report.rows) else None

    @cached_property
    def selected(self) -> tuple[Row, ...]:
        """The selected models that are still there, the newest last; the knee where none was selected."""
        if not self.state.selected:
            return (knee_of(self.report),) if self.report.front else ()
        wanted = {row.trial: row for row in self.report.rows if row.trial in self.state.selected}
        return tuple(wanted[trial] for trial in self.state.selected if trial in wanted)

    @property
    def chosen(self) -> tuple[int, ...]:
        """The trials of the selected models."""
        return tuple(row.trial for row in self.selected)

    @property
    def suggested(self) -> bool:
        """Whether what is selected is a suggestion, which gives way to the first choice."""
        return not self.state.selected

    @property
    def picked(self) -> int | None:
        return self.seen.picked.pick.trial if self.seen.picked else None


@dataclass(frozen=True)
class Trouble:
    """Why there is nothing to show, or why what is shown is old: a title, a line or two, what to choose from."""

    title: str
    text: str
    choose: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    stale: bool = False


def set_scene(reader: Reader, address: str | None) -> tuple[Scene | None, Trouble | None]:
    """The scene for an address, and what is wrong; both where the last good look still stands."""
    state = from_address(address)
    looked = reader.look(state.study)
    wrong = _wrong(looked)
    if looked.seen is None:
        return None, wrong
    try:
        report = reader.report(looked.seen, state.machine, state.bounds)
    except StudyError as error:
        return None, wrong or _machines(looked.seen, str(error))
    scene = Scene(state, looked.seen, report)
    return scene, wrong or _empty(scene)


def _wrong(looked: Looked) -> Trouble | None:
    if looked.wrong is not None:
        if looked.seen is not None:
            return Trouble("The database cannot be read just now; this is what it held last", looked.wrong, stale=True)
        return Trouble("The database cannot be shown", looked.wrong)
    if looked.seen is None:
        text = "The database holds several studies. Models of two studies do not compare."
        return Trouble("Choose a study", text, "study", tuple((name, name) for name in looked.studies))
    return None


def _machines(seen: Seen, error: str) -> Trouble:
    """Several machines, or one that is not there."""
    counts = {machine.key: 0 for machine in seen.machines}
    trained = {trial.number for trial in seen.trials if trial.state == "trained"}
    for timing in seen.timings:
        if timing.machine in counts and timing.trial in trained:
            counts[timing.machine] += 1
    choices = tuple((one.short, f"{machine_words(one)}: {counts[one.key]} models") for one in seen.machines)
    if not choices:
        return Trouble("The machine is not known here", error)
    text = "Models were timed on several machines, and latencies of two machines do not compare."
    return Trouble("Choose a machine", text, "machine", choices)


def machine_words(machine: Machine) -> str:
    threads = f"{machine.threads} thread{'' if machine.threads == 1 else 's'}"
    return f"{machine.short} · {machine.cpu}, {machine.runtime}, {threads}"


def _empty(scene: Scene) -> Trouble | None:
    if scene.report.rows:
        return None
    states = [trial.state for trial in scene.seen.trials]
    if not states:
        return Trouble("No trial was begun yet", "`segsearch run` begins them; this page follows.")
    told = ", ".join(f"{states.count(state)} {state_words(state)}" for state in dict.fromkeys(states))
    return Trouble("No trained model yet", f"The study has {told}. This page shows models as they come.")
