"""What stands in a scene: trees, poles, cars and people, each drawn at its place on the ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from segsearch.datasets.scene_canvas import (
    CAMERA_HEIGHT_M,
    CAR,
    PERSON,
    POLE,
    VEGETATION,
    Box,
    Canvas,
    Floats,
    Region,
    Street,
    any_colour,
    foliage,
    rgb,
    stone,
)

FARTHEST_M = 32.0


@dataclass(frozen=True)
class Spot:
    """A place on the ground: pixel (x, y) of the foot, and pixels a metre there."""

    x: float
    y: float
    scale: float


Draw = Callable[[Canvas, Spot], None]
# Depth and lateral position in metres, and what draws it there.
Thing = tuple[float, float, Draw]


def draw_things(canvas: Canvas, street: Street) -> None:
    """Everything that stands on the ground, from far to near."""
    things = [*_trees(canvas, street), *_poles(canvas, street), *_cars(canvas, street), *_people(canvas, street)]
    for depth, lateral, draw in sorted(things, key=lambda thing: -thing[0]):
        scale = street.focal / depth
        draw(canvas, Spot(street.vanishing + lateral * scale, street.horizon + CAMERA_HEIGHT_M * scale, scale))


def _trees(canvas: Canvas, street: Street) -> list[Thing]:
    things = list[Thing]()
    for side in (-1, 1):
        if canvas.chance(0.7):
            depth = canvas.between(8, 18)
            while depth < FARTHEST_M:
                lateral = street.edge(side) + side * canvas.between(1.0, street.walk + 2.0)
                things.append((depth, lateral, draw_tree))
                depth += canvas.between(5, 16)
    return things


def _poles(canvas: Canvas, street: Street) -> list[Thing]:
    things = list[Thing]()
    for side in (-1, 1):
        depth, step = canvas.between(5, 12), canvas.between(6, 14)
        while depth < FARTHEST_M and canvas.chance(0.9):
            things.append((depth, street.edge(side) + side * canvas.between(0.3, 0.7), draw_pole))
            depth += step
    return things


def _cars(canvas: Canvas, street: Street) -> list[Thing]:
    things = list[Thing]()
    for side in (-1, 1):
        depth, parked = canvas.between(7, 16), canvas.between(0.2, 0.8)
        while depth < FARTHEST_M:
            if canvas.chance(parked):
                things.append((depth, street.edge(side) - side * 1.2, draw_car_end))
            depth += canvas.between(5.5, 8)
    if canvas.chance(0.6):
        things.append((canvas.between(9, 35), (street.left + street.right) / 2 + canvas.between(-1, 1), draw_car_end))
    if canvas.chance(0.35):
        things.append((canvas.between(12, 30), canvas.between(street.left - 2, street.right + 2), draw_car_side))
    return things


def _people(canvas: Canvas, street: Street) -> list[Thing]:
    things = list[Thing]()
    for _ in range(3 + int(canvas.random.random() * 6)):
        depth = 1 / canvas.between(1 / 20, 1 / 6)
        if canvas.chance(0.2):
            lateral = canvas.between(street.left, street.right)
        else:
            side = 1 if canvas.chance(0.5) else -1
            lateral = street.edge(side) + side * canvas.between(0.6, street.walk)
        things.append((depth, lateral, draw_person))
    return things


def draw_tree(canvas: Canvas, spot: Spot) -> None:
    radius, middle, trunk = canvas.between(1.3, 2.4), canvas.between(3.3, 4.8), canvas.between(0.12, 0.25)
    box, x, height = _around(canvas, spot, half_width=radius * 1.4, height=middle + radius * 1.4)
    bark = stone(canvas) * np.float32(0.6)
    canvas.paint((abs(x) < max(trunk, 0.5 / spot.scale)) & (height > 0) & (height < middle), bark, VEGETATION, box=box)
    across, up = x / radius, (height - middle) / (radius * canvas.between(0.8, 1.2))
    crown = across * across + up * up < 0.85 + 0.5 * canvas.blotches[box] + 0.25 * canvas.clouds[box]
    light = 1 + 0.45 * canvas.blotches[box] + 0.2 * canvas.grain[box] + 0.25 * up
    canvas.paint(crown, foliage(canvas) * light[..., None], VEGETATION, box=box)


def draw_pole(canvas: Canvas, spot: Spot) -> None:
    top, arm, inward = (
        canvas.between(4.5, 7.5),
        canvas.between(0.0, 1.8),
        1 if spot.x < canvas.mask.shape[1] / 2 else -1,
    )
    # Never thinner than a pixel, so that every pole is in the mask.
    half = max(canvas.between(0.1, 0.2), 0.75 / spot.scale)
    box, x, height = _around(canvas, spot, half_width=2.0, height=top + 0.5)
    region = (abs(x) < half) & (height > 0) & (height < top)
    if arm > 0.6:
        region |= (x * inward > 0) & (x * inward < arm) & (abs(height - top) < half)
    colour = stone(canvas) * np.float32(0.55)
    shade = 1 - 0.4 * (x / half).clip(-1, 1) + 0 * height
    canvas.paint(region, colour * shade[..., None], POLE, box=box)
    if canvas.chance(0.4):
        radius, middle = canvas.between(0.3, 0.45), canvas.between(2.2, 3.0)
        away = x * x + (height - middle) * (height - middle)
        sign = any_colour(canvas)
        canvas.paint(away < radius * radius, sign, POLE, box=box)
        canvas.paint(away < radius * radius * 0.4, 1 - sign, POLE, box=box)


def draw_car_end(canvas: Canvas, spot: Spot) -> None:
    """A car from behind or in front."""
    half, tall = canvas.between(0.85, 1.0), canvas.between(1.4, 1.8)
    box, x, height = _around(canvas, spot, half_width=half, height=tall)
    u, v = abs(x / half), height / tall
    _shadow(canvas, spot, half)
    wheel = (u > 0.6) & (u < 0.95) & (v > 0) & (v < 0.3)
    body = (u < 1) & (v > 0.13) & (v < 0.62)
    cabin = (v >= 0.62) & (v < 1) & (u < 1.42 - 0.75 * v)
    _car(canvas, box, wheel, body, cabin, glass=(v > 0.64) & (v < 0.93) & (u < 1.25 - 0.75 * v), v=v)
    lamp = (u > 0.68) & (u < 0.95) & (v > 0.4) & (v < 0.54)
    canvas.paint(lamp, rgb(0.85, 0.15, 0.1) if canvas.chance(0.6) else rgb(0.95, 0.9, 0.7), CAR, box=box)
    canvas.paint((u < 0.3) & (v > 0.28) & (v < 0.38), rgb(0.85, 0.85, 0.75), CAR, box=box)


def draw_car_side(canvas: Canvas, spot: Spot) -> None:
    half, tall = canvas.between(1.9, 2.3), canvas.between(1.4, 1.7)
    box, x, height = _around(canvas, spot, half_width=half, height=tall)
    u, v = x / half, height / tall
    _shadow(canvas, spot, half)
    hub = abs(u) - 0.6
    wheel = (hub * hub * (half / tall) ** 2 + (v - 0.2) * (v - 0.2) < 0.04) & (v > 0)
    body = (abs(u) < 1) & (v > 0.15) & (v < 0.58)
    cabin = (v >= 0.58) & (v < 1) & (abs(u) < 1.05 - 0.55 * v)
    glass = (v > 0.62) & (v < 0.92) & (abs(u) < 0.96 - 0.55 * v) & (abs(u) > 0.04)
    _car(canvas, box, wheel, body, cabin, glass=glass, v=v)


def _car(canvas: Canvas, box: Box, wheel: Region, body: Region, cabin: Region, *, glass: Region, v: Floats) -> None:
    colour, shine = any_colour(canvas), 0.8 + 0.4 * v
    sheet = (colour * shine[..., None]) + np.zeros((*body.shape, 1), dtype=np.float32)
    canvas.paint(wheel, rgb(0.07, 0.07, 0.08), CAR, box=box)
    canvas.paint(body, sheet, CAR, box=box)
    canvas.paint(cabin, sheet, CAR, box=box)
    pane = rgb(0.1, 0.12, 0.15) if canvas.chance(0.7) else rgb(0.6, 0.68, 0.75)
    canvas.paint(glass & cabin, pane, CAR, box=box)


def draw_person(canvas: Canvas, spot: Spot) -> None:
    tall, half = canvas.between(1.6, 1.95), max(canvas.between(0.28, 0.38), 1.0 / spot.scale)
    box, x, height = _around(canvas, spot, half_width=half * 1.3, height=tall)
    u, v = x / half, height / tall
    legs = (abs(u) < 0.8) & (abs(u) > canvas.between(0, 0.2)) & (v > 0) & (v < 0.5)
    torso = (abs(u) < 1.05 - 0.3 * abs(v - 0.7)) & (v >= 0.46) & (v < 0.84)
    from_head = height - 0.91 * tall
    head = (x * x) / (0.5 * half) ** 2 + from_head * from_head / (0.1 * tall) ** 2 < 1
    skin = canvas.between(0.25, 0.85)
    canvas.paint(legs, any_colour(canvas) * np.float32(0.7), PERSON, box=box)
    canvas.paint(torso, any_colour(canvas), PERSON, box=box)
    canvas.paint(head, rgb(skin, skin * 0.78, skin * 0.66), PERSON, box=box)


def _around(canvas: Canvas, spot: Spot, *, half_width: float, height: float) -> tuple[Box, Floats, Floats]:
    """A box around a thing, and in it metres to the right of (1, w) and above (h, 1) its foot."""
    reach = half_width * spot.scale + 1
    box = canvas.box(spot.y - height * spot.scale - 1, spot.y + 1, spot.x - reach, spot.x + reach)
    across = (canvas.columns[:, box[1]] - spot.x) / spot.scale
    return box, across, (spot.y - canvas.rows[box[0]]) / spot.scale


def _shadow(canvas: Canvas, spot: Spot, half_width: float) -> None:
    """Darken the ground under a car; what lies there stays what it is."""
    wide, deep = half_width * spot.scale * 1.1, max(1.0, 0.14 * spot.scale)
    box = canvas.box(spot.y - deep, spot.y + deep, spot.x - wide, spot.x + wide)
    u, v = (canvas.columns[:, box[1]] - spot.x) / wide, (canvas.rows[box[0]] - spot.y) / deep
    canvas.image[box][u * u + v * v < 1] *= np.float32(0.45)
