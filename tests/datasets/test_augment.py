from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segsearch.datasets.augment import (
    FILL,
    NO_AUGMENT,
    Augment,
    augment,
    crop_of,
    draw_views,
    maps_of,
    to_batch,
    views_of,
)

VOID = 255
STILL = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blocks(batch: int = 4, height: int = 48, width: int = 64) -> tuple[Tensor, Tensor]:
    """Masks of 16-pixel blocks, and images whose every channel is 20 times the mask."""
    small = torch.randint(0, 11, (batch, height // 16, width // 16), generator=seeded(7), dtype=torch.uint8)
    masks = small.repeat_interleave(16, dim=1).repeat_interleave(16, dim=2)
    return (masks * 20)[..., None].repeat(1, 1, 1, 3), masks


@pytest.mark.parametrize("input_scale", [1.0, 0.75, 0.5])
def test_without_change_it_is_the_resize_of_the_deployed_graph(input_scale: float) -> None:
    images = torch.randint(0, 256, (2, 45, 60, 3), generator=seeded(), dtype=torch.uint8)
    height, width = round(45 * input_scale), round(60 * input_scale)
    expected = F.interpolate(
        images.permute(0, 3, 1, 2).float(), size=(height, width), mode="bilinear", align_corners=False
    )
    views, labels = augment(
        images,
        images[..., 0],
        height=height,
        width=width,
        input_scale=input_scale,
        void=VOID,
        generator=seeded(),
        settings=NO_AUGMENT,
    )
    torch.testing.assert_close(views, expected, atol=2e-2, rtol=0)
    nearest = F.interpolate(images[..., :1].permute(0, 3, 1, 2).float(), size=(height, width), mode="nearest-exact")
    torch.testing.assert_close(labels, nearest[:, 0].long())
    torch.testing.assert_close(to_batch(images, input_scale=input_scale), expected)


def test_types_and_memory_format() -> None:
    images, masks = blocks()
    views, labels = augment(images, masks, height=24, width=40, input_scale=0.8, void=VOID, generator=seeded())
    assert (views.shape, views.dtype) == ((4, 3, 24, 40), torch.float32)
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert (labels.shape, labels.dtype) == ((4, 24, 40), torch.int64)
    assert 0 <= float(views.min()) <= float(views.max()) <= 255
    assert to_batch(images).is_contiguous(memory_format=torch.channels_last)
    assert to_batch(images).dtype == torch.float32


@pytest.mark.parametrize("seed", range(5))
def test_image_and_mask_stay_aligned_and_void_lies_outside(seed: int) -> None:
    images, masks = blocks()
    settings = Augment(**STILL)
    views, labels = augment(
        images, masks, height=48, width=64, input_scale=0.9, void=VOID, generator=seeded(seed), settings=settings
    )
    outside = labels == VOID
    assert torch.equal(outside, (views == FILL).all(dim=1))
    # Inside a block, away from the interpolated edges, the colour names the class.
    padded = F.pad(labels[:, None].float(), (2, 2, 2, 2), mode="replicate")
    flat = (F.max_pool2d(padded, 5, 1) == -F.max_pool2d(-padded, 5, 1))[:, 0] & ~outside
    assert int(flat.sum()) > 1000
    torch.testing.assert_close(views[:, 0][flat], labels[flat].float() * 20, atol=1e-2, rtol=0)


def test_small_images_lie_whole_in_the_crop() -> None:
    images, masks = blocks()
    settings = Augment(flip=0.0, smallest=0.5, largest=0.5, **STILL)
    _, labels = augment(
        images, masks, height=48, width=64, input_scale=1.0, void=VOID, generator=seeded(), settings=settings
    )
    inside = (labels != VOID).sum(dim=(1, 2))
    assert inside.tolist() == pytest.approx([24 * 32] * 4, abs=60)
    assert len({tuple((row != VOID).any(1).nonzero()[0].tolist()) for row in labels}) > 1, "they lie at random"


def test_zoom_is_the_size_at_which_things_are_seen() -> None:
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[:, 24:40, 24:40] = 1
    images = (masks * 200)[..., None].repeat(1, 1, 1, 3)
    for scale, zoom in ((1.0, 1.0), (0.5, 2.0), (1.0, 0.5), (0.5, 1.0)):
        settings = Augment(flip=0.0, smallest=zoom, largest=zoom, **STILL)
        _, labels = augment(
            images, masks, height=64, width=64, input_scale=scale, void=VOID, generator=seeded(), settings=settings
        )
        assert int((labels == 1).sum()) == pytest.approx((16 * scale * zoom) ** 2, rel=0.15)


def test_flip_mirrors_image_and_mask() -> None:
    images, masks = blocks()
    flipped = replace(NO_AUGMENT, flip=1.0)
    views, labels = augment(
        images, masks, height=48, width=64, input_scale=1.0, void=VOID, generator=seeded(), settings=flipped
    )
    torch.testing.assert_close(views, to_batch(images.flip(2)), atol=1e-2, rtol=0)
    assert torch.equal(labels, masks.flip(2).long())


def test_zooms_are_log_uniform_in_their_range() -> None:
    masks = torch.zeros(512, 32, 32, dtype=torch.uint8)
    _, labels = augment(
        masks[..., None].repeat(1, 1, 1, 3), masks, height=64, width=64, input_scale=1.0, void=VOID, generator=seeded()
    )
    seen = (labels != VOID).sum(dim=(1, 2)).float().sqrt() / 32
    assert 0.48 < float(seen.min()) < 0.54
    assert 1.9 < float(seen.max()) <= 2.05
    assert float((seen < 1).float().mean()) == pytest.approx(0.5, abs=0.08)


def test_same_generator_same_views_and_pairing_over_input_scales() -> None:
    images, masks = blocks(batch=6)

    def views(seed: int, scale: float) -> tuple[Tensor, Tensor]:
        side = round(48 * scale), round(64 * scale)
        return augment(
            images, masks, height=side[0], width=side[1], input_scale=scale, void=VOID, generator=seeded(seed)
        )

    assert torch.equal(views(1, 1.0)[0], views(1, 1.0)[0])
    assert not torch.equal(views(1, 1.0)[0], views(2, 1.0)[0])
    # A network that sees at half the scale sees the same places, flips and light.
    small = F.interpolate(views(1, 1.0)[1][:, None].float(), scale_factor=0.5, mode="nearest-exact")[:, 0].long()
    assert float((small == views(1, 0.5)[1]).float().mean()) > 0.9


def test_each_call_takes_its_own_numbers_from_the_generator() -> None:
    images, masks = blocks()
    generator = seeded()
    first = augment(images, masks, height=24, width=32, input_scale=1.0, void=VOID, generator=generator)
    second = augment(images, masks, height=24, width=32, input_scale=1.0, void=VOID, generator=generator)
    assert not torch.equal(first[0], second[0])
    same = seeded()
    draws = draw_views(4, same), draw_views(4, same)
    given = views_of(images, masks, draws[1], height=24, width=32, input_scale=1.0, void=VOID)
    assert torch.equal(given[0], second[0])


def test_jitter_by_hand() -> None:
    images = torch.tensor([100, 150, 200], dtype=torch.uint8).expand(1, 4, 4, 3).contiguous()
    masks = torch.zeros(1, 4, 4, dtype=torch.uint8)

    def colour(settings: Augment, draw: tuple[float, float, float]) -> list[float]:
        draws = torch.tensor([[0.0, 0.0, 0.0, 0.9, *draw]])
        settings = replace(settings, smallest=1.0, largest=1.0)
        view, _ = views_of(images, masks, draws, height=4, width=4, input_scale=1.0, void=VOID, settings=settings)
        return [float(value) for value in view[0, :, 2, 2]]

    assert colour(Augment(0.0, **{**STILL, "brightness": 0.5}), (0.75, 0.5, 0.5)) == pytest.approx([125, 187.5, 250])
    assert colour(Augment(0.0, **{**STILL, "contrast": 0.5}), (0.5, 0.0, 0.5)) == pytest.approx(
        [113.75, 138.75, 163.75]
    )
    # The luma of (100, 150, 200) is 140.75; half the saturation goes half-way there.
    grey = [(value + 140.75) / 2 for value in (100, 150, 200)]
    assert colour(Augment(0.0, **{**STILL, "saturation": 0.5}), (0.5, 0.5, 0.0)) == pytest.approx(grey)
    assert colour(Augment(0.0), (0.5, 0.5, 0.5)) == pytest.approx([100, 150, 200], abs=1e-3)
    assert max(colour(Augment(0.0, **{**STILL, "brightness": 0.9}), (1.0, 0.5, 0.5))) == 255


def test_maps_follow_the_same_views() -> None:
    images, masks = blocks()
    draws = draw_views(4, seeded(3))
    settings = Augment(**STILL)
    sides = {"height": 40, "width": 56}
    views, labels = views_of(images, masks, draws, **sides, input_scale=1.0, void=VOID, settings=settings)
    said, inside = maps_of(
        to_batch(images), draws, source=(48, 64), crop=(40, 56), size=(40, 56), input_scale=1.0, settings=settings
    )
    assert torch.equal(inside[:, 0] == 0, labels == VOID)
    torch.testing.assert_close(said * inside, views * inside)


# ---- crops that are a share of the image


@pytest.mark.parametrize(
    ("scale", "share", "crop"),
    [(1.0, 1.0, (45, 61)), (0.5, 1.0, (22, 30)), (0.75, 1.0, (34, 46)), (0.5, 0.5, (11, 15)), (0.1, 0.01, (1, 1))],
)
def test_a_crop_is_a_share_of_the_image_on_the_networks_grid(scale: float, share: float, crop: tuple[int, int]) -> None:
    assert crop_of((45, 61), scale, share) == crop
    whole = tuple(to_batch(torch.zeros(1, 45, 61, 3, dtype=torch.uint8), input_scale=scale).shape[-2:])
    assert crop == whole if share == 1 else all(a <= b for a, b in zip(crop, whole, strict=True))


@pytest.mark.parametrize("scale", [0.5, 0.61, 0.75, 1.0])
@pytest.mark.parametrize(
    ("share", "zooms"), [(1.0, (0.5, 2.0)), (1.0, (1.0, 1.0)), (0.6, (0.6, 3.0)), (0.3, (0.1, 4.0))]
)
def test_a_share_of_the_image_is_never_padded(scale: float, share: float, zooms: tuple[float, float]) -> None:
    """Half of what a zoom below 1 shows would lie outside where the crop is the whole image."""
    images, masks = blocks(batch=64, height=45, width=61)
    height, width = crop_of((45, 61), scale, share)
    settings = Augment(smallest=zooms[0], largest=zooms[1], inside=True)
    _, labels = augment(
        images,
        masks,
        height=height,
        width=width,
        input_scale=scale,
        void=VOID,
        generator=seeded(),
        settings=settings,
    )
    assert not (labels == VOID).any()
    draws = draw_views(64, seeded())
    draws[:32, 1:3], draws[32:, 1:3] = 0.0, 1 - 2**-24  # the outermost places
    _, inside = maps_of(
        to_batch(images),
        draws,
        source=(45, 61),
        crop=(height, width),
        size=(max(1, height // 4), max(1, width // 4)),
        input_scale=scale,
        settings=settings,
    )
    assert bool(inside.all())


def test_a_zoom_shows_more_than_the_crops_share_until_it_shows_all() -> None:
    """Of 64 pixels a crop of half of them shows 64 at zoom 0.5, 32 at 1 and 16 at 2, and never more than all."""
    ramp = torch.arange(64, dtype=torch.uint8).expand(1, 64, 64).contiguous()
    images = ramp[..., None].repeat(1, 1, 1, 3)
    draws = torch.full((1, 7), 0.5)
    draws[:, 3] = 0.9
    for zoom, seen in ((0.5, 64), (1.0, 32), (2.0, 16), (0.25, 64)):
        settings = Augment(flip=0.0, smallest=zoom, largest=zoom, inside=True, **STILL)
        _, labels = views_of(images, ramp, draws, height=32, width=32, input_scale=1.0, void=VOID, settings=settings)
        row = labels[0, 0]
        assert int(row[-1] - row[0]) + seen // 32 == pytest.approx(seen, abs=1), zoom


@pytest.mark.parametrize("crop", [1.0, 0.5])
def test_input_scales_see_the_same_share_of_an_image(crop: float) -> None:
    images, masks = blocks(batch=8)
    draws = draw_views(8, seeded(2))
    settings = Augment(smallest=0.75, largest=1.5, inside=True)
    seen = []
    for scale in (0.5, 1.0):
        height, width = crop_of((48, 64), scale, crop)
        _, labels = views_of(
            images, masks, draws, height=height, width=width, input_scale=scale, void=VOID, settings=settings
        )
        seen.append(F.interpolate(labels[:, None].float(), size=(24, 32), mode="nearest-exact")[:, 0])
    assert float((seen[0] == seen[1]).float().mean()) > 0.9


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flip": 1.5}, r"flip must lie in \[0, 1\], got 1.5"),
        ({"smallest": 0.0}, "0 < smallest <= largest, got 0.0 and 2.0"),
        ({"smallest": 3.0}, "0 < smallest <= largest, got 3.0 and 2.0"),
        ({"contrast": 1.0}, r"contrast must lie in \[0, 1\), got 1.0"),
    ],
)
def test_wrong_settings(changes: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Augment(**changes)
