"""A candidate as a list of pieces in the order data flows through them: what the drawing of a network is made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from segsearch.space.architecture import Architecture, Context, ContextMap, Feature, Join, Joined, Stage, Stem
from segsearch.space.candidate import Candidate, Output
from segsearch.space.own import OwnNetwork
from segsearch.space.shapes import AnyMap, HeadMap, Shape, Size, scaled, shapes_of

Kind = Literal["input", "encoder", "context", "join", "head", "output"]

_WORDS = {
    "inverted_residual": "inverted residual",
    "mbconv": "MBConv",
    "pyramid_pooling": "pyramid pooling",
    "aspp": "ASPP",
    "aspp_scores": "ASPP to the classes",
    "large_field": "large field of view",
    "cascaded_pooling": "cascaded pooling",
    "global_pooling": "global pooling",
    "attention": "attention refinement",
    "relu6": "ReLU6",
    "hardswish": "hard swish",
}
# What a join makes of the running map and the others.
_JOINS = {
    "add": "{grown}, added to {maps}",
    "concat": "{grown}, beside {maps}",
    "score": "scored, {grown}, added to the scores of {maps}",
    "attention": "{grown}, added to {maps} refined by attention",
    "fuse": "{grown}, fused with {maps} by attention",
    "cascade": "{grown}, dilation 2, added to {maps}",
}
_GROWN = {"bilinear": "resized", "nearest": "resized to the nearest", "transposed": "doubled by a transposed conv"}


@dataclass(frozen=True)
class Piece:
    """One piece: a map and what makes it.

    `channels` are those before compression, `left` those that ship; both are 0 for a step that leaves no map.
    `reads` names the piece, by its place in the list, that this one reads besides the one before it, `others` those
    that it reads besides these; `after` the one that it carries on from, where that is not the one before it.
    """

    kind: Kind
    name: str
    words: str
    size: Size
    channels: int = 0
    left: int = 0
    reads: int | None = None
    after: int | None = None
    others: tuple[int, ...] = ()

    @property
    def sources(self) -> tuple[int, ...]:
        """All pieces that it reads but for the one before it."""
        return tuple(place for place in (self.reads, self.after, *self.others) if place is not None)


def pieces_of(candidate: Candidate, size: Size, *, classes: int, output: Output = "scores") -> tuple[Piece, ...]:
    """The pieces of a candidate whose exported file takes images of that height and width."""
    architecture = candidate.architecture
    if isinstance(architecture, OwnNetwork):
        return (*_brought(architecture, size, classes=classes, output=output), *_shipped(candidate, size))
    shapes = shapes_of(architecture, size, candidate.before_export, classes=classes)
    grid = scaled(size, architecture.input_scale)
    pieces = [Piece("input", "image", "RGB", size, 3, 3)]
    if grid != size:
        pieces.append(Piece("input", "resized", f"×{architecture.input_scale:.3g}", grid, 3, 3))
    image, places = len(pieces) - 1, dict[AnyMap, int]()
    for number in range(len(architecture.paths)):
        pieces += _path(architecture, number, shapes, places, image=image, start=len(pieces))
    for number, path in enumerate(architecture.paths):  # paths may read from those after them
        for merge in path.merges:
            here = places[Feature(number, merge.after)]
            pieces[here] = _merged(pieces[here], places[merge.feature], pieces[places[merge.feature]].name)
    trunk = places[ContextMap(architecture.trunk)]
    for index, join in enumerate(architecture.joins):
        feature = Joined(index)
        after = trunk if index == 0 and trunk != len(pieces) - 1 else None
        places[feature] = len(pieces)
        piece = _piece("join", f"join {index + 1}", _join(join), shapes[feature], places[join.feature], after)
        pieces.append(replace(piece, others=tuple(places[other] for other in join.others)))
    head = architecture.head
    after = trunk if not architecture.joins and trunk != len(pieces) - 1 else None
    if head.depth:
        words = f"{head.block}{f' ×{head.depth}' if head.depth > 1 else ''}"
        pieces.append(_piece("head", "head", words, shapes[HeadMap()], None, after))
        after = None
    if not architecture.ends_with_scores:
        words, size_there = f"1×1 to {classes} classes", shapes[HeadMap()].size
        pieces.append(Piece("head", "scores", words, size_there, classes, classes, None, after))
    pieces += _answer(
        architecture.answer_scale,
        shapes[HeadMap()].size,
        size,
        classes=classes,
        output=output,
        doubled=architecture.head.upsample == "pixel_shuffle",
    )
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
        words = [resized, *(_stem(stem) if stem else ["the map as it is"])]
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


def _merged(piece: Piece, source: int, name: str) -> Piece:
    """A piece with what another path's map adds to it."""
    return replace(piece, words=f"{piece.words}, plus {name}", others=(*piece.others, source))


def _stem(stem: Stem) -> list[str]:
    return [
        f"conv{f' ×{stem.depth}' if stem.depth > 1 else ''}",
        f"stride {stem.stride // 2 if stem.pool else stem.stride}",
        *_kernel(stem.kernel),
        *_activation(stem.activation),
        *(["max pool 2"] if stem.pool else []),
    ]


def _activation(name: str) -> list[str]:
    return [_WORDS.get(name, name)] if name != "relu" else []


def _stage(stage: Stage) -> str:
    down = {"max_pool": "max pool", "mean_pool": "mean pool"}.get(stage.downsample, "stride")
    parts = [
        f"{_WORDS.get(stage.block, stage.block)} ×{stage.depth}",
        f"{down} {stage.stride}" if stage.stride > 1 else "",
        *_kernel(stage.kernel),
        f"expansion {stage.expansion:.3g}" if stage.expansion != 1 else "",
        f"{stage.groups} groups" if stage.groups > 1 else "",
        f"dilation {_list(stage.atrous)}" if set(stage.atrous) != {1} else "",
        f"squeeze {stage.squeeze:.3g}" if stage.squeeze else "",
        *_activation(stage.activation),
        "no norm" if stage.norm == "none" else "",
        "image reinforced" if stage.reinforce else "",
    ]
    return _line(parts)


def _context(context: Context) -> str:
    parts = [
        _WORDS.get(context.kind, context.kind),
        f"bins {_list(context.bins)}" if context.bins else "",
        f"rates {_list(context.rates)}" if context.rates else "",
        "image pooled" if context.image_pool else "",
        "separable" if context.block == "separable" else "",
    ]
    return _line(parts)


def _join(join: Join) -> str:
    maps = "the skip" if not join.others else f"{len(join.features)} maps"
    cut = "skip" if not join.others else "each"
    refined = join.depth or int(join.block == "conv" and join.depth is None and join.kind in ("concat", "attention"))
    return _line(
        [
            _JOINS[join.kind].format(grown=_GROWN[join.upsample], maps=maps),
            f"{cut} cut to {join.reduce}" if join.reduce else "",
            f"then {join.block}{f' ×{refined}' if refined > 1 else ''}" if refined else "",
        ]
    )


def _brought(own: OwnNetwork, size: Size, *, classes: int, output: Output) -> Iterator[Piece]:
    """A network that somebody brought: what is inside it is its owner's."""
    yield Piece("input", "image", "RGB", size, 3, 3)
    grid = scaled(size, own.input_scale)
    if grid != size:
        yield Piece("input", "resized", f"×{own.input_scale:.3g}", grid, 3, 3)
    yield Piece("input", "pixels", own.pixels.words, grid, 3, 3)
    yield Piece("encoder", "own network", f"{own.artifact[:12]}, to {classes} classes", grid, classes, classes)
    yield from _answer(own.answer_scale, grid, size, classes=classes, output=output)


def _answer(
    answer_scale: float, grid: Size, size: Size, *, classes: int, output: Output, doubled: bool = False
) -> Iterator[Piece]:
    """From the scores on the decoder's grid to what the file answers."""
    if doubled:
        grid = (2 * grid[0], 2 * grid[1])
        yield Piece("output", "doubled", "depthwise 3×3, pixel shuffle", grid, classes, classes)
    chosen = scaled(size, answer_scale)
    if grid != chosen:
        where = "the image's size" if chosen == size else f"×{answer_scale:.3g} of the image's size"
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
        yield Piece("output", "quantized" if after.kind == "quantize" else "stored", after.words, size)


def _kernel(kernel: int) -> list[str]:
    return [f"kernel {kernel}"] if kernel != 3 else []


def _list(numbers: tuple[int, ...]) -> str:
    return "-".join(map(str, numbers))


def _line(parts: list[str]) -> str:
    return ", ".join(filter(None, parts))
