from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segsearch.networks import build, check_architecture, wear_in
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import (
    Architecture,
    Auxiliary,
    Context,
    EncoderPath,
    Feature,
    Head,
    Join,
    Joined,
    Stage,
    Stem,
)
from segsearch.trial.export import check_parity, export

Parity = Callable[[nn.Module, tuple[int, int]], float]

STAGES = (Stage("conv", 16, 1, 2), Stage("residual", 24, 1, 2))
PLAIN = Architecture((EncoderPath(Stem(8), STAGES),), (), Head(16))

# What later rooms will be built on: each is data of today's types.
SEAMS: dict[str, Architecture] = {
    "plain": PLAIN,
    "half the input": replace(PLAIN, input_scale=0.5),
    "U-Net's skips": replace(
        PLAIN, joins=(Join("concat", Feature(0, 1), 16), Join("concat", Feature(0, 0), 8, reduce=4))
    ),
    "VGG's pooling": Architecture(
        (
            EncoderPath(
                Stem(8, stride=1, depth=2),
                (Stage("conv", 16, 2, 2, downsample="max_pool"), Stage("conv", 24, 2, 2, downsample="max_pool")),
            ),
        ),
        (),
        Head(16, depth=2, dropout=0.5),
    ),
    "DenseNet's transition": replace(
        PLAIN, paths=(EncoderPath(Stem(8), (Stage("conv", 16, 1, 2, downsample="mean_pool"), STAGES[1])),)
    ),
    "PSPNet": Architecture(
        (
            EncoderPath(
                Stem(8, 4, depth=3),
                (*STAGES, Stage("residual", 32, 2, atrous=(2, 4))),
                Context("pyramid_pooling", 32, (1, 2, 3, 6)),
            ),
        ),
        (),
        Head(16, dropout=0.1),
        auxiliary=(Auxiliary(Feature(0, 2), 0.4, 16),),
    ),
    "a loss on a joined map": replace(
        PLAIN,
        joins=(Join("add", Feature(0, 1), 16), Join("add", Feature(0, 0), 8)),
        auxiliary=(Auxiliary(Joined(0), 0.4, 8),),
    ),
    "DeepLab v3+": Architecture(
        (EncoderPath(Stem(8), STAGES, Context("aspp", 32, rates=(2, 4, 6), image_pool=True)),),
        (Join("concat", Feature(0, 1), 24, reduce=8),),
        Head(16),
    ),
    "BiSeNet's spatial path": Architecture(
        (
            EncoderPath(Stem(8), (*STAGES, Stage("residual", 32, 1, 2))),
            EncoderPath(Stem(16, kernel=7), (Stage("conv", 16, 2, 2),)),
        ),
        (Join("add", Feature(0, 2), 24), Join("concat", Feature(1, 1), 32)),
        Head(16),
        auxiliary=(Auxiliary(Feature(0, 2), 1.0, 16), Auxiliary(Feature(0, 3), 1.0, 16)),
    ),
    "ICNet's cascade": Architecture(
        (
            EncoderPath(Stem(8), STAGES, scale=0.5),
            EncoderPath(
                None, (Stage("residual", 32, 1, 2),), Context("pyramid_pooling", 32, (1, 2)), Feature(0, 2), 0.5
            ),
            EncoderPath(Stem(8, 4, depth=2), (Stage("conv", 16, 1, 2),)),
        ),
        (Join("add", Feature(0, 2), 24), Join("add", Feature(2, 1), 24)),
        Head(16),
        auxiliary=(Auxiliary(Feature(0, 2), 0.4, 16), Auxiliary(Feature(1, 1), 0.4, 16)),
        trunk=1,
    ),
    "a path from the middle of another": Architecture(
        (EncoderPath(Stem(8), STAGES), EncoderPath(None, (Stage("separable", 16, 1),), source=Feature(0, 1))),
        (Join("add", Feature(1, 1), 16),),
        Head(8, block="separable"),
    ),
    "a larger map of another": Architecture(
        (EncoderPath(Stem(8), STAGES), EncoderPath(None, (Stage("conv", 16, 1),), source=Feature(0, 2), scale=2.0)),
        (Join("concat", Feature(1, 1), 16),),
        Head(8),
    ),
    "DenseNet": Architecture(
        (
            EncoderPath(
                Stem(8, 4, 7, pool=True),
                (Stage("dense", 20, 2), Stage("transition", 10, 1, 2), Stage("dense", 24, 2, atrous=(2,))),
            ),
        ),
        (Join("concat", Feature(0, 1), 16),),
        Head(16),
    ),
    "ESPNetv2": Architecture(
        (
            EncoderPath(
                Stem(8),
                (
                    Stage("eesp", 16, 1, 2, atrous=(1, 2), groups=2, reinforce=True),
                    Stage("eesp", 24, 2, 2, atrous=(1, 3), groups=2, reinforce=True),
                ),
                scale=0.75,
            ),
        ),
        (),
        Head(16),
    ),
    "RegSeg": Architecture(
        (EncoderPath(Stem(8), (Stage("split_rates", 16, 2, 4, atrous=(1, 4), groups=2, squeeze=0.25),)),),
        (Join("concat", Feature(0, 0), 16, reduce=8),),
        Head(16),
    ),
    "a path without a stem": Architecture(
        (EncoderPath(Stem(8), STAGES), EncoderPath(None, (Stage("conv", 8, 1, 2),))),
        (Join("add", Feature(1, 1), 16),),
        Head(8),
    ),
}
seams = pytest.mark.parametrize("architecture", SEAMS.values(), ids=SEAMS)


@seams
@pytest.mark.parametrize("size", [(64, 96), (61, 83)])
def test_an_architecture_runs_at_the_images_own_size(architecture: Architecture, size: tuple[int, int]) -> None:
    network = build(architecture, 5).eval()
    with torch.no_grad():
        scores = network(torch.rand(1, 3, *size) * 255)
    assert scores.shape == (1, 5, *size)
    assert torch.isfinite(scores).all()
    assert scores.std() > 0


@seams
def test_every_parameter_of_an_architecture_learns(architecture: Architecture) -> None:
    network = build(architecture, 5).train()
    scores, extra = network.scores_and_auxiliary(torch.rand(2, 3, 64, 96) * 255)
    assert len(extra) == len(architecture.auxiliary) == len(network.auxiliary_weights)
    masks = torch.randint(0, 5, (2, 64, 96))
    loss = F.cross_entropy(F.interpolate(scores, (64, 96)), masks)
    for weight, found in zip(network.auxiliary_weights, extra, strict=True):
        assert found.shape[1] == 5
        loss = loss + weight * F.cross_entropy(F.interpolate(found, (64, 96)), masks)
    assert torch.isfinite(loss)
    loss.backward()  # type: ignore[no-untyped-call]
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


@seams
def test_an_architecture_exports_with_parity(architecture: Architecture, parity: Parity) -> None:
    assert parity(build(architecture, 5), (64, 96)) < 1e-4


def test_an_architecture_of_odd_sizes_exports_with_parity(parity: Parity) -> None:
    assert parity(build(replace(SEAMS["DeepLab v3+"], input_scale=0.75), 5), (61, 83)) < 1e-4


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one = build(PLAIN, 5, seed=3).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before), "building must not move the caller's generator"
    torch.rand(10)
    again, other = build(PLAIN, 5, seed=3).state_dict(), build(PLAIN, 5, seed=4).state_dict()
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def norms_of(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@seams
def test_wear_leaves_no_two_channels_alike(architecture: Architecture) -> None:
    network = build(architecture, 5)
    fresh = {key: value.clone() for key, value in network.state_dict().items()}
    norms = norms_of(network)
    assert all(norm.bias.count_nonzero() == 0 for norm in norms), "fresh ones are all alike"
    assert wear_in(network) is network
    for tensors in (
        [norm.weight for norm in norms],
        [norm.bias for norm in norms],
        [norm.running_mean for norm in norms],
        [norm.running_var for norm in norms],
    ):
        values = torch.cat([tensor.detach() for tensor in tensors if tensor is not None])
        assert len(values.unique()) > 0.99 * len(values)
    assert all((norm.weight > 0).all() and (norm.running_var > 0).all() for norm in norms)
    worn = {name for name, module in network.named_modules() if module in norms}
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, fresh[key])}
    parts = ("weight", "bias", "running_mean", "running_var")
    assert changed == {f"{name}.{part}" for name in worn for part in parts}


@seams
def test_a_worn_network_exports_with_parity(architecture: Architecture, tmp_path: FilePath) -> None:
    network = wear_in(build(architecture, 5))
    export(network, (64, 96), tmp_path / "worn.onnx")
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 255
    assert check_parity(network, tmp_path / "worn.onnx", RUNTIMES["onnxruntime"], image.numpy()) < 1e-4


def test_wear_depends_on_its_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one = wear_in(build(PLAIN, 5), seed=3).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before), "wear must not move the caller's generator"
    torch.rand(10)
    again, other = (wear_in(build(PLAIN, 5), seed=seed).state_dict() for seed in (3, 4))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_the_input_scale_changes_the_work_and_no_weight() -> None:
    network = build(replace(PLAIN, input_scale=0.5), 5).eval()
    assert network.state_dict().keys() == build(PLAIN, 5).state_dict().keys()
    seen: list[tuple[int, ...]] = []
    network.encoders[0].stem.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    network(torch.zeros(1, 3, 64, 96))
    assert seen == [(1, 3, 32, 48)]


def test_dark_and_bright_pixels_are_centred() -> None:
    network = build(PLAIN, 5).eval()
    seen: list[torch.Tensor] = []
    network.encoders[0].stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.tensor([0.0, 255.0]).view(1, 1, 1, 2).expand(1, 3, 32, 2))
    assert seen[0].min() == pytest.approx(-1.75)
    assert seen[0].max() == pytest.approx(2.234375)


def test_what_scores_and_what_starts_is_protected() -> None:
    network = build(SEAMS["BiSeNet's spatial path"], 5)
    assert network.head.scores in network.protected
    assert all(any(stem is kept for kept in network.protected) for stem in (e.stem for e in network.encoders))
    assert all(any(head is kept for kept in network.protected) for head in (extra[-1] for extra in network.auxiliary))


# check_architecture: a rule each, refused before a network is built.


def _with_stage(**changes: Any) -> Architecture:
    return replace(PLAIN, paths=(EncoderPath(Stem(8), (replace(STAGES[0], **changes),)),))


def _with_path(**changes: Any) -> Architecture:
    return replace(PLAIN, paths=(replace(PLAIN.paths[0], **changes),))


REFUSED: dict[str, tuple[Architecture, str]] = {
    "no path": (replace(PLAIN, paths=()), "must hold at least one path, got none"),
    "input scale 0": (replace(PLAIN, input_scale=0.0), r"input_scale must lie in \[0.1, 1\], got 0.0"),
    "input scale 2": (replace(PLAIN, input_scale=2.0), r"input_scale must lie in \[0.1, 1\], got 2.0"),
    "input scale nan": (replace(PLAIN, input_scale=float("nan")), r"input_scale must lie in \[0.1, 1\], got nan"),
    "trunk": (replace(PLAIN, trunk=1), "trunk must be the index of a path, got 1"),
    "trunk -1": (replace(PLAIN, trunk=-1), "trunk must be the index of a path, got -1"),
    "block": (_with_stage(block="magic"), "A block must be one of conv, grouped, .*, got 'magic'"),
    "context": (_with_path(context=Context("magic", 8)), "A context must be one of none, .*, got 'magic'"),
    "join": (replace(PLAIN, joins=(Join("magic", Feature(0, 1), 8),)), "A join must be one of .*, got 'magic'"),
    "head block": (replace(PLAIN, head=Head(8, block="magic")), "A head block must be one of .*, got 'magic'"),
    "channels 0": (_with_stage(channels=0), "positive sizes"),
    "depth 0": (_with_stage(depth=0), "positive sizes"),
    "stride 0": (_with_stage(stride=0), "positive sizes"),
    "rate 0": (_with_stage(atrous=(1, 0)), "positive sizes"),
    "even kernel": (_with_stage(kernel=4), "odd kernel"),
    "groups 0": (_with_stage(groups=0), "groups must divide"),
    "groups 3": (_with_stage(groups=3), r"groups must divide its channels \(16\), got 3"),
    "map": (
        replace(PLAIN, joins=(Join("add", Feature(0, 3), 8),)),
        r"a map that exists by then, got Feature\(path=0, st",
    ),
    "map -1": (replace(PLAIN, joins=(Join("add", Feature(0, -1), 8),)), "a map that exists by then"),
    "path": (replace(PLAIN, joins=(Join("add", Feature(1, 0), 8),)), "a map that exists by then"),
    "auxiliary": (replace(PLAIN, auxiliary=(Auxiliary(Feature(0, 9), 0.4, 8),)), "a map that exists by then"),
    "source of itself": (_with_path(source=Feature(0, 0)), "a map that exists by then"),
    "source ahead": (
        replace(PLAIN, paths=(EncoderPath(None, STAGES, source=Feature(1, 1)), PLAIN.paths[0])),
        "a map that exists by then",
    ),
    "a join ahead": (
        replace(PLAIN, joins=(Join("add", Joined(0), 8), Join("add", Feature(0, 1), 8))),
        "a map that exists by then",
    ),
    # What a type of block asks of its widths, groups and rates.
    "dense that does not grow": (
        _with_stage(block="dense", channels=8),
        "dense blocks must end wider than the 8 channels before it, by one a block, got 8",
    ),
    "dense of more blocks than channels": (_with_stage(block="dense", channels=10, depth=3), "got 10"),
    "dense of a path of a path": (
        replace(
            PLAIN,
            paths=(*PLAIN.paths, EncoderPath(None, (Stage("dense", 24, 1),), source=Feature(0, 2))),
            joins=(Join("add", Feature(1, 1), 8),),
        ),
        "must end wider than the 24 channels before it",
    ),
    "shuffled": (
        _with_stage(block="shuffled", channels=18, groups=3),
        r"A shuffled block of 8 to 18 channels must make a multiple of its groups \(3\), got 10; change Stage.channels",
    ),
    "eesp of too few channels": (
        _with_stage(block="eesp", channels=16, groups=4, atrous=(1, 2, 3, 4)),
        r"must make a multiple of the square of its groups \(16\), got 8; change",
    ),
    "eesp without rates": (
        _with_stage(block="eesp", channels=24, groups=4),
        r"must hold a rate for each of their groups \(4\), got \(1,\); each group is a branch",
    ),
    "split rates": (
        _with_stage(block="split_rates", channels=18, groups=3, atrous=(1, 2)),
        r"groups of split_rates blocks must be a multiple of their rates \(2\), got 3; groups = channels / 16 is",
    ),
    "bottleneck's groups": (
        _with_stage(block="bottleneck", groups=5),
        r"groups must divide its channels \(16\), got 5",
    ),
    "squeeze": (_with_stage(block="bottleneck", squeeze=0.25), "squeeze needs a block that squeezes, got bottleneck"),
    "norm": (_with_stage(block="qarep", norm="none"), "norm none needs a block that can do without, got qarep"),
    "activation": (
        _with_stage(block="transition", activation="relu6"),
        "needs a block that takes it, got relu6 in tra",
    ),
    # What the table of blocks would meet as a division by zero, a tensor without elements, or not at all.
    "no rates": (_with_stage(atrous=()), "rate|atrous"),
    "expansion": (_with_stage(block="inverted_residual", expansion=-1.0), "expansion"),
    "expansion nan": (_with_stage(expansion=float("nan")), "expansion"),
    "downsample": (_with_stage(downsample="magic"), "downsample"),
    "reinforce": (_with_stage(reinforce=True), "reinforce"),
    "stem channels": (_with_path(stem=Stem(0)), "[Ss]tem"),
    "stem depth": (_with_path(stem=Stem(8, depth=0)), "[Ss]tem"),
    "stem kernel": (_with_path(stem=Stem(8, kernel=4)), "[Ss]tem"),
    "stem stride 3": (_with_path(stem=Stem(8, stride=3)), "[Ss]tem"),
    "stem stride out of depth": (_with_path(stem=Stem(8, stride=8, depth=2)), "[Ss]tem"),
    "no bins": (_with_path(context=Context("pyramid_pooling", 8)), "bins"),
    "bin 0": (_with_path(context=Context("pyramid_pooling", 8, bins=(1, 0))), "bins"),
    "context channels": (_with_path(context=Context("aspp", 0, rates=(2,))), "channels"),
    "context rate": (_with_path(context=Context("aspp", 8, rates=(0,))), "rate"),
    "path scale": (_with_path(scale=0.0), "scale"),
    "path scale nan": (_with_path(scale=float("nan")), "scale"),
    "head channels": (replace(PLAIN, head=Head(0)), "[Hh]ead"),
    "head depth": (replace(PLAIN, head=Head(8, depth=-1)), "[Hh]ead"),
    "head dropout": (replace(PLAIN, head=Head(8, dropout=1.0)), "[Hh]ead|dropout"),
    "join channels": (replace(PLAIN, joins=(Join("add", Feature(0, 1), 0),)), "[Jj]oin"),
    "join reduce": (replace(PLAIN, joins=(Join("concat", Feature(0, 1), 8, reduce=-8),)), "[Jj]oin"),
    "auxiliary weight": (replace(PLAIN, auxiliary=(Auxiliary(Feature(0, 1), float("nan"), 8),)), "[Aa]uxiliary"),
    "unread path": (replace(PLAIN, paths=(*PLAIN.paths, EncoderPath(Stem(8), STAGES))), "path"),
    "unread context": (
        replace(
            PLAIN,
            paths=(*PLAIN.paths, EncoderPath(Stem(8), STAGES, Context("aspp", 8, rates=(2,)))),
            joins=(Join("add", Feature(1, 2), 8),),
        ),
        "context",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_the_rule(case: str) -> None:
    architecture, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        check_architecture(architecture)
    with pytest.raises(ValueError, match=message):
        build(architecture, 5)


@seams
def test_what_fits_is_not_refused(architecture: Architecture) -> None:
    check_architecture(architecture)
