"""What everything after `build` needs of a network: scores on its own grid, and what of it is not for compression."""

from __future__ import annotations

from torch import Tensor, nn

from segsearch.networks.layers import resize, spatial_size
from segsearch.space.shapes import scaled


class Network(nn.Module):
    """A segmentation network: RGB images (n, 3, H, W) with values 0..255 in, class scores (n, classes, H, W) out.

    It sees the image resized by `input_scale`; where it answers a mask, its classes are taken at `answer_scale` of the
    image's size. `example` is the (height, width) of an image that it takes at the input scale, None where any
    will do. `brought` is what somebody else wrote of it, of which nothing is ours. Heads beside the answer learn by
    `auxiliary_weights`.
    """

    input_scale: float
    answer_scale: float
    auxiliary_weights: tuple[float, ...] = ()
    example: tuple[int, int] | None = None
    brought: nn.Module | None = None

    @property
    def protected(self) -> tuple[nn.Module, ...]:
        """Layers whose output channels no compression may take."""
        raise NotImplementedError

    def scores(self, image: Tensor) -> Tensor:
        """Class scores on the network's own grid, of an image that is already at the input scale."""
        raise NotImplementedError

    def scores_and_auxiliary(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`scores`, and those of the heads that help in training, on their own grids."""
        return self.scores(image), []

    def ships(self, parameter: str) -> bool:
        """Whether a parameter is in the exported file; heads that help in training stay behind."""
        return not parameter.startswith("auxiliary.")

    def forward(self, image: Tensor) -> Tensor:
        size = spatial_size(image)
        return resize(self.scores(resize(image, scaled(size, self.input_scale))), size)
