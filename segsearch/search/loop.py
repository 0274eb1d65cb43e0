"""The search: asks the sampler, evaluates under a lease, keeps the row, tells the sampler."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from segsearch.errors import SearchStuck, StudyError, TrialFailed, UserError
from segsearch.evidence.objectives import Rejected
from segsearch.evidence.types import Evidence
from segsearch.pretrained.match import Report
from segsearch.search.earlier import NOTHING, Earlier
from segsearch.search.events import Event, EventKind, Reason, Summary
from segsearch.search.family import Family, Sibling
from segsearch.search.machines import as_here, timed_elsewhere
from segsearch.search.memory import Memory, open_memory
from segsearch.search.outlook import Outlook, has_converged
from segsearch.search.screening import Promoted, Screening, UsedUp
from segsearch.search.stuck import demand_values, why_stuck
from segsearch.search.taught import Draws
from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import DrawCandidate
from segsearch.space.keys import as_stored, from_json
from segsearch.store import Failure, Store, TrialRow
from segsearch.store.looking import Looking
from segsearch.store.worker import Claimed, GivenUp, Work, Worker, at_work
from segsearch.study import Study
from segsearch.workshop import Outcome, Workshop

Evaluate = Callable[[int, Candidate, Workshop], Evidence]

# How many trials are trained, failed and under way.
Standing = tuple[int, int, int]

_WAIT_SECONDS = 0.5
# A worker that died is looked for this often; what it left half asked or half told is settled then.
_SETTLE_SECONDS = 15.0
# And this often where no death was seen: another worker that saw one may have died before it settled anything.
_SETTLE_ANYWAY_SECONDS = 120.0


def run_search(
    store: Store,
    study: str,
    *,
    draw: DrawCandidate,
    evaluate: Evaluate,
    gate: Evaluate | None = None,
    finish: Evaluate | None = None,
    alone: DrawCandidate | None = None,
    earlier: Earlier = NOTHING,
    teach: Callable[[Workshop], object] | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    machine: str | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Summary:
    """Search until the stored study has as many trained trials as its settings ask for; `trials` changes these.

    Any number of processes may do so at once. `evaluate` may raise `Rejected` (kept, teaches), `TrialFailed` (kept,
    the study goes on), or `UserError` and `KeyboardInterrupt` (the trial is put back, the search ends). `gate` is its
    first part alone, for studies that screen: what it returns is known of an untrained candidate. `finish` is what
    comes after a training, for siblings that need none of their own; they are evaluated as any other without it.
    `alone` draws without a teacher, once the study's own is found to be no better than its students; `teach` asks one
    that is trained. `earlier` is what the study knew of others when it began: designs to train first, and rows for the
    surrogate.
    `machine` is the key of the one that times here; trials that another timed are ranked by what they cost here. The
    search ends before that where the study says so and little is to be gained (`stop`), or nothing new is found.
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
    with at_work(store, study) as worker, open_memory(store, settings, designs=earlier.designs) as memory:
        memory.reconcile(worker)
        draws, looking = Draws(store, row, worker, draw, alone or draw, teach), Looking(store, study)
        family, does = (
            Family(settings, worker, looking, draws, earlier),
            (evaluate, gate or no_gate, finish or evaluate),
        )
        search = _Search(store, settings, worker, memory, looking, family, draws, *does, on_event, earlier, machine)
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
    seconds = time.monotonic() - start
    return Summary(reason, settings.trials, store.counts(study), seconds, search.outlook)


@dataclass(frozen=True)
class _Search:
    """One worker's loop."""

    store: Store
    study: Study
    worker: Worker
    memory: Memory
    looking: Looking
    family: Family
    draws: Draws
    evaluate: Evaluate
    gate: Evaluate
    finish: Evaluate
    on_event: Callable[[Event], None]
    earlier: Earlier
    machine: str | None
    said: set[str] = field(default_factory=set)  # what is said once
    ends: dict[Standing, Reason] = field(default_factory=dict)  # why no more is asked for, as trials stood
    outlooks: dict[Standing, Outlook | None] = field(default_factory=dict)  # of searches that have converged

    @property
    def outlook(self) -> Outlook | None:
        """That of a search which ended because it has converged."""
        return self.outlooks.get(self._standing())

    def until(self, deadline: float | None) -> Reason:
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
            work = self._next()
            if work == "done":
                return self._over() or ("nothing_to_do" if idle else "done")
            idle = False
            if work == "wait":
                time.sleep(_WAIT_SECONDS)
                continue
            try:
                ended = self._work(work)
            except UsedUp:
                self.ends[self._standing()] = "used_up"
                continue
            if ended is None or ended.origin is not None:
                continue
            if ended.state == "screened":
                missed = [one for one in missed if not one.gate_only]
            else:
                missed = [] if ended.state == "trained" else [*missed, ended]
            if len(missed) >= self.study.search.give_up_after:
                if _are_known(missed, any_trained=self._trained() > 0):
                    self.ends[self._standing()], missed = "used_up", []
                    continue
                rejected = self.store.trials(self.study.name, ["rejected"])
                intervals = {timing.trial: timing.intervals for timing in self.store.timings(self.study.name)}
                raise SearchStuck(why_stuck(self.study.bounds, missed, rejected, intervals))

    def _next(self) -> Work | Sibling:
        """What to do now. Nobody leaves while another makes a file on which it hangs what else is worth making."""
        work = self.family.next(self._trained(), self.rows) or self.worker.next(self._asked())
        return "wait" if work == "done" and self.family.awaits() else work

    def _asked(self) -> int:
        """How many trained trials to go for: those that are under way, where no more are to be asked for."""
        if self._over() is None:
            return self.study.trials
        begun = [row for row in self.looking.trials() if row.origin is None and not row.gate_only]
        return min(self.study.trials, sum(row.state in ("trained", "running") for row in begun))

    def _over(self) -> Reason | None:
        """Why no new trial is asked for as long as trials stand as they do; None where one is.

        Whether a search has converged is asked where the next round of looks would begin: whoever carries on asks it of
        the same trials.
        """
        settings, now = self.study.search, self._standing()
        if now in self.ends or now[0] >= self.study.trials:
            return self.ends.get(now)
        if settings.stop == "converged" and now not in self.outlooks and not (settings.screen and self.worker.looks()):
            self.outlooks[now] = has_converged(self.rows(), self.study, earlier=self.earlier)
        return "converged" if self.outlooks.get(now) is not None else None

    def _standing(self) -> Standing:
        counts = self.store.counts(self.study.name)
        return counts.trained, counts.failed, counts.running

    def rows(self) -> list[TrialRow]:
        """All trials, with what they cost on this machine."""
        rows = self.looking.trials()
        if self.machine is None or not timed_elsewhere(rows, self.machine):
            return rows
        return as_here(rows, self.store.timings(self.study.name), self.store.machines(), self.machine)

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
                if self.earlier.sources and "earlier" not in self.said:
                    self.said.add("earlier")
                    self._say("earlier", ended, why=self.earlier.words)
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
        if settings.screen and self._trained() >= self.earlier.trained_before_screening(settings):
            taught = draw is self.draws.taught
            found = Screening(self.rows, self.study, self.worker, self.memory, draw, self.earlier, taught).next()
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
            evidence = self._how(trial)(trial.number, trial.candidate, workshop)
            if not trial.gate_only:
                demand_values(self.study, evidence)
        except Rejected as rejected:
            why = Failure("limit", str(rejected))
            return self.worker.keep(trial.number, "rejected", evidence=rejected.evidence, failure=why)
        except TrialFailed as failed:
            return self.worker.keep(trial.number, "failed", failure=Failure(failed.kind, str(failed)))
        return self.worker.keep(trial.number, "screened" if trial.gate_only else "trained", evidence=evidence)

    def _how(self, trial: TrialRow) -> Evaluate:
        """The cheapest question that says all of a trial: what is only looked at, or trained already, needs less."""
        if trial.gate_only:
            return self.gate
        return self.finish if self.family.is_trained(trial) else self.evaluate

    def _trained(self) -> int:
        return self.store.counts(self.study.name).trained

    def _say(self, kind: EventKind, trial: TrialRow, **more: Any) -> None:
        self.on_event(Event(kind, trial, self._trained(), self.study.trials, **more))


def no_gate(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
    """The gate of a search that was given none: it looks at nothing."""
    raise ValueError(f"trial {number} is to be looked at: a gate must be given")


def _are_known(missed: Sequence[TrialRow], *, any_trained: bool) -> bool:
    """Whether all were tried before, or are those that were by another name: a step of theirs takes nothing."""
    return all(one.state == "duplicate" or (one.took_nothing and any_trained) for one in missed)
