"""What a training adds to a front in the mean: all costs are known, the error is a guess with a deviation."""

from __future__ import annotations

import math

import numpy as np

from segsearch.search.features import Array

_erf = np.frompyfunc(math.erf, 1, 1)


def front_of(points: Array) -> Array:
    """The points (points, objectives) that no other dominates, smaller being better: in order, equal ones once."""
    members = np.empty((0, points.shape[1]))
    for point in np.unique(points, axis=0):  # whoever dominates a point stands before it
        if not (members <= point).all(axis=1).any():
            members = np.vstack([members, point])
    return members


def levels(costs: Array, front: Array, otherwise: Array | float) -> Array:
    """For each candidate the least error of a member that costs no more in anything: (candidates,)."""
    near = (front[None, :, 1:] <= costs[:, None, :]).all(axis=2)
    least = np.where(near, front[None, :, 0], np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(least), least, otherwise)


def behind(points: Array, front: Array) -> Array:
    """How much larger each point's error, its first number, is than that of the best member that costs no more."""
    return points[:, 0] - levels(points[:, 1:], front, points[:, 0])


def improvements(level: Array, mean: Array, deviation: Array) -> Array:
    """How far a normal error lies below a level in the mean, counting nothing where it does not."""
    sure = deviation <= 0
    z = (level - mean) / np.where(sure, 1.0, deviation)
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 + np.asarray(_erf(z / math.sqrt(2)), dtype=float))
    return np.where(sure, np.maximum(level - mean, 0.0), (level - mean) * below + deviation * density)


def most_gains(costs: Array, mean: Array, deviation: Array, front: Array, reference: Array) -> Array:
    """No expected gain is larger than this one, which is quick: all that is dominated, as if nothing else did."""
    boxes: Array = np.maximum(reference[1:] - costs, 0.0).prod(axis=1)
    return boxes * improvements(np.minimum(levels(costs, front, reference[0]), reference[0]), mean, deviation)


def expected_gains(costs: Array, mean: Array, deviation: Array, front: Array, reference: Array) -> Array:
    """The expected gain in hypervolume of each candidate: (candidates,).

    `costs` (candidates, costs) are known, the error is normal with `mean` and `deviation` (candidates,). `front` holds
    (members, 1 + costs), the error first, and so does `reference`. With one cost it is the sum over the front's steps
    of width times expected improvement. With any number: between two errors of the front the candidate alone
    dominates the same part of the costs, and the chance to do so integrates to a difference of expected improvements.
    """
    inside = front[(front < reference).all(axis=1)]
    inside = inside[np.argsort(inside[:, 0], kind="stable")]
    steps = np.append(inside[:, 0], reference[0])
    gains = np.zeros(len(costs))
    reached = np.array([improvements(np.full(len(costs), step), mean, deviation) for step in steps])
    for index, cost in enumerate(costs):
        before = 0.0
        for members, at in enumerate(reached[:, index]):
            alone = _alone(cost, inside[:members, 1:], reference[1:])
            if alone <= 0:
                break  # better members leave it less
            gains[index] += alone * (at - before)
            before = at
    return gains


def _alone(cost: Array, members: Array, reference: Array) -> float:
    """The volume of costs that a candidate reaches and no member does."""
    box = float(np.maximum(reference - cost, 0.0).prod())
    if box == 0 or not len(members):
        return box
    return box - volume(np.maximum(members, cost), reference)


def volume(points: Array, reference: Array) -> float:
    """The hypervolume of points (points, objectives) below the reference; without objectives it is 1."""
    if not len(points):
        return 0.0
    if len(reference) < 2:
        return float(np.maximum(reference - points.min(axis=0), 0.0).prod())
    import moocore

    return float(moocore.hypervolume(points, ref=reference))
