"""From weights to files: the float one and what is made of it."""

from __future__ import annotations

import json
from dataclasses import replace

import onnx
import pytest

from segsearch.errors import StorageFull, TrialFailed
from segsearch.predicting.model import from_file
from segsearch.space.keys import to_json
from segsearch.space.steps import Quantize
from segsearch.trial.evaluate import evaluate
from segsearch.trial.files import graph_steps
from segsearch.workshop import Artifacts
from tests.trial.benches import INT8, PLAIN, Notebook, make_bench


def test_int8_and_float_share_the_training(notebook: Notebook) -> None:
    bench = make_bench()
    plain = evaluate(PLAIN, bench, notebook)
    notebook.made.clear()
    quantized = evaluate(INT8, bench, notebook)
    assert notebook.made == ["gate", "quantize", "measure", "score"]
    assert quantized.artifact != plain.artifact
    graph = onnx.load(notebook.artifacts.path(quantized.artifact)).graph
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in graph.node}
    assert quantized.confusion.miou > 0.5 * plain.confusion.miou


@pytest.mark.parametrize("raised", [RuntimeError("write failed"), TrialFailed("quantize", "write failed")])
def test_a_full_disk_while_quantizing_is_not_the_candidates_fault(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def fails(*arguments: object, **more: object) -> None:
        raise raised

    monkeypatch.setattr(Artifacts, "free_bytes", lambda self: 0)
    monkeypatch.setattr("segsearch.trial.files.GRAPH_STEPS", {Quantize: fails})
    with pytest.raises(StorageFull, match="no room left in gate"):
        evaluate(INT8, make_bench(), notebook)


@pytest.mark.parametrize(("recipe", "signed"), [(1, True), (2, False)])
def test_a_study_of_recipe_1_goes_on_with_signed_symmetric_activations(recipe: int, signed: bool) -> None:
    symmetric = replace(PLAIN, after_export=(Quantize(symmetric_activations=True),))
    bench = make_bench()
    bench = replace(bench, schedule=replace(bench.schedule, recipe=recipe))
    assert graph_steps(symmetric, bench) == (Quantize(symmetric_activations=True, signed=signed),)
    assert graph_steps(INT8, bench) == INT8.after_export
    assert '"signed"' not in to_json(symmetric), "the keys of stages are what they were"


def test_files_of_images_whose_orientation_is_ignored_say_so_where_they_lie_alone(notebook: Notebook) -> None:
    bench = make_bench()
    ignored = replace(bench, dataset=replace(bench.dataset, exif_ignored=True))
    for candidate in (PLAIN, INT8):
        path = notebook.artifacts.path(evaluate(candidate, ignored, notebook).artifact)
        assert from_file(path).exif == "ignore"
        assert from_file(notebook.artifacts.path(evaluate(candidate, bench, notebook).artifact)).exif == "turn"


def test_files_of_wide_images_say_which_stored_values_are_black_and_white(notebook: Notebook) -> None:
    bench = make_bench()
    wide = replace(bench, dataset=replace(bench.dataset, levels=(800.0, 3200.0)))
    plain, quantized = evaluate(PLAIN, wide, notebook), evaluate(INT8, wide, notebook)
    for found in (plain, quantized):
        model = onnx.load(notebook.artifacts.path(found.artifact))
        told = {entry.key: entry.value for entry in model.metadata_props}
        assert json.loads(told["segsearch.levels"]) == {"black": 800.0, "white": 3200.0}
    narrow = onnx.load(notebook.artifacts.path(evaluate(PLAIN, bench, notebook).artifact))
    assert "segsearch.levels" not in {entry.key for entry in narrow.metadata_props}
