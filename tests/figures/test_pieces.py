"""The pieces of a candidate by hand."""

from __future__ import annotations

from dataclasses import replace

from segsearch.figures.pieces import Piece, pieces_of
from segsearch.space.architecture import Context
from segsearch.space.candidate import Candidate
from tests.figures.designs import CANDIDATE, TWO


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
