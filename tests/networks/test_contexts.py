from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segsearch.networks.contexts import CONTEXTS, Pooled
from segsearch.space.architecture import Context

Parity = Callable[[nn.Module, tuple[int, int]], float]

SETTINGS = {
    "none": [Context()],
    "pyramid_pooling": [
        Context("pyramid_pooling", 16, bins=(1,)),
        Context("pyramid_pooling", 16, bins=(1, 2, 3, 6)),
        Context("pyramid_pooling", 16, bins=(5, 64)),
    ],
    "aspp": [
        Context("aspp", 16, rates=(2, 4)),
        Context("aspp", 16, rates=(6, 12, 40), image_pool=True),
        Context("aspp", 16, rates=(1,), image_pool=True),
    ],
}
CASES = [(name, context) for name, contexts in SETTINGS.items() for context in contexts]
# Sizes that the bins do not divide, smaller than the bins, and smaller than the rates.
SIZES = [(12, 16), (11, 7), (5, 3), (2, 2), (1, 1), (1, 9)]


def test_every_context_of_the_table_is_tried() -> None:
    assert set(SETTINGS) == set(CONTEXTS)


@pytest.mark.parametrize(("name", "context"), CASES)
@pytest.mark.parametrize("size", SIZES)
def test_a_context_keeps_the_size_and_says_its_channels(name: str, context: Context, size: tuple[int, int]) -> None:
    module, channels = CONTEXTS[name](24, context, 5)
    out = module.eval()(torch.randn(2, 24, *size))
    assert out.shape == (2, channels, *size)
    assert torch.isfinite(out).all()
    assert channels == (16 if name != "none" else 24)


@pytest.mark.parametrize(("name", "context"), CASES)
@pytest.mark.parametrize("size", [(11, 7), (2, 2)])
def test_every_parameter_of_a_context_learns(name: str, context: Context, size: tuple[int, int]) -> None:
    module, channels = CONTEXTS[name](24, context, 5)
    x = torch.randn(2, 24, *size, requires_grad=True)
    (module.train()(x) * torch.randn(channels, 1, 1)).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


def test_a_context_trains_on_a_single_image() -> None:
    # One bin of one image: a batch norm there would have nothing to normalise over.
    for name, context in CASES:
        module, _ = CONTEXTS[name](24, context, 5)
        assert torch.isfinite(module.train()(torch.randn(1, 24, 6, 6))).all()


@pytest.mark.parametrize(("name", "context"), CASES)
@pytest.mark.parametrize("size", [(11, 7), (3, 2)])
def test_a_context_exports_with_parity(name: str, context: Context, size: tuple[int, int], parity: Parity) -> None:
    first = nn.Conv2d(3, 24, 1)
    nn.init.normal_(first.weight, std=0.01)
    assert parity(nn.Sequential(first, CONTEXTS[name](24, context, 5)[0]), size) < 1e-4


@pytest.mark.parametrize("bins", [1, 2, 3, 4, 6])
def test_pooling_is_adaptive_pooling_where_the_bins_divide_the_map(bins: int) -> None:
    module = Pooled(4, 4, bins).eval()
    module.mix = nn.Identity()  # type: ignore[assignment]
    x = torch.randn(1, 4, 12, 24)
    expected = F.interpolate(F.adaptive_avg_pool2d(x, bins), size=(12, 24), mode="bilinear", align_corners=False)
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_every_pixel_of_the_map_is_in_some_bin(size: tuple[int, int], bins: int) -> None:
    module = Pooled(1, 1, bins).eval()
    module.mix = nn.Identity()  # type: ignore[assignment]
    x = torch.rand(1, 1, *size, requires_grad=True)
    module(x).sum().backward()
    assert x.grad is not None
    assert (x.grad > 0).all()


def test_one_bin_is_the_mean() -> None:
    module = Pooled(2, 2, 1).eval()
    module.mix = nn.Identity()  # type: ignore[assignment]
    x = torch.randn(1, 2, 7, 5)
    torch.testing.assert_close(module(x), x.mean(dim=(2, 3), keepdim=True).expand_as(x))
