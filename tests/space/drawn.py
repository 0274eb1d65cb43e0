"""What a candidate of a built-in space must go through: build, run, learn, prune, export, quantize."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, get_args

import numpy as np
import optuna
import torch
from torch.nn import functional as F

from segsearch.compression import GRAPH_STEPS, MODEL_STEPS
from segsearch.networks import Network, build
from segsearch.runtimes import RUNTIMES
from segsearch.space.candidate import Candidate, Output
from segsearch.space.draws import DrawFor, Facts
from segsearch.trial.export import check_parity, count_macs, count_params, export
from tests.graphs import early_convolutions, float_convolutions

SIZE = (96, 128)
CLASSES = 5


def load_built_in(name: str) -> DrawFor:
    """The `draw` of a space that comes along, from its file."""
    path = Path(__file__).parents[2] / "spaces" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_space", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: DrawFor = module.draw
    return found


def ask(draw: DrawFor, facts: Facts, count: int, *, seed: int = 0) -> list[tuple[Candidate, dict[str, Any]]]:
    """Candidates as a search draws them, each with its parameters."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    asked = [study.ask() for _ in range(count)]
    return [(draw(trial, facts), dict(trial.params)) for trial in asked]


def images(count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, *SIZE, generator=generator) * 255


def compressed(candidate: Candidate, *, seed: int = 0) -> Network:
    network = build(candidate.architecture, CLASSES, seed=seed)
    for step in candidate.before_export:
        MODEL_STEPS[type(step)](network, step, protected=network.protected)
    return network


def learn(network: Network) -> None:
    """One step of training, with a finite loss and a finite gradient for every parameter."""
    network.train()
    scores, extra = network.scores_and_auxiliary(F.interpolate(images(2), scale_factor=network.input_scale))
    assert not extra
    masks = torch.randint(0, CLASSES, (2, *scores.shape[-2:]), generator=torch.Generator().manual_seed(0))
    loss = F.cross_entropy(scores, masks)
    assert torch.isfinite(loss)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def build_run_learn_prune(candidate: Candidate) -> None:
    network = build(candidate.architecture, CLASSES)
    learn(network)
    with torch.no_grad():
        scores = network.eval()(images())
    assert scores.shape == (1, CLASSES, *SIZE)
    assert torch.isfinite(scores).all()
    if candidate.before_export:
        params, macs = count_params(network), count_macs(network, SIZE)
        for step in candidate.before_export:
            MODEL_STEPS[type(step)](network, step, protected=network.protected)
        assert count_params(network) <= params
        assert count_macs(network, SIZE) <= macs
        # The gate timed an untrained network of this shape, and the weights are stored in it.
        compressed(candidate, seed=1).load_state_dict(network.state_dict(), strict=True)
        network.zero_grad()
        learn(network)


def export_and_quantize(candidate: Candidate, folder: Path) -> None:
    runtime = RUNTIMES["onnxruntime"]
    network = compressed(candidate).train()
    with torch.no_grad():  # batch norm that fits the pictures, as after training
        network.scores(F.interpolate(images(2), scale_factor=network.input_scale))
    image = images().numpy()
    for output in get_args(Output):
        export(network, SIZE, folder / "float.onnx", output=output)
        assert check_parity(network, folder / "float.onnx", runtime, image, output=output) < 1e-3
    for step in candidate.after_export:
        GRAPH_STEPS[type(step)](folder / "float.onnx", folder / "final.onnx", step, images=[image])
        session = runtime.open(folder / "final.onnx", threads=1)
        answer = session.run(image)
        assert session.shape == (1, 3, *SIZE)
        assert answer.shape == (1, CLASSES, *SIZE)
        assert np.isfinite(answer).all()
        early = early_convolutions(folder / "float.onnx", step.float_convolutions)
        assert len(float_convolutions(folder / "final.onnx")) == len(early)
