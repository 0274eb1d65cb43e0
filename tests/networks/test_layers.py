from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from segsearch.compression.prune import prune
from segsearch.networks import build, wear_in
from segsearch.networks.blocks import BLOCKS
from segsearch.networks.encoders import build_stem
from segsearch.networks.layers import Conv2d, GroupedConv2d, conv_bn
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.steps import Prune
from segsearch.trial.export import count_macs, export
from tests.blocks import place_of, stage_of

PACKAGE = Path(__file__).parents[2] / "segsearch"
BACKWARD = torch.ops.aten.convolution_backward.default


class Watch(TorchDispatchMode):
    """Sees every convolution that learns: its weights' shape and its stride."""

    def __init__(self) -> None:
        super().__init__()
        self.learned: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is BACKWARD:
            self.learned.append((tuple(args[2].shape), tuple(args[4])))
        return func(*args, **(kwargs or {}))

    @property
    def strided_pointwise(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        return [(weight, stride) for weight, stride in self.learned if weight[2:] == (1, 1) and max(stride) > 1]


def learn(module: nn.Module, x: torch.Tensor) -> Watch:
    with Watch() as watch:
        module(x).square().mean().backward()
    return watch


def test_the_watch_sees_a_strided_pointwise_convolution_that_learns() -> None:
    # The guard of the tests below must be able to fail.
    assert learn(nn.Conv2d(8, 16, 1, stride=2), torch.randn(2, 8, 6, 6)).strided_pointwise == [((16, 8, 1, 1), (2, 2))]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [2, 3])
def test_no_block_trains_a_strided_pointwise_convolution(name: str, kernel: int, stride: int, training: bool) -> None:
    block = BLOCKS[name](place_of(name, 8, stride=stride), stage_of(name, 16, 1, stride, kernel=kernel)).train(training)
    watch = learn(block, torch.randn(2, 8, 12, 10).to(memory_format=torch.channels_last))
    assert watch.learned
    assert not watch.strided_pointwise


def test_no_stem_trains_a_strided_pointwise_convolution() -> None:
    watch = learn(build_stem(3, Stem(8, stride=4, kernel=1, depth=2)), torch.randn(2, 3, 16, 16))
    assert len(watch.learned) == 2
    assert not watch.strided_pointwise


def test_every_convolution_of_the_networks_is_the_one_that_is_safe_to_train() -> None:
    for path in sorted((PACKAGE / "networks").rglob("*.py")):
        if path.name == "layers.py":
            continue
        made = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        named = [call.func.attr for call in made if isinstance(call.func, ast.Attribute)]
        assert not {"Conv2d", "conv2d", "LazyConv2d", "ConvTranspose2d"} & set(named), path.name


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("size", [(8, 10), (7, 9), (1, 1), (2, 5)])
@pytest.mark.parametrize("stride", [2, 3])
def test_a_strided_pointwise_convolution_learns_what_the_plain_one_would(
    groups: int, size: tuple[int, int], stride: int
) -> None:
    # Stored weights must mean the same function, and each step must go where it went.
    kind = Conv2d if groups == 1 else GroupedConv2d
    ours = kind(8, 16, 1, stride, groups=groups, bias=True).double()
    plain = nn.Conv2d(8, 16, 1, stride, groups=groups, bias=True).double()
    plain.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 8, *size, dtype=torch.double)
    found, expected = x.clone().requires_grad_(), x.clone().requires_grad_()
    one, other = ours(found), plain(expected)
    torch.testing.assert_close(one, other)
    (one * torch.arange(one.numel()).view_as(one)).sum().backward()
    (other * torch.arange(other.numel()).view_as(other)).sum().backward()
    torch.testing.assert_close(found.grad, expected.grad)
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_strided_pointwise_convolution_with_padding_keeps_its_numbers() -> None:
    conv = Conv2d(4, 4, 1, 2, padding=1)
    x = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, conv.bias, 2, 1))


@pytest.mark.parametrize("groups", [1, 8])
def test_under_autocast_the_precision_is_that_of_any_other_convolution(groups: int) -> None:
    conv, x = conv_bn(8, 8, stride=2, groups=groups)[0], torch.randn(1, 8, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        found = conv(x)
    assert found.dtype == (torch.bfloat16 if groups == 1 else torch.float32)
    torch.testing.assert_close(found.float(), conv(x), atol=0.03, rtol=0.03)


def shortcut_network() -> Architecture:
    path = EncoderPath(Stem(8), (Stage("residual", 16, 1, 2), Stage("conv", 24, 1, 2, kernel=1)))
    return Architecture((path,), (), Head(16))


def test_keys_and_shapes_are_those_of_stored_weights() -> None:
    # As files of version 0.1.0 name them.
    state = build(shortcut_network(), 3).state_dict()
    assert tuple(state["encoders.0.stages.0.0.shortcut.0.weight"].shape) == (16, 8, 1, 1)
    assert tuple(state["encoders.0.stages.0.0.shortcut.1.running_var"].shape) == (16,)
    assert tuple(state["encoders.0.stages.1.0.0.weight"].shape) == (24, 16, 1, 1)


def test_the_exported_graph_and_the_count_hold_one_strided_convolution(tmp_path: Path) -> None:
    network = wear_in(build(shortcut_network(), 3))
    export(network, (32, 32), tmp_path / "model.onnx")
    nodes = onnx.load(tmp_path / "model.onnx").graph.node
    strided = []
    for node in nodes:
        values = {attribute.name: list(attribute.ints) for attribute in node.attribute}
        if node.op_type == "Conv" and values["kernel_shape"] == [1, 1] and values["strides"] == [2, 2]:
            strided.append(node.name)
    assert len(strided) == 2
    assert not {"AveragePool", "MaxPool"} & {node.op_type for node in nodes}
    # Stem, body, body, shortcut, conv, head, scores; by hand, at 16x16, 8x8, 8x8, 8x8, 4x4, 4x4 and 4x4.
    by_hand = 256 * 8 * 27 + 64 * 16 * 72 + 64 * 16 * 144 + 64 * 16 * 8 + 16 * 24 * 16 + 16 * 16 * 216 + 16 * 3 * 16
    assert count_macs(network, (32, 32)) == by_hand


def test_the_pruner_sees_through_a_strided_shortcut() -> None:
    network = build(shortcut_network(), 3)
    prune(network, Prune(0.5), protected=network.protected)
    state = network.state_dict()
    assert tuple(state["encoders.0.stages.0.0.shortcut.0.weight"].shape) == (8, 8, 1, 1)
    assert tuple(state["encoders.0.stages.0.0.body.1.weight"].shape[:1]) == (8,)
    assert not learn(network, torch.rand(2, 3, 32, 32) * 255).strided_pointwise


def test_grouped_convolutions_stay_in_float32_on_the_cpu() -> None:
    """And nothing else changes: the same weights give the same answer without autocast."""
    grouped, plain = GroupedConv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1)
    image = torch.randn(1, 8, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert plain(image).dtype == torch.bfloat16
        assert grouped(plain(image)).dtype == torch.float32
    assert torch.equal(grouped(image), nn.Conv2d.forward(grouped, image))
