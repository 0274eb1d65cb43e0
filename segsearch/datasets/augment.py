"""Augmentation on whole batches: flip, scale, crop and colour jitter, the same for an image, its mask and its teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augment:
    """How much to vary. `zoom` is log-uniform between its ends; the jitters are factors in [1 - x, 1 + x]."""

    flip: float = 0.5
    zoom: tuple[float, float] = (0.5, 2.0)
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4


@dataclass(frozen=True)
class Crops:
    """One crop an image, in fractions of the image: `top`, `left`, `height`, `width`, `flip`, all of shape (b,)."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    flip: Tensor

    def grid(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Sampling points of a (height, width) picture of the crop: (b, height, width, 2), x then y, in [-1, 1]."""
        rows, columns = ((torch.arange(count) + 0.5) / count for count in size)
        y = self.top[:, None] + rows[None] * self.height[:, None]
        x = self.left[:, None] + columns[None] * self.width[:, None]
        x = torch.where(self.flip[:, None], x.flip(1), x)
        points = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
        return (2 * points - 1).to(device)


def draw_crops(
    count: int,
    source: tuple[int, int],
    target: tuple[int, int],
    *,
    input_scale: float,
    settings: Augment,
    generator: torch.Generator,
) -> Crops:
    """Crops of `target` pixels in which things have `input_scale` times a random zoom of their size in the source.

    A crop larger than the image reaches over its edges; a smaller one lies anywhere within.
    """
    low, high = (math.log(end) for end in settings.zoom)
    scale = input_scale * torch.exp(low + (high - low) * torch.rand(count, generator=generator))
    height, width = (wanted / (scale * have) for wanted, have in zip(target, source, strict=True))
    top = torch.rand(count, generator=generator) * (1 - height)
    left = torch.rand(count, generator=generator) * (1 - width)
    flip = torch.rand(count, generator=generator) < settings.flip
    return Crops(top, left, height, width, flip)


def crop_maps(maps: Tensor, crops: Crops, size: tuple[int, int]) -> Tensor:
    """Float maps (b, c, H, W) sampled bilinearly over the crops: (b, c, height, width), 0 outside the image."""
    grid = crops.grid(size, maps.device)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def crop_masks(masks: Tensor, crops: Crops, size: tuple[int, int], *, void: int) -> Tensor:
    """Masks (b, H, W) uint8 sampled by nearest neighbour: int64 (b, height, width), `void` outside the image."""
    grid = crops.grid(size, masks.device)
    # Shifted by one, so that the zeros outside can be told from class 0.
    shifted = masks[:, None].float() + 1
    found = F.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)[:, 0].long() - 1
    return torch.where(found < 0, void, found)


def augment(
    images: Tensor,
    masks: Tensor,
    crops: Crops,
    size: tuple[int, int],
    *,
    void: int,
    settings: Augment,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Crop and jitter a batch: images (b, H, W, 3) uint8 and masks (b, H, W) uint8.

    The result is float32 (b, 3, height, width), 0..255, channels_last, and int64 (b, height, width).
    """
    cropped = crop_maps(to_batch(images), crops, size)
    jittered = jitter(cropped, settings=settings, generator=generator)
    return jittered.contiguous(memory_format=torch.channels_last), crop_masks(masks, crops, size, void=void)


def to_batch(images: Tensor) -> Tensor:
    """Images (b, H, W, 3) uint8 as the network reads them: (b, 3, H, W) float32, 0..255, channels_last."""
    return images.permute(0, 3, 1, 2).float()


def jitter(images: Tensor, *, settings: Augment, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation of each image changed at random: (b, 3, h, w), 0..255."""

    def factor(spread: float) -> Tensor:
        drawn = 1 + spread * (2 * torch.rand(len(images), 1, 1, 1, generator=generator) - 1)
        return drawn.to(images.device)

    images = images * factor(settings.brightness)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - mean) * factor(settings.contrast) + mean
    grey = images.mean(dim=1, keepdim=True)
    return ((images - grey) * factor(settings.saturation) + grey).clamp(0, 255)
