"""Train chosen trials to the end: the full schedule, the same compression, judged once, kept beside their trials."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segsearch import launch
from segsearch.commands.confirm import SEEDS
from segsearch.commands.showing import report_of
from segsearch.errors import StudyError, TrialFailed
from segsearch.evidence.objectives import values_of
from segsearch.evidence.timing import Machine
from segsearch.judging.grown import stratified
from segsearch.judging.picking import newest_pick
from segsearch.judging.words import duration, in_words
from segsearch.progress import Pace
from segsearch.settings.retrain import Recipe, TrainOn
from segsearch.store import NO_TRIAL, GrownRow, Store, StudyRow, TrialRow, open_store
from segsearch.store.grown import grown_of, keep_grown, looks_at_test
from segsearch.store.worker import at_work
from segsearch.study import Study
from segsearch.trial.order import order_of_row
from segsearch.trial.types import recipe_of
from segsearch.workshop import Noted

if TYPE_CHECKING:
    from segsearch.datasets import Dataset
    from segsearch.progress import Watch
    from segsearch.trial.contained import Contained


@dataclass(frozen=True)
class Retraining:
    """What came of it: the chosen trials, what is stored of them by this recipe, and why a training failed.

    `looks` is how many files of the study were judged on its test images so far.
    """

    study: str
    folder: Path
    trials: tuple[TrialRow, ...]
    grown: tuple[GrownRow, ...]
    failed: tuple[tuple[int, int, str], ...]
    looks: int


def retrain(
    where: str,
    *,
    name: str | None,
    trials: Collection[int],
    front: int | None,
    epochs: int | None,
    seeds: int,
    train_on: TrainOn,
    data: Path | None,
    watch: Watch,
) -> Retraining:
    """Train trials to the end from `seeds` seeds, the study's own first; each is kept as soon as it is there.

    `trials` by number, or `front` models sampled from the front and what lies behind it, or the newest pick. What is
    stored of the same recipe and seed on this machine is not made again. Raises `StudyError` before anything is
    trained where there is no such trial, nothing was picked, or the data changed.
    """
    with open_store(where) as store:
        row = store.study(name)
        store.demand_shared(row.name, row.artifacts.folder)
        study = launch.adjusted(row.study, data=data)
        demand_test(study, train_on)
        chosen = named_trials(store, row, trials) if front is None else ()
        folder = row.artifacts.folder.parent
        dataset = launch.open_data(study, folder, watch.progress, row.texts)
        if dataset.key != row.data_key:
            raise StudyError(
                f"A model is retrained on the data that it was found with, and the images or masks of {row.name} "
                "changed. Undo the change, or name the folder that has them with --data."
            )
        here = launch.machine_here(store, row.study, watch.progress)
        if front is not None:
            chosen = sampled_trials(store, row, here, front)
        here = store.keep_machine(here)
        recipe = recipe_of(study, len(dataset.train), epochs=epochs, train_on=train_on)
        wanted = tuple((study.seed + step) % SEEDS for step in range(seeds))
        failed = _train_all(store, row, study, dataset, here, chosen, recipe, wanted, watch)
        numbers = {trial.number for trial in chosen}
        grown = tuple(
            one
            for one in grown_of(store, row.name)
            if one.machine == here.key and one.recipe == recipe and one.trial in numbers and one.seed in wanted
        )
        return Retraining(row.name, row.artifacts.folder, chosen, grown, tuple(failed), looks_at_test(store, row.name))


def demand_test(study: Study, train_on: TrainOn) -> None:
    """Raise `StudyError` where nothing would be left to judge a model by."""
    if train_on == "train+val" and study.data.test is None:
        raise StudyError(
            "--train-on train+val leaves only test images to judge the model by, and data.test of "
            f"{study.name} names none; leave --train-on out, or begin a study with a test split."
        )


def trained_trials(store: Store, row: StudyRow) -> dict[int, TrialRow]:
    """The trained trials by number. Raises `StudyError` where there is none."""
    trained = {trial.number: trial for trial in store.trials(row.name, ["trained"])}
    if not trained:
        raise StudyError(
            f"{store.where}: study {row.name} has no trained trial to retrain yet; `segsearch status` says why."
        )
    return trained


def sampled_trials(store: Store, row: StudyRow, here: Machine, count: int) -> tuple[TrialRow, ...]:
    """A sample of the front of this machine and what lies behind it. Raises `StudyError` where there is none here."""
    trained = trained_trials(store, row)
    if all(timing.machine != here.key for timing in store.timings(row.name)):
        raise StudyError(
            f"--front needs models that were timed on this machine, {here.short}, and none of {row.name} was; "
            "`segsearch remeasure` times them here, or choose with --trial."
        )
    found = stratified(report_of(store, row.name, None, here.key), count)
    if not found:
        raise StudyError(f"No trained trial of {row.name} meets its limits on this machine; choose with --trial.")
    return tuple(trained[number] for number in found)


def named_trials(store: Store, row: StudyRow, wanted: Collection[int]) -> tuple[TrialRow, ...]:
    """The trials of these numbers; without any the newest pick's."""
    trained = trained_trials(store, row)
    if not wanted:
        wanted = (newest_pick(store, row).trial,)
    for number in wanted:
        if number not in trained:
            raise StudyError(
                f"--trial must name a trained trial of {row.name}, and {number} is not one; `segsearch front` lists "
                "the best."
            )
    return tuple(trained[number] for number in dict.fromkeys(wanted))


def _train_all(
    store: Store,
    row: StudyRow,
    study: Study,
    dataset: Dataset,
    here: Machine,
    chosen: Sequence[TrialRow],
    recipe: Recipe,
    seeds: Sequence[int],
    watch: Watch,
) -> list[tuple[int, int, str]]:
    """Train what is not stored yet; a reason for each that could not be finished."""
    kept = {
        (one.trial, one.seed) for one in grown_of(store, row.name) if one.machine == here.key and one.recipe == recipe
    }
    work = [(trial, seed) for seed in seeds for trial in chosen]
    left = [(trial, seed) for trial, seed in work if (trial.number, seed) not in kept]
    if not left:
        return []
    from segsearch.trial.contained import contained

    row.artifacts.demand_writable()
    row.artifacts.sweep()
    order = order_of_row(row, study, launch.stored_space(row), dataset, here)
    failed: list[tuple[int, int, str]] = []
    line, done, what = "", len(work) - len(left), ""

    once = study.train.steps_of_epoch(len(dataset.train))
    pace = Pace()

    def looked(stage: str, step: int, loss: float, miou: float, total: int) -> None:
        whole = recipe.epochs * once
        at = step_in_all(stage, step, total, whole)
        left = pace.left(at, whole)
        rest = f", about {duration(left)} left" if left else ""
        found = f"epoch {math.ceil(at / once)} of {recipe.epochs}: loss {loss:.3f}, miou {miou:.3f}{rest}"
        watch.counted(WHAT, done, len(work), f"{what}   {found}", running=what)

    def waiting(stage: str) -> None:
        watch.counted(WHAT, done, len(work), f"{what}   another process is at its {stage}: waiting", running=what)

    with at_work(store, row.name) as worker, contained(order, progress=watch.progress, looked=looked) as child:
        for trial, seed in left:
            what = f"trial {trial.number}" + (f", seed {seed}" if len(seeds) > 1 else "")
            watch.counted(WHAT, done, len(work), line, running=what)
            pace = Pace()
            noted = Noted(store.workshop(row.name, NO_TRIAL, worker=worker.id, on_wait=waiting))
            try:
                line = f"{what}   {_grow(store, row.name, child, trial, recipe, seed, noted)}"
                done += 1
            except TrialFailed as why:
                failed.append((trial.number, seed, str(why)))
                line = f"{what}   failed: {why}"
        watch.counted(WHAT, done, len(work), line, running="")
    return failed


def step_in_all(stage: str, step: int, total: int, whole: int) -> int:
    """Which of the `whole` schedule's steps one of a stage's `total` is: what comes after the pruning ends it."""
    return whole - total + step if stage == "fine-tune" else step


WHAT = "trained to the end"


def _grow(store: Store, study: str, child: Contained, trial: TrialRow, recipe: Recipe, seed: int, noted: Noted) -> str:
    """Train one and keep it; what is to be said of it."""
    began = time.monotonic()
    found = child.grow(trial.candidate, recipe, seed, noted)
    made = [
        stage
        for name in ("train", "fine-tune", "quantize-train")
        for stage in store.stages(study, name=name)
        if stage.key == noted.asked.get(name)
    ]
    looks, before = list[tuple[int, float, float]](), 0
    for stage in made:
        own = stage.outcome.get("looks", [])
        looks += [(before + step, loss, miou) for step, loss, miou in own]
        before = looks[-1][0] if looks else 0
    keep_grown(
        store,
        study,
        trial.number,
        recipe,
        seed,
        found.evidence,
        test=found.test,
        looks=looks,
        train_seconds=sum(float(stage.outcome.get("seconds", stage.seconds)) for stage in made),
    )
    values = values_of(found.evidence)
    numbers = [f"{name} {in_words(name, values[name])}" for name in ("miou", "latency_ms") if name in values]
    if "miou" in values:
        numbers[0] += f" (as a proxy {trial.values['miou']:.3f})"
    if found.test is not None:
        numbers.append(f"test miou {found.test.miou:.3f}")
    return f"{', '.join(numbers)}   {duration(time.monotonic() - began)}"
