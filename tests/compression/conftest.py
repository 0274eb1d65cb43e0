from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

Shake = Callable[[nn.Module, int], nn.Module]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def shake() -> Shake:
    """Weights as training leaves them: every layer, batch norm too, with magnitudes of its own."""

    def shaken(module: nn.Module, seed: int) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                scale = torch.empty(layer.out_channels, 1, 1, 1).uniform_(0.2, 2, generator=generator)
                layer.weight.data.mul_(scale)
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.data.uniform_(0.5, 1.5, generator=generator)
                layer.bias.data.uniform_(-0.5, 0.5, generator=generator)
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.uniform_(-0.5, 0.5, generator=generator)
                layer.running_var.uniform_(0.5, 1.5, generator=generator)
        return module

    return shaken
