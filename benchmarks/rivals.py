"""Ways to search on a simulated clock, for `search.py`: the product's own loop, its screening, and Optuna by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from problem import Found, Problem, chance, computed

from segsearch.evidence.objectives import Rejected, broken_limits
from segsearch.evidence.timing import Timing
from segsearch.evidence.types import Confusion, Evidence
from segsearch.search import features, run_search, screen
from segsearch.search.earlier import NOTHING, Earlier, Known, Source
from segsearch.search.memory import make_sampler, trial_seed
from segsearch.search.points import nearest
from segsearch.space.candidate import Candidate, Draw, Named
from segsearch.space.draws import DrawCandidate, Noting
from segsearch.store import open_store
from segsearch.store.rows import TrialRow
from segsearch.workshop import Workshop

STARTUP = 10
GATE_SECONDS = 3.0
SIBLING_SECONDS = 3.0  # to export, time and score another file of a training, beside its gate


@dataclass
class Run:
    """What a search did so far."""

    problem: Problem
    trainings: int
    seconds: float = 0.0
    gated: int = 0
    trained: int = 0
    learnt: set[str] = field(default_factory=set)
    curve: list[tuple[float, float, float, int]] = field(default_factory=list)  # seconds, true mIoU, cost, trainings

    def gate(self, candidate: Candidate, params: Mapping[str, Any]) -> Found:
        self.seconds += GATE_SECONDS
        self.gated += 1
        return self.problem.found(candidate, params)

    def train(self, found: Found, *, learnt: str | None = None) -> None:
        """Train a candidate, or only make another file of a training that is done: `learnt` names what is learnt."""
        again = learnt is not None and learnt in self.learnt
        self.trained += not again
        self.seconds += SIBLING_SECONDS if again else found.train_seconds
        if learnt is not None:
            self.learnt.add(learnt)
        self.curve.append((self.seconds, found.miou, found.values[self.problem.cost], self.trained))

    @property
    def done(self) -> bool:
        return self.trained >= self.trainings or self.gated > 60 * self.trainings


Rival = Callable[[Run, int], None]


def by_optuna(make: Callable[[int], BaseSampler], *, gate_first: bool = True, pruned: bool = True) -> Rival:
    """Optuna's loop. `pruned`: how a rejected candidate is told; else as complete, with its constraint."""

    def search(run: Run, seed: int) -> None:
        cost, limit = run.problem.cost, run.problem.limit
        study = optuna.create_study(sampler=make(seed), directions=["maximize", "minimize"])
        made: dict[str, Found] = {}
        asked = 0
        while not run.done and asked < 60 * run.trainings:
            trial, asked = study.ask(), asked + 1
            candidate = run.problem.draw(trial)
            found, is_new = made.get(candidate.key), candidate.key not in made
            if found is None:
                found = made[candidate.key] = run.gate(candidate, trial.params)
            over = found.values[cost] / limit - 1
            trial.set_constraint(cost, over)
            if over <= 0 or not gate_first:  # a duplicate teaches as its twin
                if is_new:
                    run.train(found)
                study.tell(trial, (found.seen, found.values[cost]))
            elif pruned:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, (-1e12, found.values[cost]))

    return search


def by_screening(looked: int, *, mix: Mapping[str, int] = screen.MIX, without: Sequence[str] = ()) -> Rival:
    """`looked` pass the gate for each one that is trained, after four at random."""

    def search(run: Run, seed: int) -> None:
        with _without((*without, *run.problem.blind)):
            screened(run, seed, looked, mix, startup=4)

    return search


def by_segsearch(looked: int = 16, *, startup: int = STARTUP, siblings: int = 0, floats_first: bool = False) -> Rival:
    """The product's own loop over a database of its own, with evidence that is looked up.

    `floats_first`: floats alone are searched, and only at the end the models of the front are rounded.
    """

    def search(run: Run, seed: int) -> None:
        search = {"screen": looked, "startup_trials": startup, "siblings": siblings, "give_up_after": 10_000}
        settings = run.problem.study(trials=run.trainings, **search)
        draw = floats_of(run.problem.draw) if floats_first else run.problem.draw
        study, found = settings.model_copy(update={"seed": seed}), dict[int, Found]()

        def gate(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
            if number not in found:
                found[number] = run.gate(candidate, store.trial(study.name, number).params)
            evidence = _evidence(number, found[number])
            if broken := broken_limits(study.bounds, evidence):
                raise Rejected(evidence, broken)
            return evidence

        def evaluate(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
            gate(number, candidate, workshop)
            run.train(found[number], learnt=candidate.learnt.key if siblings else None)
            return _evidence(number, found[number], miou=found[number].seen)

        with (
            TemporaryDirectory() as folder,
            open_store(Path(folder) / "study.db", create=True) as store,
            _without(run.problem.blind),
        ):
            store.begin_study(study, artifacts=Path(folder), space="0" * 64 + ".py", data_key="data")
            run_search(store, study.name, draw=draw, evaluate=evaluate, gate=gate)
            if floats_first:
                rounded_at_the_end(run, store.trials(study.name, ["trained"]))

    return search


class NothingNew(Exception):
    """Every candidate was looked at."""


class Floats:
    """A `Draw` that leaves all in floats."""

    def __init__(self, choose: Draw) -> None:
        self.suggest_int, self.suggest_float, self._choose = choose.suggest_int, choose.suggest_float, choose

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any:
        return "32" if name == "bits" else self._choose.suggest_categorical(name, choices)


def floats_of(draw: DrawCandidate) -> DrawCandidate:
    return lambda choose: draw(Floats(choose))


def rounded_at_the_end(run: Run, rows: Sequence[TrialRow]) -> None:
    """Make the int8 files of the front's models, as the search saw them."""
    cost = run.problem.cost
    for row in rows:
        better = [
            one for one in rows if one.values["miou"] >= row.values["miou"] and one.values[cost] < row.values[cost]
        ]
        if not better:
            params = {**row.params, "bits": "8"}
            run.learnt.add(row.candidate.learnt.key)
            run.train(run.gate(row.candidate, params), learnt=row.candidate.learnt.key)


def _evidence(number: int, found: Found, *, miou: float | None = None) -> Evidence:
    """Evidence that says these numbers: two classes alike, of a million pixels each."""
    values, pixels = found.values, 10**6
    hit = round(pixels * 2 * miou / (1 + miou)) if miou is not None else 0
    counts = Confusion(((hit, pixels - hit), (pixels - hit, hit))) if miou is not None else None
    timing = Timing((values.get("latency_ms", 1.0),) * 3, warmup_runs=1, threads=1, machine="m")
    return Evidence(
        artifact=f"{number:064x}.onnx",
        size_bytes=round(values["size_bytes"]),
        params=round(values.get("params", 1)),
        macs=round(values.get("macs", 1)),
        timing=timing,
        seed=0,
        versions=(("python", "3.11"),),
        confusion=counts,
    )


def screened(
    run: Run,
    seed: int,
    looked: int = 16,
    mix: Mapping[str, int] = screen.MIX,
    earlier: Earlier = NOTHING,
    each: Callable[[list[TrialRow]], None] = lambda rows: None,
    startup: int = STARTUP,
) -> list[TrialRow]:
    """The rows of a search that screens; `each` hears of them after each training."""
    study, rows = run.problem.study(), dict[int, TrialRow]()
    designs, passed = list(earlier.designs), 0  # since the last training
    used_up = False
    start = earlier.trained_before_screening(study.search.model_copy(update={"startup_trials": startup}))
    while not run.done:
        number = len(rows)
        if passed == looked or used_up:
            ranking = screen.choose(list(rows.values()), study, seed=trial_seed(seed, number), earlier=earlier)
            if not ranking.numbers:
                break
            best = rows[ranking.numbers[0]]
            found = run.problem.found(best.candidate, best.params)
            run.train(found)
            values: Mapping[str, float] = {**found.values, "miou": found.seen}
            rows[best.number] = replace(best, state="trained", values=values, finished=run.seconds)
            passed = 0
            each(list(rows.values()))
            continue
        random_start = len(run.curve) < start
        turns = {"dice": 1} if random_start else mix
        proposed: tuple[dict[str, Any], Candidate] | None
        if designs:
            noted = Noting(Named(designs.pop(0)))
            candidate = run.problem.draw(noted)
            proposed = noted.noted, candidate
        else:
            at = trial_seed(seed, number)
            proposed = screen.propose(run.problem.draw, list(rows.values()), study, seed=at, mix=turns)
        if proposed is None:
            used_up = True
            continue
        params, candidate = proposed
        found = run.gate(candidate, params)
        over = found.values[run.problem.cost] > run.problem.limit
        state = "rejected" if over else "trained" if random_start else "screened"
        values = {**found.values, "miou": found.seen} if state == "trained" else found.values
        if state == "trained":
            run.train(found)
        passed += state == "screened"
        rows[number] = replace(row_of(number, state, candidate, params, values), finished=run.seconds)
        if state == "trained":
            each(list(rows.values()))
    return list(rows.values())


@dataclass(frozen=True)
class Short:
    """Short trainings before whole ones: so many for each, each for a share of a whole one's time.

    With `epochs` they are those of the problem's table, and the whole training begins anew. Without, what one finds is
    0.85 of what the model is worth and noise of that deviation. It is a source of its own to the surrogate. `warm`: the
    whole training goes on from the short one, and costs what is left.
    """

    each: int = 3
    share: float = 1 / 3
    noise: float = 0.02
    warm: bool = True
    epochs: int | None = None


def by_short(short: Short, looked: int = 16, *, startup: int = 4) -> Rival:
    """As `by_screening`, but the best of what is looked at is trained shortly first, and the best of these in full.

    It begins with `startup` trainings of the best of as many times `each` short ones at random.
    """

    def search(run: Run, seed: int) -> None:
        with _without(run.problem.blind):
            _Shortly(run, seed, short).search(looked, startup)

    return search


@dataclass
class _Shortly:
    """A search with short trainings under way: what was looked at, and what was trained shortly."""

    run: Run
    seed: int
    short: Short
    rows: dict[int, TrialRow] = field(default_factory=dict)
    tried: dict[int, Known] = field(default_factory=dict)

    def search(self, looked: int, startup: int) -> None:
        with suppress(NothingNew):
            while len(self.tried) < self.short.each * startup:
                number = self.look({"dice": 1})
                if number is not None:
                    self.begin(number)
        firsts, cost = list(self.tried), self.run.problem.cost
        points = [[1 - one.values["miou"], math.log(one.values[cost])] for one in self.tried.values()]
        for place in nearest(np.array(points), startup):
            self.finish(firsts[place])
        while not self.run.done:
            for _ in range(self.short.each):
                self.look_at(-(-looked // self.short.each))
                if (chosen := self.best(known=False)) is not None:
                    self.begin(chosen)
            if (chosen := self.best(known=True)) is None:
                break
            self.finish(chosen)

    def look_at(self, count: int) -> None:
        """Look until so many passed the gate, or nothing is new."""
        passed = 0
        with suppress(NothingNew):
            while passed < count:
                passed += self.look(screen.MIX) is not None

    def look(self, mix: Mapping[str, int]) -> int | None:
        """What passed the gate, by its number; None where it did not. Raises `NothingNew`."""
        problem, number = self.run.problem, len(self.rows)
        at, known = trial_seed(self.seed, number), list(self.rows.values())
        proposed = screen.propose(problem.draw, known, problem.study(), seed=at, mix=mix)
        if proposed is None:
            raise NothingNew
        params, candidate = proposed
        found = self.run.gate(candidate, params)
        over = found.values[problem.cost] > problem.limit
        self.rows[number] = row_of(number, "rejected" if over else "screened", candidate, params, found.values)
        return None if over else number

    def begin(self, number: int) -> None:
        """Train it shortly."""
        row, problem, short = self.rows[number], self.run.problem, self.short
        if short.epochs is not None:
            assert problem.short is not None, "no short trainings are known here"
            seen, spent = problem.short(row.params, short.epochs)
        else:
            found = problem.found(row.candidate, row.params)
            seen = 0.85 * (found.miou + short.noise * chance(self.seed, "short", row.candidate.key))
            spent = short.share * found.train_seconds
        self.run.seconds += spent
        values = {**row.values, "miou": max(0.02, seen)}
        self.tried[number] = Known(0, row.candidate, row.candidate.key, row.params, values)

    def finish(self, number: int) -> None:
        """Train it in full."""
        row, short = self.rows[number], self.short
        found = self.run.problem.found(row.candidate, row.params)
        saved = short.share if short.warm and short.epochs is None else 0.0
        self.run.train(replace(found, train_seconds=(1 - saved) * found.train_seconds))
        values = {**found.values, "miou": found.seen}
        self.rows[number] = replace(row, state="trained", values=values, finished=self.run.seconds)

    def best(self, *, known: bool) -> int | None:
        """The best of those that wait and were trained shortly, or were not."""
        earlier = Earlier((Source("short", 0, 0, data=True),), (), tuple(self.tried.values()))
        at, rows = trial_seed(self.seed, len(self.rows)), list(self.rows.values())
        ranking = screen.choose(rows, self.run.problem.study(), seed=at, earlier=earlier)
        return next((one for one in ranking.numbers if (one in self.tried) == known), None)


@contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    """Blocks of features left out."""
    kept = {name: getattr(features, name) for name in names}
    try:
        for name in names:
            setattr(features, name, lambda rows: np.empty((len(rows), 0)))
        yield
    finally:
        for name, function in kept.items():
            setattr(features, name, function)


def row_of(number: int, state: Any, candidate: Candidate, params: Mapping[str, Any], values: Any) -> TrialRow:
    return TrialRow(
        number, state, candidate, candidate.key, params, values, None, "m", None, None, 0, 1, None, 0.0, None
    )


# ---- all of them


def shipped(seed: int) -> BaseSampler:
    return make_sampler(computed("mobile", 0).study().search, seed=seed)


def tpe_default(seed: int) -> BaseSampler:
    return TPESampler(seed=seed)


def nsga(population: int) -> Callable[[int], BaseSampler]:
    return lambda seed: NSGAIISampler(population_size=population, seed=seed)


MAIN: Mapping[str, Rival] = {
    "random": by_optuna(lambda seed: RandomSampler(seed=seed)),
    "TPE as shipped": by_optuna(shipped),
    "TPE, Optuna's default": by_optuna(tpe_default),
    "NSGA-II 10, gate first": by_optuna(nsga(10), pruned=False),
    "NSGA-II 50, gate first": by_optuna(nsga(50), pruned=False),
    "NSGA-II 10, no gate": by_optuna(nsga(10), gate_first=False),
    "NSGA-II 50, no gate": by_optuna(nsga(50), gate_first=False),
    "segsearch": by_segsearch(),
    "segsearch, 4 at random": by_segsearch(startup=4),
    "segsearch with siblings": by_segsearch(startup=4, siblings=1),
    "floats, then rounded": by_segsearch(startup=4, floats_first=True),
}
SHORT_ONES = (Short(epochs=2), Short(epochs=6), Short(each=6, epochs=2))
SHARES: Mapping[str, Rival] = {
    "screening, 16 looked at": by_screening(16),
    "1 looked at": by_screening(1),
    "4 looked at": by_screening(4),
    "8 looked at": by_screening(8),
    "3 short ones each": by_short(Short()),
    "3 short ones, begun anew": by_short(Short(warm=False)),
    "3 shorter ones": by_short(Short(share=1 / 6, noise=0.03)),
    **{f"{one.each} of {one.epochs} epochs each": by_short(one) for one in SHORT_ONES},
    "32 looked at": by_screening(32),
    "64 looked at": by_screening(64),
    "dice alone propose": by_screening(16, mix={"dice": 1}),
    "dice propose half": by_screening(16, mix={"mutate": 1, "dice": 1}),
    "TPE and dice propose": by_screening(16, mix={"guess": 1, "dice": 1}),
    "all three propose": by_screening(16, mix={"mutate": 5, "guess": 1, "dice": 1}),
    "mutations alone": by_screening(16, mix={"mutate": 1}),
    "TPE alone": by_screening(16, mix={"guess": 1}),
    "no params among features": by_screening(16, without=["_params"]),
    "no design numbers": by_screening(16, without=["_designs"]),
    "costs alone": by_screening(16, without=["_params", "_designs"]),
    "no costs": by_screening(16, without=["_costs"]),
}
RIVALS = {**MAIN, **SHARES}
OURS = ("segsearch", "segsearch, 4 at random", "segsearch with siblings")
# What is rounded only at the end has one hypervolume, that of its end.
AT_THE_END = ("floats, then rounded",)
# Of no meaning where a training has but one file.
SCENES_ALONE = ("segsearch with siblings", "floats, then rounded")
# Short trainings of how many epochs must be known.
NEEDS = {f"{one.each} of {one.epochs} epochs each": one.epochs for one in SHORT_ONES}
