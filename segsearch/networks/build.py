"""Assemble a network from an architecture: paths, joins, head."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from segsearch.networks.check import check_architecture
from segsearch.networks.decoders import JOINS, Classifier, Widths
from segsearch.networks.encoders import Encoder
from segsearch.networks.layers import Conv2d, conv_bn_relu, resize, spatial_size
from segsearch.networks.network import Network
from segsearch.space.architecture import Architecture, ContextMap, Feature, Joined
from segsearch.space.shapes import scaled

# RGB in 0..255 becomes roughly standard normal; constants of the network, so that the exported file needs no
# preprocessing but the resize to its input size.
PIXEL_MEAN = 112.0
PIXEL_STD = 64.0


class Assembled(Network):
    """The network of an architecture."""

    def __init__(self, architecture: Architecture, classes: int) -> None:
        super().__init__()
        self.input_scale = architecture.input_scale
        self.answer_scale = architecture.answer_scale
        self.sources = tuple((path.source, path.scale) for path in architecture.paths)
        encoders: list[Encoder] = []
        widths: dict[Feature | Joined | ContextMap, int] = {}
        for number, path in enumerate(architecture.paths):
            encoder = Encoder(widths[path.source] if path.source else 3, path, classes)
            encoders.append(encoder)
            widths |= {Feature(number, stage): width for stage, width in enumerate(encoder.widths)}
            widths[ContextMap(number)] = encoder.channels
        for encoder in encoders:
            encoder.add_merges({key: width for key, width in widths.items() if isinstance(key, Feature)})
        self.encoders = nn.ModuleList(encoders)
        self.join_features = tuple(join.features for join in architecture.joins)
        self.trunk = architecture.trunk
        running: Joined | ContextMap = ContextMap(architecture.trunk)
        joins = []
        for index, join in enumerate(architecture.joins):
            read = Widths(
                widths[running],
                tuple(widths[feature] for feature in join.features),
                classes,
                running_scored=architecture.scores(running),
                scored=tuple(map(architecture.scores, join.features)),
            )
            joins.append(JOINS[join.kind](read, join))
            running = Joined(index)
            widths[running] = join.channels or classes
        self.joins = nn.ModuleList(joins)
        scored = architecture.ends_with_scores
        self.head = Classifier(widths[running], architecture.head, classes, scored=scored)
        self.auxiliary_weights = tuple(auxiliary.weight for auxiliary in architecture.auxiliary)
        self.auxiliary_features = tuple(auxiliary.feature for auxiliary in architecture.auxiliary)
        self.auxiliary = nn.ModuleList(
            nn.Sequential(conv_bn_relu(widths[a.feature], a.channels, kernel=3), Conv2d(a.channels, classes, 1))
            for a in architecture.auxiliary
        )

    @property
    def protected(self) -> tuple[nn.Module, ...]:
        """Layers whose output channels no compression may take: stems, what scores classes, each part's `keeps`."""
        stems = [encoder.get_submodule("stem") for encoder in self.encoders]
        own = [layer for part in self.modules() for layer in getattr(part, "keeps", ())]
        extra = [head.get_submodule("1") for head in self.auxiliary]
        return (*stems, self.head.scores, self.head.upsample, *extra, *own)

    def scores(self, image: Tensor) -> Tensor:
        found: Tensor = self.head(self._decoded(image)[0])
        return found

    def scores_and_auxiliary(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        running, maps = self._decoded(image)
        extra = [head(maps[feature]) for feature, head in zip(self.auxiliary_features, self.auxiliary, strict=True)]
        return self.head(running), extra

    def _decoded(self, image: Tensor) -> tuple[Tensor, dict[Feature | Joined | ContextMap, Tensor]]:
        """The map that the head reads, and every map by what names it."""
        x = (image - PIXEL_MEAN) * (1.0 / PIXEL_STD)
        maps: dict[Feature | Joined | ContextMap, Tensor] = {}
        made: dict[Feature, Tensor] = {}  # what a stage left, before anything is merged there
        for number in range(len(self.encoders)):
            encoder = self._encoder(number)
            last = Feature(number, len(encoder.widths) - 1)
            maps[ContextMap(number)] = encoder.context(self._merged(last, x, maps, made))
        running = maps[ContextMap(self.trunk)]
        for index, (features, join) in enumerate(zip(self.join_features, self.joins, strict=True)):
            running = maps[Joined(index)] = join(running, *(maps[feature] for feature in features))
        return running, maps

    def _encoder(self, path: int) -> Encoder:
        return cast(Encoder, self.encoders[path])

    def _merged(
        self,
        feature: Feature,
        x: Tensor,
        maps: dict[Feature | Joined | ContextMap, Tensor],
        made: dict[Feature, Tensor],
    ) -> Tensor:
        """A map of an encoder after what is merged into it; both are noted, so that each is made once."""
        if feature not in maps:
            encoder = self._encoder(feature.path)
            value = self._made(feature, x, maps, made)
            for merge, merging in zip(encoder.merged, encoder.merges, strict=True):
                if merge.after == feature.stage:
                    value = merging(value, self._made(merge.feature, x, maps, made))
            maps[feature] = value
        return maps[feature]

    def _made(
        self,
        feature: Feature,
        x: Tensor,
        maps: dict[Feature | Joined | ContextMap, Tensor],
        made: dict[Feature, Tensor],
    ) -> Tensor:
        """A map of an encoder as its stage left it."""
        if feature not in made:
            encoder, (source, scale) = self._encoder(feature.path), self.sources[feature.path]
            if feature.stage:
                before = self._merged(Feature(feature.path, feature.stage - 1), x, maps, made)
                made[feature] = encoder.stages[feature.stage - 1](before, x)
            else:
                start = self._merged(source, x, maps, made) if source is not None else x
                size = scaled(spatial_size(start), scale)
                made[feature] = encoder.stem(resize(start, size) if scale != 1.0 else start)
        return made[feature]


def wear_in(network: Network, *, seed: int = 0) -> Network:
    """Give batch norm random weights and statistics, as if the network had been trained.

    Fresh ones are all alike. Folded into the convolutions they leave equal biases, which the exporter shares, and
    ONNX Runtime then runs the int8 form of such a convolution in float: its latency would be another model's.
    """
    generator = torch.Generator().manual_seed(seed)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for value, low, high in (
                (norm.weight.data, 0.5, 1.5),
                (norm.bias.data, -0.5, 0.5),
                (norm.running_mean, -0.5, 0.5),
                (norm.running_var, 0.5, 1.5),
            ):
                if value is not None:
                    value.uniform_(low, high, generator=generator)
    return network


def build(architecture: Architecture, classes: int, *, seed: int = 0) -> Assembled:
    """The network with weights drawn from `seed`. Raises `ValueError` where the architecture does not fit."""
    check_architecture(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Assembled(architecture, classes)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
