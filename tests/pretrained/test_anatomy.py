"""The anatomy of encoders: every convolution is told, under its name, and channels of one name are the same ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segsearch.networks.layers import Conv2d
from segsearch.pretrained.anatomy import ANATOMIES, IMAGE, layers_of, map_name
from segsearch.space.architecture import Architecture, Feature, Stage
from tests.pretrained.nets import KINDS, conv_of, of, seen, tensors_of, worn


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
    assert sorted(layer.conv for layer in layers) == sorted(convolutions)
    assert sorted(layer.norm for layer in layers if layer.norm is not None) == sorted(norms)
    assert len({(layer.path, layer.stage, layer.block, layer.role) for layer in layers}) == len(layers)
    for layer in layers:
        conv = conv_of(network, layer)
        assert layer.depthwise == (conv.groups > 1)
        assert (layer.norm is None) == (conv.bias is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_channels_of_one_name_can_be_put_in_another_order_together(kind: str) -> None:
    """The network stays the same function: all layers that make or read these channels are told, and no others."""
    layers = layers_of(KINDS[kind])
    names = list(dict.fromkeys(layer.makes for layer in layers))
    assert len(names) > 2
    for name in names:
        network = worn(KINDS[kind])
        before = seen(network)
        width = next(conv_of(network, layer).out_channels for layer in layers if layer.makes == name)
        order = torch.randperm(width, generator=torch.Generator().manual_seed(1))
        for layer in layers:
            if layer.makes == name:
                for tensor in tensors_of(network, layer):
                    tensor.copy_(tensor[order])
            if layer.reads == name and not layer.depthwise:
                weight = conv_of(network, layer).weight.data
                weight.copy_(weight[:, order])
        for number, (maps, former) in enumerate(zip(seen(network), before, strict=True)):
            for stage, (x, old) in enumerate(zip(maps, former, strict=True)):
                ordered = old[:, order] if _made_as(KINDS[kind], number, stage) == name else old
                assert torch.allclose(x, ordered, atol=1e-4 * float(old.abs().max())), (name, number, stage)


def _made_as(architecture: Architecture, path: int, stage: int) -> str:
    """The name of a map's channels: that by which its last layer makes them, or those that the path starts from."""
    made = [layer.makes for layer in layers_of(architecture) if (layer.path, layer.stage) == (path, stage)]
    if made:
        return made[-1]
    source = architecture.paths[path].source
    return IMAGE if source is None else _made_as(architecture, source.path, source.stage)


def test_a_block_without_an_anatomy_is_passed_over() -> None:
    layers = layers_of(of(Stage("grouped", 16, 1, groups=2), Stage("conv", 24, 1)))
    assert [(layer.stage, layer.role) for layer in layers] == [(0, "stem"), (2, "conv")]
    assert layers[1].reads == map_name(Feature(0, 1))
    assert layers[0].makes != layers[1].reads
