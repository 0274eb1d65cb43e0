"""What survives when workers of one study are killed again and again: counts, on SQLite and on PostgreSQL.

    python benchmarks/workers.py [--backend sqlite|postgresql|both] [--workers 4] [--kills 400] [--trials 200]

Each evaluation is a gate, a training that asks for the one teacher of all, and an export, as real stages with real
files; their work is sleep. A worker is killed with SIGKILL at a random moment and another takes its place. A trial
whose workers die twice in one stage fails, by design: the search asks for others until enough are trained.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from segsearch.errors import UserError
from segsearch.evidence.types import Evidence
from segsearch.search import run_search
from segsearch.search.memory import open_memory
from segsearch.space.candidate import Candidate
from segsearch.space.keys import content_key
from segsearch.store import open_store, schema
from segsearch.study import Study
from segsearch.workshop import Workshop
from tests import fakes, servers

TEACHER_SECONDS = 2.0
STAGE_SECONDS = 0.2
# So many kills strike whoever makes the teacher; the others strike at random.
TEACHER_KILLS = 2


def work(database: str, folder: Path, study: Study) -> None:
    """One worker: a search from wherever the database stands."""

    def note(what: str) -> None:
        with (folder / "log").open("a") as log:
            log.write(f"{what} {os.getpid()}\n")

    def evaluate(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        files = workshop.artifacts

        def gate() -> dict[str, Any]:
            time.sleep(STAGE_SECONDS)
            return {"latency": fakes.latency_of(one)}

        def teacher() -> dict[str, Any]:
            note("teacher-begun")
            time.sleep(TEACHER_SECONDS)
            note("teacher-made")
            return {"logits": files.keep_bytes(b"logits", ".npy")}

        def train() -> dict[str, Any]:
            workshop.once("teacher", "the one", teacher)
            time.sleep(STAGE_SECONDS)
            note(f"train-made:{content_key(one.architecture)}")
            return {"weights": files.keep_bytes(content_key(one.architecture).encode(), ".bin")}

        def export() -> dict[str, Any]:
            time.sleep(STAGE_SECONDS)
            return {"model": files.keep_bytes(one.key.encode(), ".onnx")}

        latency = workshop.once("gate", one.key, gate)["latency"]
        workshop.once("train", content_key(one.architecture), train)
        model = str(workshop.once("export", one.key, export)["model"])
        return fakes.evidence(latency_ms=latency, miou=latency / (latency + 5), artifact=model)

    with open_store(database, create=True) as store:
        store.begin_study(study, artifacts=folder / "artifacts", space="0" * 64 + ".py", data_key="data")
        run_search(store, study.name, draw=fakes.draw, evaluate=evaluate)


def trained(database: str) -> int:
    try:
        with open_store(database, read_only=True) as store:
            return store.counts("fake").trained
    except UserError:  # no worker has lived long enough to make the tables
        return 0


def teaching(folder: Path) -> list[int]:
    """Who began to make the teacher, in turn."""
    log = folder / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith("teacher-begun")]


def storm(database: str, folder: Path, study: Study, *, workers: int, kills: int, seed: int) -> int:
    """Keep so many workers at it and kill them; returns how many were killed in their work."""
    dice = random.Random(seed)
    context = multiprocessing.get_context("fork")

    def spawn() -> multiprocessing.process.BaseProcess:
        process = context.Process(target=work, args=(database, folder, study))
        process.start()
        return process

    crew = [spawn() for _ in range(workers)]
    killed, done, looked = 0, 0, 0.0
    while done < study.trials:
        time.sleep(dice.uniform(0.05, 0.4))
        if time.monotonic() - looked > 1.0:
            done, looked = trained(database), time.monotonic()
        makers = teaching(folder)
        index = dice.randrange(workers)
        if len(makers) <= TEACHER_KILLS and killed < TEACHER_KILLS:
            index = next((i for i, one in enumerate(crew) if one.pid in makers[-1:]), -1)
        # Kills keep ahead of what is trained, so that all of them strike a search at work.
        ahead = killed < min(kills, TEACHER_KILLS + 1.1 * done * kills / study.trials)
        if ahead and index >= 0 and crew[index].is_alive():
            crew[index].kill()
            killed += 1
        for index, process in enumerate(crew):
            process.join(0)
            if process.exitcode is not None and done < study.trials:
                if process.exitcode not in (0, -9):
                    print(f"  a worker ended by itself with exit code {process.exitcode}")
                crew[index] = spawn()
    # One more, which is not killed, finds what the last deaths left, as the next worker of a study does.
    for process in [*crew, spawn()]:
        process.join(300)
        if process.exitcode not in (0, -9):
            print(f"  a worker ended by itself with exit code {process.exitcode}")
    return killed


def count(database: str, folder: Path, study: Study) -> bool:
    """Print what is left of it; whether nothing was lost."""
    with open_store(database) as store:
        counts, rows = store.counts(study.name), store.trials(study.name)
        with open_memory(store, study) as memory:
            known = {trial.number: trial for trial in memory.optuna_study.get_trials(deepcopy=False)}
        with store.reading() as connection:
            left = {
                name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for name, table in (("claims", schema.claims), ("workers", schema.workers))
            }
            stages = connection.execute(select(schema.stages.c.name, func.count()).group_by(schema.stages.c.name)).all()
    evaluated = [row.key for row in rows if row.state != "duplicate"]
    untaught = [row.number for row in rows if known[row.number].state in (TrialState.RUNNING, TrialState.WAITING)]
    wrong = [
        row.number
        for row in rows
        if row.state == "trained" and known[row.number].values != [row.values[name] for name in study.objectives]
    ]
    asked = [n for n, trial in known.items() if trial.state == TrialState.RUNNING]
    log = Counter(line.split()[0] for line in (folder / "log").read_text().splitlines())
    again = sum(made - 1 for what, made in log.items() if what.startswith("train-made"))
    print(
        f"  trained {counts.trained} of {study.trials}, in two trials {len(evaluated) - len(set(evaluated))}, left "
        f"running {counts.running}; failed {counts.failed} (two deaths in one stage), duplicates {counts.duplicate}"
    )
    print(f"  the sampler was not told of {len(untaught)}, told wrongly of {len(wrong)}, thinks {len(asked)} running")
    print(
        f"  teachers: stored {dict(map(tuple, stages)).get('teacher', 0)}, made whole {log['teacher-made']}, begun "
        f"{log['teacher-begun']}; trainings made again after a kill before their commit: {again}"
    )
    print(f"  left behind: {left['claims']} claims, {left['workers']} workers")
    return (
        counts.trained == study.trials
        and counts.running == 0
        and len(evaluated) == len(set(evaluated))
        and not untaught
        and not wrong
        and not asked
        and log["teacher-made"] == 1
        and left == {"claims": 0, "workers": 0}
    )


@contextmanager
def database_on(backend: str, folder: Path) -> Iterator[str]:
    if backend == "sqlite":
        yield str(folder / "study.db")
        return
    reason = servers.missing()
    if reason is not None:
        raise SystemExit(reason)
    with servers.running() as server:
        yield server.database("storm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--backend", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=400)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    whole = True
    for backend in ("sqlite", "postgresql") if options.backend == "both" else (options.backend,):
        study = fakes.make_study(trials=options.trials, search={"sampler": "random", "give_up_after": 10_000})
        with TemporaryDirectory() as name, database_on(backend, Path(name)) as database:
            start = time.monotonic()
            killed = storm(database, Path(name), study, workers=options.workers, kills=options.kills, seed=options.seed)
            print(f"{backend}: {options.workers} workers, {killed} SIGKILLs, {time.monotonic() - start:.0f} s")
            whole = count(database, Path(name), study) and whole
            sys.stdout.flush()
    print("nothing lost, nothing twice" if whole else "NOT as it must be")
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
