"""Small networks that are parents and children."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from segsearch.networks import Network, build
from segsearch.networks.build import wear_in
from segsearch.pretrained.anatomy import Layer
from segsearch.space.architecture import Architecture, EncoderPath, Feature, Head, Join, Stage, Stem

SIZE = (40, 48)


def whole(*paths: EncoderPath, **changes: Any) -> Architecture:
    """A network with these encoders; of several the first is the trunk, and the others are joined."""
    joins = tuple(Join("add", Feature(number, len(path.stages)), 8) for number, path in enumerate(paths) if number)
    return replace(Architecture(paths, joins, Head(8)), **changes)


def of(*stages: Stage, stem: Stem | None = Stem(16)) -> Architecture:
    return whole(EncoderPath(stem, stages))


def mb(channels: int, depth: int, stride: int = 1, kernel: int = 3, **changes: Any) -> Stage:
    settings: dict[str, Any] = {"expansion": 4.0, "activation": "relu6"}
    return Stage("mbconv", channels, depth, stride, kernel, **settings | changes)


# Every block in the ways in which its structure differs.
KINDS: dict[str, Architecture] = {
    "mbconv": of(mb(16, 1, expansion=1.0), mb(24, 3, 2, 5), mb(32, 2, 2)),
    "mbconv, tied to its stem": of(mb(16, 2, expansion=1.0), mb(16, 2), mb(24, 1, 2)),
    "mbconv, squeezed": of(mb(16, 2, 2, expansion=1.0, squeeze=0.5), mb(24, 2, 2, squeeze=0.25)),
    "residual": of(Stage("residual", 16, 2), Stage("residual", 24, 2, 2), stem=Stem(16, 4, kernel=7, pool=True)),
    "residual, narrow inside": of(Stage("residual", 32, 2, expansion=0.5)),
    "bottleneck": of(Stage("bottleneck", 32, 2, expansion=0.25), Stage("bottleneck", 64, 2, 2, expansion=0.25)),
    "conv": of(Stage("conv", 16, 2), Stage("conv", 24, 2, 2, downsample="max_pool"), stem=None),
    "conv without norm": of(Stage("conv", 16, 2, norm="none"), Stage("conv", 24, 2, 2, norm="none"), stem=None),
    "separable": of(Stage("separable", 24, 2, 2), Stage("separable", 24, 2, 2, downsample="mean_pool")),
    "inverted_residual": of(Stage("inverted_residual", 16, 2, expansion=3.0), Stage("inverted_residual", 24, 2, 2)),
    "dense": of(Stage("dense", 32, 2), Stage("transition", 16, 1, 2), Stage("dense", 40, 3)),
    "a deep stem": of(mb(24, 2, 2), stem=Stem(24, 4, depth=3)),
    "two paths": whole(
        EncoderPath(Stem(16), (mb(24, 2, 2), mb(32, 1, 2))), EncoderPath(None, (mb(24, 2),), source=Feature(0, 1))
    ),
}

# A parent has one path.
ALONE = [kind for kind, architecture in KINDS.items() if len(architecture.paths) == 1]


def worn(architecture: Architecture, seed: int = 0) -> Network:
    """A network whose batch norm looks as if it had been trained, in eval."""
    return wear_in(build(architecture, 3, seed=seed), seed=seed).eval()


def seen(network: Network) -> list[list[Tensor]]:
    """The maps of each path, the stem's first, of one picture; a path that goes on from a map starts there."""
    image = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(5)) * 255
    found: list[list[Tensor]] = []
    with torch.no_grad():
        for encoder, (source, _) in zip(network.encoders, network.sources, strict=True):
            x = (image - 112.0) / 64.0 if source is None else found[source.path][source.stage]
            maps = [encoder.get_submodule("stem")(x)]
            for stage in encoder.get_submodule("stages").children():
                maps.append(stage(maps[-1]))
            found.append(maps)
    return found


def conv_of(network: nn.Module, layer: Layer) -> nn.Conv2d:
    assert layer.conv is not None
    found = network.get_submodule(layer.conv)
    assert isinstance(found, nn.Conv2d)
    return found


def norm_of(network: nn.Module, layer: Layer) -> nn.BatchNorm2d | None:
    if layer.norm is None:
        return None
    found = network.get_submodule(layer.norm)
    assert isinstance(found, nn.BatchNorm2d)
    return found


def read_by(network: nn.Module, layer: Layer) -> list[Tensor]:
    """Everything of a layer that has a column, or a row, for each channel that it reads, seen channel by channel."""
    conv = [] if layer.conv is None or layer.depthwise else [conv_of(network, layer).weight.data.transpose(0, 1)]
    norm = norm_of(network, layer)
    if norm is None or not (layer.first or layer.conv is None):
        return conv
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return [*conv, norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var]


def tensors_of(network: nn.Module, layer: Layer) -> list[Tensor]:
    """Everything of a layer that has a row for each channel that it makes."""
    if layer.conv is None:
        return []
    conv, norm = conv_of(network, layer), norm_of(network, layer)
    found = [conv.weight.data, *([conv.bias.data] if conv.bias is not None else [])]
    if norm is not None and not layer.first:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        found += [norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var]
    return found
