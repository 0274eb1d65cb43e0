"""Ways to search on a simulated clock, for `search.py`: the product's own loop, its screening, and Optuna by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from clock import Run, leaving_out, row_of
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from problem import Found, computed
from shorts import Short, by_short

from segsearch.evidence.objectives import Rejected, broken_limits
from segsearch.evidence.timing import Timing
from segsearch.evidence.types import Confusion, Evidence
from segsearch.search import run_search, screen
from segsearch.search.earlier import NOTHING, Earlier
from segsearch.search.foresee import most_promising
from segsearch.search.memory import make_sampler, trial_seed
from segsearch.space.candidate import Candidate, Draw, Named
from segsearch.space.draws import DrawCandidate, Noting
from segsearch.store import open_store
from segsearch.store.rows import TrialRow
from segsearch.workshop import Workshop

STARTUP = 10

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


def by_screening(
    looked: int, *, mix: Mapping[str, int] = screen.MIX, without: Sequence[str] = (), among: int = 1
) -> Rival:
    """`looked` pass the gate for each one that is trained, each the best of `among` proposals, after four at random."""

    def search(run: Run, seed: int) -> None:
        with leaving_out((*without, *run.problem.blind)):
            screened(run, seed, looked, mix, startup=4, among=among)

    return search


def by_segsearch(
    looked: int = 16, *, startup: int = STARTUP, siblings: int = 0, floats_first: bool = False, **more: float
) -> Rival:
    """The product's own loop over a database of its own, with evidence that is looked up; `more` of `[search]`.

    `floats_first`: floats alone are searched, and only at the end the models of the front are rounded.
    """

    def search(run: Run, seed: int) -> None:
        search = {"screen": looked, "startup_trials": startup, "siblings": siblings, "give_up_after": 10_000, **more}
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
            return finish(number, candidate, workshop)

        def finish(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
            if number not in found:
                found[number] = run.problem.found(candidate, store.trial(study.name, number).params)
            run.train(found[number], learnt=candidate.learnt.key if siblings else None)
            return _evidence(number, found[number], miou=found[number].seen)

        with (
            TemporaryDirectory() as folder,
            open_store(Path(folder) / "study.db", create=True) as store,
            leaving_out(run.problem.blind),
        ):
            store.begin_study(study, artifacts=Path(folder), space="0" * 64 + ".py", data_key="data")
            run_search(store, study.name, draw=draw, evaluate=evaluate, gate=gate, finish=finish)
            if floats_first:
                rounded_at_the_end(run, store.trials(study.name, ["trained"]))

    return search


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
    among: int = 1,
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
            found_ones = screen.proposals(run.problem.draw, list(rows.values()), study, seed=at, mix=turns)
            several = list(islice(found_ones, 1 if random_start else among))
            proposed = most_promising(several, list(rows.values()), study, earlier=earlier) if several else None
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
    "those worth making": by_segsearch(startup=4, siblings=1, sibling_gain=0.001),
    "and best of 16 proposals": by_segsearch(8, startup=4, siblings=1, sibling_gain=0.001, proposals=16),
    "floats, then rounded": by_segsearch(startup=4, floats_first=True),
}
SHORT_ONES = (Short(epochs=2), Short(epochs=6), Short(each=6, epochs=2))
SHARES: Mapping[str, Rival] = {
    "screening, 16 looked at": by_screening(16),
    "1 looked at": by_screening(1),
    "4 looked at": by_screening(4),
    "8 looked at": by_screening(8),
    "1 looked at of 16": by_screening(1, among=16),
    "2 looked at of 16": by_screening(2, among=16),
    "4 looked at of 16": by_screening(4, among=16),
    "4 looked at of 4": by_screening(4, among=4),
    "4 looked at of 64": by_screening(4, among=64),
    "8 looked at of 16": by_screening(8, among=16),
    "16 looked at of 16": by_screening(16, among=16),
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
OURS = (
    *("segsearch", "segsearch, 4 at random"),
    *("segsearch with siblings", "those worth making", "and best of 16 proposals"),
)
# What is rounded only at the end has one hypervolume, that of its end.
AT_THE_END = ("floats, then rounded",)
# Of no meaning where a training has but one file.
SCENES_ALONE = ("segsearch with siblings", "those worth making", "and best of 16 proposals", "floats, then rounded")
# Short trainings of how many epochs must be known.
NEEDS = {f"{one.each} of {one.epochs} epochs each": one.epochs for one in SHORT_ONES}
