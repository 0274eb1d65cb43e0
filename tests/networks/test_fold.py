"""Folding: the same function of fewer layers, in a copy; what ships is folded, what learns is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as FilePath

import onnx
import pytest
import torch
from torch import nn

from segsearch.compression.prune import prune
from segsearch.networks import Network, build, folded
from segsearch.networks.blocks import BLOCKS, Place
from segsearch.networks.fold import Foldable
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture, Auxiliary, EncoderPath, Feature, Head, Stage, Stem
from segsearch.space.steps import Prune
from segsearch.trial.export import check_parity, count_macs, count_params, export

Shake = Callable[[nn.Module], nn.Module]

STAGES = (Stage("qarep", 16, 2, 2), Stage("qarep", 24, 2, 2, atrous=(1, 2), activation="hardswish"))
ARCHITECTURE = Architecture((EncoderPath(Stem(8), STAGES),), (), Head(16))


def network_of(shake: Shake) -> Network:
    network = build(ARCHITECTURE, 5)
    shake(network)
    return network


def foldable(network: nn.Module) -> int:
    return sum(isinstance(part, Foldable) for part in network.modules())


@pytest.mark.parametrize("outputs", [12, 16])
@pytest.mark.parametrize(("kernel", "stride", "atrous"), [(3, 1, 1), (3, 2, 1), (3, 1, 4), (5, 1, 2), (1, 2, 1)])
def test_a_folded_block_is_one_convolution_of_the_same_function(
    outputs: int, kernel: int, stride: int, atrous: int, shake: Shake
) -> None:
    block = shake(BLOCKS["qarep"](Place(16, outputs, 0, stride, atrous), Stage("qarep", outputs, 1, kernel=kernel)))
    one = folded(block.eval())
    assert [type(layer).__name__ for layer in one.children()] == ["Conv2d", "ReLU"]
    assert sum(value.numel() for value in one.parameters()) == 16 * outputs * kernel**2 + outputs
    x = torch.randn(2, 16, 11, 13)
    torch.testing.assert_close(one(x), block(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_folded_as_a_copy_and_goes_on_learning(training: bool, shake: Shake) -> None:
    network = network_of(shake).train(training)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    shipped = folded(network)
    assert torch.equal(torch.random.get_rng_state(), state), "a fold draws no weights"
    assert shipped.training is training
    assert (foldable(network), foldable(shipped)) == (4, 0)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    image = torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():
        torch.testing.assert_close(shipped.eval()(image), network.eval()(image), atol=1e-4, rtol=1e-4)


def test_folding_what_is_folded_or_has_nothing_to_fold_changes_nothing(shake: Shake) -> None:
    shipped = folded(network_of(shake))
    assert folded(shipped) is shipped
    plain = build(replace(ARCHITECTURE, paths=(EncoderPath(Stem(8), (Stage("conv", 16, 1, 2),)),)), 5)
    assert folded(plain) is plain


def test_what_ships_is_folded(shake: Shake, tmp_path: FilePath) -> None:
    network = network_of(shake)
    export(network, (64, 96), tmp_path / "m.onnx")
    nodes = onnx.load(tmp_path / "m.onnx").graph.node
    kinds = [node.op_type for node in nodes]
    assert kinds.count("Conv") == 1 + 4 + 1 + 1  # stem, blocks, head, scores
    assert "BatchNormalization" not in kinds
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 255
    for asked in (network, folded(network)):
        assert check_parity(asked, tmp_path / "m.onnx", RUNTIMES["onnxruntime"], image.numpy()) < 1e-4
    assert foldable(network) == 4


def test_a_fold_that_is_wrong_shows_in_the_parity(
    shake: Shake, tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(shake)
    monkeypatch.setattr("segsearch.networks.blocks.plain._normed", lambda weight, bias, norm: (weight, bias))
    export(network, (64, 96), tmp_path / "m.onnx")
    image = torch.rand(1, 3, 64, 96) * 255
    with pytest.raises(Exception, match="must agree with torch"):
        check_parity(network, tmp_path / "m.onnx", RUNTIMES["onnxruntime"], image.numpy())


def test_what_is_counted_is_folded() -> None:
    network = build(replace(ARCHITECTURE, auxiliary=(Auxiliary(Feature(0, 1), 0.4, 8),)), 5)
    widths = [(8, 16), (16, 16), (16, 24), (24, 24)]
    blocks = sum(9 * inputs * outputs + outputs for inputs, outputs in widths)
    assert count_params(network) == 27 * 8 + 16 + blocks + 9 * 24 * 16 + 32 + 16 * 5 + 5
    # Stem at 32x48, two blocks at 16x24, two, the head and the scores at 8x12.
    convolved = [27 * 8 * 1536, *(9 * i * o * (384 if o == 16 else 96) for i, o in widths)]
    assert count_macs(network, (64, 96)) == sum(convolved) + 9 * 24 * 16 * 96 + 16 * 5 * 96


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.625])
def test_branches_are_pruned_together_and_fold(ratio: float, shake: Shake) -> None:
    network = network_of(shake)
    prune(network, Prune(ratio), protected=network.protected)
    for block in (part for part in network.modules() if isinstance(part, Foldable)):
        main, point = block.main[0], block.point  # type: ignore[attr-defined]
        assert main.weight.shape[:2] == point.weight.shape[:2]
    image = torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():
        torch.testing.assert_close(folded(network).eval()(image), network.eval()(image), atol=1e-4, rtol=1e-4)
