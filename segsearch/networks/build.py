"""Assemble a network from an architecture: paths, joins, head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segsearch.networks.check import check_architecture
from segsearch.networks.decoders import JOINS, Classifier
from segsearch.networks.encoders import Encoder
from segsearch.networks.layers import Conv2d, conv_bn_relu, resize, spatial_size
from segsearch.space.candidate import Architecture, Feature, Joined
from segsearch.space.shapes import scaled

# RGB in 0..255 becomes roughly standard normal; constants of the network, so that the exported file needs no
# preprocessing but the resize to its input size.
PIXEL_MEAN = 112.0
PIXEL_STD = 64.0


class Network(nn.Module):
    """A segmentation network: RGB images (n, 3, H, W) with values 0..255 in, class scores (n, classes, H, W) out."""

    def __init__(self, architecture: Architecture, classes: int) -> None:
        super().__init__()
        self.input_scale = architecture.input_scale
        self.answer_scale = architecture.answer_scale
        self.sources = tuple((path.source, path.scale) for path in architecture.paths)
        encoders: list[Encoder] = []
        for path in architecture.paths:
            inputs = encoders[path.source.path].widths[path.source.stage] if path.source else 3
            encoders.append(Encoder(inputs, path))
        self.encoders = nn.ModuleList(encoders)
        self.join_features = tuple(join.feature for join in architecture.joins)
        self.trunk = architecture.trunk
        widths: dict[Feature | Joined, int] = {
            Feature(path, stage): width
            for path, encoder in enumerate(encoders)
            for stage, width in enumerate(encoder.widths)
        }
        channels, joins = encoders[architecture.trunk].channels, []
        for index, join in enumerate(architecture.joins):
            joins.append(JOINS[join.kind](channels, widths[join.feature], join))
            channels = widths[Joined(index)] = join.channels
        self.joins = nn.ModuleList(joins)
        self.head = Classifier(channels, architecture.head, classes)
        self.auxiliary_weights = tuple(auxiliary.weight for auxiliary in architecture.auxiliary)
        self.auxiliary_features = tuple(auxiliary.feature for auxiliary in architecture.auxiliary)
        self.auxiliary = nn.ModuleList(
            nn.Sequential(conv_bn_relu(widths[a.feature], a.channels, kernel=3), Conv2d(a.channels, classes, 1))
            for a in architecture.auxiliary
        )

    @property
    def protected(self) -> tuple[nn.Module, ...]:
        """Layers whose output channels no compression may take: the stems and everything that scores classes."""
        stems = [encoder.get_submodule("stem") for encoder in self.encoders]
        return (*stems, self.head.scores, self.head.upsample, *(extra.get_submodule("1") for extra in self.auxiliary))

    def forward(self, image: Tensor) -> Tensor:
        size = spatial_size(image)
        return resize(self.scores(resize(image, scaled(size, self.input_scale))), size)

    def scores(self, image: Tensor) -> Tensor:
        """Class scores on the decoder's own grid, of an image that is already at the input scale."""
        found: Tensor = self.head(self._decoded(image)[0])
        return found

    def scores_and_auxiliary(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`scores`, and those of the auxiliary heads on their own grids."""
        running, maps = self._decoded(image)
        extra = [head(maps[feature]) for feature, head in zip(self.auxiliary_features, self.auxiliary, strict=True)]
        return self.head(running), extra

    def _decoded(self, image: Tensor) -> tuple[Tensor, dict[Feature | Joined, Tensor]]:
        """The map that the head reads, and every map by what names it."""
        x = (image - PIXEL_MEAN) * (1.0 / PIXEL_STD)
        maps: dict[Feature | Joined, Tensor] = {}
        running = x
        for index, ((source, scale), encoder) in enumerate(zip(self.sources, self.encoders, strict=True)):
            start = maps[source] if source is not None else x
            if scale != 1.0:
                start = resize(start, scaled(spatial_size(start), scale))
            found, context = encoder(start)
            maps.update({Feature(index, stage): value for stage, value in enumerate(found)})
            if index == self.trunk:
                running = context
        for index, (feature, join) in enumerate(zip(self.join_features, self.joins, strict=True)):
            running = maps[Joined(index)] = join(running, maps[feature])
        return running, maps


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


def build(architecture: Architecture, classes: int, *, seed: int = 0) -> Network:
    """The network with weights drawn from `seed`. Raises `ValueError` where the architecture does not fit."""
    check_architecture(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(architecture, classes)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
