"""The pieces of a candidate by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segsearch.figures.pieces import Piece, pieces_of
from segsearch.networks.contexts import CONTEXTS
from segsearch.networks.decoders import JOINS
from segsearch.space.architecture import Context, Feature, Join
from segsearch.space.candidate import Candidate
from tests.figures.designs import CANDIDATE, EXCHANGED, ONE, TWO


def test_pieces_by_hand() -> None:
    assert pieces_of(CANDIDATE, (128, 256), classes=5) == (
        Piece("input", "image", "RGB", (128, 256), 3, 3),
        Piece("input", "resized", "×0.5", (64, 128), 3, 3),
        Piece("encoder", "stem", "conv, stride 2", (32, 64), 16, 16),
        Piece("encoder", "stage 1", "conv ×1, stride 2", (16, 32), 32, 16),
        Piece(
            "encoder",
            "stage 2",
            "inverted residual ×2, stride 2, kernel 5, expansion 4, dilation 1-2",
            (8, 16),
            64,
            32,
        ),
        Piece("context", "context", "pyramid pooling, bins 1-2", (8, 16), 48, 24),
        Piece("join", "join 1", "resized, beside the skip, skip cut to 16", (16, 32), 32, 16, reads=3),
        Piece("head", "head", "separable", (16, 32), 32, 16),
        Piece("head", "scores", "1×1 to 5 classes", (16, 32), 5, 5),
        Piece("output", "resized", "bilinear, to the image's size", (128, 256), 5, 5),
        Piece("output", "compressed", "pruned 50% by l1", (128, 256)),
        Piece("output", "exported", "ONNX", (128, 256)),
        Piece("output", "quantized", "int8", (128, 256)),
    )


def test_a_mask_is_chosen_from_scores_that_grew() -> None:
    architecture = replace(CANDIDATE.architecture, answer_scale=0.5)
    shuffled = replace(architecture, head=replace(architecture.head, upsample="pixel_shuffle"))
    pieces = pieces_of(replace(CANDIDATE, architecture=shuffled), (128, 256), classes=5, output="mask")
    start = [piece.name for piece in pieces].index("scores") + 1
    assert pieces[start : start + 3] == (
        Piece("output", "doubled", "depthwise 3×3, pixel shuffle", (32, 64), 5, 5),
        Piece("output", "resized", "bilinear, to ×0.5 of the image's size", (64, 128), 5, 5),
        Piece("output", "mask", "the highest score, repeated to the image's size", (128, 256), 1, 1),
    )


def test_scores_on_the_answers_own_grid_need_no_resize() -> None:
    architecture = replace(CANDIDATE.architecture, answer_scale=0.25, joins=(), input_scale=1.0)
    shallow = replace(architecture, paths=(replace(architecture.paths[0], stages=(), context=Context()),))
    names = [
        piece.name
        for piece in pieces_of(Candidate(replace(shallow, answer_scale=0.5)), (64, 64), classes=3, output="mask")
    ]
    assert names == ["image", "stem", "head", "scores", "mask", "exported"]


def test_paths_carry_on_from_what_they_read() -> None:
    pieces = pieces_of(Candidate(TWO), (64, 64), classes=3)
    told = [(piece.name, piece.after, piece.reads) for piece in pieces]
    assert told == [
        ("image", None, None),
        ("path 1 stem", None, None),
        ("path 1 stage 1", None, None),
        ("path 2 stem", 0, None),  # the image
        ("path 2 stage 1", None, None),
        ("path 3 start", 2, None),  # the first path's map
        ("path 3 stage 1", None, None),
        ("join 1", 2, 4),  # from the trunk, with the second path's map
        ("scores", None, None),
        ("resized", None, None),
        ("exported", None, None),
    ]
    assert pieces[3].words == "resized ×0.5, conv, stride 2"
    assert pieces[6].words == "conv ×1, max pool 2"


def test_maps_that_go_both_ways_and_scores_that_no_head_makes() -> None:
    pieces = pieces_of(Candidate(EXCHANGED), (64, 64), classes=3)
    assert [(piece.name, piece.words, piece.sources) for piece in pieces[:-2]] == [
        ("image", "RGB", ()),
        ("path 1 stem", "conv, stride 2, hard swish, max pool 2", ()),
        ("path 1 stage 1", "conv ×1, no norm, plus path 2 stage 1", (4,)),
        ("path 2 start", "the map as it is", (1,)),
        ("path 2 stage 1", "MBConv ×2, stride 2, expansion 4, squeeze 0.25, ReLU6, plus path 1 stage 1", (2,)),
        ("path 2 context", "ASPP to the classes, rates 2-4, separable", ()),
        ("join 1", "resized to the nearest, beside 2 maps, each cut to 8, then conv ×2", (1, 2)),
        ("join 2", "scored, doubled by a transposed conv, added to the scores of 3 maps", (2, 5, 6)),
    ]
    assert [(piece.name, piece.size) for piece in pieces[-2:]] == [("resized", (64, 64)), ("exported", (64, 64))]
    assert [piece.channels for piece in pieces[5:8]] == [3, 24, 3]


@pytest.mark.parametrize(
    ("join", "words"),
    [
        (Join("add", Feature(0, 1), 32), "resized, added to the skip"),
        (Join("add", Feature(0, 1), 32, block="conv"), "resized, added to the skip"),
        (Join("add", Feature(0, 1), 32, block="conv", depth=1), "resized, added to the skip, then conv"),
        (Join("concat", Feature(0, 1), 32, block="conv"), "resized, beside the skip, then conv"),
        (Join("concat", Feature(0, 1), 32, depth=2), "resized, beside the skip, then separable ×2"),
        (Join("attention", Feature(0, 1), 32), "resized, added to the skip refined by attention"),
        (Join("fuse", Feature(0, 1), 32), "resized, fused with the skip by attention"),
        (Join("cascade", Feature(0, 1), 32), "resized, dilation 2, added to the skip"),
    ],
)
def test_what_a_join_makes_in_words(join: Join, words: str) -> None:
    pieces = pieces_of(Candidate(replace(ONE, joins=(join,))), (128, 256), classes=5)
    assert next(piece.words for piece in pieces if piece.kind == "join") == words


@pytest.mark.parametrize("kind", JOINS)
def test_every_join_has_words(kind: str) -> None:
    pieces = pieces_of(Candidate(replace(ONE, joins=(Join(kind, Feature(0, 1), 8),))), (128, 256), classes=5)
    assert next(piece.words for piece in pieces if piece.kind == "join")


@pytest.mark.parametrize("kind", [kind for kind in CONTEXTS if kind != "none"])
def test_every_context_has_words_of_its_own(kind: str) -> None:
    path = replace(ONE.paths[0], context=Context(kind, 8, bins=(2,), rates=(2,)))
    pieces = pieces_of(Candidate(replace(ONE, paths=(path,))), (128, 256), classes=5)
    words = next(piece.words for piece in pieces if piece.kind == "context")
    assert "_" not in words
