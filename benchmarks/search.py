"""Compares ways to search: hypervolume after 24, 40 and 80 trainings on a problem that is computed, not trained.

    python benchmarks/search.py                        the rivals at a limit of 20 ms and at one that rejects 80 %
    python benchmarks/search.py --part shares          what each part of the screening is worth
    python benchmarks/search.py --part times           how long the two functions of the screening take
    python benchmarks/search.py --part after           what a search saves that knows an earlier one
    python benchmarks/search.py --part outlook         what the next ten trainings add, and what was expected of them

Candidates are drawn from a real space; what they cost and are worth is computed (`problem.py`), and says nothing of any
network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from problem import CLASSES, RELATIVE_SLOWER, RELATIVES, SIZE, Found, found_of

from segsearch.search import features, screen
from segsearch.search.earlier import NOTHING, Earlier, Source, drawable, gathered
from segsearch.search.gain import volume
from segsearch.search.memory import make_sampler, trial_seed
from segsearch.search.outlook import outlook, reached_by
from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import Dice, DrawCandidate, Facts, Noting, settled
from segsearch.space.load import load_space
from segsearch.store.rows import TrialRow
from segsearch.study import Study, parse_study

STARTUP, MARKS = 10, (24, 40, 80)
GATE_SECONDS = 3.0
# The box that a hypervolume is a share of: mIoU from this one to this one, latency from 1 ms to the limit.
WORST_MIOU, BEST_MIOU, LEAST_MS = 0.3, 0.9, 1.0
FOLDER = Path("runs/.cache/search")


# ---- a search on the simulated clock


@dataclass
class Run:
    """What a search did so far."""

    draw: DrawCandidate
    problem: int
    limit_ms: float
    trainings: int
    seconds: float = 0.0
    gated: int = 0
    curve: list[tuple[float, float, float]] = field(default_factory=list)  # seconds, true mIoU, latency

    def gate(self, candidate: Candidate, params: Mapping[str, Any]) -> Found:
        self.seconds += GATE_SECONDS
        self.gated += 1
        return found_of(candidate, params, self.problem)

    def train(self, found: Found) -> None:
        self.seconds += found.train_seconds
        self.curve.append((self.seconds, found.miou, found.values["latency_ms"]))

    @property
    def done(self) -> bool:
        return len(self.curve) >= self.trainings or self.gated > 60 * self.trainings


Rival = Callable[[Run, int], None]


def by_optuna(make: Callable[[int], BaseSampler], *, gate_first: bool = True, pruned: bool = True) -> Rival:
    """Optuna's loop. `pruned`: how a rejected candidate is told; else as complete, with its constraint."""

    def search(run: Run, seed: int) -> None:
        study = optuna.create_study(sampler=make(seed), directions=["maximize", "minimize"])
        made: dict[str, Found] = {}
        asked = 0
        while not run.done and asked < 60 * run.trainings:
            trial, asked = study.ask(), asked + 1
            candidate = run.draw(trial)
            found, is_new = made.get(candidate.key), candidate.key not in made
            if found is None:
                found = made[candidate.key] = run.gate(candidate, trial.params)
            over = found.values["latency_ms"] / run.limit_ms - 1
            trial.set_constraint("latency", over)
            if over <= 0 or not gate_first:  # a duplicate teaches as its twin
                if is_new:
                    run.train(found)
                study.tell(trial, (found.seen, found.values["latency_ms"]))
            elif pruned:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, (-1e12, found.values["latency_ms"]))

    return search


def study_of(limit_ms: float) -> Study:
    return parse_study(
        {
            "name": "computed",
            "trials": 80,
            "space": "mobile",
            "limits": [f"latency_ms<={limit_ms!r}"],
            "data": {"kind": "synthetic", "height": 64, "width": 64},
            "train": {"epochs": 4},
        },
        where="benchmark",
    )


def shipped(seed: int) -> BaseSampler:
    return make_sampler(study_of(20.0).search, seed=seed)


def tpe_default(seed: int) -> BaseSampler:
    return TPESampler(seed=seed)


def nsga(population: int) -> Callable[[int], BaseSampler]:
    return lambda seed: NSGAIISampler(population_size=population, seed=seed)


def by_screening(looked: int, *, mix: Mapping[str, int] = screen.MIX, without: Sequence[str] = ()) -> Rival:
    """`looked` pass the gate for each one that is trained, after a random start."""

    def search(run: Run, seed: int) -> None:
        _without(without, lambda: screened(run, seed, looked, mix))

    return search


def screened(
    run: Run,
    seed: int,
    looked: int = 16,
    mix: Mapping[str, int] = screen.MIX,
    earlier: Earlier = NOTHING,
    each: Callable[[list[TrialRow]], None] = lambda rows: None,
) -> list[TrialRow]:
    """The rows of a search that screens; `each` hears of them after each training."""
    study, rows = study_of(run.limit_ms), dict[int, TrialRow]()
    designs, passed = list(earlier.designs), 0  # since the last training
    start = earlier.trained_before_screening(study.search.model_copy(update={"startup_trials": STARTUP}))
    while not run.done:
        number = len(rows)
        if passed == looked:
            ranking = screen.choose(list(rows.values()), study, seed=trial_seed(seed, number), earlier=earlier)
            best = rows[ranking.numbers[0]]
            found = found_of(best.candidate, best.params, run.problem)
            run.train(found)
            values = {**found.values, "miou": found.seen}
            rows[best.number] = replace(best, state="trained", values=values, finished=run.seconds)
            passed = 0
            each(list(rows.values()))
            continue
        random_start = len(run.curve) < start
        turns = {"dice": 1} if random_start else mix
        if designs:
            noted = Noting(Named(designs.pop(0)))
            candidate = run.draw(noted)
            proposed = noted.noted, candidate
        else:
            proposed = screen.propose(run.draw, list(rows.values()), study, seed=trial_seed(seed, number), mix=turns)
        if proposed is None:
            break
        params, candidate = proposed
        found = run.gate(candidate, params)
        over = found.values["latency_ms"] > run.limit_ms
        state = "rejected" if over else "trained" if random_start else "screened"
        values = {**found.values, "miou": found.seen} if state == "trained" else found.values
        if state == "trained":
            run.train(found)
        passed += state == "screened"
        rows[number] = replace(row_of(number, state, candidate, params, values), finished=run.seconds)
        if state == "trained":
            each(list(rows.values()))
    return list(rows.values())


def _without(names: Sequence[str], do: Callable[[], None]) -> None:
    """Do it with blocks of features left out."""
    kept = {name: getattr(features, name) for name in names}
    try:
        for name in names:
            setattr(features, name, lambda rows: np.empty((len(rows), 0)))
        do()
    finally:
        for name, function in kept.items():
            setattr(features, name, function)


def row_of(number: int, state: Any, candidate: Candidate, params: Mapping[str, Any], values: Any) -> TrialRow:
    return TrialRow(
        number, state, candidate, candidate.key, params, values, None, "m", None, None, 0, 1, None, 0.0, None
    )


MAIN: Mapping[str, Rival] = {
    "random": by_optuna(lambda seed: RandomSampler(seed=seed)),
    "TPE as shipped": by_optuna(shipped),
    "TPE, Optuna's default": by_optuna(tpe_default),
    "NSGA-II 10, gate first": by_optuna(nsga(10), pruned=False),
    "NSGA-II 50, gate first": by_optuna(nsga(50), pruned=False),
    "NSGA-II 10, no gate": by_optuna(nsga(10), gate_first=False),
    "NSGA-II 50, no gate": by_optuna(nsga(50), gate_first=False),
    "screening, 1 looked at": by_screening(1),
    "screening, 8": by_screening(8),
    "screening, 16": by_screening(16),
    "screening, 24": by_screening(24),
}
SHARES: Mapping[str, Rival] = {
    "screening, 16": by_screening(16),
    "dice alone propose": by_screening(16, mix={"dice": 1}),
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


# ---- tables


def draw_of(space: str) -> DrawCandidate:
    return settled(load_space(space).draw, Facts(classes=CLASSES, height=SIZE[0], width=SIZE[1]))


def draws(space: str, count: int) -> list[Found]:
    made, draw = [], draw_of(space)
    for seed in range(count):
        noted = Noting(Dice(random.Random(seed)))
        made.append(found_of(draw(noted), noted.noted, 0))
    return made


@cache
def _code() -> str:
    """The hash of what settles a search: this file, the problem, and the room of the search."""
    files = [Path(__file__), Path(__file__).with_name("problem.py"), *sorted(Path(screen.__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def curve_of(name: str, space: str, limit_ms: float, seed: int, trainings: int) -> list[tuple[float, float, float]]:
    """One search, from the cache where this very code made it. The seed settles the problem, too: seeds are paired."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    kept = (
        FOLDER
        / f"{hashlib.sha256(f'{name} {space} {limit_ms} {seed} {trainings} {_code()}'.encode()).hexdigest()[:24]}.json"
    )
    if kept.exists():
        return [tuple(point) for point in json.loads(kept.read_text())]
    run = Run(draw_of(space), seed, limit_ms, trainings)
    RIVALS[name](run, seed)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(run.curve))
    return run.curve


def share(curve: Sequence[tuple[float, float, float]], limit_ms: float) -> float:
    """The share of the box that these models dominate, by the mIoU that they have."""
    points = np.array(
        [
            [(BEST_MIOU - miou) / (BEST_MIOU - WORST_MIOU), math.log(latency / LEAST_MS) / math.log(limit_ms)]
            for _, miou, latency in curve
            if miou > WORST_MIOU and latency <= limit_ms
        ]
    ).reshape(-1, 2)
    return volume(points, np.ones(2))


def table(names: Sequence[str], options: argparse.Namespace, limit_ms: float) -> None:
    marks = [mark for mark in MARKS if mark <= options.trainings]
    jobs = [(name, options.space, limit_ms, seed, options.trainings) for seed in range(options.seeds) for name in names]
    with ProcessPoolExecutor(options.processes) as pool:
        made = dict(zip(jobs, pool.map(curve_of, *zip(*jobs, strict=True)), strict=True))
    goals = {}
    for seed in range(options.seeds):
        rival = made.get(("TPE as shipped", options.space, limit_ms, seed, options.trainings))
        goals[seed] = share(rival[:60], limit_ms) if rival else None
    heads = "".join(f"{f'at {mark}':>21s}" for mark in marks)
    print(f"\nlimit {limit_ms:.3g} ms, {options.seeds} seeds: hypervolume, median (quartiles)\n{'':26s}{heads}", end="")
    print(f"   trainings, hours to TPE's at {min(60, options.trainings)} (reached by)" if goals.get(0) else "")
    for name in names:
        curves = [made[name, options.space, limit_ms, seed, options.trainings] for seed in range(options.seeds)]
        line = f"{name:26s}"
        for mark in marks:
            low, middle, high = np.quantile([share(curve[:mark], limit_ms) for curve in curves], [0.25, 0.5, 0.75])
            line += f"  {middle:.3f} ({low:.3f}-{high:.3f})"
        reached = [_reached(curve, goals[seed], limit_ms) for seed, curve in enumerate(curves) if goals[seed]]
        there = [one for one in reached if one is not None]
        if reached:
            none = [math.inf] * (len(reached) - len(there))
            trainings = statistics.median([count for count, _ in there] + none)
            hours = statistics.median([seconds / 3600 for _, seconds in there] + none)
            line += f"  {trainings:5.0f} {hours:6.1f} h  ({len(there)} of {len(reached)})"
        print(line, flush=True)


def _reached(
    curve: Sequence[tuple[float, float, float]], goal: float | None, limit_ms: float
) -> tuple[int, float] | None:
    """After how many trainings and seconds the hypervolume was there."""
    for count in range(1, len(curve) + 1):
        if goal is not None and share(curve[:count], limit_ms) >= goal:
            return count, curve[count - 1][0]
    return None


def times(space: str) -> None:
    """Seconds of processor time of each function by how many rows there are."""
    draw, study = draw_of(space), study_of(20.0)
    print(f"{'rows':>7s}{'trained':>9s}{'propose, TPE':>14s}{'mutate':>9s}{'choose':>9s}")
    for count, trained in ((60, 20), (300, 60), (1000, 200), (10_000, 1000)):
        rows = []
        for number in range(count):
            noted = Noting(Dice(random.Random(number)))
            candidate = draw(noted)
            found = found_of(candidate, noted.noted, 0)
            over = found.values["latency_ms"] > 20
            state = "trained" if number < trained else "rejected" if over else "screened"
            values = {**found.values, **({"miou": found.seen} if state == "trained" else {})}
            rows.append(row_of(number, state, candidate, noted.noted, values))
        spent = []
        for do in (
            lambda rows=rows: screen.propose(draw, rows, study, seed=1, mix={"guess": 1}),
            lambda rows=rows: screen.propose(draw, rows, study, seed=1, mix={"mutate": 1}),
            lambda rows=rows: screen.choose(rows, study, seed=1),
        ):
            start = time.process_time()
            do()
            spent.append(time.process_time() - start)
        print(f"{count:7d}{trained:9d}{spent[0]:14.2f}{spent[1]:9.2f}{spent[2]:9.2f}", flush=True)


def after(options: argparse.Namespace) -> None:
    """Hours and trainings to what a search of its own reached, for one that knows a relative's search."""
    draw, limit_ms = draw_of(options.space), (options.limits or [20.0])[0]
    print(f"{'seed':>4s}{'':4s}{'alone: trainings, hours':>26s}{'knowing a relative':>26s}{'designs alone':>26s}")
    for seed in range(options.seeds):
        before = Run(draw, RELATIVES + seed, RELATIVE_SLOWER * limit_ms, 60)
        models = [row for row in screened(before, RELATIVES + seed) if row.state == "trained"]
        known = drawable(draw, models)
        earlier = gathered([(Source("a relative", len(models), len(known)), known)], study_of(limit_ms))
        alone = Run(draw, seed, limit_ms, options.trainings)
        screened(alone, seed)
        knowing, designed = (Run(draw, seed, limit_ms, options.trainings) for _ in range(2))
        screened(knowing, seed, earlier=earlier)
        screened(designed, seed, earlier=replace(earlier, rows=()))
        for mark in [mark for mark in (10, *MARKS) if mark <= options.trainings]:
            goal = share(alone.curve[:mark], limit_ms)
            told = [f"{mark:4d}, {alone.curve[mark - 1][0] / 3600:5.2f} h to {goal:.3f}"]
            for other in (knowing, designed):
                count = _reached(other.curve, goal, limit_ms)
                at = share(other.curve[:mark], limit_ms)
                told.append("not reached" if count is None else f"{count[0]:4d}, {count[1] / 3600:5.2f} h ({at:.3f})")
            print(f"{seed:4d}{'':4s}" + "".join(f"{one:>26s}" for one in told), flush=True)


def outlooks(options: argparse.Namespace) -> None:
    """What was expected of the next ten trainings, and what they added, in per cent of the hypervolume by then."""
    limit_ms = (options.limits or [20.0])[0]
    study = study_of(limit_ms)
    study = study.model_copy(update={"search": study.search.model_copy(update={"screen": 16})})
    print(f"{'seed':>4s}{'trained':>9s}{'seen':>9s}{'expected':>10s}{'came':>9s}")
    for seed in range(options.seeds):
        told: list[tuple[int, float, float]] = []

        def note(rows: list[TrialRow], told: list[tuple[int, float, float]] = told) -> None:
            count = sum(row.state == "trained" for row in rows)
            found = outlook(rows, study) if count % 5 == 0 else None
            if found is not None:
                told.append((count, found.seen, found.expected or math.nan))

        run = Run(draw_of(options.space), seed, limit_ms, options.trainings)
        reached = reached_by(screened(run, seed, each=note), study)
        for count, seen, hoped in told:
            if count + 10 <= len(reached):
                came = (reached[count + 9] - reached[count - 1]) / reached[count - 1]
                print(f"{seed:4d}{count:9d}{seen:9.2%}{hoped:10.2%}{came:9.2%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("rivals", "shares", "times", "after", "outlook"), default="rivals")
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trainings", type=int, default=80)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limits", type=float, nargs="*", help="in ms [default: 20, and what rejects 80 %%]")
    parser.add_argument("--only", nargs="*", help="names of rivals")
    options = parser.parse_args()
    if options.part == "times":
        times(options.space)
        return
    if options.part in ("after", "outlook"):
        (after if options.part == "after" else outlooks)(options)
        return
    some = [found.values["latency_ms"] for found in draws(options.space, 400)]
    tight = round(float(np.quantile(some, 0.2)), 2)
    print(f"A random draw meets 20 ms by {np.mean(np.array(some) <= 20):.0%}; {tight} ms rejects 80 %.")
    for limit_ms in options.limits or (20.0, tight):
        table(options.only or list(MAIN if options.part == "rivals" else SHARES), options, limit_ms)


if __name__ == "__main__":
    main()
