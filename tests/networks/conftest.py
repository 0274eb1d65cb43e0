from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from segsearch.runtimes import RUNTIMES
from segsearch.trial.export import check_parity, export

Shake = Callable[[nn.Module], nn.Module]
Parity = Callable[[nn.Module, tuple[int, int]], float]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small maps are quicker on one thread, and the sums are then the same each time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def shake() -> Shake:
    """Give batch norm the statistics of a trained network: fresh ones hide a layer that is in the wrong place."""

    def shaken(module: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(1)
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                for tensor, low, high in (
                    (norm.weight, 0.5, 1.5),
                    (norm.bias, -0.5, 0.5),
                    (norm.running_mean, -0.5, 0.5),
                    (norm.running_var, 0.5, 1.5),
                ):
                    assert tensor is not None
                    tensor.data.uniform_(low, high, generator=generator)
        return module

    return shaken


@pytest.fixture
def parity(tmp_path: Path, shake: Shake) -> Parity:
    """Export a module of images, run the file, and compare it with torch on noise."""

    def compared(module: nn.Module, size: tuple[int, int]) -> float:
        shake(module)
        target = tmp_path / "module.onnx"
        export(module, size, target)
        image = np.random.default_rng(0).uniform(0, 255, (1, 3, *size)).astype(np.float32)
        return check_parity(module, target, RUNTIMES["onnxruntime"], image)

    return compared
