from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from segsearch.compression.prune import prune
from segsearch.networks import build
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture, Head, Stage
from segsearch.space.steps import Prune
from segsearch.trial.export import check_parity, count_macs, count_params, export
from tests.compression.designs import CASES, cases, chain, convolutions, kept_whole, widths

Shake = Callable[[nn.Module, int], nn.Module]


@cases
def test_widths_depend_on_the_architecture_and_the_ratio_alone(architecture: Architecture, shake: Shake) -> None:
    found = []
    for criterion, seed in zip(("l1", "l2", "l1"), (None, 0, 1), strict=True):
        network = build(architecture, 5, seed=seed or 0)
        if seed is not None:
            shake(network, seed)
        found.append(widths(prune(network, Prune(0.5, criterion), protected=network.protected)))  # type: ignore[arg-type]
    assert all(other == found[0] for other in found)


# What is shared out among rates goes by the ratio in each share.
SHARES = {
    "block split_rates": 2,
    "split rates without groups of their own": 2,
    "three rates": 3,
    "depthwise rates": 1,
    "a stem that two paths share": 2,  # what a shortcut adds to the stem keeps its channels, as the stem does
}
# Where a grouped convolution reads maps that lie side by side, these and what is added to them stay as they are.
STAY_WHOLE = {
    "block eesp",
    "reinforced",
    "block shuffled",
    "all blocks",
    "grouped over a dense stage",
    "paths of one stem",
}


@pytest.mark.parametrize("ratio", [0.25, 0.375, 0.625])
@pytest.mark.parametrize("case", [case for case in CASES if case not in STAY_WHOLE])
def test_channels_go_by_the_ratio_in_eights(case: str, ratio: float, shake: Shake) -> None:
    network = build(CASES[case], 5)
    shake(network, 0)
    before, stay = widths(network), kept_whole(network)
    prune(network, Prune(ratio), protected=network.protected)
    for name, layer in convolutions(network).items():
        old, new = before[name], layer.out_channels
        assert new >= 1, name
        if name in stay:
            assert new == old, name
        elif old > 8:
            assert new % 8 == 0 or layer.groups == new, (name, old, new)
            if layer.groups == 1:  # the others follow what they read
                assert abs(new - old * (1 - ratio)) < 8 * SHARES.get(case, 1), (name, old, new)
        assert new % layer.groups == 0, name


@pytest.mark.parametrize("ratio", [0.25, 0.375, 0.625])
@pytest.mark.parametrize("case", sorted(STAY_WHOLE))
def test_what_stays_whole_leaves_the_rest_to_the_ratio(case: str, ratio: float, shake: Shake) -> None:
    network = build(CASES[case], 5).eval()
    shake(network, 0)
    before = widths(network)
    prune(network, Prune(ratio), protected=network.protected)
    after = widths(network)
    assert any(after[name] < before[name] for name in before)
    for name, layer in convolutions(network).items():
        assert after[name] % layer.groups == 0, name
        old, new = before[name], after[name]
        assert new == old or (new % 8 == 0 and (layer.groups > 1 or abs(new - old * (1 - ratio)) < 8)), name
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 96)).isfinite().all()


def stage_widths(architecture: Architecture, step: Prune) -> dict[str, int]:
    """What is left in the first path, by the names of layers in it."""
    network = build(architecture, 5).eval()
    prune(network, step, protected=network.protected)
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 96))  # it still fits together
    return {
        name.removeprefix("encoders.0.stages."): width
        for name, width in widths(network).items()
        if name.startswith("encoders.0.stages.")
    }


def test_a_dense_stage_gives_of_each_block_by_hand() -> None:
    found = stage_widths(chain(Stage("dense", 64, 3), Stage("transition", 40, 1, 2), Stage("conv", 32, 1)), Prune(0.5))
    assert found == {
        **{f"0.{block}.reduce.2": 32 for block in range(3)},  # 4 times 16
        **{f"0.{block}.grow.2": 8 for block in range(3)},
        "1.0.mix": 24,  # 20 lies between 16 and 24
        "2.0.0": 16,
    }


def test_the_branches_of_eesp_lose_the_same_channels_and_what_they_leave_stays_by_hand() -> None:
    stages = (Stage("conv", 32, 1), Stage("eesp", 96, 2, 2, atrous=(1, 2, 4, 8), groups=4), Stage("conv", 32, 1))
    found = stage_widths(chain(*stages), Prune(0.5))
    assert found == {
        "0.0.0": 32,  # the second block divides what it makes and what lies beside it
        "1.0.reduce.0": 8,  # 64 new channels in 4 branches of 16
        **{f"1.0.branches.{branch}": 8 for branch in range(4)},
        "1.0.expand.0": 64,
        "1.1.reduce.0": 16,  # branches of 24; half of them lies between 8 and 16
        **{f"1.1.branches.{branch}": 16 for branch in range(4)},
        "1.1.expand.0": 96,
        "2.0.0": 16,
    }


def test_what_is_shuffled_stays_and_what_lies_around_it_goes_by_hand() -> None:
    stages = (Stage("shuffled", 48, 2, expansion=0.5, groups=3), Stage("conv", 32, 1))
    found = stage_widths(replace(chain(Stage("conv", 48, 1), *stages)), Prune(0.5))
    assert found == {
        "0.0.0": 24,
        **{f"1.{block}.reduce.0": 24 for block in range(2)},
        **{f"1.{block}.depthwise.0": 24 for block in range(2)},
        **{f"1.{block}.expand.0": 24 for block in range(2)},  # in threes and eights
        "2.0.0": 16,
    }


def test_the_halves_of_split_rates_lose_the_same_share_by_hand() -> None:
    settings: dict[str, Any] = {"groups": 4, "atrous": (1, 3)}
    for squeeze in (0.0, 0.25):
        stages = (Stage("conv", 64, 1, 2), Stage("split_rates", 64, 1, squeeze=squeeze, **settings))
        found = stage_widths(chain(*stages), Prune(0.5))
        squeezed = {"1.0.squeeze.reduce": 8, "1.0.squeeze.expand": 32} if squeeze else {}
        assert found == {
            "0.0.0": 32,
            "1.0.reduce.0": 32,
            "1.0.rates.0.0": 16,
            "1.0.rates.1.0": 16,
            "1.0.project.0": 32,
            **squeezed,
        }


def test_a_map_beside_itself_loses_its_channels_once_and_twice_over(shake: Shake) -> None:
    network = build(CASES["a map beside itself"], 5).eval()
    shake(network, 0)
    prune(network, Prune(0.375), protected=network.protected)
    made = convolutions(network)["encoders.0.stages.3.1.0"]
    read = convolutions(network)["joins.0.refine.0.0"]
    assert (made.out_channels, read.in_channels) == (40, 80)
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 96))


@pytest.mark.parametrize("groups", [2, 4, 8])
@pytest.mark.parametrize("width", [24, 40, 64])
@pytest.mark.parametrize("ratio", [0.125, 0.5])
def test_grouped_convolutions_lose_the_same_share_as_plain_ones(groups: int, width: int, ratio: float) -> None:
    network = build(chain(Stage("grouped", width, 1, 2, groups=groups), Stage("conv", 16, 1)), 5)
    prune(network, Prune(ratio), protected=network.protected)
    grouped = next(layer for layer in convolutions(network).values() if layer.groups > 1)
    assert grouped.groups == groups
    assert grouped.out_channels % 8 == 0
    assert abs(grouped.out_channels - width * (1 - ratio)) < 8


@pytest.mark.parametrize(
    "case",
    [
        "block inverted_residual",
        "grouped 4",
        "join concat, reduce 16",
        "all blocks",
        "DenseNet",
        "a map beside itself",
        "reinforced",
        "paths of one stem",
        "block bottleneck",
        "block mbconv",
        "block shuffled",
        "block eesp",
        "block qarep",
        "block split_rates",
        "split rates without groups of their own",
        "three rates",
        "depthwise rates",
        "auxiliary",
        "two paths",
        "a path of a path",
        "context aspp",
        "context cascaded_pooling separable",
        "context aspp_scores",
        "join score, grown",
        "join cascade, reduce 0",
        "U-shaped",
        "joins beside one another",
        "a stem that two paths share",
        "maps exchanged both ways",
        "BiSeNet",
    ],
)
def test_a_pruned_network_still_runs_trains_and_exports(case: str, shake: Shake, tmp_path: FilePath) -> None:
    size = (64, 96)
    network = build(CASES[case], 5).train()
    shake(network, 0)
    params, macs = count_params(network), count_macs(network, size)
    network.train()
    assert prune(network, Prune(0.5), protected=network.protected) is network
    assert network.training
    assert count_params(network) < params
    assert count_macs(network, size) < macs
    network.train()
    scores, extra = network.scores_and_auxiliary(torch.rand(2, 3, *size) * 255)
    sum((found.square().mean() for found in extra), scores.square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    export(network, size, tmp_path / "m.onnx")
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, *size)).astype(np.float32)
    assert check_parity(network, tmp_path / "m.onnx", RUNTIMES["onnxruntime"], image) < 1e-3


@pytest.mark.parametrize(
    "architecture", [CASES["join concat, reduce 16"], CASES["all blocks"], CASES["two paths"], CASES["BiSeNet"]]
)
def test_stored_weights_fit_a_network_that_is_pruned_again(architecture: Architecture, shake: Shake) -> None:
    trained, fresh = build(architecture, 5), build(architecture, 5)
    shake(trained, 3)
    for network in (trained, fresh):
        prune(network, Prune(0.375), protected=network.protected)
    fresh.load_state_dict(trained.state_dict(), strict=True)
    image = torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():
        assert torch.equal(fresh.eval()(image), trained.eval()(image))


def test_no_ratio_no_change() -> None:
    architecture = CASES["all blocks"]
    network = build(architecture, 5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert prune(network, Prune(0.0), protected=network.protected) is network
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_is_left_as_it_was(mode: bool) -> None:
    network = build(CASES["block conv"], 5).train(mode)
    prune(network, Prune(0.5), protected=network.protected)
    assert network.training is mode


def test_the_channels_of_least_magnitude_go() -> None:
    network = build(chain(Stage("conv", 32, 1), head=Head(8, 0)), 5)
    conv = network.encoders[0].stages[0][0][0]  # type: ignore[index]
    with torch.no_grad():
        conv.weight.copy_(torch.ones(32).view(-1, 1, 1, 1).expand_as(conv.weight))
        weak = [1, 4, 6, 9, 12, 15, 18, 21, 22, 23, 24, 25, 26, 29, 30, 31]
        conv.weight[weak] = 1e-3
        network.head.scores.weight.fill_(1.0)
    prune(network, Prune(0.5), protected=network.protected)
    assert conv.weight.shape[0] == 16
    assert torch.equal(conv.weight, torch.ones_like(conv.weight))


@pytest.mark.parametrize(("criterion", "spiky_stays"), [("l1", False), ("l2", True)])
def test_the_criterion_decides_between_one_large_weight_and_many_small(
    criterion: Literal["l1", "l2"], spiky_stays: bool
) -> None:
    network = build(chain(Stage("conv", 16, 1), head=Head(8, 0)), 5)
    conv = network.encoders[0].stages[0][0][0]  # type: ignore[index]
    with torch.no_grad():
        conv.weight.fill_(0.1)
        conv.weight[:8] = 0.0
        conv.weight[:8, 0, 0, 0] = 4.0  # L1 4 against 14.4, L2 4 against 1.2
        network.head.scores.weight.fill_(1.0)
    prune(network, Prune(0.5, criterion), protected=network.protected)
    assert bool((conv.weight == 4.0).any()) is spiky_stays


def test_pruning_is_the_same_each_time(shake: Shake) -> None:
    states = []
    for _ in range(2):
        network = build(CASES["all blocks"], 5)
        shake(network, 0)
        states.append(prune(network, Prune(0.375, "l2"), protected=network.protected).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_two_prunings_follow_one_another() -> None:
    network = build(CASES["block residual"], 5)
    first = widths(prune(network, Prune(0.25), protected=network.protected))
    second = widths(prune(network, Prune(0.25), protected=network.protected))
    assert all(second[name] <= first[name] for name in first)
    assert second != first
    assert network(torch.rand(1, 3, 64, 96)).shape == (1, 5, 64, 96)


def test_another_rounding_is_kept_to() -> None:
    network = build(chain(Stage("conv", 40, 1), Stage("residual", 24, 1, 2)), 5)
    stay = kept_whole(network)
    prune(network, Prune(0.3, round_to=4), protected=network.protected)
    assert all(width % 4 == 0 for name, width in widths(network).items() if name not in stay)
