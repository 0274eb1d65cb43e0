"""A chosen candidate trained to the end: the full schedule, the same compression, and judged once."""

from __future__ import annotations

from dataclasses import replace

from segsearch.datasets import Dataset
from segsearch.errors import StudyError
from segsearch.evidence.images import PerImage
from segsearch.settings.retrain import Recipe
from segsearch.space.architecture import Auxiliary, Feature
from segsearch.space.candidate import Candidate
from segsearch.space.keys import content_key, from_json, to_json
from segsearch.space.own import OwnNetwork
from segsearch.trial.bench import Bench, in_the_room
from segsearch.trial.evaluate import evidence_of, measured, scored
from segsearch.trial.files import Exported
from segsearch.trial.score import score_images
from segsearch.trial.ship import shipped_file
from segsearch.trial.stages import Stages, Told, unheard
from segsearch.trial.types import Grown
from segsearch.trial.weights import Fidelity, fine_tuned, trained
from segsearch.workshop import Outcome, Progress, Workshop, silent

# A long training is looked at so often.
LOOKS = 20
# Channels of the auxiliary head that a network is given.
AUXILIARY_CHANNELS = 64


def grow(
    candidate: Candidate,
    bench: Bench,
    workshop: Workshop,
    *,
    recipe: Recipe,
    seed: int,
    test: Dataset | None = None,
    progress: Progress = silent,
    told: Told = unheard,
) -> Grown:
    """Train a candidate by a recipe from a seed, compress it as it is stored, and judge the file that came of it.

    On the validation split, unless it learned from that, and on the `test` data, where there are any. The teacher
    stays the study's own; what learns from validation images, too, is taught by the same design trained on all.
    Raises `TrialFailed` where a stage cannot be finished.
    """
    if not candidate.learns:
        raise StudyError(
            "A model to train to the end must learn something, and this one is the network as it was brought"
            f"{', rounded' if candidate.after_export else ''}; name one that is pruned, factorized or trained in int8."
        )
    long = bench_of(bench, recipe, seed)
    full = with_auxiliary(candidate, recipe.auxiliary)
    fidelity, stages = Fidelity(recipe.epochs), Stages(workshop, progress, told)
    weights = trained(full, long, stages, fidelity=fidelity)
    weights = fine_tuned(full, weights, long, stages, fidelity=fidelity)
    shipped = shipped_file(full, weights, long, stages, fidelity=fidelity)
    timing = measured(shipped, long, stages)
    found = scored(shipped, long, stages) if recipe.train_on == "train" else None
    evidence = evidence_of(shipped, timing, found, long, stages)
    return Grown(evidence, None if test is None else tested(shipped, test, long, stages))


def bench_of(bench: Bench, recipe: Recipe, seed: int) -> Bench:
    """A study's bench with the long schedule: views of whole images where the study's were of so many pixels."""
    schedule = replace(
        bench.schedule,
        epochs=recipe.epochs,
        steps=None,
        seed=seed,
        hold="images",
        ema=recipe.ema or None,
        small_start=recipe.small_start,
        balanced=recipe.balanced,
    )
    if schedule.crop is None:
        schedule = replace(schedule, crop=1.0, height=None, width=None)
    dataset, looks = bench.dataset, LOOKS
    if recipe.train_on == "train+val":
        dataset, looks = dataset.trained_on_all, 0
    teacher_by = bench.teacher_by or bench.schedule
    return replace(bench, dataset=dataset, schedule=schedule, teacher_by=teacher_by, looks=looks)


def with_auxiliary(candidate: Candidate, weight: float) -> Candidate:
    """The candidate with a second loss on its trunk's last map, where it has none; it is gone from the file."""
    architecture = candidate.architecture
    if isinstance(architecture, OwnNetwork) or architecture.auxiliary or weight == 0:
        return candidate
    trunk = architecture.paths[architecture.trunk]
    last = Feature(architecture.trunk, len(trunk.stages))
    return replace(
        candidate,
        architecture=replace(architecture, auxiliary=(Auxiliary(last, weight, AUXILIARY_CHANNELS),)),
    )


def tested(shipped: Exported, test: Dataset, bench: Bench, stages: Stages) -> PerImage:
    """The counts of the file on the test images, image by image: a look at them, kept as any stage is."""

    def make() -> Outcome:
        session = bench.runtime.open(stages.artifacts.verified(shipped.model), threads=1)
        with in_the_room(bench, stages.progress) as watched:
            found = score_images(session, test.validation, classes=test.classes, progress=watched)
        return {"images": to_json(found.images)}

    key = content_key(["test", shipped.model, test.key, bench.runtime.name, bench.runtime.version])
    return from_json(PerImage, str(stages.once("test", key, make)["images"]))
