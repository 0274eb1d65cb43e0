"""Inheritance: an equal child is its parent, a smaller one is the parent without the channels that weigh least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from segsearch.networks import Network, build
from segsearch.pretrained.anatomy import IMAGE, Layer, layers_of
from segsearch.pretrained.inherit import inherit
from segsearch.pretrained.match import Left
from segsearch.space.architecture import Architecture, Context, EncoderPath, Feature, Head, Join, Stage, Stem
from tests.pretrained.nets import ALONE, KINDS, conv_of, mb, norm_of, of, seen, tensors_of, worn


def heir(child: Architecture, parent: Network, parent_architecture: Architecture) -> Network:
    """A child that has inherited, in eval."""
    network = build(child, 3, seed=9)
    inherit(network, child, parent, parent_architecture)
    return network.eval()


def take_statistics(
    child: Network, architecture: Architecture, parent: Network, channels: Mapping[str, Tensor] | None = None
) -> None:
    """Give a child the batch norm statistics of its parent's layers of the same names, of those channels."""
    widths = widths_of(parent, layers_of(architecture))
    for layer in layers_of(architecture):
        own, other = norm_of(child, layer), norm_of(parent, layer)
        if own is not None and other is not None:
            names = layer.reads if layer.first or layer.conv is None else (layer.makes,)
            rows = slice(None) if channels is None else beside(names, channels, widths)
            own.running_mean, own.running_var = other.running_mean[rows], other.running_var[rows]  # type: ignore[index]


def widths_of(network: Network, layers: Sequence[Layer]) -> dict[str, int]:
    return {IMAGE: 3, **{one.makes: conv_of(network, one).out_channels for one in layers if one.conv is not None}}


def beside(names: Sequence[str], channels: Mapping[str, Tensor], widths: Mapping[str, int]) -> Tensor:
    """Those channels of maps that lie side by side."""
    parts, at = [], 0
    for name in names:
        parts.append(at + channels[name])
        at += widths[name]
    return torch.cat(parts)


@pytest.mark.parametrize("kind", ALONE)
def test_an_equal_child_is_its_parent_bit_for_bit(kind: str) -> None:
    parent = worn(KINDS[kind])
    child = heir(KINDS[kind], parent, KINDS[kind])
    take_statistics(child, KINDS[kind], parent)
    for own, other in zip(seen(child)[0], seen(parent)[0], strict=True):
        assert torch.equal(own, other)


# ---- narrower

NARROWER: dict[str, Architecture] = {
    "mbconv": of(mb(8, 1, expansion=1.0), mb(16, 3, 2, 5, expansion=3.0), mb(24, 2, 2), stem=Stem(8)),
    "mbconv, tied to its stem": of(mb(8, 2, expansion=1.0), mb(8, 2, expansion=3.0), mb(16, 1, 2), stem=Stem(8)),
    "mbconv, squeezed": of(
        mb(8, 2, 2, expansion=1.0, squeeze=1.0), mb(16, 2, 2, expansion=3.0, squeeze=0.25), stem=Stem(8)
    ),
    "residual": of(Stage("residual", 8, 2), Stage("residual", 16, 2, 2), stem=Stem(8, 4, kernel=7, pool=True)),
    "residual, narrow inside": of(Stage("residual", 24, 2, expansion=0.33)),
    "bottleneck": of(
        Stage("bottleneck", 24, 2, expansion=0.3), Stage("bottleneck", 40, 2, 2, expansion=0.2), stem=Stem(8)
    ),
    "conv": of(Stage("conv", 8, 2), Stage("conv", 16, 2, 2, downsample="max_pool"), stem=None),
    "conv without norm": of(Stage("conv", 8, 2, norm="none"), Stage("conv", 16, 2, 2, norm="none"), stem=None),
    "separable": of(Stage("separable", 16, 2, 2), Stage("separable", 8, 2, 2, downsample="mean_pool"), stem=Stem(8)),
    "inverted_residual": of(
        Stage("inverted_residual", 8, 2, expansion=3.0), Stage("inverted_residual", 16, 2, 2), stem=Stem(8)
    ),
    "dense": of(Stage("dense", 16, 2), Stage("transition", 8, 1, 2), Stage("dense", 20, 3), stem=Stem(8)),
    "a deep stem": of(mb(16, 2, 2, expansion=3.0), stem=Stem(16, 4, depth=3)),
}


@pytest.mark.parametrize("kind", ALONE)
def test_a_narrower_child_is_its_parent_without_the_channels_that_weigh_nothing(kind: str) -> None:
    """In the parent the other channels are dead: they are zero and say nothing, so that nothing is lost with them."""
    architecture, narrow = KINDS[kind], NARROWER[kind]
    parent, layers = worn(architecture), layers_of(architecture)
    empty, widths = build(narrow, 3), widths_of(parent, layers)
    generator = torch.Generator().manual_seed(4)
    living: dict[str, Tensor] = {IMAGE: torch.arange(3)}
    for layer, own in zip(layers, layers_of(narrow), strict=True):
        assert (layer.makes, layer.role) == (own.makes, own.role)
        norm = norm_of(parent, layer)
        if layer.conv is not None:
            rows = conv_of(parent, layer).out_channels
            kept = torch.randperm(rows, generator=generator)[: conv_of(empty, own).out_channels].sort().values
            dead = without(living.setdefault(layer.makes, kept), rows)
            for tensor in () if layer.gates else tensors_of(parent, layer)[: 1 if layer.first else 3]:
                tensor[dead] = 0.0  # of what is gated nothing is left to weigh
        if norm is not None:
            names = layer.reads if layer.first or layer.conv is None else (layer.makes,)
            dead = without(beside(names, living, widths), norm.num_features)
            norm.weight.data[dead] = norm.bias.data[dead] = 0.0
    child = heir(narrow, parent, architecture)
    take_statistics(child, narrow, parent, living)
    for stage, (own_map, other) in enumerate(zip(seen(child)[0], seen(parent)[0], strict=True)):
        inside = [layer for layer in layers if layer.stage == stage]
        names = inside[-1].reads if inside and inside[-1].conv is None else tuple(one.makes for one in inside[-1:])
        expected = other[:, beside(names or (IMAGE,), living, widths)]
        assert torch.allclose(own_map, expected, atol=1e-4 * float(other.abs().max())), stage
        assert float(expected.abs().max()) > 0


def without(kept: Tensor, count: int) -> Tensor:
    gone = torch.ones(count, dtype=torch.bool)
    gone[kept] = False
    return gone


def test_what_a_channel_weighs_is_its_weights_norm_times_its_norms_scale_over_all_blocks_that_the_child_has() -> None:
    """One stage of three blocks, worked by hand: the child has two of them."""
    parent_architecture, child_architecture = of(mb(16, 3, 2), stem=Stem(8)), of(mb(8, 2, 2), stem=Stem(8))
    parent = worn(parent_architecture)
    weights = torch.zeros(16)
    for block in range(2):
        project = parent.get_submodule(f"encoders.0.stages.0.{block}.project")
        norms = project.get_parameter("0.weight").detach().flatten(1).square().sum(1).sqrt()
        weights += norms * project.get_parameter("1.weight").detach().abs()
    best = torch.tensor(sorted(sorted(range(16), key=lambda channel: -float(weights[channel]))[:8]))
    child = heir(child_architecture, parent, parent_architecture)
    for block in range(2):
        own = child.get_submodule(f"encoders.0.stages.0.{block}.project")
        other = parent.get_submodule(f"encoders.0.stages.0.{block}.project")
        assert torch.equal(own.get_parameter("1.bias"), other.get_parameter("1.bias")[best])


def test_inside_a_block_the_expansion_and_the_depthwise_convolution_weigh_together() -> None:
    parent_architecture = of(mb(8, 1, 2), stem=Stem(8))
    child_architecture = of(mb(8, 1, 2, expansion=2.0), stem=Stem(8))
    parent = worn(parent_architecture)
    block = parent.get_submodule("encoders.0.stages.0.0")
    for name in ("expand", "depthwise"):
        block.get_parameter(f"{name}.0.weight").data.fill_(0.1)
        block.get_parameter(f"{name}.1.weight").data.fill_(1.0)
    block.get_parameter("expand.1.weight").data[::2] = 2.0  # the even ones by the expansion ...
    block.get_parameter("depthwise.1.weight").data[1::2] = 9.0  # ... the odd ones, and more, by what comes after it
    child = heir(child_architecture, parent, parent_architecture)
    own = child.get_submodule("encoders.0.stages.0.0")
    assert torch.equal(own.get_parameter("expand.1.bias"), block.get_parameter("expand.1.bias")[1::2])
    assert torch.equal(own.get_parameter("project.0.weight"), block.get_parameter("project.0.weight")[:, 1::2])


def test_channels_keep_their_order_and_of_equal_ones_the_first_stay() -> None:
    parent = worn(of(Stage("conv", 16, 1)))
    layer = parent.get_submodule("encoders.0.stages.0.0")
    layer.get_parameter("0.weight").data.fill_(0.5)
    layer.get_parameter("1.weight").data.fill_(1.0)
    layer.get_parameter("1.weight").data[11] = 3.0
    layer.get_parameter("1.bias").data.copy_(torch.arange(16.0))
    child = heir(of(Stage("conv", 8, 1)), parent, of(Stage("conv", 16, 1)))
    assert child.get_parameter("encoders.0.stages.0.0.1.bias").tolist() == [0, 1, 2, 3, 4, 5, 6, 11]


def test_a_narrower_childs_channels_are_some_of_a_wider_ones() -> None:
    parent_architecture = KINDS["mbconv"]
    parent = worn(parent_architecture)
    kept = []
    for width in (8, 16, 24):
        child = heir(of(mb(16, 1, expansion=1.0), mb(width, 3, 2, 5)), parent, parent_architecture)
        kept.append(set(child.get_parameter("encoders.0.stages.1.0.project.1.bias").tolist()))
    assert kept[0] < kept[1] < kept[2]


def test_it_is_the_same_each_time_and_whatever_was_drawn_before() -> None:
    parent = worn(KINDS["mbconv"])
    states = [heir(NARROWER["mbconv"], parent, KINDS["mbconv"]).state_dict() for _ in range(2)]
    other = build(NARROWER["mbconv"], 3, seed=77)
    inherit(other, NARROWER["mbconv"], parent, KINDS["mbconv"])
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
        if name.startswith("encoders."):
            assert torch.equal(value, other.state_dict()[name]), name


# ---- shallower, other kernels, wider


def test_a_shallower_child_has_the_first_blocks() -> None:
    """Its maps are those that the parent has on its way."""
    architecture = of(mb(16, 1, expansion=1.0), mb(24, 3, 2, 5))
    parent = worn(architecture)
    shallow = of(mb(16, 1, expansion=1.0), mb(24, 2, 2, 5))
    child = heir(shallow, parent, architecture)
    take_statistics(child, shallow, parent)
    x = seen(parent)[0][1]
    with torch.no_grad():
        for block in list(parent.encoders[0].get_submodule("stages.1").children())[:2]:
            x = block(x)
    assert torch.equal(seen(child)[0][2], x)


@pytest.mark.parametrize(("side", "sides"), [(5, 3), (7, 3), (7, 5), (5, 1)])
def test_a_smaller_kernel_is_the_centre_of_the_parents(side: int, sides: int) -> None:
    parent = worn(of(mb(24, 1, 2, side)))
    child = heir(of(mb(24, 1, 2, sides)), parent, of(mb(24, 1, 2, side)))
    name, cut = "encoders.0.stages.0.0.depthwise.0.weight", (side - sides) // 2
    whole = parent.get_parameter(name)
    assert torch.equal(child.get_parameter(name), whole[:, :, cut : side - cut, cut : side - cut])


def test_in_the_centre_of_a_larger_kernel_lies_the_parents() -> None:
    parent, before = worn(of(mb(24, 1, 2))), build(of(mb(24, 1, 2, 5)), 3, seed=9)
    child = heir(of(mb(24, 1, 2, 5)), parent, of(mb(24, 1, 2)))
    name = "encoders.0.stages.0.0.depthwise.0.weight"
    expected = before.get_parameter(name).detach().clone()
    expected[:, :, 1:4, 1:4] = parent.get_parameter(name)
    assert torch.equal(child.get_parameter(name), expected)


def test_of_a_wider_child_the_first_channels_are_the_parents_and_the_others_as_drawn() -> None:
    narrow, wide = of(mb(16, 2, 2), stem=Stem(8)), of(mb(24, 2, 2), stem=Stem(16))
    parent, before = worn(narrow), build(wide, 3, seed=9)
    child = heir(wide, parent, narrow)
    assert len(layers_of(wide)) == 7
    for layer in layers_of(wide):
        own, drawn, other = (conv_of(one, layer).weight for one in (child, before, parent))
        rows, columns = other.shape[:2]
        assert torch.equal(own[:rows, :columns], other)
        assert torch.equal(own[rows:], drawn[rows:])
        assert torch.equal(own[:, columns:], drawn[:, columns:])
        norm = norm_of(child, layer)
        assert norm is not None
        assert norm.weight[rows:].tolist() == [1.0] * (own.shape[0] - rows)


def test_a_shallower_dense_stage_leaves_out_what_its_other_blocks_would_have_put_beside() -> None:
    """The 1x1 behind it, and the norm of its last map, have the columns of what is there."""
    deep = of(Stage("dense", 48, 4), Stage("transition", 16, 1, 2))  # 16 channels, and four times 8 beside them
    shallow = of(Stage("dense", 32, 2), Stage("transition", 16, 1, 2))
    parent = worn(deep)
    child = heir(shallow, parent, deep)
    mix, finish = "encoders.0.stages.1.0.mix.weight", "encoders.0.stages.0.{}.finish.0.bias"
    assert torch.equal(child.get_parameter(mix), parent.get_parameter(mix)[:, :32])
    assert torch.equal(child.get_parameter(finish.format(1)), parent.get_parameter(finish.format(3))[:32])


def test_a_deeper_dense_stage_inherits_what_there_is_and_goes_on() -> None:
    shallow, deep = (of(Stage("dense", 16 + 8 * depth, depth), Stage("transition", 16, 1, 2)) for depth in (2, 3))
    parent, before = worn(shallow), build(deep, 3, seed=9)
    child = build(deep, 3, seed=9)
    report = inherit(child, deep, parent, shallow)
    assert report.left == (Left("stage 1, block 3", 2, "the parent's has no such block"),)
    mix = "encoders.0.stages.1.0.mix.weight"
    assert torch.equal(child.get_parameter(mix)[:, :32], parent.get_parameter(mix))
    assert torch.equal(child.get_parameter(mix)[:, 32:], before.get_parameter(mix)[:, 32:])


# ---- what does not inherit


def test_statistics_context_decoder_and_head_stay_as_drawn() -> None:
    architecture = Architecture(
        (EncoderPath(Stem(16), KINDS["mbconv"].paths[0].stages, Context("aspp", 16, rates=(2,), image_pool=True)),),
        (Join("concat", Feature(0, 1), 16, 8),),
        Head(16),
    )
    drawn = build(architecture, 3, seed=9).state_dict()
    child = heir(architecture, worn(KINDS["mbconv"]), KINDS["mbconv"])
    inherited = {
        f"{name}.{kind}"
        for layer in layers_of(architecture)
        for name in (layer.conv, layer.norm or "")
        for kind in ("weight", "bias")
    }
    for name, value in child.state_dict().items():
        assert torch.equal(value, drawn[name]) == (name not in inherited), name


def test_where_nothing_matches_nothing_changes() -> None:
    architecture = of(Stage("separable", 16, 1), stem=None)
    network = build(architecture, 3, seed=9)
    drawn = {name: value.clone() for name, value in network.state_dict().items()}
    report = inherit(network, architecture, worn(KINDS["mbconv"]), KINDS["mbconv"])
    assert report.matched == 0
    assert all(torch.equal(value, drawn[name]) for name, value in network.state_dict().items())


def test_a_child_of_several_paths_inherits_in_each() -> None:
    parent = worn(KINDS["mbconv"])
    child_architecture = replace(
        KINDS["two paths"],
        paths=(
            KINDS["mbconv"].paths[0],
            EncoderPath(None, (mb(32, 2, 1),), source=Feature(0, 2)),
        ),
        joins=(Join("add", Feature(1, 1), 8),),
    )
    child = build(child_architecture, 3, seed=9)
    report = inherit(child, child_architecture, parent, KINDS["mbconv"])
    assert report.left == ()
    name = "stages.{}.0.expand.0.weight"
    assert torch.equal(
        child.get_parameter("encoders.1." + name.format(0)), parent.get_parameter("encoders.0." + name.format(2))
    )
