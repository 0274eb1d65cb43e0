"""The anatomy of encoders: every convolution is told, under its name, and channels of one name are the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn

from segsearch.networks.layers import Conv2d
from segsearch.pretrained.anatomy import ANATOMIES, END, layers_of, map_name
from segsearch.space.architecture import Architecture, Feature, Stage
from tests.pretrained.nets import KINDS, conv_of, of, read_by, seen, tensors_of, worn


def test_every_block_that_can_inherit_is_looked_at_here() -> None:
    seen_here = {stage.block for one in KINDS.values() for path in one.paths for stage in path.stages}
    assert seen_here == set(ANATOMIES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_convolution_is_told_once_with_its_norm(kind: str) -> None:
    network, layers = worn(KINDS[kind]), layers_of(KINDS[kind])
    parts = [
        (f"encoders.{number}.{part}", encoder.get_submodule(part))
        for number, encoder in enumerate(network.encoders)
        for part in ("stem", "stages")
    ]
    modules = {f"{part}.{name}": one for part, inside in parts for name, one in inside.named_modules()}
    convolutions = [name for name, one in modules.items() if isinstance(one, Conv2d)]
    norms = [name for name, one in modules.items() if isinstance(one, nn.BatchNorm2d)]
    assert sorted(layer.conv for layer in layers if layer.conv is not None) == sorted(convolutions)
    assert sorted(layer.norm for layer in layers if layer.norm is not None) == sorted(norms)
    assert len({(layer.path, layer.stage, layer.block, layer.role) for layer in layers}) == len(layers)
    for layer in layers:
        if layer.conv is not None:
            conv = conv_of(network, layer)
            assert layer.depthwise == (conv.groups > 1)
            assert layer.biased == (conv.bias is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_channels_of_one_name_can_be_put_in_another_order_together(kind: str) -> None:
    """The network stays the same function: all layers that make or read these channels are told, and no others."""
    layers = layers_of(KINDS[kind])
    widths = {one.makes: conv_of(worn(KINDS[kind]), one).out_channels for one in layers if one.conv is not None}
    assert len(widths) > 2
    for name, width in widths.items():
        network = worn(KINDS[kind])
        before = seen(network)
        order = torch.randperm(width, generator=torch.Generator().manual_seed(1))
        for layer in layers:
            for tensor in tensors_of(network, layer) if layer.makes == name else ():
                tensor.copy_(tensor[order])
            if name in layer.reads:
                for tensor in read_by(network, layer):
                    tensor.copy_(tensor[_placed(layer.reads, name, order, widths)])
        for number, (maps, former) in enumerate(zip(seen(network), before, strict=True)):
            for stage, (x, old) in enumerate(zip(maps, former, strict=True)):
                ordered = old[:, _placed(_map(KINDS[kind], number, stage), name, order, widths)]
                assert torch.allclose(x, ordered, atol=1e-4 * float(old.abs().max())), (name, number, stage)


def _placed(names: Sequence[str], name: str, order: torch.Tensor, widths: Mapping[str, int]) -> torch.Tensor:
    """The channels of maps side by side, those of that name in another order."""
    parts, at = [], 0
    for one in names:
        width = widths.get(one, 3)
        parts.append(at + (order if one == name else torch.arange(width)))
        at += width
    return torch.cat(parts)


def _map(architecture: Architecture, path: int, stage: int) -> tuple[str, ...]:
    """The names of a map's channels: what the next stage would read."""
    within = architecture.paths[path]
    longer = replace(within, stages=(*within.stages[:stage], Stage("conv", 8, 1)))
    paths = (*architecture.paths[:path], longer)
    return layers_of(replace(architecture, paths=paths))[-1].reads


def test_a_block_without_an_anatomy_is_passed_over() -> None:
    layers = layers_of(of(Stage("grouped", 16, 1, groups=2), Stage("conv", 24, 1)))
    assert [(layer.stage, layer.role) for layer in layers] == [(0, "stem"), (2, "conv")]
    assert layers[1].reads == (map_name(Feature(0, 1)),)
    assert layers[0].makes not in layers[1].reads


def test_dense_stages_keep_all_that_they_read() -> None:
    layers = {(one.stage, one.role, one.block): one for one in layers_of(KINDS["dense"])}
    stem, grown = layers[0, "stem", 0].makes, [layers[1, "grow", block].makes for block in range(2)]
    assert layers[1, "narrow", 1].reads == (stem, grown[0])
    assert layers[1, "finish", END].reads == layers[2, "mix", 0].reads == (stem, *grown)
    assert layers[3, "narrow", 0].reads == (layers[2, "mix", 0].makes,)
