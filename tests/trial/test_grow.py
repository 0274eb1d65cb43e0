"""A chosen candidate trained to the end: the same compression, a longer schedule, and what may judge it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segsearch.errors import DatabaseError
from segsearch.settings.retrain import Recipe
from segsearch.space.architecture import Head
from segsearch.space.steps import Distill
from segsearch.training.checkpoint import Look
from segsearch.trial.evaluate import evaluate
from segsearch.trial.grow import LOOKS, bench_of, grow, with_auxiliary
from segsearch.trial.stages import Stages
from segsearch.trial.types import Teacher, recipe_of
from segsearch.trial.weights import Fidelity, trained
from tests.scenes import tiny_dataset
from tests.trial.benches import ARCHITECTURE, INT8, PLAIN, PRUNED, Notebook, make_bench
from tests.trial.studies import make_study

RECIPE = Recipe(epochs=4, ema=0.9, auxiliary=0.4, small_start=0.5, balanced=True)


def test_a_pruned_int8_model_grows_up_as_the_file_that_it_was(notebook: Notebook) -> None:
    """The final file has the proxy's shape: as many parameters and operations, quantized, no head of the training."""
    candidate = replace(PRUNED, after_export=INT8.after_export)
    bench, told = make_bench(output="mask"), list[tuple[Look, int]]()
    proxy = evaluate(candidate, bench, notebook)
    found = grow(candidate, bench, notebook, recipe=RECIPE, seed=0, told=lambda *look: told.append(look))
    assert (found.evidence.params, found.evidence.macs) == (proxy.params, proxy.macs)
    assert found.evidence.artifact != proxy.artifact
    assert abs(found.evidence.size_bytes - proxy.size_bytes) < 0.05 * proxy.size_bytes
    assert found.evidence.confusion is not None
    assert found.test is None
    assert notebook.made.count("fine-tune") == 2
    assert told
    assert all(0 <= look.miou <= 1 for look, _ in told)


def test_the_same_again_makes_nothing_and_another_seed_everything(notebook: Notebook) -> None:
    first = grow(PLAIN, make_bench(), notebook, recipe=RECIPE, seed=0)
    made = len(notebook.made)
    assert grow(PLAIN, make_bench(), notebook, recipe=RECIPE, seed=0) == first
    assert len(notebook.made) == made
    other = grow(PLAIN, make_bench(), notebook, recipe=RECIPE, seed=1)
    assert other.evidence.artifact != first.evidence.artifact
    assert other.evidence.seed == 1


def test_the_teacher_of_the_proxies_teaches_on(notebook: Notebook) -> None:
    """The long schedule is the student's: another teacher would cost as much again and teach something else."""
    bench = make_bench(teacher=Teacher(replace(ARCHITECTURE, head=Head(24)), epochs=1))
    taught = replace(PLAIN, distill=Distill(0.5, 2.0))
    trained(taught, bench, Stages(notebook), fidelity=Fidelity(1))
    trained(taught, bench_of(bench, RECIPE, 7), Stages(notebook), fidelity=Fidelity(RECIPE.epochs))
    assert (notebook.made.count("train"), notebook.made.count("teacher")) == (2, 1)


@pytest.mark.parametrize(("altered", "forgotten"), [("weights", "parity"), ("model", "timing")])
def test_what_was_altered_between_two_stages_is_not_built_upon(
    notebook: Notebook, altered: str, forgotten: str
) -> None:
    """A training that was stopped goes on from files that lay on a disk meanwhile."""
    grow(PLAIN, make_bench(), notebook, recipe=RECIPE, seed=0)
    (name,) = {str(outcome[altered]) for outcome in notebook.outcomes.values() if altered in outcome}
    with notebook.artifacts.path(name).open("ab") as stream:
        stream.write(b"0")
    for key in [key for key, outcome in notebook.outcomes.items() if forgotten in outcome]:
        del notebook.outcomes[key]
    with pytest.raises(DatabaseError, match=r"it was changed\. Copy it back"):
        grow(PLAIN, make_bench(), notebook, recipe=RECIPE, seed=0)


def test_what_learned_from_the_validation_images_is_judged_by_the_test_images_alone(notebook: Notebook) -> None:
    bench = make_bench()
    bench = replace(bench, dataset=replace(bench.dataset, both=bench.dataset.train))
    test = replace(tiny_dataset(), key="test")
    found = grow(PLAIN, bench, notebook, recipe=replace(RECIPE, train_on="train+val"), seed=0, test=test)
    assert found.evidence.confusion is None
    assert found.test is not None
    assert "score" not in notebook.made
    assert notebook.made.count("test") == 1


def test_no_checkpoint_is_left_where_a_training_ended(notebook: Notebook) -> None:
    grow(PLAIN, make_bench(), notebook, recipe=RECIPE, seed=0)
    assert not list(notebook.artifacts.folder.glob(".checkpoint-*"))


def test_the_long_schedule_shows_whole_images_and_the_same_epochs_at_every_input_scale() -> None:
    study = make_bench(schedule=replace(make_bench().schedule, steps=9))
    bench = bench_of(study, RECIPE, 7)
    schedule = bench.schedule
    assert (schedule.crop, schedule.height, schedule.width, schedule.hold) == (1.0, None, None, "images")
    assert (schedule.epochs, schedule.steps, schedule.seed, bench.teacher_by) == (4, None, 7, study.schedule)
    assert (schedule.ema, schedule.small_start, schedule.balanced, bench.looks) == (0.9, 0.5, True, LOOKS)
    assert bench_of(make_bench(), replace(RECIPE, ema=0.0), 0).schedule.ema is None


def test_a_head_for_the_training_is_added_where_there_is_none() -> None:
    grown = with_auxiliary(PLAIN, 0.4)
    (extra,) = grown.architecture.auxiliary
    assert (extra.feature.path, extra.feature.stage, extra.weight) == (0, 2, 0.4)
    assert with_auxiliary(grown, 0.9) == grown
    assert with_auxiliary(PLAIN, 0.0) == PLAIN


@pytest.mark.parametrize(
    ("train", "retrain", "asked", "epochs"),
    [
        ({"epochs": 15}, {}, None, 150),
        ({"epochs": 15}, {"epochs": 60}, None, 60),
        ({"epochs": 15}, {"epochs": 60}, 5, 5),
        ({"steps": 30, "batch_size": 4}, {}, None, 100),  # 3 steps an epoch on 12 images
    ],
)
def test_a_schedule_is_as_long_as_the_nearest_word_says(
    train: dict[str, int], retrain: dict[str, int], asked: int | None, epochs: int
) -> None:
    study = make_study(train=train, retrain=retrain)
    assert recipe_of(study, 12, epochs=asked, train_on="train").epochs == epochs
