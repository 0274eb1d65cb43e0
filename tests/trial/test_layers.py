"""Layers of a trial's file: what they lose and take, which go back to float, and what a kill leaves to be made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from segsearch.compression.choose import Lost
from segsearch.compression.layers import Pair
from segsearch.errors import DatabaseError, TrialFailed
from segsearch.evidence.layers import Choice, Times
from segsearch.runtimes import Operation
from segsearch.runtimes.graphs import with_scores
from segsearch.space.keys import from_json, to_json
from segsearch.space.steps import Quantize
from segsearch.trial import layers
from segsearch.trial.bench import Bench
from segsearch.trial.evaluate import evaluate, gated
from segsearch.trial.explain import explain
from segsearch.trial.files import CALIBRATION_IMAGES, spread
from segsearch.trial.judge import judge_by
from segsearch.trial.layers import Twins, graph_key
from segsearch.trial.stages import Stages
from tests.graphs import float_convolutions
from tests.scenes import tiny_split
from tests.trial.benches import INT8, PLAIN, Notebook, make_bench

MEASURED = replace(PLAIN, after_export=(Quantize(tolerance=1e-6),))
LOOSE = replace(PLAIN, after_export=(Quantize(tolerance=0.9),))


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsearch.latency.operations.ROUNDS", 1)
    monkeypatch.setattr(layers, "SAMPLE_IMAGES", 2)


@pytest.fixture
def bench() -> Bench:
    return replace(make_bench(), output="mask")


@pytest.fixture
def one_layer_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times and losses as on no processor in particular: int8 is twice as quick, and all that it loses is in one layer.

    So small a network is now and then quicker in float, and loses nothing on two images.
    """

    def choose(pair: Pair, times: Times, tolerance: float, *, lost: Lost, **about: Any) -> Choice:
        layers = tuple(replace(one, float_ms=2.0, int8_ms=1.0) for one in times.layers)
        given = replace(times, float_ms=2.0 * len(layers), int8_ms=1.0 * len(layers), million_ms=0.0, layers=layers)
        culprit = pair.convolutions[0].name

        def lost_here(in_float: Collection[str]) -> float:
            assert np.isfinite(lost(in_float))
            return 0.0 if culprit in in_float else 0.1

        return real(pair, given, tolerance, lost=lost_here, **about)

    real = layers.choose
    monkeypatch.setattr(layers, "choose", choose)


@pytest.mark.usefixtures("one_layer_pays")
def test_a_tolerance_makes_a_file_of_its_own_and_shares_all_that_comes_before(bench: Bench, notebook: Notebook) -> None:
    calibrated = evaluate(INT8, bench, notebook)
    notebook.made.clear()
    found = evaluate(MEASURED, bench, notebook)
    assert notebook.made == ["layer-times", "choose-layers", "keep-in-float", "measure", "score"]
    (outcome,) = (one for one in notebook.outcomes.values() if "choice" in one and "model" in one)
    choice = from_json(Choice, str(outcome["choice"]))
    assert outcome["calibrated"] == calibrated.artifact
    assert outcome["model"] == found.artifact
    kept = float_convolutions(notebook.artifacts.path(found.artifact))
    assert choice.ended == "within the tolerance"
    assert len(kept) >= sum(name.endswith("Conv") for name in choice.in_float) > 0
    notebook.made.clear()
    assert evaluate(MEASURED, bench, notebook) == found
    assert notebook.made == []


def test_a_wide_tolerance_gives_back_only_what_is_quicker(bench: Bench, notebook: Notebook) -> None:
    evaluate(LOOSE, bench, notebook)
    (text,) = (str(one["choice"]) for one in notebook.outcomes.values() if "choice" in one and "model" in one)
    choice = from_json(Choice, text)
    assert choice.ended == "within the tolerance"
    assert all(step.spent_ms <= 0 for step in choice.steps)


def test_killed_between_the_stages_it_goes_on_from_the_last_one(
    bench: Bench, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*about: object, **more: object) -> None:
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr(layers, "choose", die)
        with pytest.raises(Killed):
            evaluate(MEASURED, bench, notebook)
    notebook.made.clear()
    evaluate(MEASURED, bench, notebook)
    assert notebook.made == ["choose-layers", "keep-in-float", "measure", "score"]


def test_the_gate_is_that_of_the_whole_int8_file(bench: Bench, notebook: Notebook) -> None:
    gated(INT8, bench, notebook)
    notebook.made.clear()
    gated(MEASURED, bench, notebook)
    assert notebook.made == []


def test_times_are_of_the_graph_and_not_of_its_weights(bench: Bench, notebook: Notebook) -> None:
    found = evaluate(INT8, bench, notebook)
    graph = onnx.load(notebook.artifacts.path(found.artifact))
    before = graph_key(graph)
    for tensor in graph.graph.initializer:
        if len(tensor.dims) == 4:
            tensor.raw_data = bytes(len(tensor.raw_data))
    assert graph_key(graph) == before
    graph.graph.node[0].name = "another"
    assert graph_key(graph) != before


def test_layers_are_judged_on_training_images_that_the_calibration_leaves(bench: Bench, notebook: Notebook) -> None:
    """A decision must not see what it is judged by."""
    evaluate(INT8, bench, notebook)
    exact = next(str(one["model"]) for one in notebook.outcomes.values() if "parity" in one)
    scores = notebook.artifacts.path(exact)
    many = tiny_split(CALIBRATION_IMAGES + 3, seed=0)
    about = {"classes": bench.classes, "runtime": bench.runtime, "threads": 1}
    judge = judge_by(scores_of(scores), many, **about, most=50)
    taken = set(spread(len(many), CALIBRATION_IMAGES))
    left = [many.images[index] for index in range(len(many)) if index not in taken]
    assert (judge.drawn.images, judge.drawn.unseen) == (3, True)
    for image, pixels in zip(judge.images, left, strict=True):
        assert np.array_equal(image[0].transpose(1, 2, 0), pixels)
    few = judge_by(scores_of(scores), tiny_split(4, seed=0), **about, most=50)
    assert (few.drawn.images, few.drawn.unseen) == (4, False), "the calibration leaves none"
    whole = judge.apart(scores_of(scores))
    assert (whole.expected, whole.divergence, whole.labelled) == (0.0, 0.0, 0.0)


def scores_of(model: Path) -> Path:
    target = model.with_name("scores.onnx")
    return target if target.is_file() else with_scores(model, target)


@pytest.fixture
def a_millisecond_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A millisecond for each operation that ran: the runtime counts whole microseconds, and some take less."""

    def timed(*about: Any) -> tuple[tuple[Operation, ...], ...]:
        return tuple(tuple(replace(one, mean_ms=1.0) for one in found) for found in real(*about))

    real = layers.operations_of
    monkeypatch.setattr(layers, "operations_of", timed)


@pytest.mark.usefixtures("one_layer_pays", "a_millisecond_each")
def test_an_explanation_is_made_once_for_all_files_of_a_training(bench: Bench, notebook: Notebook) -> None:
    shipped, measured = (evaluate(one, bench, notebook).artifact for one in (INT8, MEASURED))
    exact = next(str(one["model"]) for one in notebook.outcomes.values() if "parity" in one)
    notebook.made.clear()
    found = explain(INT8, shipped, bench, notebook, calibrated=shipped, floats=[shipped, exact])
    assert notebook.made == ["layer-losses", "score", "explain"]
    assert (found.exact, found.rounded, found.in_float) == (exact, shipped, ())
    pair = Pair(*(onnx.load(notebook.artifacts.path(name)) for name in (exact, shipped)))
    assert [layer.name for layer in found.losses.layers] == [layer.name for layer in pair.layers]
    assert [layer.name for layer in found.times.layers] == [layer.name for layer in pair.layers]
    for layer, time in zip(found.losses.layers, found.times.layers, strict=True):
        assert (layer.back is not None) == (layer.alone is not None) == (layer.kind == "Conv")
        assert time.int8_ms > 0
    assert sum(layer.float_ms for layer in found.times.layers) < found.times.float_ms
    notebook.made.clear()
    other = explain(MEASURED, measured, bench, notebook, calibrated=shipped, floats=[exact])
    assert notebook.made == ["explain"]
    assert other.losses == found.losses
    assert other.in_float
    assert from_json(type(other), to_json(other)) == other


def test_a_float_file_that_is_another_ones_is_refused(bench: Bench, notebook: Notebook) -> None:
    shipped = evaluate(INT8, bench, notebook).artifact
    with pytest.raises(DatabaseError, match="none has its weights"):
        explain(INT8, shipped, bench, notebook, calibrated=shipped, floats=[])
    gone = "0" * 64 + ".onnx"
    with pytest.raises(DatabaseError, match="1 of 1 are gone"):
        explain(INT8, shipped, bench, notebook, calibrated=shipped, floats=[gone])
    other = replace(bench, schedule=replace(bench.schedule, seed=5))
    elsewhere = evaluate(PLAIN, other, notebook).artifact
    with pytest.raises(TrialFailed, match="must be made of"):
        Twins(elsewhere, shipped, bench, Stages(notebook)).losses()


@pytest.mark.parametrize("tolerance", [0.0, -0.1, 1.0])
def test_a_tolerance_out_of_range_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match=r"Quantize.tolerance must lie in \(0, 1\), got"):
        Quantize(tolerance=tolerance)


def test_a_tolerance_chooses_alone_and_leaves_stored_steps_as_they_were() -> None:
    with pytest.raises(ValueError, match="float_convolutions must be 0, got 3"):
        Quantize(tolerance=0.01, float_convolutions=3)
    assert "tolerance" not in to_json(Quantize())
    assert replace(PLAIN, after_export=(Quantize(tolerance=0.01),)).tolerance == 0.01
    assert INT8.tolerance is None
    assert "to lose 0.01 at most" in Quantize(tolerance=0.01).words
