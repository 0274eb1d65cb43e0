"""Whole batches for training: scaled, cropped, flipped and re-lit at once, on the device the images are on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# The grey that a network's input normalisation turns into about 0, where an image does not reach.
FILL = 112.0
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Augment:
    """How much training images vary: scale is log-uniform in [smallest, largest]; jitters are relative strengths.

    `inside` keeps crops within the image: a scale at which one would reach beyond it is raised to that at which it
    just fits. What lies outside teaches nothing and costs as much as what lies inside.
    """

    flip: float = 0.5
    smallest: float = 0.5
    largest: float = 2.0
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.25
    inside: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1:
            raise ValueError(f"Augment.flip must lie in [0, 1], got {self.flip}; use 0 for no flipping.")
        if not 0 < self.smallest <= self.largest:
            raise ValueError(f"Augment needs 0 < smallest <= largest, got {self.smallest} and {self.largest}.")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"Augment.{name} must lie in [0, 1), got {getattr(self, name)}; use 0 for none.")


NO_AUGMENT = Augment(flip=0.0, smallest=1.0, largest=1.0, brightness=0.0, contrast=0.0, saturation=0.0)


def augment(
    images: Tensor,
    masks: Tensor,
    *,
    height: int,
    width: int,
    input_scale: float,
    void: int,
    generator: torch.Generator,
    settings: Augment = Augment(),
) -> tuple[Tensor, Tensor]:
    """Random views of a batch, as the network sees it after its own resize by `input_scale`.

    images uint8 (b, H, W, 3) and masks uint8 (b, H, W) become float32 (b, 3, height, width), 0..255 in channels_last
    memory, and int64 (b, height, width), `void` outside the image. Each call draws 7 b numbers from a CPU generator
    whatever the sizes are, so that networks of different input scales see the same flips, zooms and places.
    """
    draws = draw_views(images.shape[0], generator)
    return views_of(
        images, masks, draws, height=height, width=width, input_scale=input_scale, void=void, settings=settings
    )


def draw_views(count: int, generator: torch.Generator) -> Tensor:
    """The random numbers of `count` views, uniform in [0, 1): (count, 7), on the CPU."""
    return torch.rand(count, 7, generator=generator)


def views_of(
    images: Tensor,
    masks: Tensor,
    draws: Tensor,
    *,
    height: int,
    width: int,
    input_scale: float,
    void: int,
    settings: Augment = Augment(),
) -> tuple[Tensor, Tensor]:
    """`augment` with its random numbers given."""
    source = _size(images)
    y, x = _sources(draws, source, (height, width), input_scale, settings)
    views = _sample(images.permute(0, 3, 1, 2).float(), source, y.to(images.device), x.to(images.device))
    views = _recolour(views, draws[:, 4:].to(images.device), settings).contiguous(memory_format=torch.channels_last)
    labels = _labels(masks, y.to(masks.device), x.to(masks.device))
    rows, columns = _inside(source, y, x)
    _fill_outside(views, rows, columns, FILL)
    _fill_outside(labels, rows, columns, void)
    return views, labels


def maps_of(
    maps: Tensor,
    draws: Tensor,
    *,
    source: tuple[int, int],
    crop: tuple[int, int],
    size: tuple[int, int],
    input_scale: float,
    settings: Augment = Augment(),
) -> tuple[Tensor, Tensor]:
    """The same views of float maps of the whole images (a teacher's logits), on a grid of `size` over each crop.

    Maps (b, c, h, w) of images of size `source` become (b, c, *size), and a float mask (b, 1, *size) that is 0 outside
    the image.
    """
    y, x = _sources(draws, source, crop, input_scale, settings, grid=size)
    rows, columns = _inside(source, y, x)
    inside = (rows[:, None, :, None] & columns[:, None, None, :]).to(maps.device, maps.dtype)
    return _sample(maps, source, y.to(maps.device), x.to(maps.device)), inside


def to_batch(images: Tensor, *, input_scale: float = 1.0) -> Tensor:
    """Whole images for a network: uint8 (b, H, W, 3) to float32 (b, 3, h, w), 0..255 in channels_last memory.

    h and w are H and W times `input_scale`, rounded: exactly the resize of the deployed graph.
    """
    batch = images.permute(0, 3, 1, 2).float()
    size = _grid(_size(images), input_scale)
    if size != _size(images):
        batch = F.interpolate(batch, size=size, mode="bilinear", align_corners=False)
    return batch.contiguous(memory_format=torch.channels_last)


def _size(images: Tensor) -> tuple[int, int]:
    return int(images.shape[1]), int(images.shape[2])


def crop_of(size: tuple[int, int], input_scale: float, share: float) -> tuple[int, int]:
    """(height, width) of a crop that shows `share` of each side of an image, on a network's own grid.

    Never larger than the image on that grid. Networks of different input scales see the same part of an image so.
    """
    whole = _grid(size, input_scale)
    rows, columns = (
        min(there, max(1, round(side * input_scale * share))) for side, there in zip(size, whole, strict=True)
    )
    return rows, columns


def _grid(size: tuple[int, int], input_scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * input_scale)), max(1, round(size[1] * input_scale))


def _sources(
    draws: Tensor,
    size: tuple[int, int],
    crop: tuple[int, int],
    input_scale: float,
    settings: Augment,
    *,
    grid: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Where each row and column of the crops lies in its image, in pixels from its edge: (b, height), (b, width).

    `grid` asks for so many rows and columns over each crop instead of one for each of its pixels.
    """
    # Powers are taken in float64: 2.0 must be a scale of 2, not of 1.9999999.
    zoom = settings.smallest * (settings.largest / settings.smallest) ** draws[:, 0].double()
    whole = _grid(size, input_scale)
    if settings.inside:
        zoom = zoom.clamp(min=max(side / scaled for side, scaled in zip(crop, whole, strict=True)))
    places = []
    for axis, scaled in enumerate(whole):
        extent, side = scaled * zoom, crop[axis]
        count = side if grid is None else grid[axis]
        # The crop lies at random in the image; where it is the larger one, the image lies at random in the crop.
        start = (extent - side) * draws[:, 1 + axis]
        steps = (torch.arange(count, dtype=torch.float64) + 0.5) * (side / count)
        places.append((start[:, None] + steps) * (size[axis] / extent)[:, None])
    y, x = places
    flipped = draws[:, 3, None] < settings.flip
    return y.float(), torch.where(flipped, size[1] - x, x).float()


def _sample(maps: Tensor, source: tuple[int, int], y: Tensor, x: Tensor) -> Tensor:
    """Bilinear at pixels (y, x) of images of size `source`, half-pixel centres, no antialiasing: (b, c, h, w)."""
    points = torch.empty(maps.shape[0], y.shape[1], x.shape[1], 2, device=maps.device)
    points[..., 0] = (x * (2 / source[1]) - 1)[:, None, :]
    points[..., 1] = (y * (2 / source[0]) - 1)[:, :, None]
    return F.grid_sample(maps, points, mode="bilinear", padding_mode="border", align_corners=False)


def _inside(source: tuple[int, int], y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows (b, h) and which columns (b, w) of the crops lie in the image."""
    return (y >= 0) & (y < source[0]), (x >= 0) & (x < source[1])


def _fill_outside(pixels: Tensor, rows: Tensor, columns: Tensor, value: float) -> None:
    """Set what lies outside, in place. Most crops lie inside whole: asking each is cheaper than masking them all."""
    for picture, inside_rows, inside_columns in zip(pixels, rows, columns, strict=True):
        if not inside_rows.all():
            picture[..., ~inside_rows.to(pixels.device), :] = value
        if not inside_columns.all():
            picture[..., ~inside_columns.to(pixels.device)] = value


def _labels(masks: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The label of the pixel that each point falls into: int64 (b, h, w)."""
    batch, height, width = masks.shape
    rows, columns = y.long().clamp_(0, height - 1), x.long().clamp_(0, width - 1)
    rows = rows + height * torch.arange(batch, device=masks.device)[:, None]
    return masks.reshape(-1).take(rows[:, :, None] * width + columns[:, None, :]).long()


def _recolour(views: Tensor, draws: Tensor, settings: Augment) -> Tensor:
    """Brightness, contrast about mid-grey and saturation of each image: same shape, clamped to 0..255."""
    strengths = views.new_tensor([settings.brightness, settings.contrast, settings.saturation])
    if not strengths.any():
        return views
    brightness, contrast, saturation = (1 + (2 * draws - 1) * strengths)[:, :, None, None, None].unbind(1)
    luma = (views * views.new_tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    # One pass: every channel times a number, plus what the three share.
    gain = brightness * contrast
    shared = luma * (gain * (1 - saturation)) + (1 - contrast) * 127.5
    return torch.addcmul(shared, views, gain * saturation).clamp_(0, 255)
