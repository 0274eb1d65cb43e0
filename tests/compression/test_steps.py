from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from segsearch.compression import GRAPH_STEPS, MODEL_STEPS, REPORTS
from segsearch.networks import build
from segsearch.runtimes import RUNTIMES
from segsearch.space import candidate
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.candidate import Candidate
from segsearch.space.keys import from_json, to_json
from segsearch.space.steps import Factorize, Prune, Quantize, StoreWeights
from segsearch.trial.export import export

SIZE = (32, 48)
ARCHITECTURE = Architecture((EncoderPath(Stem(8), (Stage("residual", 24, 1, 2),)),), (), Head(16))
SETTINGS: dict[type[Any], list[Any]] = {
    Prune: [Prune(0.0), Prune(0.25), Prune(0.5, "l2"), Prune(0.5, round_to=4), Prune(0.5, "taylor")],
    Factorize: [Factorize(1.0), Factorize(0.25), Factorize(0.5, least_macs=0, least_saving=0.0, round_to=4)],
    Quantize: [Quantize(), Quantize(symmetric_activations=True), Quantize(correct_bias=True)],
    StoreWeights: [StoreWeights(16), StoreWeights(4)],
}
model_steps = pytest.mark.parametrize("step", [step for kind in MODEL_STEPS for step in SETTINGS[kind]], ids=repr)
graph_steps = pytest.mark.parametrize("step", [step for kind in GRAPH_STEPS for step in SETTINGS[kind]], ids=repr)


def test_every_step_that_can_be_written_can_be_done() -> None:
    assert set(MODEL_STEPS) == set(get_args(candidate.BeforeExport) or (candidate.BeforeExport,))
    assert set(GRAPH_STEPS) == set(get_args(candidate.AfterExport) or (candidate.AfterExport,))
    assert not set(MODEL_STEPS) & set(GRAPH_STEPS)
    assert set(REPORTS) <= set(MODEL_STEPS)


@pytest.mark.parametrize("step", [step for steps in SETTINGS.values() for step in steps], ids=repr)
def test_a_step_goes_through_json(step: Any) -> None:
    assert from_json(type(step), to_json(step)) == step
    before = (step,) if type(step) in MODEL_STEPS else ()
    after = (step,) if type(step) in GRAPH_STEPS else ()
    whole = Candidate(ARCHITECTURE, before_export=before, after_export=after)
    assert from_json(Candidate, to_json(whole)) == whole
    assert f'"kind":"{step.kind}"' in to_json(whole)


@model_steps
def test_a_network_still_answers_in_its_shape(step: Any) -> None:
    network = build(ARCHITECTURE, 5)
    image = torch.rand(1, 3, *SIZE) * 255
    done = MODEL_STEPS[type(step)](network, step, protected=network.protected)
    scores = done.eval()(image)
    assert scores.shape == (1, 5, *SIZE)
    assert torch.isfinite(scores).all()


@graph_steps
def test_a_graph_still_answers_in_its_shape(step: Any, tmp_path: Path) -> None:
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, *SIZE)).astype(np.float32)
    export(build(ARCHITECTURE, 5), SIZE, tmp_path / "float.onnx")
    GRAPH_STEPS[type(step)](tmp_path / "float.onnx", tmp_path / "done.onnx", step, images=[image])
    session = RUNTIMES["onnxruntime"].open(tmp_path / "done.onnx", threads=1)
    assert session.shape == (1, 3, *SIZE)
    scores = session.run(image)
    assert scores.shape == (1, 5, *SIZE)
    assert np.isfinite(scores).all()
