"""Assemble a network from an architecture: paths, joins, head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segsearch.candidate import Architecture, Feature
from segsearch.networks.blocks import BLOCKS
from segsearch.networks.contexts import CONTEXTS
from segsearch.networks.decoders import HEAD_BLOCKS, JOINS, Classifier
from segsearch.networks.encoders import Encoder
from segsearch.networks.layers import resize, scaled_size, spatial_size

# RGB in 0..255 becomes roughly standard normal; constants of the network, so that the exported file needs no
# preprocessing but the resize to its input size.
PIXEL_MEAN = 112.0
PIXEL_STD = 64.0


class Network(nn.Module):
    """A segmentation network: RGB images (n, 3, H, W) with values 0..255 in, class scores (n, classes, H, W) out."""

    def __init__(self, architecture: Architecture, classes: int) -> None:
        super().__init__()
        self.input_scale = architecture.input_scale
        self.sources = tuple((path.source, path.scale) for path in architecture.paths)
        encoders: list[Encoder] = []
        for path in architecture.paths:
            inputs = encoders[path.source.path].widths[path.source.stage] if path.source else 3
            encoders.append(Encoder(inputs, path))
        self.encoders = nn.ModuleList(encoders)
        self.join_features = tuple(join.feature for join in architecture.joins)
        self.trunk = architecture.trunk
        channels, joins = encoders[architecture.trunk].channels, []
        for join in architecture.joins:
            feature = encoders[join.feature.path].widths[join.feature.stage]
            joins.append(JOINS[join.kind](channels, feature, join))
            channels = join.channels
        self.joins = nn.ModuleList(joins)
        self.head = Classifier(channels, architecture.head, classes)
        self.auxiliary_weights = tuple(auxiliary.weight for auxiliary in architecture.auxiliary)
        self.auxiliary_features = tuple(auxiliary.feature for auxiliary in architecture.auxiliary)
        self.auxiliary = nn.ModuleList(
            nn.Conv2d(encoders[a.feature.path].widths[a.feature.stage], classes, 1) for a in architecture.auxiliary
        )

    @property
    def protected(self) -> tuple[nn.Module, ...]:
        """Layers whose output channels no compression may take: the stems and everything that scores classes."""
        stems = [encoder.stem for encoder in self.encoders]
        return (*stems, self.head.scores, *self.auxiliary)

    def forward(self, image: Tensor) -> Tensor:
        size = spatial_size(image)
        return resize(self.scores(resize(image, scaled_size(size, self.input_scale))), size)

    def scores(self, image: Tensor) -> Tensor:
        """Class scores on the decoder's own grid, of an image that is already at the input scale."""
        return self.scores_and_auxiliary(image)[0]

    def scores_and_auxiliary(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`scores`, and those of the auxiliary heads on their own grids."""
        x = (image - PIXEL_MEAN) * (1.0 / PIXEL_STD)
        maps: dict[Feature, Tensor] = {}
        running = x
        for index, ((source, scale), encoder) in enumerate(zip(self.sources, self.encoders, strict=True)):
            start = maps[source] if source is not None else x
            if scale != 1.0:
                start = resize(start, scaled_size(spatial_size(start), scale))
            found, context = encoder(start)
            maps.update({Feature(index, stage): value for stage, value in enumerate(found)})
            if index == self.trunk:
                running = context
        for feature, join in zip(self.join_features, self.joins, strict=True):
            running = join(running, maps[feature])
        extra = [head(maps[feature]) for feature, head in zip(self.auxiliary_features, self.auxiliary, strict=True)]
        return self.head(running), extra


def check_architecture(architecture: Architecture) -> None:
    """Raise `ValueError` with the rule, what was found and the cure where the parts do not fit one another."""
    if not architecture.paths:
        raise ValueError("Architecture.paths must hold at least one path, got none")
    if not 0 <= architecture.trunk < len(architecture.paths):
        raise ValueError(f"Architecture.trunk must be the index of a path, got {architecture.trunk}")
    if not 0.1 <= architecture.input_scale <= 1.0:
        raise ValueError(f"Architecture.input_scale must lie in [0.1, 1], got {architecture.input_scale}")
    for index, path in enumerate(architecture.paths):
        _known("block", [stage.block for stage in path.stages], BLOCKS)
        _known("context", [path.context.kind], CONTEXTS)
        if path.source is not None:
            _exists(architecture, path.source, before=index)
        for stage in path.stages:
            if min(stage.channels, stage.depth, stage.stride, *stage.atrous) < 1 or stage.kernel % 2 == 0:
                raise ValueError(f"A stage needs positive sizes and an odd kernel, got {stage}")
            if stage.groups < 1 or stage.channels % stage.groups:
                raise ValueError(f"Stage.groups must divide its channels ({stage.channels}), got {stage.groups}")
    _known("join", [join.kind for join in architecture.joins], JOINS)
    _known("head block", [architecture.head.block], HEAD_BLOCKS)
    for feature in [join.feature for join in architecture.joins] + [a.feature for a in architecture.auxiliary]:
        _exists(architecture, feature, before=len(architecture.paths))


def _known(what: str, names: list[str], table: Mapping[str, object]) -> None:
    for name in names:
        if name not in table:
            raise ValueError(f"A {what} must be one of {', '.join(table)}, got {name!r}")


def _exists(architecture: Architecture, feature: Feature, *, before: int) -> None:
    if not (0 <= feature.path < before and 0 <= feature.stage <= len(architecture.paths[feature.path].stages)):
        raise ValueError(f"A Feature must name a map that exists by then, got {feature}")


def build(architecture: Architecture, classes: int, *, seed: int = 0) -> Network:
    """The network with weights drawn from `seed`. Raises `ValueError` where the architecture does not fit."""
    check_architecture(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(architecture, classes)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
