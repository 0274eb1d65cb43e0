"""Train stored models again from other seeds: is their mIoU the design's, or one lucky seed's."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segsearch import launch
from segsearch.commands.remeasure import chosen_trials
from segsearch.errors import StudyError, TrialFailed
from segsearch.judging.confirmed import Seeds, seeds_of
from segsearch.judging.words import duration
from segsearch.store import NO_TRIAL, Store, StudyRow, TrialRow, open_store
from segsearch.store.worker import at_work
from segsearch.study import Study
from segsearch.trial.order import order_of_row

if TYPE_CHECKING:
    from segsearch.progress import Watch

# Seeds of a study are below this.
SEEDS = 2**31


@dataclass(frozen=True)
class Confirming:
    """What came of it: the chosen trials over all their seeds, and why a trial failed from a seed."""

    study: str
    seeds: tuple[Seeds, ...]
    failed: tuple[tuple[int, int, str], ...]


def confirm(
    where: str, *, name: str | None, seeds: int, trials: Collection[int], data: Path | None, watch: Watch
) -> Confirming:
    """Train trials again from `seeds` other seeds; each result is kept as soon as it is there, and made once.

    `trials` by number; without any, those on the front of a machine that they were timed on. All from one seed, then
    all from the next, so that models are compared over the same seeds wherever it stops. Raises `StudyError` before
    anything is trained where there is no such trained trial or the data changed.
    """
    with open_store(where) as store:
        row = store.study(name)
        store.demand_shared(row.name, row.artifacts.folder)
        chosen = _chosen(store, row, trials)
        study = launch.adjusted(row.study, data=data)
        failed = _train_all(store, row, study, chosen, other_seeds(study, seeds), watch)
        found = seeds_of(chosen, store.confirmations(row.name), {trial.number for trial in chosen})
    return Confirming(row.name, found, tuple(failed))


def other_seeds(study: Study, count: int) -> tuple[int, ...]:
    """The seeds after the study's own, so that a longer run goes on where a shorter one ended."""
    return tuple((study.seed + step) % SEEDS for step in range(1, count + 1))


def _chosen(store: Store, row: StudyRow, wanted: Collection[int]) -> tuple[TrialRow, ...]:
    trained = store.trials(row.name, ["trained"])
    if not trained:
        raise StudyError(
            f"{store.where}: study {row.name} has no trained trial to confirm yet; `segsearch status` says why."
        )
    front = chosen_trials(store, row, on_front=True)
    known = {trial.number for trial in trained}
    for number in wanted:
        if number not in known:
            members = ", ".join(str(trial.number) for trial in front) or "none"
            raise StudyError(
                f"--trial must name a trained trial of {row.name}, and {number} is not one. On the front: {members}."
            )
    if not wanted and not front:
        raise StudyError(f"No trained trial of {row.name} is on a front under its limits; choose some with --trial.")
    return tuple(trial for trial in trained if trial.number in wanted) if wanted else front


def _train_all(
    store: Store, row: StudyRow, study: Study, chosen: tuple[TrialRow, ...], seeds: tuple[int, ...], watch: Watch
) -> list[tuple[int, int, str]]:
    """Train what is not stored yet; a reason for each that could not be finished."""
    kept = {(one.trial, one.seed) for one in store.confirmations(row.name)}
    wanted = [(trial, seed) for seed in seeds for trial in chosen]
    left = [(trial, seed) for trial, seed in wanted if (trial.number, seed) not in kept]
    failed: list[tuple[int, int, str]] = []
    if not left:
        return failed
    from segsearch.trial.contained import contained

    folder = row.artifacts.folder.parent
    dataset = launch.open_data(study, folder, watch.progress, row.texts)
    if dataset.key != row.data_key:
        raise StudyError(
            f"A model is confirmed on the data that it was trained on, and the images or masks of {row.name} changed. "
            "Undo the change, or name the folder that has them with --data."
        )
    row.artifacts.sweep()
    # Nothing is timed, so that the machine does not matter: the one that timed the model first stands for any.
    there = next((one for one in store.machines() if one.key == chosen[0].machine), None)
    machine = there or launch.machine_here(store, study, watch.progress)
    order = order_of_row(row, study, launch.stored_space(row), dataset, machine)
    with at_work(store, row.name) as worker, contained(order, progress=watch.progress) as child:
        done, line = len(wanted) - len(left), ""
        for trial, seed in left:
            what = f"trial {trial.number}, seed {seed}"
            watch.counted("trained again", done, len(wanted), line, running=what)
            began = time.monotonic()
            try:
                again = child.train_again(trial.candidate, seed, store.workshop(row.name, NO_TRIAL, worker=worker.id))
            except TrialFailed as why:
                failed.append((trial.number, seed, str(why)))
                line = f"{what:<20s} failed: {why}"
                continue
            miou, took = again.confusion.miou, duration(time.monotonic() - began)
            store.keep_confirmation(
                row.name, trial.number, seed, artifact=again.artifact, miou=miou, images=again.images
            )
            done += 1
            line = f"{what:<20s} miou {miou:.3f}, at first {trial.values['miou']:.3f}   {took}"
        watch.counted("trained again", done, len(wanted), line, running="")
    return failed
