"""Weights: epochs and fidelity, pruning and its fine-tuning, and the teacher."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from segsearch.errors import StudyError
from segsearch.evidence.types import Confusion
from segsearch.networks import Network, build
from segsearch.networks.build import wear_in
from segsearch.pretrained.inherit import inherit
from segsearch.pretrained.match import Report
from segsearch.pretrained.parent import Parent, keep, kept
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.keys import content_key, from_json
from segsearch.space.steps import Distill, Factorize, Prune
from segsearch.training.loop import train
from segsearch.training.sample import losses_over
from segsearch.training.schedule import around_pruning, at_epochs
from segsearch.trial.bench import Beside
from segsearch.trial.evaluate import evaluate
from segsearch.trial.export import export
from segsearch.trial.making import apply_model_steps, compressed_shape
from segsearch.trial.score import score
from segsearch.trial.stages import Stages
from segsearch.trial.state import load_weights
from segsearch.trial.types import Teacher
from segsearch.trial.weights import Fidelity, _recipe, fine_tuned, trained
from tests.scenes import tiny_dataset
from tests.trial.benches import ARCHITECTURE, PLAIN, PRUNED, Notebook, make_bench


def test_pruned_candidates_spend_the_same_epochs(notebook: Notebook) -> None:
    epochs: dict[str, int] = {}

    def watch(stage: str, done: int, total: int, /) -> None:
        epochs[stage] = total

    evaluate(PRUNED, make_bench(), notebook, progress=watch)
    batches = len(tiny_dataset().train) // 4
    assert epochs["train"] == 2 * batches
    assert epochs["fine-tune"] == 1 * batches


def test_a_study_of_one_epoch_prunes_without_fine_tuning(notebook: Notebook) -> None:
    bench = make_bench()
    evidence = evaluate(PRUNED, bench, notebook, fidelity=Fidelity(epochs=1))
    assert 0 <= evidence.confusion.miou <= 1


def test_pruned_weights_fit_a_network_pruned_again(notebook: Notebook) -> None:
    bench = make_bench()
    full = trained(PRUNED, bench, Stages(notebook), fidelity=Fidelity(2))
    name = fine_tuned(PRUNED, full, bench, Stages(notebook), fidelity=Fidelity(2))
    state = load_file(notebook.artifacts.path(name))
    assert all(torch.isfinite(value).all() for value in state.values() if value.is_floating_point())
    assert state["head.scores.weight"].shape[0] == 3


@pytest.mark.parametrize(("hold", "before", "after"), [("images", 9, 3), ("steps", 9, 3), ("seconds", 2, 1)])
def test_steps_are_a_whole_trials_and_what_is_held_follows_the_input_scale(
    notebook: Notebook, hold: Literal["images", "steps", "seconds"], before: int, after: int
) -> None:
    """Twelve steps at input scale 1; a quarter of them comes after the pruning."""
    steps: dict[str, int] = {}

    def watch(stage: str, done: int, total: int, /) -> None:
        steps[stage] = total

    bench = make_bench(fine_tune_share=0.25)
    schedule = replace(bench.schedule, crop=1.0, height=None, width=None, hold=hold).of_steps(12, 12)
    evaluate(PRUNED, replace(bench, schedule=schedule), notebook, progress=watch)
    assert (steps["train"], steps["fine-tune"]) == (before, after)


def test_on_top_a_pruned_candidate_shares_the_training_of_its_unpruned_twin(notebook: Notebook) -> None:
    bench = make_bench(fine_tune_on_top=True)
    evaluate(PLAIN, bench, notebook)
    evaluate(PRUNED, bench, notebook)
    assert [name for name in notebook.made if name in ("train", "fine-tune")] == ["train", "fine-tune"]
    notebook.made.clear()
    evaluate(PRUNED, make_bench(), notebook)
    assert [name for name in notebook.made if name in ("train", "fine-tune")] == ["train", "fine-tune"]


def test_what_steps_leave_as_it_is_is_told_by_the_stage(notebook: Notebook) -> None:
    bench, steps = make_bench(), (Factorize(0.5, least_macs=2304), Prune(0.5))
    candidate = replace(PLAIN, before_export=steps)
    full = trained(candidate, bench, Stages(notebook), fidelity=Fidelity(2))
    name = fine_tuned(candidate, full, bench, Stages(notebook), fidelity=Fidelity(2))
    (outcome,) = [one for one in notebook.outcomes.values() if "left" in one]
    factorized, pruned = outcome["left"]
    assert factorized["encoders.0.stages.0.0.shortcut.0"] == "fewer than 2304 multiply-accumulates a pixel"
    assert factorized["head.scores"] == pruned["head.scores"] == "it is protected"
    assert pruned["encoders.0.stages.1.0.0.reduce"] == "8 channels are too few to lose 50%", "factors are named, too"
    network = compressed_shape(candidate, bench)
    load_weights(network, notebook.artifacts.path(name))


@pytest.mark.parametrize("criterion", ["taylor", "activation", "zeros"])
def test_criteria_that_look_at_data_choose_by_training_images_the_same_each_time(
    notebook: Notebook, criterion: Literal["taylor", "activation", "zeros"]
) -> None:
    bench, step = make_bench(), Prune(0.5, criterion)
    candidate = replace(PLAIN, before_export=(step,))
    full = trained(candidate, bench, Stages(notebook), fidelity=Fidelity(1))  # no epoch is left to fine-tune
    chosen, steps = [], list[tuple[str, int, int]]()
    for seen in (True, True, False):
        network = build(ARCHITECTURE, 3)
        load_weights(network, notebook.artifacts.path(full))
        losses = losses_over(
            bench.dataset.train,
            bench.schedule,
            classes=3,
            device=bench.device,
            progress=lambda *told: steps.append(told),
        )
        chosen.append(apply_model_steps(network, (step,), losses if seen else None).state_dict())
    assert steps == [("look", done, 16) for _ in range(2) for done in range(1, 17)]
    assert all(torch.equal(chosen[0][name], chosen[1][name]) for name in chosen[0])
    assert chosen[0].keys() == chosen[2].keys()
    assert any(not torch.equal(chosen[0][name], chosen[2][name]) for name in chosen[0]), "images decide"
    name = fine_tuned(candidate, full, bench, Stages(notebook), fidelity=Fidelity(1))
    state = load_file(notebook.artifacts.path(name))
    kept = [key for key in state if key.endswith("0.weight")]
    assert all(torch.equal(state[key], chosen[0][key]) for key in kept), "the stage shows them"


def test_keys_of_steps_that_look_at_nothing_are_those_of_before(notebook: Notebook) -> None:
    bench = make_bench()
    for criterion in ("l1", "taylor"):
        candidate = replace(PLAIN, before_export=(Prune(0.5, criterion),))  # type: ignore[arg-type]
        full = trained(candidate, bench, Stages(notebook), fidelity=Fidelity(2))
        fine_tuned(candidate, full, bench, Stages(notebook), fidelity=Fidelity(2))
    schedule = around_pruning(at_epochs(bench.schedule, 2), bench.fine_tune_share, len(bench.dataset.train))[1]
    recipe = _recipe(ARCHITECTURE, schedule, None, bench)
    plain = '{"criterion":"l1","kind":"prune","ratio":0.5,"round_to":8}'
    looked = plain.replace("l1", "taylor"), "looked at 16 batches"
    assert content_key(["fine-tune", full, plain], recipe) in notebook.outcomes
    assert content_key(["fine-tune", full, *looked], recipe) in notebook.outcomes


# ---- fidelity


def test_a_higher_fidelity_starts_from_the_lower_ones_weights(notebook: Notebook) -> None:
    bench = make_bench()
    low = Fidelity(epochs=1)
    first = evaluate(PLAIN, bench, notebook, fidelity=low)
    warm = evaluate(PLAIN, bench, notebook, fidelity=Fidelity(epochs=2, warm_start=low))
    cold = evaluate(PLAIN, bench, notebook, fidelity=Fidelity(epochs=2))
    assert len({first.artifact, warm.artifact, cold.artifact}) == 3
    losses = [outcome["losses"] for outcome in notebook.outcomes.values() if "losses" in outcome]
    assert [len(entry) for entry in losses] == [1, 2, 2]
    assert losses[1][0] < losses[2][0]  # the warm one starts lower than the cold one


def test_a_pruned_candidate_is_asked_again_from_its_weights_before_pruning(notebook: Notebook) -> None:
    bench = make_bench()
    low = Fidelity(epochs=2)
    first = evaluate(PRUNED, bench, notebook, fidelity=low)
    notebook.made.clear()
    second = evaluate(PRUNED, bench, notebook, fidelity=Fidelity(epochs=3, warm_start=low))
    assert notebook.made == ["train", "fine-tune", "export", "measure", "score"]
    assert second.params == first.params
    assert second.artifact != first.artifact


# ---- the teacher


def test_distillation_trains_its_teacher_once_and_weight_changes_the_student(notebook: Notebook) -> None:
    bench = make_bench(teacher=Teacher(replace(ARCHITECTURE, head=Head(24)), epochs=2))
    alone = evaluate(PLAIN, bench, notebook)
    assert "teacher" not in notebook.made  # whoever is not taught does not pay for it
    taught = evaluate(replace(PLAIN, distill=Distill(0.5, 2.0)), bench, notebook)
    again = evaluate(replace(PLAIN, distill=Distill(0.8, 2.0)), bench, notebook)
    assert notebook.made.count("teacher") == 1
    teacher = next(outcome for outcome in notebook.outcomes.values() if "logits" in outcome)
    network = build(replace(ARCHITECTURE, head=Head(24)), 3)
    load_weights(network, notebook.artifacts.path(teacher["weights"]))
    model = notebook.artifacts.folder / "teacher.onnx"
    export(network, bench.size, model)
    found = score(bench.runtime.open(model, threads=1), bench.dataset.validation, classes=3)
    assert teacher["miou"] == pytest.approx(found.miou, abs=2e-3)
    counts = from_json(Confusion, teacher["confusion"])
    assert counts.miou == teacher["miou"], "kept, so that a later version can tell it anew"
    assert notebook.known.count("teacher") == 1
    assert len({alone.artifact, taught.artifact, again.artifact}) == 3


def test_a_student_may_learn_where_classes_are(notebook: Notebook) -> None:
    bench = make_bench(teacher=Teacher(ARCHITECTURE, epochs=1))
    by_pixel = evaluate(replace(PLAIN, distill=Distill(0.7, 2.0)), bench, notebook)
    by_channel = evaluate(replace(PLAIN, distill=Distill(0.7, 2.0, "channel")), bench, notebook)
    assert by_pixel.artifact != by_channel.artifact
    assert notebook.made.count("teacher") == 1


def test_images_without_labels_are_in_the_keys_of_what_is_taught_and_of_nothing_else(notebook: Notebook) -> None:
    opened: list[int] = []

    def images() -> NDArray[np.uint8]:
        opened.append(1)
        return tiny_dataset().validation.images

    bench = make_bench(teacher=Teacher(ARCHITECTURE, epochs=1))
    beside = replace(bench, beside=Beside("others", images, 0.5))
    taught = replace(PLAIN, distill=Distill(0.7, 2.0, "channel", 0.5))
    alone = [trained(PLAIN, one, Stages(notebook), fidelity=Fidelity(1)) for one in (bench, beside)]
    assert alone[0] == alone[1]
    assert not opened, "whoever is not taught reads none"
    assert notebook.made.count("train") == 1
    weights = [trained(taught, one, Stages(notebook), fidelity=Fidelity(2)) for one in (bench, beside)]
    assert weights[0] != weights[1]
    assert (notebook.made.count("train"), notebook.made.count("teacher")) == (3, 2)
    logits = [np.load(notebook.artifacts.path(o["logits"])) for o in notebook.outcomes.values() if "logits" in o]
    assert [len(one) for one in logits] == [12, 16]
    assert np.array_equal(logits[0], logits[1][:12])


def test_weight_0_needs_no_teacher(notebook: Notebook) -> None:
    bench = make_bench(teacher=Teacher(ARCHITECTURE, epochs=1))
    alone = evaluate(PLAIN, bench, notebook)
    idle = evaluate(replace(PLAIN, distill=Distill(0.0)), bench, notebook)
    assert "teacher" not in notebook.made
    assert idle == alone


def test_a_teacher_that_cannot_be_trained_is_the_studys_mistake(notebook: Notebook) -> None:
    bench = make_bench(teacher=Teacher(ARCHITECTURE, epochs=1))
    bench = replace(bench, schedule=replace(bench.schedule, learning_rate=1e18, epochs=4))
    bench = replace(bench, teacher=Teacher(ARCHITECTURE, epochs=4))
    with pytest.raises(StudyError, match=r"The teacher could not be trained: The loss became .* Change \[teacher\]"):
        evaluate(replace(PLAIN, distill=Distill(0.5)), bench, notebook)


# ---- weights to begin with

PARENT = Architecture((EncoderPath(Stem(16), (Stage("residual", 24, 2, 2), Stage("conv", 32, 1, 2))),), (), Head(8))


def kept_parent(notebook: Notebook, *, seed: int = 5) -> str:
    """The artifact of a parent that `ARCHITECTURE` is a narrower and shallower child of."""
    return keep(Parent("A parent", PARENT, wear_in(build(PARENT, 2, seed=seed), seed=seed)), notebook.artifacts)


def test_a_trial_begins_with_pretrained_weights_and_says_so(notebook: Notebook) -> None:
    start = kept_parent(notebook)
    bench = make_bench(start=start)
    bench = replace(bench, schedule=replace(bench.schedule, learning_rate=1e-9, start_rate=0.1))  # all but still
    name = trained(PLAIN, bench, Stages(notebook), fidelity=Fidelity(1))
    network = build(ARCHITECTURE, 3)
    load_weights(network, notebook.artifacts.path(name))
    expected = build(ARCHITECTURE, 3, seed=bench.schedule.seed)
    parent = kept(notebook.artifacts.path(start))
    assert inherit(expected, ARCHITECTURE, parent.network, PARENT).matched == 5
    for (key, value), other in zip(network.named_parameters(), expected.parameters(), strict=True):
        assert torch.allclose(value, other, atol=1e-5), key
    (outcome,) = [one for one in notebook.outcomes.values() if "losses" in one]
    assert outcome["parent"] == "A parent"
    assert from_json(Report, outcome["start"]) == Report(5, 5)


def test_the_weights_to_begin_with_are_in_the_keys_of_trained_stages(notebook: Notebook) -> None:
    """And nothing of them is in the keys of a study that has none."""
    plain, candidate = make_bench(), replace(PRUNED, distill=Distill(0.5))
    first, second = kept_parent(notebook), kept_parent(notebook, seed=6)
    assert not [
        line for line in _recipe(ARCHITECTURE, plain.schedule, None, plain) if "begun" in line or "start" in line
    ]
    made = []
    for bench in (plain, replace(plain, start=first), replace(plain, start=second)):
        bench = replace(bench, teacher=Teacher(ARCHITECTURE, epochs=1))
        before = set(notebook.outcomes)
        name = trained(candidate, bench, Stages(notebook), fidelity=Fidelity(2))
        fine_tuned(candidate, name, bench, Stages(notebook), fidelity=Fidelity(2))
        made.append(set(notebook.outcomes) - before)
    assert [len(keys) for keys in made] == [3, 3, 3]  # teacher, train, fine-tune
    assert len(set.union(*made)) == 9


def test_the_teacher_begins_with_them_too(notebook: Notebook) -> None:
    bench = make_bench(start=kept_parent(notebook), teacher=Teacher(replace(ARCHITECTURE, head=Head(24)), epochs=1))
    trained(replace(PLAIN, distill=Distill(0.5)), bench, Stages(notebook), fidelity=Fidelity(1))
    (outcome,) = [one for one in notebook.outcomes.values() if "logits" in one]
    assert from_json(Report, outcome["start"]).matched == 5


def test_a_higher_fidelity_goes_on_from_its_weights_and_not_from_the_parents(notebook: Notebook) -> None:
    bench, low = make_bench(start=kept_parent(notebook)), Fidelity(epochs=1)
    trained(PLAIN, bench, Stages(notebook), fidelity=Fidelity(epochs=2, warm_start=low))
    assert ["start" in outcome for outcome in notebook.outcomes.values()] == [True, False]


def test_what_inherits_learns_slowly_before_the_pruning_and_after_it(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[set[str], set[str]]] = []

    def watched(network: Network, *args: Any, inherited: Collection[str], **words: Any) -> tuple[float, ...]:
        names = {name for name, _ in network.named_parameters()}
        asked.append((names, names & set(inherited)))
        return train(network, *args, inherited=inherited, **words)

    monkeypatch.setattr("segsearch.trial.weights.train", watched)
    bench = make_bench(start=kept_parent(notebook))
    name = trained(PRUNED, bench, Stages(notebook), fidelity=Fidelity(2))
    fine_tuned(PRUNED, name, bench, Stages(notebook), fidelity=Fidelity(2))
    (before, slow), (after, still) = asked
    assert before == after
    assert slow == still == {one for one in before if one.startswith(("encoders.0.stem.", "encoders.0.stages."))}


def test_factors_of_what_inherits_learn_slowly_too(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[set[str], set[str]]] = []

    def watched(network: Network, *args: Any, inherited: Collection[str], **words: Any) -> Any:
        names = {name for name, _ in network.named_parameters()}
        asked.append((names, names & set(inherited)))
        return train(network, *args, inherited=inherited, **words)

    monkeypatch.setattr("segsearch.trial.weights.train", watched)
    bench = make_bench(start=kept_parent(notebook))
    candidate = replace(PLAIN, before_export=(Factorize(0.5, least_macs=2304), Prune(0.25)))
    name = trained(candidate, bench, Stages(notebook), fidelity=Fidelity(2))
    fine_tuned(candidate, name, bench, Stages(notebook), fidelity=Fidelity(2))
    _, (after, slow) = asked
    assert slow == {one for one in after if one.startswith(("encoders.0.stem.", "encoders.0.stages."))}
    assert "encoders.0.stages.1.0.0.core.weight" in slow


def test_a_candidate_that_matches_nothing_trains_as_it_was_drawn(notebook: Notebook) -> None:
    other = replace(PLAIN, architecture=replace(ARCHITECTURE, paths=(replace(ARCHITECTURE.paths[0], stem=None),)))
    names = [
        trained(other, make_bench(start=start), Stages(notebook), fidelity=Fidelity(1))
        for start in (None, kept_parent(notebook))
    ]
    assert names[0] == names[1]
    (report,) = [from_json(Report, one["start"]) for one in notebook.outcomes.values() if "start" in one]
    assert report.matched == 0
