"""The search: asks the sampler, evaluates under a lease, keeps the row, tells the sampler."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from segsearch.errors import SearchStuck, StudyError, TrialFailed, UserError
from segsearch.evidence.objectives import Rejected
from segsearch.evidence.types import Evidence
from segsearch.pretrained.match import Report
from segsearch.search.memory import Memory, open_memory
from segsearch.search.screening import Promoted, Screening
from segsearch.search.stuck import demand_values, why_stuck
from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import DrawCandidate
from segsearch.space.keys import as_stored, from_json
from segsearch.space.mutate import Params, siblings
from segsearch.store import NO_TRIAL, Counts, Failure, Store, StudyRow, TrialRow
from segsearch.store.teaching import Verdict, awaits_teacher, verdict
from segsearch.store.worker import Claimed, GivenUp, Worker, at_work
from segsearch.study import Study
from segsearch.workshop import Outcome, Workshop

Evaluate = Callable[[int, Candidate, Workshop], Evidence]

_WAIT_SECONDS = 0.5
# A worker that died is looked for this often; what it left half asked or half told is settled then.
_SETTLE_SECONDS = 15.0
# And this often where no death was seen: another worker that saw one may have died before it settled anything.
_SETTLE_ANYWAY_SECONDS = 120.0


EventKind = Literal[
    "started",
    "resumed",
    "fell_back",
    "untaught",
    "promoted",
    "waiting",
    "taught",
    "begun",
    "trained",
    "screened",
    "rejected",
    "failed",
    "duplicate",
    "put_back",
]


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial; `trained` of the `asked` trials are done.

    `started` and `resumed` come before the evaluation (`resumed`: a trial that an earlier worker left), and so does
    `promoted` (the best of `best_of` that were looked at; `fell_back` before it: `why` no surrogate said so). In it
    come `waiting` (another worker makes a stage that it needs), `taught` (the teacher was trained: its mIoU), `begun`
    (the first trial here that was trained from pretrained weights: what inherits in `start`), after it `trained`,
    `screened` (it was looked at, and waits to be promoted), `rejected`, `failed` and `duplicate`, and `put_back` where
    the search was interrupted. `untaught` is said once, of the best student: `why` nobody is offered the teacher.
    """

    kind: EventKind
    trial: TrialRow
    trained: int
    asked: int
    teacher_miou: float | None = None
    start: str | None = None
    best_of: int | None = None
    why: str | None = None


@dataclass(frozen=True)
class Summary:
    """How a search ended: `done` (all asked trials are trained), `minutes` (time is up) or `nothing_to_do`."""

    reason: Literal["done", "minutes", "nothing_to_do"]
    asked: int
    counts: Counts
    seconds: float


def run_search(
    store: Store,
    study: str,
    *,
    draw: DrawCandidate,
    evaluate: Evaluate,
    gate: Evaluate | None = None,
    alone: DrawCandidate | None = None,
    teach: Callable[[Workshop], object] | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Summary:
    """Search until the stored study has as many trained trials as its settings ask for; `trials` changes these.

    Any number of processes may do so at once. `evaluate` may raise `Rejected` (kept, teaches), `TrialFailed` (kept,
    the study goes on), or `UserError` and `KeyboardInterrupt` (the trial is put back, the search ends). `gate` is its
    first part alone, for studies that screen: what it returns is known of an untrained candidate. `alone` draws without
    a teacher, once the study's own is found to be no better than its students; `teach` asks one that is trained.
    Raises `StudyError` for `trials` or `minutes` not above 0, and `SearchStuck` after `give_up_after`
    candidates in a row that could not be kept.
    """
    start = time.monotonic()
    if trials is not None and trials < 1:
        raise StudyError(f"--trials must be at least 1, got {trials}; leave it out to take the study's own.")
    if minutes is not None and not minutes > 0:
        raise StudyError(f"--minutes must be above 0, got {minutes:g}; leave it out to search without a limit.")
    if trials is not None:
        store.ask_for(study, trials)
    row = store.study(study)
    settings = row.study
    if gate is None and settings.search.screen:
        raise ValueError(f"{study} screens: a gate must be given")
    deadline = None if minutes is None else start + 60 * minutes
    with at_work(store, study) as worker, open_memory(store, settings) as memory:
        memory.reconcile(worker)
        draws = Draws(store, row, worker, draw, alone or draw, teach)
        search = _Search(store, settings, worker, memory, draws, evaluate, gate or no_gate, on_event)
        try:
            search.heed_teacher()
            reason = search.until(deadline)
        except (UserError, KeyboardInterrupt):
            with suppress(UserError):
                search.put_back()
            raise
        finally:
            # What was left half asked or half told is settled now where that can be, else by the next worker.
            with suppress(UserError):
                memory.reconcile(worker)
    return Summary(reason, settings.trials, store.counts(study), time.monotonic() - start)


@dataclass(frozen=True)
class Sibling:
    """A file that the training of `origin` can leave, too, by all of the space's parameters."""

    origin: TrialRow
    params: Params


@dataclass(frozen=True)
class Draws:
    """How candidates are drawn: with the study's teacher, or `alone` once it is found to be no better than they."""

    store: Store
    row: StudyRow
    worker: Worker
    taught: DrawCandidate
    alone: DrawCandidate
    teach: Callable[[Workshop], object] | None

    def refused(self) -> Verdict | None:
        """Why nobody is offered the teacher any more; None where it is offered, or there is none."""
        found = verdict(self.store, self.row)
        if found is None and self.teach is not None and awaits_teacher(self.store, self.row):
            with suppress(TrialFailed):  # the first candidate that asks for it tries once more, and says why
                self.teach(self.store.workshop(self.row.name, NO_TRIAL, worker=self.worker.id))
            found = verdict(self.store, self.row)
        return None if found is None or found.offered else found

    def now(self) -> DrawCandidate:
        return self.taught if self.refused() is None else self.alone

    def of(self, origin: TrialRow) -> DrawCandidate:
        """The draw that makes what a stored trial is near to."""
        return self.taught if origin.candidate.distill is not None else self.now()


@dataclass(frozen=True)
class _Search:
    """One worker's loop."""

    store: Store
    study: Study
    worker: Worker
    memory: Memory
    draws: Draws
    evaluate: Evaluate
    gate: Evaluate
    on_event: Callable[[Event], None]
    said: set[str] = field(default_factory=set)  # what is said once
    complete: set[int] = field(default_factory=set)  # trials all of whose siblings are known
    found: dict[int, list[tuple[Params, str]]] = field(default_factory=dict)  # siblings with their keys

    def until(self, deadline: float | None) -> Literal["done", "minutes", "nothing_to_do"]:
        missed: list[TrialRow] = []  # since the last trial that was trained, or of looks since the last that was kept
        idle = True
        looked = settled = time.monotonic()
        while True:
            if deadline is not None and time.monotonic() >= deadline:
                return "done" if self._trained() >= self.study.trials else "minutes"
            now = time.monotonic()
            if now - looked >= _SETTLE_SECONDS:
                looked = now
                if self.worker.bury() or now - settled >= _SETTLE_ANYWAY_SECONDS:
                    settled = now
                    self.memory.reconcile(self.worker)
            work = self._sibling() or self.worker.next(self.study.trials)
            if work == "done":
                return "nothing_to_do" if idle else "done"
            idle = False
            if work == "wait":
                time.sleep(_WAIT_SECONDS)
                continue
            ended = self._work(work)
            if ended is None or ended.origin is not None:
                continue
            if ended.state == "screened":
                missed = [one for one in missed if not one.gate_only]
            else:
                missed = [] if ended.state == "trained" else [*missed, ended]
            if len(missed) >= self.study.search.give_up_after:
                rejected = self.store.trials(self.study.name, ["rejected"])
                intervals = {timing.trial: timing.intervals for timing in self.store.timings(self.study.name)}
                raise SearchStuck(why_stuck(self.study.bounds, missed, rejected, intervals))

    def put_back(self) -> None:
        trial = self.worker.put_back()
        if trial is not None:
            self._say("put_back", trial)

    def heed_teacher(self) -> DrawCandidate:
        """How the next candidate is drawn; that its teacher is offered no more is said once."""
        refused = self.draws.refused()
        if refused is None:
            return self.draws.taught
        if "untaught" not in self.said:
            self.said.add("untaught")
            best = self.store.trial(self.study.name, refused.trial)
            self._say("untaught", best, why=f"{refused.words}; {refused.consequence}")
        return self.draws.alone

    def _work(self, work: Claimed | GivenUp | Sibling | Literal["ask"]) -> TrialRow | None:
        """Bring one trial to its end; None where another worker took it over meanwhile."""
        ended: TrialRow | None
        if isinstance(work, GivenUp):
            ended = work.trial
        elif isinstance(work, Claimed):
            self._say("resumed", work.trial)
            ended = self._evaluate(work.trial)
        else:
            ended = self._ask() if work == "ask" else self._begin(work)
            if ended is not None and ended.state == "running":
                self._say("started", ended)
                ended = self._evaluate(ended)
        if ended is not None:
            # The row is kept: from here on a kill costs only the telling, which `reconcile` makes up for.
            if ended.state != "screened":
                self.memory.tell(ended, self.worker)
            self._say(ended.state if ended.state != "running" else "put_back", ended)
        return ended

    def _ask(self) -> TrialRow | None:
        """The next trial; None where another worker was first with it."""
        settings, draw = self.study.search, self.heed_teacher()
        if settings.screen and self._trained() >= settings.trained_before_screening:
            taught = draw is self.draws.taught
            found = Screening(self.store, self.study, self.worker, self.memory, draw, taught).next()
            return self._promoted(found) if isinstance(found, Promoted) else found
        trial = self.memory.ask()
        candidate = as_stored(draw(trial))
        return self.worker.enter(trial.number, candidate, params=trial.params, seed=trial.seed)

    def _promoted(self, found: Promoted) -> TrialRow:
        if found.fell_back is not None and found.fell_back not in self.said:
            self.said.add(found.fell_back)
            self._say("fell_back", found.trial, why=found.fell_back)
        self._say("promoted", found.trial, best_of=found.best_of)
        return found.trial

    def _sibling(self) -> Sibling | None:
        """What a training that came to its end can leave yet: a file of it that no trial has. None where that is all.

        Several workers may look at once: the one that enters a candidate later has a duplicate.
        """
        wanted = self.study.search
        if not (wanted.siblings or wanted.tails) or self._trained() == len(self.complete):
            return None
        for origin in self.store.trials(self.study.name, ["trained"]):
            if origin.origin is not None or origin.number in self.complete:
                continue
            if origin.number not in self.found:
                found = siblings(
                    self.draws.of(origin),
                    origin.params,
                    most=wanted.siblings,
                    tails=wanted.tails,
                    pruned=self.study.train.fine_tune_on_top,
                )
                keys = [(params, as_stored(one).key) for params, one in found]
                self.found[origin.number] = keys
            known = self.worker.keys()
            for params, key in self.found[origin.number]:
                if key not in known:
                    return Sibling(origin, params)
            self.complete.add(origin.number)
            del self.found[origin.number]
        return None

    def _begin(self, sibling: Sibling) -> TrialRow:
        draw = self.draws.of(sibling.origin)
        number = self.memory.begin(draw, sibling.params)
        candidate = as_stored(draw(Named(sibling.params)))
        seed, origin = sibling.origin.seed, sibling.origin.number
        return self.worker.enter(number, candidate, params=sibling.params, seed=seed, origin=origin)

    def _evaluate(self, trial: TrialRow) -> TrialRow | None:
        def made(stage: str, outcome: Outcome) -> None:
            if stage == "teacher" and outcome.get("miou") is not None:
                self._say("taught", trial, teacher_miou=outcome["miou"])
            if stage == "train" and "start" in outcome and "begun" not in self.said:
                self.said.add("begun")
                self._say("begun", trial, start=f"{outcome['parent']}, {from_json(Report, outcome['start']).words}")

        workshop = self.store.workshop(
            self.study.name,
            trial.number,
            worker=self.worker.id,
            on_wait=lambda stage: self._say("waiting", trial),
            on_made=made,
        )
        try:
            if trial.gate_only:
                evidence = self.gate(trial.number, trial.candidate, workshop)
            else:
                evidence = self.evaluate(trial.number, trial.candidate, workshop)
                demand_values(self.study, evidence)
        except Rejected as rejected:
            why = Failure("limit", str(rejected))
            return self.worker.keep(trial.number, "rejected", evidence=rejected.evidence, failure=why)
        except TrialFailed as failed:
            return self.worker.keep(trial.number, "failed", failure=Failure(failed.kind, str(failed)))
        return self.worker.keep(trial.number, "screened" if trial.gate_only else "trained", evidence=evidence)

    def _trained(self) -> int:
        return self.store.counts(self.study.name).trained

    def _say(self, kind: EventKind, trial: TrialRow, **more: Any) -> None:
        self.on_event(Event(kind, trial, self._trained(), self.study.trials, **more))


def no_gate(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
    """The gate of a search that was given none: it looks at nothing."""
    raise ValueError(f"trial {number} is to be looked at: a gate must be given")
