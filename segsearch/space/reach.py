"""What a network asks of its maps and cannot get: atrous rates and pyramid bins that are larger than the map."""

from __future__ import annotations

from collections.abc import Iterator

from segsearch.space.architecture import Architecture, ContextMap, Feature, Stage
from segsearch.space.shapes import Size, shapes_of


def beyond_reach(architecture: Architecture, size: Size, *, classes: int) -> tuple[str, ...]:
    """In words, each rate and each number of bins that is too large where the image has that height and width.

    A 3x3 of a rate that is at least both sides of its map sees nothing but padding around its centre: it is a 1x1.
    Bins beyond both sides are clamped to the map's own pixels.
    """
    shapes = shapes_of(architecture, size, classes=classes)
    found: list[str] = []
    for number, path in enumerate(architecture.paths):
        where = f" of path {number}" if number else ""
        for index, stage in enumerate(path.stages, start=1):
            for turn, rate in _turns(stage):
                read = Feature(number, index - 1 if turn == 0 and stage.downsample == "stride" else index)
                if 1 < rate >= max(shapes[read].size):
                    found.append(f"rate {rate} in stage {index}{where} on {_map(shapes[read].size)}")
        size_there, kind = shapes[ContextMap(number)].size, path.context.kind
        if kind != "none":
            for name, least, values in (("rate", 0, path.context.rates), ("bins", 1, path.context.bins)):
                found += [
                    f"{name} {value} in {kind}{where} on {_map(size_there)}"
                    for value in values
                    if 1 < value >= max(size_there) + least
                ]
    return tuple(dict.fromkeys(found))


def _turns(stage: Stage) -> Iterator[tuple[int, int]]:
    """The number of each block in its stage, and its rate; rates beyond the last block belong to branches of all."""
    for turn in range(max(stage.depth, len(stage.atrous))):
        yield turn % stage.depth, stage.atrous[turn % len(stage.atrous)]


def _map(size: Size) -> str:
    return f"a map of {size[1]}x{size[0]}"
