"""The file that ships: with a tail it is trained on inside its int8 graph, without one nothing changes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import onnx
import pytest
import torch

from segsearch.compression import graph_operators
from segsearch.compression.graph_module import GraphModule, arrays_of
from segsearch.errors import TrialFailed
from segsearch.settings.retrain import Recipe
from segsearch.space.candidate import Candidate
from segsearch.space.keys import from_json, to_json
from segsearch.space.steps import Quantize
from segsearch.training.checkpoint import Keep
from segsearch.trial.evaluate import evaluate
from segsearch.trial.files import spread_over
from segsearch.trial.grow import grow
from segsearch.trial.ship import AGREEMENT_IMAGES, check_agreement
from tests.trial.benches import INT8, PLAIN, Notebook, make_bench

TAILED = replace(PLAIN, after_export=(Quantize(tail=0.4),))


class Killed(BaseException):
    """The process is gone."""


def test_a_tail_changes_the_weights_of_the_file_and_nothing_else_of_its_graph(notebook: Notebook) -> None:
    bench = replace(make_bench(), output="mask")
    calibrated = evaluate(INT8, bench, notebook)
    notebook.made.clear()
    found = evaluate(TAILED, bench, notebook)
    assert notebook.made == ["quantize-train", "measure", "score"], "gate, training and calibration are shared"
    before, after = (onnx.load(notebook.artifacts.path(each.artifact)) for each in (calibrated, found))
    assert before.graph.node == after.graph.node
    assert before.metadata_props == after.metadata_props
    old, new = arrays_of(before.graph), arrays_of(after.graph)
    changed = {name for name in old if old[name].tobytes() != new[name].tobytes()}
    assert changed
    assert not any("output" in name for name in changed), "scales of maps stay"
    (outcome,) = (one for one in notebook.outcomes.values() if "agreement" in one)
    assert outcome["calibrated"] == calibrated.artifact
    assert outcome["agreement"] > 0.98
    assert outcome["losses"]
    notebook.made.clear()
    assert evaluate(TAILED, bench, notebook) == found
    assert notebook.made == []
    longer = evaluate(replace(PLAIN, after_export=(Quantize(tail=0.7),)), bench, notebook)
    assert longer.artifact != found.artifact


def test_a_step_without_a_tail_is_written_as_it_was() -> None:
    """Stored candidates keep their keys, and those of their stages."""
    written = '{"bits":8,"kind":"quantize","reduced_range":true,"symmetric_activations":false}'
    assert to_json(Quantize()) == to_json(Quantize(tail=0.0)) == written
    assert from_json(Quantize, written).tail == 0
    assert '"tail":0.25' in to_json(Quantize(tail=0.25))
    assert INT8.key != TAILED.key
    assert (Quantize().words, Quantize(tail=0.25).words) == ("int8", "int8 with a trained tail of 25%")
    for tail in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"Quantize.tail must lie in \[0, 1\), got"):
            Quantize(tail=tail)


def test_a_tail_that_was_killed_goes_on_and_leaves_no_checkpoint(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench()
    expected = evaluate(TAILED, bench, Notebook(notebook.artifacts))
    monkeypatch.setattr("segsearch.trial.stages.Keep", partial(Keep, seconds=0.0))
    steps: list[int] = []

    def killed(stage: str, done: int, total: int, /) -> None:
        if stage == "quantize-train" and done == 2:
            raise Killed

    def noted(stage: str, done: int, total: int, /) -> None:
        if stage == "quantize-train":
            steps.append(done)

    with pytest.raises(Killed):
        evaluate(TAILED, bench, notebook, progress=killed)
    assert notebook.made[-1] == "quantize-train"
    assert evaluate(TAILED, bench, notebook, progress=noted).artifact == expected.artifact
    assert steps == [0, 3, 4]
    assert not list(notebook.artifacts.folder.glob(".checkpoint-*"))


def test_a_model_trained_to_the_end_has_its_tail_too(notebook: Notebook) -> None:
    recipe = Recipe(epochs=4, ema=0.0, auxiliary=0.0, small_start=0.0, balanced=False)
    grown = grow(TAILED, make_bench(), notebook, recipe=recipe, seed=1)
    (outcome,) = (one for one in notebook.outcomes.values() if "agreement" in one)
    assert grown.evidence.artifact == outcome["model"]


def test_a_graph_that_says_something_else_than_its_file_fails_the_trial(notebook: Notebook) -> None:
    """Nothing that was trained may ship as something else."""
    bench = make_bench()
    model = notebook.artifacts.path(evaluate(INT8, bench, notebook).artifact)
    module = GraphModule(onnx.load(model))
    images = spread_over(bench.dataset.validation.images, AGREEMENT_IMAGES)
    assert check_agreement(module, model, bench, images) > 0.98
    with torch.no_grad():
        for value in module.parameters():
            value.mul_(-1)
    with pytest.raises(TrialFailed, match="What was trained must be what is exported, 95% of the pixels") as caught:
        check_agreement(module, model, bench, images)
    assert caught.value.kind == "quantize-train"


def test_an_operator_that_is_not_known_fails_the_trial_of_a_tail_alone(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {name: one for name, one in graph_operators.OPERATORS.items() if name != "Concat"}
    monkeypatch.setattr(graph_operators, "OPERATORS", known)
    bench = make_bench()
    with pytest.raises(TrialFailed, match="holds the operator Concat") as caught:
        evaluate(TAILED, bench, notebook)
    assert caught.value.kind == "quantize-train"
    assert evaluate(INT8, bench, notebook).confusion is not None


def test_candidates_with_a_tail_are_named_apart() -> None:
    assert (
        len(
            {
                Candidate(PLAIN.architecture, after_export=steps).key
                for steps in ((), (Quantize(),), TAILED.after_export)
            }
        )
        == 3
    )
