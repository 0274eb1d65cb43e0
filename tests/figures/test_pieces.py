"""The pieces of a candidate by hand."""

from __future__ import annotations

from segsearch.figures.pieces import Piece, pieces_of
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
