"""What `search.py` searches, and a problem that is computed: mIoU, latency and seconds of a candidate as formulas.

There each parameter has a hidden effect, pairs of them too, and there is noise. Nothing of it says how good any network
is. `tables.py` has problems that are looked up.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from segsearch.search.gain import volume
from segsearch.space.architecture import Architecture, Context, ContextMap, Feature, Join, Joined, Stage
from segsearch.space.candidate import Candidate
from segsearch.space.draws import DrawCandidate, Facts, settled
from segsearch.space.load import load_space
from segsearch.space.shapes import HeadMap, Shape, shapes_of
from segsearch.space.steps import Prune
from segsearch.study import Study, parse_study

SIZE, CLASSES = (360, 480), 11
# Problems from this number on are relatives of those before, on a machine that is so many times slower.
RELATIVES, RELATIVE_SLOWER = 1000, 1.5


@dataclass(frozen=True)
class Found:
    """What the formulas say of a candidate: the mIoU that it has and the one that a training finds, and its costs."""

    miou: float
    seen: float
    values: Mapping[str, float]
    train_seconds: float


@dataclass(frozen=True)
class Problem:
    """What is searched: who draws, what is found of a candidate and its parameters, and the cheap objective's limit.

    A hypervolume is a share of the box of mIoU from `worst` to `best`, and of the logarithm of the cost from `least` to
    the limit. `short` tells the mIoU and the seconds of a training of so many epochs, where these are among `shorts`.
    `blind` are blocks of the surrogate's features that mean nothing here.
    """

    name: str
    draw: DrawCandidate
    found: Callable[[Candidate, Mapping[str, Any]], Found]
    short: Callable[[Mapping[str, Any], int], tuple[float, float]] | None = None
    shorts: tuple[int, ...] = ()
    cost: str = "latency_ms"
    limit: float = 20.0
    least: float = 1.0
    worst: float = 0.3
    best: float = 0.9
    blind: tuple[str, ...] = ()

    def study(self, *, trials: int = 80, **search: Any) -> Study:
        return parse_study(
            {
                "name": "computed",
                "trials": trials,
                "space": "mobile",
                "objectives": ["miou", self.cost],
                "limits": [f"{self.cost}<={self.limit!r}"],
                "data": {"kind": "synthetic", "height": 64, "width": 64},
                "train": {"epochs": 4},
                "search": search,
            },
            where="benchmark",
        )

    def share(self, curve: Sequence[Sequence[float]]) -> float:
        """The share of the box that models (seconds, mIoU, cost, ...) dominate, by the mIoU that they have."""
        models = [(point[1], point[2]) for point in curve]
        return share_of_box(models, miou=(self.worst, self.best), cost=(self.least, self.limit))


def share_of_box(
    models: Sequence[tuple[float, float]], *, miou: tuple[float, float], cost: tuple[float, float]
) -> float:
    """The share that models of a mIoU and a cost dominate of the box between the ends of both, the cost's as a
    logarithm."""
    (worst, best), (least, limit) = miou, cost
    high, wide = best - worst, math.log(limit / least)
    within = [(found, costs) for found, costs in models if found > worst and costs <= limit]
    points = [((best - found) / high, math.log(costs / least) / wide) for found, costs in within]
    return volume(np.array(points).reshape(-1, 2), np.ones(2))


def computed(space: str, problem: int, limit_ms: float = 20.0) -> Problem:
    """The computed problem over a space."""
    draw = settled(load_space(space).draw, Facts(classes=CLASSES, height=SIZE[0], width=SIZE[1]))
    name = f"{space} {problem} {limit_ms!r}"
    return Problem(name, draw, lambda candidate, params: found_of(candidate, params, problem), limit=limit_ms)


def found_of(candidate: Candidate, params: Mapping[str, Any], problem: int) -> Found:
    """The formulas. `problem` settles the hidden effects and the noise.

    From `RELATIVES` on it is the problem of that many fewer with other data on another machine: most of the hidden
    effects are the same ones.
    """
    assert isinstance(candidate.architecture, Architecture)
    maps = shapes_of(candidate.architecture, SIZE, candidate.before_export, classes=CLASSES)
    ops = list(operations(candidate.architecture, maps))
    macs, weights = sum(op.macs for op in ops), sum(op.params for op in ops)
    full = shapes_of(candidate.architecture, SIZE, classes=CLASSES) if candidate.before_export else maps
    learned = sum(op.macs for op in operations(candidate.architecture, full))
    latency = latency_ms(candidate, ops) * math.exp(0.1 * chance(problem, "machine", sorted(params.items())))
    miou = miou_of(candidate, params, ops, weights, problem)
    if problem >= RELATIVES:
        latency, miou = RELATIVE_SLOWER * latency, 0.85 * miou - 0.04
    values = {
        "latency_ms": latency,
        "size_bytes": weights * candidate.bits / 8 + 20_000,
        "params": float(weights),
        "macs": float(macs),
    }
    seen = miou + 0.008 * chance(problem, "training", candidate.learnt.key)
    return Found(miou, seen, values, 100 + 250 * learned / 1e9)


@dataclass(frozen=True)
class Operation:
    kind: str
    macs: float
    params: float
    pixels: float
    early: bool = False


def operations(architecture: Architecture, maps: Mapping[Any, Shape]) -> Iterator[Operation]:
    """The convolutions of a network of one path, roughly."""
    path = architecture.paths[0]
    stem = maps[Feature(0, 0)]
    yield conv("dense", 3, stem.left, 9, stem.size, early=True)
    for index, stage in enumerate(path.stages, start=1):
        before, after = maps[Feature(0, index - 1)], maps[Feature(0, index)]
        for depth in range(stage.depth):
            yield from block(stage, before.left if depth == 0 else after.left, after.left, after.size, index == 1)
    last, context = maps[Feature(0, len(path.stages))], maps[ContextMap(0)]
    yield from context_ops(path.context, last, context)
    running = context
    for index, join in enumerate(architecture.joins):
        feature, joined = maps[join.feature], maps[Joined(index)]
        yield from join_ops(join, running, feature, joined)
        running = joined
    head = maps[HeadMap()]
    if architecture.head.block == "separable":
        yield conv("depthwise", running.left, 1, 9, head.size)
        yield conv("pointwise", running.left, head.left, 1, head.size)
    else:
        yield conv("dense", running.left, head.left, 9, head.size)
    yield conv("pointwise", head.left, CLASSES, 1, head.size)


def conv(
    kind: str, inputs: float, outputs: float, taps: float, size: tuple[int, int], early: bool = False
) -> Operation:
    weights = inputs * outputs * taps
    return Operation(kind, weights * size[0] * size[1], weights, outputs * size[0] * size[1], early)


def block(stage: Stage, inputs: int, outputs: int, size: tuple[int, int], early: bool) -> Iterator[Operation]:
    taps, inner = stage.kernel**2, round(inputs * stage.expansion)
    if stage.block == "separable":
        yield conv("depthwise", inputs, 1, taps, size, early)
        yield conv("pointwise", inputs, outputs, 1, size)
    elif stage.block == "inverted_residual":
        yield conv("pointwise", inputs, inner, 1, size, early)
        yield conv("depthwise", inner, 1, taps, size)
        yield conv("pointwise", inner, outputs, 1, size)
    elif stage.block == "grouped":
        yield conv("grouped", inputs, outputs / stage.groups, taps, size, early)
    else:
        yield conv("dense", inputs, outputs, taps, size, early)
        if stage.block == "residual":
            yield conv("dense", outputs, outputs, taps, size)


def context_ops(context: Context, last: Shape, made: Shape) -> Iterator[Operation]:
    if context.kind == "pyramid_pooling":
        for size in context.bins:
            yield conv("pointwise", last.left, made.left / len(context.bins), 1, (size, size))
        yield conv("pointwise", last.left * 2, made.left, 1, last.size)
    elif context.kind == "aspp":
        for _ in context.rates:
            yield conv("atrous", last.left, made.left, 9, last.size)
        yield conv("pointwise", made.left * (len(context.rates) + 2), made.left, 1, last.size)


def join_ops(join: Join, running: Shape, feature: Shape, joined: Shape) -> Iterator[Operation]:
    if join.kind == "concat":
        yield conv("pointwise", feature.left, join.reduce or feature.left, 1, joined.size)
        yield conv("depthwise", running.left + join.reduce, 1, 9, joined.size)
        yield conv("pointwise", running.left + join.reduce, joined.left, 1, joined.size)
    else:
        yield conv("pointwise", running.left, joined.left, 1, running.size)
        yield conv("pointwise", feature.left, joined.left, 1, joined.size)


# Multiply-accumulates in a nanosecond, as floats and as int8; and the same for each value that is written.
SPEED = {"dense": (28, 60), "pointwise": (22, 50), "grouped": (9, 14), "depthwise": (5, 9), "atrous": (18, 36)}


def latency_ms(candidate: Candidate, ops: Sequence[Operation]) -> float:
    assert isinstance(candidate.architecture, Architecture)
    quantized = candidate.bits == 8
    floats = candidate.float_convolutions > 0
    total = 0.25  # the image in
    for op in ops:
        int8 = quantized and not (floats and op.early)
        total += op.macs / SPEED[op.kind][int8] / 1e6 + op.pixels * (0.15 if int8 else 0.6) / 1e6 + 0.015
    answered = SIZE[0] * SIZE[1] * candidate.architecture.answer_scale**2
    head = 2.2 if candidate.architecture.head.upsample == "pixel_shuffle" else 0.0
    return total + answered * CLASSES * 1.6 / 1e6 + head * total / 30


def miou_of(
    candidate: Candidate, params: Mapping[str, Any], ops: Sequence[Operation], weights: float, problem: int
) -> float:
    """Saturates in capacity, detail and context, which multiply; precision and pruning cost; the rest is hidden."""
    architecture = candidate.architecture
    assert isinstance(architecture, Architecture)
    capacity = 1 / (1 + math.exp(-(math.log2(weights / 1e5) - 0.5) / 1.2))
    finest = min([architecture.output_stride, *(2 ** (join.feature.stage + 1) for join in architecture.joins)])  # type: ignore[union-attr]
    detail = 1 / (1 + math.exp((math.log2(finest / architecture.input_scale) - 4.2) / 0.8))
    stages = architecture.paths[0].stages
    reach = sum(stage.depth * (stage.kernel - 1) * max(stage.atrous) * architecture.output_stride for stage in stages)
    view = min(1.0, reach / (SIZE[0] * architecture.input_scale))
    context = 1.0 if architecture.paths[0].context.kind != "none" else 0.75 + 0.2 * view
    thin = sum(op.macs for op in ops if op.kind == "depthwise") / sum(op.macs for op in ops)
    rounding = {32: 0.0, 8: 0.012 + 0.15 * thin}[candidate.bits]
    rounding *= 0.3 if candidate.float_convolutions else 1.0
    pruned = sum(step.ratio for step in candidate.before_export if isinstance(step, Prune))
    score: float = 0.22 + 0.56 * capacity**0.7 * (0.35 + 0.65 * detail) * context
    score -= rounding + pruned * (0.05 + 0.06 * (1 - capacity)) + 0.004 * (architecture.answer_scale < 0.5)
    return max(0.02, score + hidden(params, problem))


def hidden(params: Mapping[str, Any], problem: int) -> float:
    """Effects of every parameter, and of one pair of them in twenty, that no formula above knows."""
    names = sorted(params)
    alone = sum(0.006 * effect(problem, name, params[name]) for name in names)
    pairs = [(first, second) for first in names for second in names if _paired(problem % RELATIVES, first, second)]
    return alone + sum(0.012 * effect(problem, a, params[a], b, params[b]) for a, b in pairs)


def effect(problem: int, *of: Any) -> float:
    """A hidden effect: a relative's correlate by 0.85 with those of its problem."""
    plain = chance(problem % RELATIVES, *of)
    return plain if problem < RELATIVES else 0.85 * plain + 0.527 * chance(problem, *of)


@cache
def _paired(problem: int, first: str, second: str) -> bool:
    return first < second and chance(problem, "is a pair", first, second) > 1.6


@cache
def _normal(text: str) -> float:
    return statistics.NormalDist().inv_cdf((int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) + 0.5) / 2**52)


def chance(*of: Any) -> float:
    """A standard normal number that these words settle."""
    return _normal(repr(of))
