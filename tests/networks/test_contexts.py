from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segsearch.networks.check import SCORING, WIDE
from segsearch.networks.contexts import CONTEXTS, Mean, Pooled
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
        Context("aspp", 16, rates=(2, 12), image_pool=True, block="separable"),
    ],
    "aspp_scores": [
        Context("aspp_scores", rates=(6, 12, 18, 24)),
        Context("aspp_scores", rates=(2,)),
        Context("aspp_scores", rates=(2, 5), block="separable"),
    ],
    "large_field": [Context("large_field", 16, rates=(12,)), Context("large_field", 16, rates=(3,), block="separable")],
    "cascaded_pooling": [
        Context("cascaded_pooling", 16, bins=(8, 4, 2)),
        Context("cascaded_pooling", 16, bins=(3,), block="separable"),
    ],
    "global_pooling": [Context("global_pooling", 16)],
    "attention": [Context("attention", 16), Context("attention", 16, block="separable")],
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
    assert channels == (24 if name == "none" else context.channels or 5)


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


def convolutions(context: Context) -> list[nn.Conv2d]:
    module, _ = CONTEXTS[context.kind](24, context, 5)
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize("kind", WIDE)
def test_separable_leaves_no_whole_3x3(kind: str) -> None:
    whole, separable = (next(one for one in SETTINGS[kind] if one.block == block) for block in ("conv", "separable"))
    assert [layer for layer in convolutions(whole) if layer.kernel_size == (3, 3)]
    wide = [layer for layer in convolutions(separable) if layer.kernel_size == (3, 3)]
    assert wide
    assert all(layer.groups == layer.in_channels for layer in wide)
    rates = [layer.dilation[0] for layer in wide]
    assert rates == (list(separable.rates) or [1] * len(rates))


@pytest.mark.parametrize("kind", [kind for kind in CONTEXTS if kind in SCORING])
def test_what_scores_has_a_bias_and_no_norm_after_it(kind: str) -> None:
    for context in SETTINGS[kind]:
        module, channels = CONTEXTS[kind](24, context, 5)
        kept = module.keeps
        assert len(kept) == len(context.rates)
        assert all(layer.out_channels == channels == 5 and layer.bias is not None for layer in kept)
        assert (module.eval()(torch.randn(1, 24, 6, 6)) < 0).any()


def test_scores_are_the_sum_over_the_rates() -> None:
    module, _ = CONTEXTS["aspp_scores"](4, Context("aspp_scores", rates=(1, 2, 3)), 3)
    x = torch.randn(1, 4, 9, 9)
    torch.testing.assert_close(module(x), sum(branch(x) for branch in module.branches))


def test_windows_grow_and_each_hears_the_ones_before() -> None:
    """The map after a pool is made of the one before it: its gradient reaches every earlier pool."""
    module = CONTEXTS["cascaded_pooling"](8, Context("cascaded_pooling", 16, bins=(6, 3, 2)), 5)[0].train()
    assert [type(pooled) for pooled in module.pooled] == [Pooled, Pooled, Pooled, Mean]
    assert [pooled.bins for pooled in module.pooled[:3]] == [6, 3, 2]
    seen: list[torch.Tensor] = []
    module.refine[-1].register_forward_hook(lambda *told: seen.append(told[-1]))
    module(torch.randn(2, 8, 12, 12))
    (seen[0] * torch.randn(8, 12, 12)).sum().backward()
    assert all(one.mix[0].weight.grad.abs().sum() > 0 for one in module.pooled[:3])
    assert module.whole[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", ["global_pooling", "attention", "cascaded_pooling"])
def test_every_pixel_hears_the_whole_map(kind: str) -> None:
    module = CONTEXTS[kind](8, SETTINGS[kind][0], 5)[0].eval()
    x = torch.randn(1, 8, 33, 9, requires_grad=True)
    (module(x)[0, :, 0, 0] * torch.randn(16)).sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=1) > 0).all()


def test_a_mean_is_the_mean_however_the_map_divides() -> None:
    module = Mean(3, 3)
    x = torch.randn(2, 3, 7, 5)
    expected = F.conv2d(x.mean(dim=(2, 3), keepdim=True), module.mix.weight, module.mix.bias)
    torch.testing.assert_close(module(x), expected)


def test_one_bin_is_the_mean() -> None:
    module = Pooled(2, 2, 1).eval()
    module.mix = nn.Identity()  # type: ignore[assignment]
    x = torch.randn(1, 2, 7, 5)
    torch.testing.assert_close(module(x), x.mean(dim=(2, 3), keepdim=True).expand_as(x))
