"""Which channels go: each criterion by hand, and never how many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from segsearch.compression.prune import kept_whole, prune
from segsearch.compression.types import Losses
from segsearch.networks import Network, build
from segsearch.space.architecture import Architecture, Head, Stage
from segsearch.space.steps import Criterion, Prune
from tests.compression.designs import CASES, chain, convolutions, widths

Shake = Callable[[nn.Module, int], nn.Module]

CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
LOOKING = [name for name in CRITERIA if Prune(0.5, name).looks]
criteria = pytest.mark.parametrize("criterion", CRITERIA)


def losses(network: nn.Module) -> Iterator[Tensor]:
    """Three batches of noise that should be class 1."""
    assert isinstance(network, Network)
    for seed in range(3):
        images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(seed)) * 255
        scores = network.scores(images)
        yield nn.functional.cross_entropy(scores, torch.ones_like(scores[:, 0], dtype=torch.long))


def one_layer(stage: Stage = Stage("conv", 16, 1)) -> tuple[Network, Any]:
    """A network with one layer to prune, all of whose channels are alike, and that layer with its norm."""
    network = build(chain(stage, head=Head(8, 0)), 5)
    layer = network.encoders[0].stages[0][0]  # type: ignore[index]
    with torch.no_grad():
        layer[0].weight.copy_(layer[0].weight[:1].expand_as(layer[0].weight))
        network.head.scores.weight.copy_(network.head.scores.weight[:, :1].expand_as(network.head.scores.weight))
    return network, layer


# Which eight of sixteen shall stay.
STAY = [0, 3, 4, 7, 9, 10, 14, 15]
GO = [channel for channel in range(16) if channel not in STAY]


def left_of(network: Network, step: Prune, mark: Tensor, seen: Losses | None = losses) -> list[int]:
    """The channels that a pruning leaves of the one layer, told by a mark that each carries in its norm's bias."""
    layer = network.encoders[0].stages[0][0]  # type: ignore[index]
    prune(network, step, protected=network.protected, losses=seen)
    norm = layer[1]  # type: ignore[index]
    return [int((mark == value).nonzero()) for value in norm.bias.detach()]


def marked(layer: Any, low: float = 0.5) -> Tensor:
    with torch.no_grad():
        layer[1].bias.copy_(torch.linspace(low, low + 0.1, 16))
    return layer[1].bias.detach().clone()


def test_the_scale_of_the_norm_decides() -> None:
    network, layer = one_layer()
    mark = marked(layer)
    with torch.no_grad():
        layer[1].weight[GO] = 0.01
        layer[0].weight[STAY] *= 0.1  # by magnitude it would be the others
    assert left_of(network, Prune(0.5, "batch_norm"), mark) == STAY


def test_without_a_norm_magnitude_decides_in_its_place() -> None:
    network = build(chain(Stage("conv", 16, 1, norm="none"), head=Head(8, 0)), 5)
    conv = network.encoders[0].stages[0][0][0]  # type: ignore[index]
    with torch.no_grad():
        conv.weight.fill_(1.0)
        conv.weight[GO] = 0.01
    prune(network, Prune(0.5, "batch_norm"), protected=network.protected)
    assert torch.equal(conv.weight, torch.ones_like(conv.weight))


def test_what_the_loss_does_not_depend_on_goes_however_large() -> None:
    network, layer = one_layer()
    mark = marked(layer)
    with torch.no_grad():
        network.head.scores.weight[:, GO] = 0.0
        layer[0].weight[GO] *= 100.0
        layer[1].weight[GO] *= 0.01
    assert left_of(network, Prune(0.5, "taylor"), mark) == STAY
    assert all(value.grad is None for value in network.parameters())


@pytest.mark.parametrize("criterion", ["activation", "zeros"])
def test_what_is_dead_after_its_activation_goes_however_large_its_weights(criterion: Criterion) -> None:
    network, layer = one_layer()
    mark = marked(layer)
    with torch.no_grad():
        layer[1].running_mean[GO] = 1e6
        layer[0].weight[GO] *= 100.0
    assert left_of(network, Prune(0.5, criterion), mark) == STAY


def test_a_small_value_that_is_never_zero_parts_the_two() -> None:
    for criterion, expected in (("activation", GO), ("zeros", STAY)):
        network, layer = one_layer()
        mark = marked(layer)
        with torch.no_grad():
            layer[1].weight[STAY] = 1e-4  # about its bias of a half, always
            layer[1].weight[GO] = 50.0  # a half of it is zero, the rest is large
            layer[1].running_mean.zero_()
        assert left_of(network, Prune(0.5, criterion), mark) == expected  # type: ignore[arg-type]


def test_where_nothing_is_ever_zero_magnitude_decides() -> None:
    network, layer = one_layer(Stage("conv", 16, 1, activation="hardswish"))
    mark = marked(layer)
    with torch.no_grad():
        layer[0].weight[GO] *= 0.5
    assert left_of(network, Prune(0.5, "zeros"), mark) == STAY


def test_chance_is_that_of_the_architecture_and_the_step(shake: Shake) -> None:
    def chosen(step: Prune, seed: int, stage: Stage = Stage("conv", 16, 1)) -> list[int]:
        network, layer = one_layer(stage)
        shake(network, seed)
        return left_of(network, step, marked(layer))

    first = chosen(Prune(0.5, "random"), 0)
    torch.manual_seed(1234)
    assert chosen(Prune(0.5, "random"), 1) == first, "of other weights the same"
    others = [chosen(Prune(ratio, "random"), 0) for ratio in (0.45, 0.55)]
    others.append(chosen(Prune(0.5, "random"), 0, Stage("conv", 16, 1, kernel=5)))
    assert all(len(other) == 8 for other in others)
    assert any(other != first for other in others)


# ---- what no criterion changes


@pytest.mark.parametrize(
    "case",
    [
        "block split_rates",
        "grouped 4",
        "DenseNet",
        "a map beside itself",
        "paths of one stem",
        "U-shaped",
    ],
)
def test_how_many_are_left_is_no_matter_of_the_criterion(case: str, shake: Shake) -> None:
    expected = None
    for criterion in CRITERIA:
        for seen in (losses, None) if Prune(0.5, criterion).looks else (None,):
            network = build(CASES[case], 5)
            if seen:
                shake(network, 0)
            prune(network, Prune(0.5, criterion), protected=network.protected, losses=seen)
            found = widths(network)
            expected = expected or found
            assert found == expected, criterion
    with torch.no_grad():
        assert network.eval()(torch.rand(1, 3, 64, 96)).isfinite().all()


@criteria
def test_dead_channels_are_numbers_too(criterion: Criterion, shake: Shake) -> None:
    """Also a layer of nothing but zeros, whose magnitudes cannot be divided by their mean."""
    network = build(chain(Stage("residual", 24, 1, 2), Stage("conv", 32, 1)), 5)
    shake(network, 0)
    alive = build(chain(Stage("residual", 24, 1, 2), Stage("conv", 32, 1)), 5)
    with torch.no_grad():
        for layer in network.encoders[0].stages.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.zero_()
    for each in (network, alive):
        prune(each, Prune(0.5, criterion), protected=each.protected, losses=losses)
    assert widths(network) == widths(alive)
    assert all(value.isfinite().all() for value in network.state_dict().values())


@pytest.mark.parametrize("criterion", LOOKING)
def test_looking_leaves_no_trace(criterion: Criterion, shake: Shake) -> None:
    """Neither in the statistics of batch norm, nor in gradients, hooks or the mode."""
    network = build(CASES["block residual"], 5).train()
    shake(network, 0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    prune(network, Prune(0.01, criterion), protected=network.protected, losses=losses)  # all are too few to lose 1%
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert network.training
    for part in network.modules():
        assert not part._forward_pre_hooks
        assert not part._forward_hooks
    assert all(value.grad is None for value in network.parameters())


@pytest.mark.parametrize("criterion", LOOKING)
def test_choices_are_the_same_each_time(criterion: Criterion, shake: Shake) -> None:
    states = []
    for _ in range(2):
        network = build(CASES["block mbconv"], 5)
        shake(network, 0)
        states.append(prune(network, Prune(0.375, criterion), protected=network.protected, losses=losses).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


# ---- what stays whole


@pytest.mark.parametrize("case", ["all blocks", "reinforced", "paths of one stem", "DenseNet", "BiSeNet", "U-shaped"])
@pytest.mark.parametrize("ratio", [0.125, 0.5])
def test_what_keeps_all_channels_is_named(case: str, ratio: float) -> None:
    network = build(CASES[case], 5).train()
    before = widths(network)
    told = {one.layer: one.why for one in kept_whole(network, Prune(ratio), protected=network.protected)}
    assert widths(network) == before, "it only looks"
    assert network.training
    prune(network, Prune(ratio), protected=network.protected)
    plain = {name for name, layer in convolutions(network).items() if layer.groups < layer.out_channels}
    assert told.keys() == {name for name in plain if widths(network)[name] == before[name]}
    assert told["head.scores"] == "it is protected"


def test_why_a_layer_keeps_its_channels_by_hand() -> None:
    def told(architecture: Architecture, ratio: float = 0.5) -> dict[str, str]:
        network = build(architecture, 5)
        found = kept_whole(network, Prune(ratio), protected=network.protected)
        return {one.layer.removeprefix("encoders.0."): one.why for one in found}

    few = told(chain(Stage("conv", 8, 1), Stage("conv", 48, 1)))
    assert few["stages.0.0.0"] == "8 channels are too few to lose 50%"
    assert "stages.1.0.0" not in few
    stem = told(chain(Stage("residual", 16, 1), Stage("conv", 48, 1)))
    assert stem["stem.0.0"] == "it is protected"
    assert stem["stages.0.0.body.1"] == "its channels go with those of a protected layer"
    beside = told(CASES["grouped over a dense stage"])
    assert beside["stages.1.0.grow.2"] == "a grouped convolution reads its channels beside others"
    assert told(CASES["block conv"], 0.0) == {}
