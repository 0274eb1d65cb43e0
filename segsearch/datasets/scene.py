"""One street scene and its mask: sky, ground and walls in perspective, things on them, then light, lens and sensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsearch.datasets.scene_canvas import (
    BUILDING,
    CAMERA_HEIGHT_M,
    ROAD,
    SIDEWALK,
    SKY,
    VEGETATION,
    VOID,
    Canvas,
    Floats,
    Region,
    Street,
    blank_canvas,
    foliage,
    heavens,
    rgb,
    stone,
)
from segsearch.datasets.scene_things import draw_things
from segsearch.datasets.types import UInt8

# Raise it with every change that moves a pixel.
VERSION = 1

_WALLS_END_M = 60.0


def draw_scene(seed: tuple[int, ...], *, height: int, width: int) -> tuple[UInt8, UInt8]:
    """An RGB image (height, width, 3) and its mask (height, width): the index in `CLASSES`, or `VOID`."""
    canvas = blank_canvas(seed, height=height, width=width)
    street = _lay_out(canvas, height, width)
    _paint_sky(canvas, street)
    _paint_skyline(canvas, street)
    _paint_ground(canvas, street)
    for side in (-1, 1):
        _paint_walls(canvas, street, side)
    draw_things(canvas, street)
    _cast_shadow(canvas, street)
    _leave_borders_void(canvas)
    return _photograph(canvas, street), canvas.mask


def _lay_out(canvas: Canvas, height: int, width: int) -> Street:
    road, offset = canvas.between(5.0, 9.0), canvas.between(0.3, 0.7)
    return Street(
        horizon=height * canvas.between(0.38, 0.5),
        vanishing=width * canvas.between(0.35, 0.65),
        focal=1.4 * height,
        left=-road * offset,
        right=road * (1 - offset),
        walk=canvas.between(2.5, 4.5),
    )


def _paint_sky(canvas: Canvas, street: Street) -> None:
    top, low, cover = heavens(canvas), canvas.between(0.0, 0.35), canvas.between(0.0, 0.12)
    down = (canvas.rows / street.horizon)[..., None]
    colour = top + (1 - top) * down * low + cover * canvas.clouds[..., None]
    canvas.paint((canvas.rows < street.horizon) & (canvas.columns > 0), colour, SKY)


def _paint_skyline(canvas: Canvas, street: Street) -> None:
    """What closes the street far away: a row of roofs and tree tops."""
    height, width = canvas.mask.shape
    x = 0.0
    while x < width:
        wide, tall = width * canvas.between(0.04, 0.14), height * canvas.between(0.02, 0.13)
        box = canvas.box(street.horizon - tall, street.horizon, x, x + wide)
        rough = canvas.blotches[box][..., None]
        if canvas.chance(0.6):
            canvas.paint(rough[..., 0] > -2, stone(canvas) * (1 + 0.08 * rough), BUILDING, box=box)
        else:
            inside = street.horizon - canvas.rows[box[0]] < tall * (0.8 + 0.3 * rough[..., 0])
            canvas.paint(inside, foliage(canvas) * (1 + 0.4 * rough), VEGETATION, box=box)
        x += wide


def _paint_ground(canvas: Canvas, street: Street) -> None:
    """Road, sidewalks and what lies behind them, each with its own texture in metres."""
    height, width = canvas.mask.shape
    box = canvas.box(street.horizon, height, 0, width)
    rows = canvas.rows[box[0]]
    below = rows > street.horizon
    depth = CAMERA_HEIGHT_M * street.focal / (rows - street.horizon).clip(0.25)
    lateral = (canvas.columns - street.vanishing) * depth / street.focal
    # Patterns finer than a pixel or two would only flicker.
    sharp = (1 - depth / 28).clip(0, 1)
    grain, blotches = canvas.grain[box][..., None], canvas.blotches[box][..., None]
    for side in (-1, 1):
        beyond = below & (lateral * side > street.edge(side) * side + street.walk)
        if canvas.chance(0.5):
            canvas.paint(beyond, foliage(canvas) * (1 + 0.3 * blotches + 0.25 * grain), VEGETATION, box=box)
        else:
            canvas.paint(beyond, stone(canvas) * (1 + 0.06 * grain), SIDEWALK, box=box)
    slab, joint = canvas.between(0.8, 1.3), canvas.between(0.15, 0.35)
    gap = (lateral % slab < 0.14) | (depth % slab < 0.16)
    walk = (lateral > street.left - street.walk) & (lateral < street.right + street.walk) & below
    slabs = stone(canvas) * (1 + 0.04 * grain - (joint * gap * sharp)[..., None])
    canvas.paint(walk, slabs, SIDEWALK, box=box)
    road = (lateral > street.left) & (lateral < street.right) & below
    asphalt = stone(canvas) * (1 + canvas.between(0.06, 0.14) * grain + 0.08 * blotches)
    canvas.paint(road, asphalt, ROAD, box=box)
    middle = (street.left + street.right) / 2
    aside = abs(lateral - middle)
    canvas.image[box][road & (aside > street.right - middle - 0.2)] *= np.float32(0.6)
    dash = (aside < 0.1) & ((depth % 6 < 3) | (sharp == 0))
    line = (abs(aside - (street.right - middle - 0.3)) < 0.07) & (joint > 0.25)
    canvas.paint(road & (dash | line), rgb(0.85, 0.85, 0.8), ROAD, box=box)


def _paint_walls(canvas: Canvas, street: Street, side: int) -> None:
    """Facades along one side: houses of different heights, hedges, and gaps."""
    wall = abs(street.edge(side)) + street.walk + canvas.between(0.0, 4.0)
    # The columns that this wall covers: from its far end near the vanishing point to the picture's border.
    far = street.vanishing + side * wall * street.focal / _WALLS_END_M
    height, width = canvas.mask.shape
    box = canvas.box(0, height, far, width) if side > 0 else canvas.box(0, height, 0, far)
    aside = (canvas.columns[0, box[1]] - street.vanishing) * side
    depth = wall * street.focal / aside.clip(0.5)
    house, heights, colours, hedge = _houses(canvas, depth)
    scale = street.focal / depth
    up = (street.horizon + CAMERA_HEIGHT_M * scale - canvas.rows) / scale
    region = (depth < _WALLS_END_M) & (up > 0) & (up < heights[house])
    shade = np.float32(canvas.between(0.65, 1.1))
    grain, blotches = canvas.grain[box][..., None], canvas.blotches[box][..., None]
    facade = _add_windows(canvas, colours[house] * shade * (1 + 0.05 * grain), up, depth, scale)
    canvas.paint(region & ~hedge[house], facade, BUILDING, box=box)
    canvas.paint(region & hedge[house], colours[house] * (1 + 0.35 * blotches + 0.2 * grain), VEGETATION, box=box)


def _houses(canvas: Canvas, depth: Floats) -> tuple[NDArray[np.int64], Floats, Floats, Region]:
    """Which house each column shows (w,); and of each house the height in metres, the colour, whether it is a hedge."""
    starts, heights, hedges, colours = list[float](), list[float](), list[bool](), list[Floats]()
    start = 0.0
    while start < _WALLS_END_M:
        kind = canvas.between(0.0, 1.0)
        hedges.append(kind < 0.2)
        tall = canvas.between(1.0, 3.0) if kind < 0.2 else canvas.between(4.0, 14.0)
        heights.append(0.0 if kind > 0.86 else tall)
        colours.append(foliage(canvas) if kind < 0.2 else stone(canvas))
        starts.append(start)
        start += canvas.between(6.0, 16.0)
    house = np.searchsorted(np.array(starts), depth, side="right") - 1
    return house, np.array(heights, dtype=np.float32), np.stack(colours), np.array(hedges)


def _add_windows(canvas: Canvas, facade: Floats, up: Floats, along: Floats, scale: Floats) -> Floats:
    """Rows of panes, in metres up and along the wall; they fade where they would be finer than pixels."""
    floor, bay = canvas.between(2.6, 3.4), canvas.between(2.0, 3.6)
    row, column = up % floor, along % bay
    pane = (row > 0.9) & (row < 2.3) & (column > 0.7) & (column < bay - 0.3)
    glass = rgb(0.15, 0.17, 0.2) if canvas.chance(0.7) else rgb(0.7, 0.75, 0.8)
    strength = ((scale - 2) / 5).clip(0, 1) * pane
    glazed: Floats = facade + (glass - facade) * strength[..., None]
    return glazed


def _cast_shadow(canvas: Canvas, street: Street) -> None:
    """The shadow of one side of the street, over the ground only."""
    if canvas.chance(0.6):
        side, slope = (1 if canvas.chance(0.5) else -1), canvas.between(-1.2, 1.2)
        along = (canvas.columns - street.vanishing) * side + (canvas.rows - street.horizon) * slope
        ground = (canvas.mask == ROAD) | (canvas.mask == SIDEWALK)
        canvas.image[ground & (along > 0)] *= np.float32(canvas.between(0.45, 0.75))


def _leave_borders_void(canvas: Canvas) -> None:
    """Leave void what annotators leave out: the fringe of leaves, the kerb, the camera's own car."""
    mask = canvas.mask
    fringe = np.zeros(mask.shape, dtype=np.bool_)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        one, other = mask[here], mask[there]
        leaves = ((one == VEGETATION) != (other == VEGETATION)) & ((one <= BUILDING) | (other <= BUILDING))
        kerb = ((one == ROAD) & (other == SIDEWALK)) | ((one == SIDEWALK) & (other == ROAD))
        fringe[here] |= leaves | kerb
        fringe[there] |= leaves
    mask[fringe] = VOID
    height, width = mask.shape
    across = (canvas.columns - width / 2) / (width * 0.62)
    bonnet = (height - canvas.rows) < height * canvas.between(0.0, 0.07) * (1 - across * across)
    canvas.image[bonnet] = stone(canvas) * np.float32(0.4)
    mask[bonnet] = VOID


def _photograph(canvas: Canvas, street: Street) -> UInt8:
    """Haze, the light's colour and strength, a soft lens, vignetting and noise: (height, width, 3)."""
    height, width = canvas.mask.shape
    image = canvas.image.clip(0, 1.2)
    near_horizon = 1 / (1 + abs(canvas.rows - street.horizon) * (12 / height))
    haze = (canvas.between(0.0, 0.25) * near_horizon)[..., None]
    image += (np.float32(canvas.between(0.55, 0.85)) - image) * haze
    cast = rgb(canvas.between(0.88, 1.12), canvas.between(0.93, 1.07), canvas.between(0.88, 1.12))
    x, y = (canvas.columns * 2 - width) / width, (canvas.rows * 2 - height) / height
    vignette = (1 - canvas.between(0.0, 0.2) * (x * x + y * y))[..., None]
    image = _soften(image) * (cast * np.float32(canvas.between(0.65, 1.2))) * vignette
    # The sum of two bytes is noise with soft tails.
    dice = canvas.random.integers(0, 256, (2, height, width, 3), dtype=np.uint8).astype(np.int16)
    spread = np.float32(canvas.between(0.008, 0.04) / 104)
    image += (dice[0] + dice[1] - 255).astype(np.float32) * spread
    pixels: NDArray[np.uint8] = (image * 255 + 0.5).clip(0, 255).astype(np.uint8)
    return pixels


def _soften(image: Floats) -> Floats:
    """Each pixel with a little of its four neighbours."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    beside = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return image * np.float32(0.6) + beside * np.float32(0.1)
