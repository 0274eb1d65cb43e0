"""Low-rank factorization: the same function at full rank, fewer multiply-accumulates below, shapes without weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from segsearch.compression.factorize import Factors, Ranks, factored, factorize, factors_of, left_dense
from segsearch.networks import build, folded
from segsearch.networks.blocks.plain import Merged
from segsearch.networks.layers import Conv2d, convolution
from segsearch.references import REFERENCES, reference
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture, Context, Stage
from segsearch.space.steps import BeforeExport, Factorize, Prune
from segsearch.trial.export import check_parity, count_macs, count_params, export
from segsearch.trial.making import apply_model_steps
from tests.compression.designs import CASES, chain, convolutions, widths
from tests.samples import some

Shake = Callable[[nn.Module, int], nn.Module]

# Whatever falls at all is factorised, however narrow it is.
ALL = Factorize(0.5, least_macs=0, least_saving=0.0)
PLANS: dict[str, tuple[BeforeExport, ...]] = {
    "alone": (ALL,),
    "before pruning": (ALL, Prune(0.375)),
    "after pruning": (Prune(0.375), ALL),
}
SEVERAL = (
    "block mbconv",
    "block shuffled",
    "block eesp",
    "block qarep",
    "block split_rates",
    "DenseNet",
    "grouped over a dense stage",
    "context cascaded_pooling",
    "join concat, reduce 16",
    "a stem that two paths share",
    "a map beside itself",
    "U-shaped",
    "BiSeNet",
)
SIZE = (64, 96)


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def of_type(network: nn.Module, kind: type[Any]) -> dict[str, Any]:
    return {name: part for name, part in network.named_modules() if isinstance(part, kind)}


# ---- shapes


# Each design and each plan, and not each pair of them.
PAIRS = some([(case, [*PLANS][(at + turn) % 3]) for at, case in enumerate(SEVERAL) for turn in range(3)], 3)


@pytest.mark.parametrize(("case", "plan"), PAIRS)
def test_shapes_know_nothing_of_weights_and_what_is_left_learns_and_ships(
    case: str, plan: str, shake: Shake, tmp_path: Path
) -> None:
    fresh, trained = build(CASES[case], 5), build(CASES[case], 5, seed=1).train()
    shake(trained, 1)
    params, macs = count_params(trained), count_macs(trained.train(), SIZE)
    for network in (fresh, trained.train()):
        apply_model_steps(network, PLANS[plan])
    assert trained.training
    assert of_type(trained, Factors), "something was factorised"
    assert count_params(trained) < params
    assert count_macs(trained, SIZE) < macs
    assert shapes(fresh) == shapes(trained)
    fresh.load_state_dict(trained.state_dict(), strict=True)
    image = torch.rand(1, 3, *SIZE) * 255
    with torch.no_grad():
        assert torch.equal(fresh.eval()(image), trained.eval()(image)), "stored weights fit a network made again"
    export(trained, SIZE, tmp_path / "m.onnx")
    assert check_parity(trained, tmp_path / "m.onnx", RUNTIMES["onnxruntime"], image.numpy()) < 1e-3
    scores, extra = trained.train().scores_and_auxiliary(torch.rand(2, 3, *SIZE) * 255)
    sum((found.square().mean() for found in extra), scores.square().mean()).backward()
    for name, parameter in trained.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_factors_are_not_factorised_again() -> None:
    network = build(CASES["block conv"], 5)
    once = shapes(factorize(network, ALL, protected=network.protected))
    assert shapes(factorize(network, replace(ALL, ratio=0.25), protected=network.protected)) == once


@pytest.mark.parametrize("name", [name for name in REFERENCES if name.endswith("-mobile")])
def test_networks_of_the_field_keep_no_weight_of_a_shape_that_their_weights_chose(name: str, shake: Shake) -> None:
    """The default rule, by a quarter: what is foretold from a network without weights is what is done."""
    fresh = build(reference(name), 5)
    step = Factorize(0.25)
    told = {one.layer for one in left_dense(fresh, step, protected=fresh.protected)}
    before = set(convolutions(fresh))
    macs = count_macs(fresh, SIZE)
    shake(fresh, 0)
    factorize(fresh, step, protected=fresh.protected)
    parts = of_type(fresh, Factors)
    assert told.isdisjoint(parts)
    assert len(told) + len(parts) == len(before) or "qarep" in str(reference(name))
    assert count_macs(fresh, SIZE) < macs if parts else count_macs(fresh, SIZE) == macs


def test_widths_between_layers_stay() -> None:
    network = build(CASES["block residual"], 5)
    before = widths(network)
    factorize(network, ALL, protected=network.protected)
    after = widths(network)
    for name, factors in of_type(network, Factors).items():
        assert list(factors.children())[-1].out_channels == before[name]
        assert all(after[part] % 8 == 0 for part in after if part.startswith(name))


# ---- the same function


LAYERS: dict[str, Conv2d] = {
    "1x1 that narrows": convolution(40, 24, bias=True),
    "1x1 that widens": convolution(16, 48),
    "1x1 with a stride": convolution(24, 24, stride=2),
    "3x3": convolution(24, 40, kernel=3, bias=True),
    "3x3 with a stride": convolution(24, 16, kernel=3, stride=2),
    "atrous 3x3": convolution(16, 24, kernel=3, atrous=4),
    "5x5": convolution(16, 16, kernel=5),
    "more outputs than a 3x3 of so few inputs can tell apart": convolution(3, 40, kernel=3),
}
layers = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


def full(layer: Conv2d) -> Ranks:
    sides = (layer.in_channels, layer.out_channels)
    return Ranks(*sides) if layer.kernel_size != (1, 1) else Ranks(layer.in_channels, min(sides))


@layers
@pytest.mark.parametrize("learning", [True, False])
def test_at_full_rank_it_is_the_same_function(layer: Conv2d, learning: bool) -> None:
    x = torch.randn(2, layer.in_channels, 13, 18).contiguous(memory_format=torch.channels_last)
    layer = copy.deepcopy(layer).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.set_grad_enabled(learning):
        expected, found = layer(x), factored(layer, full(layer))(x)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)


@layers
def test_one_direction_less_on_each_side_is_still_nearly_it(layer: Conv2d) -> None:
    """Every factor is there, the orthonormal ones too: with one direction less the error is that direction's."""
    inputs, outputs = layer.in_channels, layer.out_channels
    ranks = Ranks(inputs - 1, min(outputs, 9 * inputs) - 1) if layer.kernel_size != (1, 1) else Ranks(inputs, 12)
    made = factored(layer, ranks)
    names = ["reduce", "expand"] if layer.kernel_size == (1, 1) else ["reduce", "core", "expand"]
    assert [name for name, _ in made.named_children()] == names
    x = torch.randn(2, inputs, 13, 18)
    assert (made(x) - layer(x)).norm() < layer(x).norm()
    assert all(type(part) is type(layer) for part in made), "a strided 1x1 of torch's own can end the process"


@torch.no_grad()
def test_a_1x1_loses_no_more_than_the_singular_values_that_it_leaves() -> None:
    for layer in (convolution(40, 24), convolution(24, 40)):
        made = factored(layer, Ranks(layer.in_channels, 8))
        product = made.expand.weight.flatten(1) @ made.reduce.weight.flatten(1)
        values = torch.linalg.svdvals(layer.weight.flatten(1))
        error = (product - layer.weight.flatten(1)).norm()
        assert float(error) == pytest.approx(float(values[8:].norm()), rel=1e-4)


def test_what_has_low_rank_is_kept_whole() -> None:
    inside = nn.Sequential(convolution(32, 8), convolution(8, 8, kernel=3), convolution(8, 40))
    layer = convolution(32, 40, kernel=3)
    with torch.no_grad():
        first, core, last = (part.weight for part in inside)
        layer.weight.copy_(torch.einsum("pi,qpkl,oq->oikl", first[:, :, 0, 0], core, last[:, :, 0, 0]))
    x = torch.randn(1, 32, 9, 9)
    assert torch.allclose(factored(layer, Ranks(8, 8))(x), layer(x), atol=1e-4)


def test_signs_and_weights_are_the_same_each_time_and_chance_is_not_asked() -> None:
    layer = convolution(32, 40, kernel=3)
    before = torch.random.get_rng_state()
    one, other = factored(layer, Ranks(16, 16)), factored(layer, Ranks(16, 16))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
    columns = one.expand.weight.flatten(1)
    assert (columns.gather(0, columns.abs().argmax(dim=0, keepdim=True)) > 0).all()


@pytest.mark.parametrize("dead", [1, 20, 32])
@pytest.mark.parametrize("kernel", [1, 3])
def test_dead_channels_leave_numbers(kernel: int, dead: int) -> None:
    layer = convolution(32, 32, kernel=kernel)
    with torch.no_grad():
        layer.weight[:dead] = 0
        layer.weight[:, :dead] = 0
    made = factored(layer, Ranks(16 if kernel > 1 else 32, 16))
    x = torch.randn(1, 32, 9, 9)
    assert torch.isfinite(made(x)).all()
    if dead >= 20:
        assert torch.allclose(made(x), layer(x), atol=1e-5)


def test_mode_layout_and_what_learns_stay() -> None:
    network = build(CASES["block conv"], 5).eval()
    frozen = network.encoders[0].stages[1][0][0]  # type: ignore[index]
    frozen.requires_grad_(False)
    factorize(network, ALL, protected=network.protected)
    parts = of_type(network, Factors)
    assert not any(part.training for part in parts.values())
    for name, part in parts.items():
        for value in part.parameters():
            assert value.requires_grad is (not name.startswith("encoders.0.stages.1.0"))
            assert value.dim() == 1 or value.is_contiguous(memory_format=torch.channels_last)


# ---- what is left


@pytest.mark.parametrize("step", [Factorize(1.0), Factorize(0.9), Factorize(0.25, least_macs=10**7)], ids=repr)
def test_where_nothing_falls_nothing_changes(step: Factorize) -> None:
    """Ranks beyond 2/3 or so cost more than they save; 1 is no factorization."""
    network = build(CASES["block qarep"], 5) if step.ratio < 1 else build(CASES["all blocks"], 5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert factorize(network, step, protected=network.protected) is network
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_side_of_fewer_channels_than_the_multiple_has_no_factor() -> None:
    network = build(chain(Stage("conv", 4, 2), Stage("conv", 32, 1)), 5)
    told = {one.layer: one.why for one in left_dense(network, ALL, protected=network.protected)}
    assert told["encoders.0.stages.0.1.0"] == "0% of its multiply-accumulates would fall"
    factorize(network, ALL, protected=network.protected)
    found = {name: [part for part, _ in made.named_children()] for name, made in of_type(network, Factors).items()}
    assert found == {
        "encoders.0.stages.0.0.0": ["reduce", "core"],
        "encoders.0.stages.1.0.0": ["core", "expand"],
        "head.body.0.0": ["reduce", "core", "expand"],
    }


def test_what_is_left_is_named_with_its_reason_and_nothing_is_changed() -> None:
    stages = (Stage("mbconv", 32, 1, expansion=2.0, squeeze=0.25), Stage("grouped", 32, 1, groups=4))
    network = build(chain(*stages, Stage("qarep", 24, 1), context=Context("global_pooling", 48)), 5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    told = {one.layer: one.why for one in left_dense(network, ALL, protected=network.protected)}
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert told["encoders.0.stem.0.0"] == told["head.scores"] == "it is protected"
    assert told["encoders.0.stages.0.0.depthwise.0"] == told["encoders.0.stages.1.0.1.0"] == "it is grouped"
    for mean in ("stages.0.0.squeeze.reduce", "stages.0.0.squeeze.expand", "context.mean.mix"):
        assert told[f"encoders.0.{mean}"] == "it reads a mean over the map"
    assert told["encoders.0.stages.1.0.2.0"] == "0% of its multiply-accumulates would fall"
    factorize(network, ALL, protected=network.protected)
    whole = {name for name, part in network.named_modules() if isinstance(part, nn.Conv2d)}
    factors = {
        f"{name}.{part}" for name, made in of_type(network, Factors).items() for part, _ in made.named_children()
    }
    assert told.keys() == whole - factors


def test_a_block_that_would_be_left_still_folds() -> None:
    network = build(CASES["block qarep"], 5)
    told = {one.layer for one in left_dense(network, replace(ALL, least_macs=10**7), protected=network.protected)}
    assert "encoders.0.stages.0.0" in told, "its branches are one layer"
    factorize(network, replace(ALL, least_macs=10**7), protected=network.protected)
    assert not of_type(network, Merged)
    assert not of_type(folded(network), Merged)


# ---- blocks that fold


@pytest.mark.parametrize("architecture", [chain(Stage("qarep", 32, 3, 2), Stage("qarep", 40, 1))])
def test_a_block_that_folds_is_merged_to_the_same_function_and_learns_on(
    architecture: Architecture, shake: Shake
) -> None:
    network = build(architecture, 5)
    shake(network, 0)
    image = torch.rand(2, 3, *SIZE) * 255
    with torch.no_grad():
        expected = network.eval()(image)
    for name, block in list(network.named_modules()):
        if hasattr(block, "merge"):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, block.merge().eval())
    assert len(of_type(network, Merged)) == 4
    with torch.no_grad():
        assert torch.allclose(network(image), expected, atol=1e-4 * float(expected.abs().max()))
    network.train()(image).square().mean().backward()
    assert all(value.grad is not None for value in network.parameters())


# ---- names


def test_factors_inherit_where_their_layer_did() -> None:
    network = build(CASES["block conv"], 5)
    named = {name for name, _ in network.named_parameters() if name.startswith("encoders.0.stages.")}
    factorize(network, ALL, protected=network.protected)
    found = factors_of(network, named)
    there = {name for name, _ in network.named_parameters()}
    assert found & there == {name for name in there if name.startswith("encoders.0.stages.")}
    assert not factors_of(network, set())
