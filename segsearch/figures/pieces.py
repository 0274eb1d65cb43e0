"""A candidate as a list of pieces in the order data flows through them: what the drawing of a network is made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from segsearch.space.architecture import Architecture, Context, ContextMap, Feature, Join, Joined, Stage
from segsearch.space.candidate import Candidate, Output
from segsearch.space.shapes import AnyMap, HeadMap, Shape, Size, scaled, shapes_of

Kind = Literal["input", "encoder", "context", "join", "head", "output"]

_WORDS = {"inverted_residual": "inverted residual", "pyramid_pooling": "pyramid pooling", "aspp": "ASPP"}
_JOINS = {"add": "added to", "concat": "beside"}


@dataclass(frozen=True)
class Piece:
    """One piece: a map and what makes it.

    `channels` are those before compression, `left` those that ship; both are 0 for a step that leaves no map.
    `reads` names the piece, by its place in the list, that this one reads besides the one before it; `after` the one
    that it carries on from, where that is not the one before it.
    """

    kind: Kind
    name: str
    words: str
    size: Size
    channels: int = 0
    left: int = 0
    reads: int | None = None
    after: int | None = None


def pieces_of(candidate: Candidate, size: Size, *, classes: int, output: Output = "scores") -> tuple[Piece, ...]:
    """The pieces of a candidate whose exported file takes images of that height and width."""
    architecture = candidate.architecture
    shapes = shapes_of(architecture, size, candidate.before_export, classes=classes)
    grid = scaled(size, architecture.input_scale)
    pieces = [Piece("input", "image", "RGB", size, 3, 3)]
    if grid != size:
        pieces.append(Piece("input", "resized", f"×{architecture.input_scale:.3g}", grid, 3, 3))
    image, places = len(pieces) - 1, dict[AnyMap, int]()
    for number in range(len(architecture.paths)):
        pieces += _path(architecture, number, shapes, places, image=image, start=len(pieces))
    trunk = places[ContextMap(architecture.trunk)]
    for index, join in enumerate(architecture.joins):
        feature = Joined(index)
        after = trunk if index == 0 and trunk != len(pieces) - 1 else None
        places[feature] = len(pieces)
        pieces.append(_piece("join", f"join {index + 1}", _join(join), shapes[feature], places[join.feature], after))
    head = architecture.head
    after = trunk if not architecture.joins and trunk != len(pieces) - 1 else None
    if head.depth:
        words = f"{head.block}{f' ×{head.depth}' if head.depth > 1 else ''}"
        pieces.append(_piece("head", "head", words, shapes[HeadMap()], None, after))
        after = None
    pieces.append(
        Piece("head", "scores", f"1×1 to {classes} classes", shapes[HeadMap()].size, classes, classes, None, after)
    )
    pieces += _answer(architecture, shapes[HeadMap()].size, size, classes=classes, output=output)
    return (*pieces, *_shipped(candidate, size))


def _piece(
    kind: Kind, name: str, words: str, shape: Shape, reads: int | None = None, after: int | None = None
) -> Piece:
    return Piece(kind, name, words, shape.size, shape.channels, shape.left, reads, after)


def _path(
    architecture: Architecture,
    number: int,
    shapes: Mapping[AnyMap, Shape],
    places: dict[AnyMap, int],
    *,
    image: int,
    start: int,
) -> Iterator[Piece]:
    """The pieces of one path; their places are noted as they are made. `image` is the place of what it may read."""
    path = architecture.paths[number]
    prefix = f"path {number + 1} " if len(architecture.paths) > 1 else ""
    resized = f"resized ×{path.scale:.3g}" if path.scale != 1 else ""
    here = start
    if path.stem is not None or number:
        shape = shapes[Feature(number, 0)]
        stem = path.stem
        words = [resized, f"conv{f' ×{stem.depth}' if stem.depth > 1 else ''}" if stem else "the map as it is"]
        words += [f"stride {stem.stride}", *_kernel(stem.kernel)] if stem else []
        # A path after the first does not carry on from the piece before it: it reads the image or another path's map.
        after = None if not number else places[path.source] if path.source is not None else image
        yield _piece("encoder", f"{prefix}{'stem' if stem else 'start'}", _line(words), shape, None, after)
        places[Feature(number, 0)] = here
        here += 1
    else:
        places[Feature(number, 0)] = here - 1
    for index, stage in enumerate(path.stages, start=1):
        feature = Feature(number, index)
        places[feature] = places[ContextMap(number)] = here
        yield _piece("encoder", f"{prefix}stage {index}", _stage(stage), shapes[feature])
        here += 1
    places.setdefault(ContextMap(number), here - 1)
    if path.context.kind != "none":
        places[ContextMap(number)] = here
        yield _piece("context", f"{prefix}context", _context(path.context), shapes[ContextMap(number)])


def _stage(stage: Stage) -> str:
    down = {"max_pool": "max pool", "mean_pool": "mean pool"}.get(stage.downsample, "stride")
    parts = [
        f"{_WORDS.get(stage.block, stage.block)} ×{stage.depth}",
        f"{down} {stage.stride}" if stage.stride > 1 else "",
        *_kernel(stage.kernel),
        f"expansion {stage.expansion:.3g}" if stage.expansion != 1 else "",
        f"{stage.groups} groups" if stage.groups > 1 else "",
        f"dilation {_list(stage.atrous)}" if set(stage.atrous) != {1} else "",
        "image reinforced" if stage.reinforce else "",
    ]
    return _line(parts)


def _context(context: Context) -> str:
    parts = [
        _WORDS.get(context.kind, context.kind),
        f"bins {_list(context.bins)}" if context.bins else "",
        f"rates {_list(context.rates)}" if context.rates else "",
        "image pooled" if context.image_pool else "",
    ]
    return _line(parts)


def _join(join: Join) -> str:
    return _line(
        [f"resized, {_JOINS.get(join.kind, join.kind)} the skip", f"skip cut to {join.reduce}" if join.reduce else ""]
    )


def _answer(architecture: Architecture, grid: Size, size: Size, *, classes: int, output: Output) -> Iterator[Piece]:
    """From the scores on the decoder's grid to what the file answers."""
    if architecture.head.upsample == "pixel_shuffle":
        grid = (2 * grid[0], 2 * grid[1])
        yield Piece("output", "doubled", "depthwise 3×3, pixel shuffle", grid, classes, classes)
    chosen = scaled(size, architecture.answer_scale)
    if grid != chosen:
        where = "the image's size" if chosen == size else f"×{architecture.answer_scale:.3g} of the image's size"
        yield Piece("output", "resized", f"bilinear, to {where}", chosen, classes, classes)
    if output == "mask":
        words = "the highest score" + ("" if chosen == size else ", repeated to the image's size")
        yield Piece("output", "mask", words, size, 1, 1)


def _shipped(candidate: Candidate, size: Size) -> Iterator[Piece]:
    """The compression steps that change the file as a whole, in the order they are made."""
    for before in candidate.before_export:
        if not before.idle:
            yield Piece("output", "compressed", before.words, size)
    yield Piece("output", "exported", "ONNX, float32 weights" if not candidate.after_export else "ONNX", size)
    for after in candidate.after_export:
        yield Piece("output", "quantized", after.words, size)


def _kernel(kernel: int) -> list[str]:
    return [f"kernel {kernel}"] if kernel != 3 else []


def _list(numbers: tuple[int, ...]) -> str:
    return "-".join(map(str, numbers))


def _line(parts: list[str]) -> str:
    return ", ".join(filter(None, parts))
