"""Files of small networks, float and int8, for what reads graphs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

from segsearch.compression.quantize import quantize
from segsearch.networks import build
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Output
from segsearch.space.steps import Quantize
from segsearch.trial.export import export

SIZE = (48, 64)
IMAGES: list[NDArray[np.float32]] = [
    np.random.default_rng(seed).uniform(0, 255, (1, 3, *SIZE)).astype(np.float32) for seed in range(4)
]
BOTH = torch.from_numpy(np.concatenate(IMAGES[:2]))


def settled(network: nn.Module) -> nn.Module:
    """Batch norm fits the pictures, as after training, and every bias is another."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
            nn.init.normal_(norm.bias, std=0.1)
    with torch.no_grad():
        network.train()(BOTH)
    return network.eval()


def files_of(
    network: nn.Module, folder: Path, *, output: Output = "scores", step: Quantize = Quantize()
) -> tuple[Path, Path]:
    """A network's float file, and the int8 file made of it."""
    plain, rounded = folder / "float.onnx", folder / "int8.onnx"
    export(network, SIZE, plain, output=output)
    quantize(plain, rounded, step, images=IMAGES)
    return plain, rounded


def of_architecture(architecture: Architecture, folder: Path, *, step: Quantize = Quantize()) -> tuple[Path, Path]:
    """Files that answer a mask chosen at half of the input's size."""
    torch.manual_seed(0)
    network = settled(build(replace(architecture, answer_scale=0.5), 5))
    return files_of(network, folder, output="mask", step=step)


def own_agreement(model: Path) -> float:
    """The share of pixels of which ONNX Runtime says the same with and without its optimizations."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    found = np.concatenate([plain.run(None, {"image": image})[0] for image in IMAGES[:2]])
    return float(np.mean(found == answers(model)))


def answers(model: Path) -> NDArray[np.generic]:
    """What ONNX Runtime says of the first two images."""
    session = RUNTIMES["onnxruntime"].open(model, threads=1)
    return np.concatenate([session.run(image) for image in IMAGES[:2]])
