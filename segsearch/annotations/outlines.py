"""Rectangles, circles and ellipses as polygons: corners x, y, x, y, ... in pixels."""

from __future__ import annotations

import math

import numpy as np

from segsearch.annotations.types import Ring

# Of an ellipse: a polygon in a circle of 100 pixels' radius is 0.03 pixels beside it at the most.
CORNERS = 128


def rectangle(left: float, top: float, right: float, bottom: float) -> Ring:
    """From two corners that lie opposite of one another, whichever they are."""
    return np.array([left, top, right, top, right, bottom, left, bottom], dtype=np.float64)


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Ring:
    """About a centre, its axes along the image's."""
    turn = np.linspace(0, 2 * math.pi, CORNERS, endpoint=False)
    return np.stack([x + radius_x * np.cos(turn), y + radius_y * np.sin(turn)], axis=1).ravel()


def circle(x: float, y: float, on_x: float, on_y: float) -> Ring:
    """From its centre and a point on it."""
    radius = math.hypot(on_x - x, on_y - y)
    return ellipse(x, y, radius, radius)


def turned(ring: Ring, degrees: float, x: float, y: float) -> Ring:
    """The polygon turned clockwise, as one sees it, about a point."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    points = ring.reshape(-1, 2) - (x, y)
    around: Ring = points @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    return around.ravel()
