"""A small study whose evaluation takes milliseconds, for tests of the store and the search."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segsearch.errors import TrialFailed
from segsearch.evidence.images import PerImage
from segsearch.evidence.objectives import Limit, Rejected, broken_limits
from segsearch.evidence.timing import Machine, Timing
from segsearch.evidence.types import Confusion, Evidence
from segsearch.settings.retrain import Recipe
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.candidate import Candidate, Draw
from segsearch.space.keys import content_key
from segsearch.space.steps import Quantize
from segsearch.store import Store, StudyRow, open_store
from segsearch.store.grown import keep_grown
from segsearch.study import Study, parse_study
from segsearch.trial.contained import Looked
from segsearch.trial.types import Again, Grown
from segsearch.workshop import Progress, Workshop

MACHINE = Machine("m", "a fake CPU", 2, 2**30, "Linux x86_64", "onnxruntime 0")


def make_study(**changes: Any) -> Study:
    settings: dict[str, Any] = {
        "name": "fake",
        "trials": 5,
        "space": "mobile",
        "data": {"kind": "synthetic", "height": 64, "width": 64},
        "train": {"epochs": 4, "height": 64, "width": 64},
        "search": {"startup_trials": 4},
    }
    for key, value in changes.items():
        settings[key] = settings.get(key, {}) | value if isinstance(value, Mapping) else value
    return parse_study(settings, where="test")


def where(folder: Path) -> str:
    """The database that belongs to a folder: a file in it, unless the fixture `backend` puts it on a server."""
    return str(folder / "study.db")


def start(folder: Path, study: Study) -> tuple[Store, StudyRow]:
    """The store of `folder` with the study begun."""
    store = open_store(where(folder), create=True)
    return store, store.begin_study(study, artifacts=folder / "artifacts", space="0" * 64 + ".py", data_key="data")


def draw(choose: Draw) -> Candidate:
    """A conditional space: width and depth, and a kernel only where the block is a convolution."""
    channels = choose.suggest_int("channels", 8, 256, step=8)
    depth = choose.suggest_int("depth", 1, 12)
    block = choose.suggest_categorical("block", ["conv", "separable"])
    kernel = choose.suggest_int("kernel", 3, 7, step=2) if block == "conv" else 3
    expansion = choose.suggest_float("expansion", 1.0, 6.0)
    quantized = choose.suggest_categorical("precision", ["float", "int8"]) == "int8"
    return candidate(channels, depth, block=block, kernel=kernel, expansion=expansion, quantized=quantized)


def draw_from_two(choose: Draw) -> Candidate:
    return candidate(8, choose.suggest_int("depth", 1, 2))


def candidate(
    channels: int, depth: int, *, block: str = "conv", kernel: int = 3, expansion: float = 1.0, quantized: bool = False
) -> Candidate:
    stage = Stage(block, channels=channels, depth=depth, stride=2, kernel=kernel, expansion=expansion)
    chain = EncoderPath(Stem(channels=8), (stage,))
    steps = (Quantize(),) if quantized else ()
    return Candidate(Architecture((chain,), (), Head(channels=16)), after_export=steps)


def evidence(*, latency_ms: float = 1.0, miou: float | None = 0.5, artifact: str = "0" * 64 + ".onnx") -> Evidence:
    hit = round(1000 * miou) if miou is not None else 0
    miss = (1000 - hit) // 2
    counts = ((hit, miss), (miss, hit))
    return Evidence(
        artifact=artifact,
        size_bytes=1000,
        params=10,
        macs=100,
        timing=Timing((latency_ms,) * 3, warmup_runs=1, threads=1, machine="m"),
        seed=0,
        versions=(("python", "3.11"),),
        confusion=Confusion(counts) if miou is not None else None,
    )


def in_images(miou: float, *, images: int = 4, spread: float = 0.1) -> Evidence:
    """Evidence of that mIoU (nearly) whose images differ by so much: two classes, all the same in each image."""
    steps = [spread * (2 * index / (images - 1) - 1) for index in range(images)]
    hits = [round(1000 * 2 * share / (1 + share)) for share in (miou + step for step in steps)]
    counts = tuple(tuple((label, hit, 1000, 1000) for label in range(2)) for hit in hits)
    hit = sum(hits)
    miss = 1000 * images - hit
    confusion = Confusion(((hit, miss), (miss, hit)))
    return replace(evidence(), confusion=confusion, images=PerImage(("road", "bus"), counts))


def latency_of(one: Candidate) -> float:
    stage = one.architecture.paths[0].stages[0]
    return stage.channels * stage.depth * (0.5 if one.after_export else 1.0) / 100


def nothing() -> None:
    """What takes the time of a training."""


def make_train_again(
    progress: Progress, *, in_training: Callable[[], object] = nothing
) -> Callable[[Candidate, int, Workshop], Again]:
    """Train and score as stages; each seed scores a hundredth less than the one before, and seed 5 diverges."""

    def train_again(one: Candidate, seed: int, workshop: Workshop) -> Again:
        progress("train", 1, 2)
        if seed == 5:
            raise TrialFailed("diverged", "the loss became NaN")

        def train() -> dict[str, Any]:
            in_training()
            return {"weights": workshop.artifacts.keep_bytes(content_key(one, seed).encode(), ".onnx")}

        latency = latency_of(one)
        found = in_images(0.2 + 0.7 * latency / (latency + 5) - seed / 100, spread=0.01)
        assert found.confusion is not None
        name = str(workshop.once("train", content_key(one, seed), train)["weights"])
        return Again(name, found.confusion, found.images)

    return train_again


def make_grow(
    progress: Progress, looked: Looked, *, in_training: Callable[[], object] = nothing
) -> Callable[[Candidate, Recipe, int, Workshop], Grown]:
    """Train to the end as a stage, a tenth better than the proxy of the same seed; seed 5 diverges.

    Whoever looks on is told of a pruned model with one step an epoch: three quarters of them come before the pruning.
    """

    def grow(one: Candidate, recipe: Recipe, seed: int, workshop: Workshop) -> Grown:
        progress("train", 1, 2)
        if seed == 5:
            raise TrialFailed("diverged", "the loss became NaN")

        def train() -> dict[str, Any]:
            before = recipe.epochs * 3 // 4
            looked("train", before, 0.7, 0.3, before)
            in_training()
            looked("fine-tune", 1, 0.5, 0.4, recipe.epochs - before)
            name = workshop.artifacts.keep_bytes(content_key(one, recipe, seed).encode(), ".onnx")
            return {"weights": name, "losses": [0.5], "seconds": 60.0, "looks": [[5, 0.7, 0.3], [10, 0.5, 0.4]]}

        latency = latency_of(one)
        name = str(workshop.once("train", content_key(one, recipe, seed), train)["weights"])
        found = in_images(0.25 + 0.6 * latency / (latency + 5) - seed / 100, spread=0.01)
        if recipe.train_on == "train+val":
            found = evidence(miou=None)
        timed = replace(found, artifact=name, timing=replace(found.timing, samples_ms=(latency,) * 3))
        return Grown(timed, None)

    return grow


def make_gate(limits: tuple[Limit, ...] = ()) -> Callable[[int, Candidate, Workshop], Evidence]:
    """The untrained candidate's numbers, as `make_evaluate` finds them first."""

    def gate(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        found = evidence(latency_ms=latency_of(one), miou=None)
        if broken := broken_limits(limits, found):
            raise Rejected(found, broken)
        return found

    return gate


def make_evaluate(
    limits: tuple[Limit, ...] = (),
    *,
    seconds: float = 0.0,
    fails: Callable[[int], bool] = lambda number: False,
    in_training: Callable[[], object] = nothing,
) -> Callable[[int, Candidate, Workshop], Evidence]:
    """Time, gate, train and export as stages; what is trained does not depend on the precision."""

    def evaluate(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        latency = make_gate(limits)(number, one, workshop).timing.median_ms
        if fails(number):
            raise TrialFailed("diverged", "the loss became NaN")
        architecture = one.architecture

        def train() -> dict[str, Any]:
            in_training()
            time.sleep(seconds)
            return {"weights": workshop.artifacts.keep_bytes(content_key(architecture).encode(), ".bin")}

        def export() -> dict[str, Any]:
            time.sleep(seconds)
            return {"model": workshop.artifacts.keep_bytes(one.key.encode(), ".onnx")}

        workshop.once("train", content_key(architecture), train)
        model = str(workshop.once("export", one.key, export)["model"])
        return evidence(latency_ms=latency, miou=latency / (latency + 5), artifact=model)

    return evaluate


RECIPE = Recipe(epochs=40, ema=0.999, auxiliary=0.4, small_start=0.0, balanced=False)
LOOKS = ((10, 1.2, 0.31), (20, 0.8, 0.44), (40, 0.5, 0.5))


def keep_final(
    store: Store,
    study: str,
    trial: int,
    miou: float | None,
    *,
    seed: int = 0,
    recipe: Recipe = RECIPE,
    test: float | None = None,
    machine: str | None = None,
) -> Evidence:
    """Keep what a trial became by a recipe: its own evidence with that mIoU (nearly), and a file of its own."""
    found = store.evidence(study, trial)
    assert found is not None
    scored = None if miou is None else in_images(miou)
    timing = found.timing if machine is None else replace(found.timing, machine=machine)
    found = replace(
        found,
        artifact=store.study(study).artifacts.keep_bytes(f"{trial} {seed} {content_key(recipe)}".encode(), ".onnx"),
        seed=seed,
        timing=timing,
        confusion=scored.confusion if scored else None,
        images=scored.images if scored else None,
    )
    images = None if test is None else in_images(test).images
    keep_grown(store, study, trial, recipe, seed, found, test=images, looks=LOOKS, train_seconds=90.5)
    return found
