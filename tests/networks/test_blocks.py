from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from segsearch.networks.blocks import BLOCKS, Place
from segsearch.space.architecture import Stage

Parity = Callable[[nn.Module, tuple[int, int]], float]


def stage(name: str, **changes: object) -> Stage:
    plain = Stage(name, 16, 1, expansion=2.0, groups=4 if name == "grouped" else 1)
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("size", [(12, 16), (11, 7), (1, 1), (2, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel", "atrous"), [(3, 1), (5, 1), (3, 4)])
def test_a_block_gives_the_stages_channels_at_its_stride(
    name: str, size: tuple[int, int], stride: int, kernel: int, atrous: int
) -> None:
    for inputs in (8, 16):
        block = BLOCKS[name](Place(inputs, 16, 0, stride, atrous), stage(name, kernel=kernel)).eval()
        out = block(torch.randn(2, inputs, *size))
        assert out.shape == (2, 16, -(-size[0] // stride), -(-size[1] // stride))
        assert torch.isfinite(out).all()


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("inputs", [3, 8, 16, 24])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_parameter_of_a_block_learns(name: str, inputs: int, stride: int) -> None:
    block = BLOCKS[name](Place(inputs, 16, 0, stride, 2), stage(name)).train()
    x = torch.randn(2, inputs, 9, 12, requires_grad=True)
    kept = x.detach().clone()
    (block(x) * torch.randn(16, 1, 1)).sum().backward()
    assert torch.equal(x.detach(), kept), "a block must not change the map that it reads: a skip may need it"
    assert x.grad is not None
    for key, parameter in block.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize(("stride", "atrous", "size"), [(1, 1, (12, 16)), (2, 1, (11, 13)), (1, 3, (11, 13))])
def test_a_block_exports_with_parity(
    name: str, stride: int, atrous: int, size: tuple[int, int], parity: Parity
) -> None:
    first = nn.Conv2d(3, 16, 1)
    nn.init.normal_(first.weight, std=0.01)
    assert parity(nn.Sequential(first, BLOCKS[name](Place(16, 16, 0, stride, atrous), stage(name))), size) < 1e-4


@pytest.mark.parametrize("name", ["residual", "inverted_residual"])
def test_a_residual_block_passes_its_input_on(name: str) -> None:
    block = BLOCKS[name](Place(16, 16), stage(name)).eval()
    for parameter in block.parameters():
        parameter.data.zero_()
    x = torch.rand(1, 16, 5, 5)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_atrous_rate_widens_the_view(name: str) -> None:
    def reach(rate: int) -> int:
        block = BLOCKS[name](Place(8, 8, atrous=rate), stage(name, channels=8, groups=1)).eval()
        for parameter in block.parameters():
            parameter.data.abs_()
        x = torch.rand(1, 8, 33, 33, requires_grad=True)
        block(x)[0, 0, 16, 16].backward()
        assert x.grad is not None
        return int((x.grad.abs().sum(dim=(0, 1, 2)) > 0).nonzero().max()) - 16

    assert reach(3) == 3 * reach(1)


def test_groups_cut_the_weights_of_the_grouped_convolution() -> None:
    def weights(groups: int) -> int:
        block = BLOCKS["grouped"](Place(16, 16), stage("grouped", groups=groups))
        return sum(conv.weight.numel() for conv in block.modules() if isinstance(conv, nn.Conv2d) and conv.groups > 1)

    assert weights(4) == 16 * 16 * 9 // 4
    assert weights(8) == 16 * 16 * 9 // 8


@pytest.mark.parametrize(("name", "width"), [("inverted_residual", 48), ("residual", 48)])
def test_expansion_is_inner_over_outer_width(name: str, width: int) -> None:
    block = BLOCKS[name](Place(16, 16), stage(name, expansion=3.0))
    convs = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    assert convs[0].out_channels == width
