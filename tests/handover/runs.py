"""A finished run whose artifacts are real ONNX files, scored on the very images that its database names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from segsearch import launch
from segsearch.datasets import Dataset
from segsearch.evidence.timing import Block, Comparison, Timing
from segsearch.evidence.types import Evidence
from segsearch.networks import build, wear_in
from segsearch.runtimes import RUNTIMES
from segsearch.search import run_search
from segsearch.settings.retrain import Recipe
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.candidate import Candidate, Output
from segsearch.space.steps import Quantize
from segsearch.store import Pick, open_store
from segsearch.store.grown import keep_grown
from segsearch.study import Study
from segsearch.trial.export import export, note_reading
from segsearch.trial.score import score_images, to_input
from segsearch.workshop import Artifacts, Workshop, silent
from tests import fakes

HEIGHT, WIDTH = 64, 96
RECIPE = Recipe(epochs=20, ema=0.999, auxiliary=0.4, small_start=0.0, balanced=False)


def network_file(
    target: Path, classes: int, *, output: Output = "mask", scale: float = 0.5, seed: int = 0, size: tuple[int, int]
) -> Path:
    """A network that nobody trained, as it is exported; its answers differ from place to place."""
    path = EncoderPath(Stem(8), (Stage("conv", 16, 1, 2),))
    architecture = Architecture((path,), (), Head(16), answer_scale=scale)
    export(wear_in(build(architecture, classes, seed=seed), seed=seed).eval(), size, target, output=output)
    return target


def study_of(**changes: Any) -> Study:
    data: dict[str, Any] = {"height": HEIGHT, "width": WIDTH, "train_count": 4, "validation_count": 3}
    settings: dict[str, Any] = {
        "name": "small",
        "trials": 2,
        "timing": {"max_seconds": 0.5, "warmup_runs": 1},
        "search": {"sampler": "random"},
    }
    return fakes.make_study(**{**settings, **changes, "data": data | changes.get("data", {})})


def make_run(folder: Path, *, quantized: bool = False, **changes: Any) -> Path:
    """The database of a study whose trials were exported, timed in words alone, and scored in earnest."""
    study = study_of(**changes)
    folder.mkdir(parents=True)
    dataset = launch.open_data(study, folder, silent)
    numbers = iter(range(study.trials))

    def evaluate(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        seed = next(numbers)
        return evidence_of(workshop.artifacts, dataset, study, seed=seed, quantized=quantized and seed == 0)

    with open_store(folder / "study.db", create=True) as store:
        row = store.begin_study(study, artifacts=folder / "artifacts", space="0" * 64 + ".py", data_key=dataset.key)
        store.keep_machine(fakes.MACHINE)
        run_search(store, row.name, draw=fakes.draw, evaluate=evaluate)
    return folder / "study.db"


def evidence_of(
    artifacts: Artifacts, dataset: Dataset, study: Study, *, seed: int, quantized: bool = False, machine: str = "m"
) -> Evidence:
    """A file kept among the artifacts, and what is known of it."""
    made = network_file(
        artifacts.scratch(".onnx"), len(dataset.classes), output=study.output, seed=seed, size=(HEIGHT, WIDTH)
    )
    if quantized:
        from segsearch.compression.quantize import quantize

        images = [to_input(image) for image in dataset.train.images]
        quantize(made, made, Quantize(), images=images)
    note_reading(made, dataset.levels, exif_ignored=dataset.exif_ignored)
    name = artifacts.keep(made)
    path = artifacts.path(name)
    found = score_images(RUNTIMES["onnxruntime"].open(path, threads=1), dataset.validation, classes=dataset.classes)
    latency = 2.0 + seed
    timing = Timing(
        (latency,) * 3,
        warmup_runs=1,
        threads=1,
        machine=machine,
        comparison=Comparison("float32-1", latency, (Block(0, 3, latency, latency),), 1.0, 0.99, 1.02, "time"),
    )
    return replace(
        fakes.evidence(artifact=name),
        size_bytes=path.stat().st_size,
        timing=timing,
        seed=seed,
        confusion=found.confusion,
        images=found.images,
    )


def pick(database: Path, trial: int, reason: str = "fits the camera") -> None:
    with open_store(database) as store:
        store.add_pick("small", Pick(trial, reason))


def numbers_of(database: Path) -> list[int]:
    with open_store(database, read_only=True) as store:
        return [trial.number for trial in store.trials("small", ["trained"])]


def finish(
    database: Path, trial: int, *, seed: int, recipe: Recipe = RECIPE, machine: str = "m", judged: bool = True
) -> str:
    """Keep a training to the end of a trial; the name of its artifact. Unjudged it learned from validation, too."""
    with open_store(database) as store:
        row = store.study("small")
        dataset = launch.open_data(row.study, row.artifacts.folder.parent, silent)
        found = evidence_of(row.artifacts, dataset, row.study, seed=seed, machine=machine)
        test = found.images
        if not judged:
            found = replace(found, confusion=None, images=None)
        keep_grown(store, "small", trial, recipe, seed, found, test=test, looks=[], train_seconds=1.0)
    return found.artifact


def artifact_of(database: Path, trial: int) -> Path:
    with open_store(database, read_only=True) as store:
        return store.study("small").artifacts.path(str(store.trial("small", trial).artifact))
