"""What the controller costs: milliseconds a trial spends outside its evaluation, with many trials stored.

    python benchmarks/controller.py [--stored 1000] [--trials 20] [--profile]
    python benchmarks/controller.py --part looks [--stored 2500]    a look and a promotion of a search that screens

A 30 s trial may spend 3 % on it, 900 ms.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import random
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import optuna
from sqlalchemy import insert, select, update

from segsearch.evidence.objectives import values_of
from segsearch.evidence.timing import Timing
from segsearch.evidence.types import Confusion, Evidence
from segsearch.search import Event, run_search
from segsearch.search.memory import make_sampler, open_memory
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.candidate import Candidate, Draw
from segsearch.space.keys import to_json
from segsearch.space.steps import Quantize
from segsearch.store import Store, open_store, schema
from segsearch.study import Study, parse_study
from segsearch.workshop import Workshop

TRIAL_SECONDS = 30
STAGES = 5


def draw(choose: Draw) -> Candidate:
    """Five stages whose block decides what else is drawn of them: 23 to 28 parameters."""
    stages = tuple(_stage(choose, f"stage{index}") for index in range(STAGES))
    head = Head(choose.suggest_int("head", 16, 128, step=8))
    quantized = choose.suggest_categorical("precision", ["float", "int8"]) == "int8"
    steps = (Quantize(symmetric_activations=choose.suggest_categorical("symmetric", ["no", "yes"]) == "yes"),)
    return Candidate(Architecture((EncoderPath(Stem(8), stages),), (), head), after_export=steps if quantized else ())


def _stage(choose: Draw, name: str) -> Stage:
    block = choose.suggest_categorical(f"{name}_block", ["conv", "separable", "inverted", "grouped"])
    return Stage(
        block,
        channels=choose.suggest_int(f"{name}_channels", 8, 256, step=8),
        depth=choose.suggest_int(f"{name}_depth", 1, 4),
        kernel=choose.suggest_int(f"{name}_kernel", 3, 7, step=2),
        expansion=choose.suggest_float(f"{name}_expansion", 1, 6) if block == "inverted" else 1.0,
        groups=choose.suggest_int(f"{name}_groups", 2, 8) if block == "grouped" else 1,
    )


def measured(candidate: Candidate) -> Evidence:
    """Evidence as large as a real one: eleven classes, thirty timings."""
    assert isinstance(candidate.architecture, Architecture)
    work = sum(stage.channels * stage.depth for stage in candidate.architecture.paths[0].stages)
    dice = random.Random(candidate.key)
    counts = tuple(
        tuple(dice.randrange(1, 10**6) + (work * 10**3 if i == j else 0) for j in range(11)) for i in range(11)
    )
    timing = Timing(tuple(work / 100 + dice.random() for _ in range(30)), warmup_runs=5, threads=1, machine="m")
    return Evidence("0" * 64 + ".onnx", 10**6, 10**5, 10**7, timing, 0, (("python", "3.11"),), Confusion(counts))


def begin(folder: Path, sampler: str, trials: int) -> tuple[Store, Study]:
    settings = {
        "name": "bench",
        "trials": trials,
        "space": "bench",
        "limits": ["latency_ms<=20"],
        "data": {"kind": "synthetic", "height": 64, "width": 64},
        "train": {"epochs": 4, "height": 64, "width": 64},
        "search": {"sampler": sampler, "startup_trials": 20, "give_up_after": 10_000},
    }
    study = parse_study(settings, where="benchmark")
    store = open_store(folder / "study.db", create=True)
    store.begin_study(study, artifacts=folder, space="0" * 64 + ".py", data_key="data")
    return store, study


def fill(store: Store, study: Study, stored: int) -> None:
    """Trials as the sampler itself would have made them, through a memory without a database to be quick."""
    settings = study.search.model_copy(update={"sampler": "random"}) if study.search.sampler == "tpe" else study.search
    quick = optuna.create_study(
        directions=[goal.direction for goal in study.goals], sampler=make_sampler(settings, seed=0)
    )
    rows = []
    for number in range(stored):
        trial = quick.ask()
        candidate = draw(trial)
        evidence = measured(candidate)
        values = values_of(evidence)
        for limit in study.bounds:
            trial.set_constraint(str(limit), limit.excess(values[limit.objective]))
        trial.set_constraint("failed", 0.0)
        quick.tell(trial, [values[name] for name in study.objectives], state=optuna.trial.TrialState.COMPLETE)
        rows.append((number, candidate, trial.params, evidence, values))
    with open_memory(store, study) as memory:
        memory.optuna_study.add_trials(quick.get_trials(deepcopy=False))
    row = {"study": study.name, "state": "trained", "seed": 0, "attempts": 1, "stages_before": 0, "stalled": 0}
    row |= {"worker": None, "told": 1, "started": 0.0, "finished": 0.0, "machine": "m"}
    with store.writing() as connection:
        connection.execute(
            insert(schema.trials),
            [
                row
                | {"number": number, "candidate": to_json(candidate), "key": candidate.key}
                | {"params": json.dumps(params), "values": json.dumps(values), "artifact": evidence.artifact}
                for number, candidate, params, evidence, values in rows
            ],
        )
        connection.execute(
            insert(schema.evidence),
            [{"study": study.name, "trial": number, "json": to_json(found)} for number, _, _, found, _ in rows],
        )


def cost(store: Store, study: Study, trials: int) -> tuple[float, float]:
    """Seconds to open a study of that size, and the median of a trial after that."""
    stamps = [time.perf_counter()]
    inside = [0.0]

    def evaluate(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
        start = time.perf_counter()
        found = measured(candidate)
        inside.append(time.perf_counter() - start)
        return found

    def note(event: Event) -> None:
        if event.kind == "trained":
            stamps.append(time.perf_counter())

    run_search(store, study.name, draw=draw, evaluate=evaluate, trials=study.trials + trials, on_event=note)
    spent = [b - a - within for a, b, within in zip(stamps, stamps[1:], inside[1:], strict=False)]
    return spent[0], median(spent[1:])


def only_looked_at(store: Store, study: Study, stored: int) -> None:
    """Of the stored trials nine in ten are not trained: they were looked at, and wait."""
    waiting = [number for number in range(stored) if number % 10]
    table = schema.trials
    with store.writing() as connection:
        for number in waiting:
            here = (table.c.study == study.name, table.c.number == number)
            text = connection.execute(select(table.c["values"]).where(*here)).scalar_one()
            kept = {name: value for name, value in json.loads(text).items() if name != "miou"}
            connection.execute(update(table).where(*here).values(state="screened", values=json.dumps(kept), told=0))
        connection.execute(insert(schema.screenings), [{"study": study.name, "trial": number} for number in waiting])


def looks(stored: int, rounds: int) -> None:
    """Processor time of a look and of a promotion outside of what is measured and trained."""
    with TemporaryDirectory() as folder:
        store, study = begin(Path(folder), "tpe", stored)
        with store:
            fill(store, study, stored)
            only_looked_at(store, study, stored)
            screening = study.search.model_copy(update={"screen": 16})
            study = study.model_copy(update={"search": screening, "trials": stored // 10 + rounds})
            row = store.study(study.name)
            store.begin_study(study, artifacts=Path(folder), space=row.space, data_key="data")
            stamps: list[tuple[str, float]] = [("begun", time.process_time())]

            def measure(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
                return measured(candidate)

            def gate(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
                return replace(measured(candidate), confusion=None)

            def note(event: Event) -> None:
                if event.kind in ("screened", "promoted", "trained", "duplicate", "rejected"):
                    stamps.append((event.kind, time.process_time()))

            run_search(store, study.name, draw=draw, evaluate=measure, gate=gate, on_event=note)
    spent: dict[str, list[float]] = {}
    for (_, before), (kind, after) in pairwise(stamps[2:]):
        spent.setdefault(kind, []).append(after - before)
    told = ", ".join(
        f"{1000 * median(spent[kind]):.0f} ms {words}"
        for kind, words in (("screened", "a look"), ("promoted", "a promotion"))
        if kind in spent
    )
    print(f"{stored} trials stored, nine in ten wait: {told}; {len(spent.get('screened', ()))} looks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--part", choices=("trials", "looks"), default="trials")
    parser.add_argument("--stored", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--samplers", default="tpe,nsga2,random")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if options.part == "looks":
        looks(options.stored, max(2, options.trials // 10))
        return
    print(f"{options.stored} trials stored; a {TRIAL_SECONDS} s trial may spend {TRIAL_SECONDS * 30} ms (3 %)")
    for sampler in options.samplers.split(","):
        with TemporaryDirectory() as folder:
            store, study = begin(Path(folder), sampler, options.stored)
            with store:
                fill(store, study, options.stored)
                start = time.perf_counter()
                rows = len(store.trials(study.name))
                listing = time.perf_counter() - start
                with cProfile.Profile() if options.profile else TemporaryDirectory() as profile:
                    opening, each = cost(store, study, options.trials)
                print(
                    f"{sampler:7} {1000 * each:6.0f} ms a trial ({each / TRIAL_SECONDS:.2%}), "
                    f"first one {opening:.1f} s, listing {rows} trials {1000 * listing:.0f} ms"
                )
                if isinstance(profile, cProfile.Profile):
                    pstats.Stats(profile).sort_stats("cumtime").print_stats(40)


if __name__ == "__main__":
    main()
