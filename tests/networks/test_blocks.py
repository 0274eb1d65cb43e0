from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segsearch.networks.blocks import BLOCKS, Place
from segsearch.networks.blocks.beside import shuffled
from segsearch.networks.blocks.parts import squeezed_width
from segsearch.networks.encoders import build_stage
from segsearch.networks.layers import ACTIVATIONS
from segsearch.space.architecture import Stage
from segsearch.space.block_rules import BLOCK_RULES
from tests.blocks import SETTINGS, leaves, place_of, stage_of, strided

Parity = Callable[[nn.Module, tuple[int, int]], float]
Shake = Callable[[nn.Module], nn.Module]


def block_of(name: str, inputs: int = 16, *, stride: int = 1, atrous: int = 1, **changes: Any) -> nn.Module:
    """One block, alone in its stage."""
    place = place_of(name, inputs, stride=stride, atrous=atrous)
    return BLOCKS[name](place, stage_of(name, place.outputs, 1, stride, atrous=(atrous,), **changes))


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def test_every_block_has_a_rule_and_settings() -> None:
    assert list(BLOCKS) == list(BLOCK_RULES) == list(SETTINGS)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("size", [(12, 16), (11, 7), (1, 1), (2, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel", "atrous"), [(3, 1), (5, 1), (3, 4)])
def test_a_block_gives_the_stages_channels_at_its_stride(
    name: str, size: tuple[int, int], stride: int, kernel: int, atrous: int
) -> None:
    for inputs in (8, 16):
        block = block_of(name, inputs, stride=stride, atrous=atrous, kernel=kernel).eval()
        out = block(torch.randn(2, inputs, *size))
        assert out.shape == (2, leaves(name, inputs), *strided(name, size, stride))
        assert torch.isfinite(out).all()


# Biases that a later norm takes out again, with nothing but a sum or a 1x1 between: as in the papers.
LEARN_NOTHING = {"qarep": {"main.1.bias"}, "shuffled": {"depthwise.1.bias"}}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("inputs", [3, 8, 16, 24])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_parameter_of_a_block_learns(name: str, inputs: int, stride: int, shake: Shake) -> None:
    # Where a fresh norm begins, a ReLU and the next norm take out its scale.
    block = shake(block_of(name, inputs, stride=stride, atrous=2)).train()
    x = torch.randn(2, inputs, 9, 12, requires_grad=True)
    kept = x.detach().clone()
    out = block(x)
    (out * torch.randn_like(out)).sum().backward()
    assert torch.equal(x.detach(), kept), "a block must not change the map that it reads: a skip may need it"
    assert x.grad is not None
    for key, parameter in block.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        if key not in LEARN_NOTHING.get(name, set()):
            assert parameter.grad.abs().max() > 1e-3, key


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize(("stride", "atrous", "size"), [(1, 1, (12, 16)), (2, 1, (11, 13)), (1, 3, (11, 13))])
def test_a_block_exports_with_parity(
    name: str, stride: int, atrous: int, size: tuple[int, int], parity: Parity
) -> None:
    for inputs in (16, 12):
        first = nn.Conv2d(3, inputs, 1)
        nn.init.normal_(first.weight, std=0.01)
        assert parity(nn.Sequential(first, block_of(name, inputs, stride=stride, atrous=atrous)), size) < 1e-4


@pytest.mark.parametrize("name", [name for name, rule in BLOCK_RULES.items() if rule.shortcut or rule.carries])
def test_a_residual_block_passes_its_input_on(name: str) -> None:
    block = block_of(name).eval()
    for parameter in block.parameters():
        parameter.data.zero_()
    if name == "qarep":  # its last norm stands after the sum
        block.norm.weight.data.fill_((1 + block.norm.eps) ** 0.5)  # type: ignore[union-attr, operator]
    x = torch.rand(1, 16, 5, 5)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_atrous_rate_widens_the_view(name: str) -> None:
    def reach(rate: int) -> int:
        block = block_of(name, atrous=rate, squeeze=0.0).eval()
        for parameter in block.parameters():
            parameter.data.abs_()
        x = torch.rand(1, 16, 33, 33, requires_grad=True)
        block(x)[0, -1, 16, 16].backward()
        assert x.grad is not None
        return int((x.grad.abs().sum(dim=(0, 1, 2)) > 0).nonzero().max()) - 16

    assert reach(3) == 3 * reach(1)
    assert (reach(1) == 0) == (name == "transition")


@pytest.mark.parametrize("name", [name for name, rule in BLOCK_RULES.items() if rule.activates])
@pytest.mark.parametrize("activation", ["relu", "relu6", "hardswish"])
def test_a_block_that_activates_has_the_stages_activation_alone(name: str, activation: Any) -> None:
    kinds = {type(make()) for make in ACTIVATIONS.values()}
    block = block_of(name, activation=activation)
    assert {type(layer) for layer in block.modules()} & kinds == {type(ACTIVATIONS[activation]())}


def test_groups_cut_the_weights_of_the_grouped_convolution() -> None:
    def weights(groups: int) -> int:
        block = block_of("grouped", groups=groups)
        return sum(conv.weight.numel() for conv in convolutions(block) if conv.groups > 1)

    assert weights(4) == 16 * 16 * 9 // 4
    assert weights(8) == 16 * 16 * 9 // 8


@pytest.mark.parametrize(("name", "width"), [("inverted_residual", 48), ("residual", 48), ("mbconv", 48)])
def test_expansion_is_inner_over_outer_width(name: str, width: int) -> None:
    assert convolutions(block_of(name, expansion=3.0))[0].out_channels == width


@pytest.mark.parametrize(
    ("channels", "expansion", "groups", "width"),
    [(256, 0.25, 1, 64), (256, 0.5, 32, 128), (100, 0.25, 1, 24), (100, 0.25, 3, 24), (16, 0.1, 4, 4)],
)
def test_a_bottlenecks_inner_width_suits_its_groups(channels: int, expansion: float, groups: int, width: int) -> None:
    stage = Stage("bottleneck", channels, 1, expansion=expansion, groups=groups)
    layers = convolutions(BLOCKS["bottleneck"](Place(channels, channels), stage))
    assert [layer.out_channels for layer in layers] == [width, width, channels]
    assert [layer.groups for layer in layers] == [1, groups, 1]


def test_a_bottlenecks_stride_stands_in_its_3x3() -> None:
    layers = convolutions(block_of("bottleneck", stride=2))
    assert [(layer.kernel_size[0], layer.stride[0]) for layer in layers] == [(1, 1), (3, 2), (1, 1), (1, 2)]


def test_a_dense_stage_grows_by_equal_shares_and_keeps_what_it_reads() -> None:
    stage = build_stage(16, Stage("dense", 39, 3)).eval()
    x = torch.randn(1, 16, 6, 6)
    grown = [layer.out_channels for layer in convolutions(stage) if layer.kernel_size[0] == 3]
    assert grown == [7, 8, 8]
    assert [layer.out_channels for layer in convolutions(stage) if layer.kernel_size[0] == 1] == [28, 32, 32]
    torch.testing.assert_close(stage[0](x)[:, :16], x)
    torch.testing.assert_close(stage[1](stage[0](x))[:, :16], x)


def test_a_dense_stage_ends_with_the_one_norm_that_its_readers_would_begin_with() -> None:
    stage = build_stage(16, Stage("dense", 40, 3)).eval()
    ends = [isinstance(block.finish, nn.Sequential) for block in stage]
    assert ends == [False, False, True]
    assert (stage(torch.randn(1, 16, 6, 6)) >= 0).all()


def test_a_transition_averages_and_holds_no_norm() -> None:
    block = block_of("transition", stride=2)
    assert [type(layer).__name__ for layer in block.children()] == ["Conv2d"]
    x = torch.randn(1, 16, 7, 9)
    torch.testing.assert_close(block(x), F.avg_pool2d(block.mix(x), 2))  # type: ignore[operator]


def test_channels_are_shuffled_from_group_to_group() -> None:
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffled(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffled(x, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert shuffled(x, 1) is x


def test_every_output_of_a_shuffled_block_sees_every_group() -> None:
    block = block_of("shuffled", groups=2).eval()
    x = torch.randn(1, 16, 5, 5, requires_grad=True)
    block.expand(block.depthwise(shuffled(block.reduce(x), 2)))[0, 0, 2, 2].backward()  # type: ignore[operator]
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize("name", ["shuffled", "eesp"])
def test_what_is_carried_along_lies_first_and_is_averaged(name: str) -> None:
    block = BLOCKS[name](Place(8, 24, 0, 2), stage_of(name, 24)).eval()
    x = torch.rand(1, 8, 7, 7)
    torch.testing.assert_close(block(x)[:, :8], F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))
    narrower = BLOCKS[name](Place(24, 16), stage_of(name)).eval()
    for layer in narrower.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data.zero_()
    assert not narrower(torch.rand(1, 24, 5, 5)).any()


def test_eesp_has_a_branch_for_each_rate_and_each_adds_the_one_before() -> None:
    block = BLOCKS["eesp"](Place(16, 16), Stage("eesp", 16, 1, atrous=(1, 2, 4, 8), groups=4)).eval()
    assert [branch.dilation[0] for branch in block.branches] == [1, 2, 4, 8]  # type: ignore[union-attr]
    seen: list[torch.Tensor] = []
    block.gather.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
    x = torch.randn(1, 16, 9, 9)
    block(x)
    alone = [branch(block.reduce(x)) for branch in block.branches]  # type: ignore[operator, union-attr]
    torch.testing.assert_close(seen[0], torch.cat([sum(alone[: index + 1]) for index in range(4)], dim=1))


def test_eesp_is_reinforced_by_the_image_in_its_first_block_alone() -> None:
    stage = build_stage(8, Stage("eesp", 16, 2, 2, atrous=(1, 2), groups=2, reinforce=True)).eval()
    assert [block.reads_image for block in stage] == [True, False]
    x, image = torch.randn(1, 8, 6, 7), torch.randn(1, 3, 49, 57)
    plain, other = stage(x, image), stage(x, image + torch.linspace(0, 1, 57))
    assert plain.shape == other.shape == (1, 16, 3, 4)
    assert not torch.allclose(plain, other)


def test_split_rates_share_the_channels_out_and_their_groups_too() -> None:
    layers = [layer for layer in convolutions(block_of("split_rates", squeeze=0.0)) if layer.kernel_size[0] == 3]
    assert [(layer.in_channels, layer.groups) for layer in layers] == [(8, 2), (8, 2)]
    rates = BLOCKS["split_rates"](Place(16, 16), Stage("split_rates", 16, 1, atrous=(1, 14), groups=4))
    assert [layer.dilation[0] for layer in convolutions(rates) if layer.kernel_size[0] == 3] == [1, 14]


def test_a_shortcut_of_split_rates_reads_every_pixel() -> None:
    block = block_of("split_rates", stride=2)
    x = torch.rand(1, 16, 7, 9, requires_grad=True)
    block.eval().shortcut(x).sum().backward()  # type: ignore[operator]
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize(
    ("channels", "width"),
    # MobileNetV3-Large's and -Small's, as its authors' and torchvision's code round them.
    [(72, 24), (120, 32), (480, 120), (672, 168), (960, 240), (16, 8), (96, 24), (240, 64), (144, 40), (288, 72)],
)
def test_squeezed_widths_are_mobilenets(channels: int, width: int) -> None:
    assert squeezed_width(channels, 0.25) == width
