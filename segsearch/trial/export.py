"""Export a network to one ONNX file of fixed shape, and check that the file says what torch says."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segsearch.errors import TrialFailed
from segsearch.runtimes import Runtime

OPSET = 17
# Float kernels of two libraries differ in the last bits and the differences add up over the layers; a wrong
# operator is off by far more.
PARITY_TOLERANCE = 1e-3


def export(network: nn.Module, size: tuple[int, int], target: Path) -> None:
    """Write `network` to `target`: input `image` (1, 3, height, width), output `scores` (1, classes, height, width)."""
    network = network.eval().to("cpu")
    example = torch.zeros(1, 3, *size)
    with warnings.catch_warnings(), torch.no_grad():
        # The shape is fixed on purpose, so tracing its arithmetic as constants is what is wanted; and the
        # tracing exporter is quicker than its successor for the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(target),
            input_names=["image"],
            output_names=["scores"],
            opset_version=OPSET,
            dynamo=False,
        )


def check_parity(network: nn.Module, model: Path, runtime: Runtime, image: NDArray[np.float32]) -> float:
    """Largest difference between torch's scores and the file's on one image, relative to the largest score.

    Raises `TrialFailed` above the tolerance or where either is not finite.
    """
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(image)).numpy()
    found = runtime.open(model, threads=1).run(image)
    if found.shape != expected.shape:
        raise TrialFailed("parity", f"The file must answer in torch's shape {expected.shape}, got {found.shape}.")
    if not np.isfinite(expected).all() or not np.isfinite(found).all():
        raise TrialFailed("parity", "The network's scores must be finite, got NaN or infinity.")
    relative = float(np.abs(found - expected).max()) / max(float(np.abs(expected).max()), 1e-6)
    if relative > PARITY_TOLERANCE:
        raise TrialFailed(
            "parity", f"The exported file must agree with torch within {PARITY_TOLERANCE:g}, got {relative:.3g}."
        )
    return relative


def count_macs(network: nn.Module, size: tuple[int, int]) -> int:
    """Multiply-accumulates of one image, as torch's own counter sees them (matrix and convolution operators).

    They are those of `forward`, as the file runs it: without auxiliary heads.
    """
    device = next(network.parameters()).device
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, *size, device=device))
    return int(counter.get_total_flops()) // 2


def count_params(network: nn.Module) -> int:
    """Parameters of what ships: auxiliary heads (`Network.auxiliary`) help in training and stay behind."""
    return sum(value.numel() for name, value in network.named_parameters() if not name.startswith("auxiliary."))
