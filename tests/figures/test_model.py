"""One model in pictures: pieces and scores by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from segsearch.evidence.types import Confusion
from segsearch.figures import (
    architecture_figure,
    class_iou_figure,
    confusion_figure,
    losses_figure,
    profile_figure,
    profile_page,
)
from segsearch.figures.pieces import Piece, pieces_of
from segsearch.figures.scores import ClassScore, class_scores, confusion_shares, loss_rows
from segsearch.runtimes import Operation
from segsearch.space.candidate import (
    Architecture,
    Candidate,
    Context,
    EncoderPath,
    Feature,
    Head,
    Join,
    Prune,
    Quantize,
    Stage,
    Stem,
)

STAGES = (
    Stage("conv", 32, 1, 2),
    Stage("inverted_residual", 64, 2, 2, kernel=5, expansion=4.0, atrous=(1, 2)),
)
ONE = Architecture(
    (EncoderPath(Stem(16), STAGES, Context("pyramid_pooling", 48, bins=(1, 2))),),
    (Join("concat", Feature(0, 1), 32, 16),),
    Head(32, 1, "separable"),
    input_scale=0.5,
)
CANDIDATE = Candidate(ONE, None, (Prune(0.5),), (Quantize(),))
TWO = Architecture(
    (
        EncoderPath(Stem(16), (Stage("conv", 32, 1, 2),)),
        EncoderPath(Stem(8), (Stage("grouped", 24, 1, 2, groups=4),), scale=0.5),
        EncoderPath(None, (Stage("conv", 40, 1, 2, downsample="max_pool"),), source=Feature(0, 1)),
    ),
    (Join("add", Feature(1, 1), 24),),
    Head(32, 0),
    trunk=0,
)


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


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("candidate", [CANDIDATE, Candidate(TWO)], ids=["one path", "three paths"])
def test_every_piece_is_drawn(candidate: Candidate, dark: bool) -> None:
    chart = architecture_figure(candidate, (128, 256), classes=5, dark=dark)
    pieces = pieces_of(candidate, (128, 256), classes=5)
    text = " ".join(str(line) for trace in chart.select_traces({"mode": "text"}) for line in trace.text)
    assert all(f"<b>{piece.name}</b>" in text for piece in pieces)
    lines = [piece for piece in pieces for source in (piece.reads, piece.after) if source is not None]
    assert len(chart.layout.shapes) == len(lines)
    assert len(chart.to_json()) < 40_000


def test_the_hatched_part_is_what_pruning_took() -> None:
    chart = architecture_figure(CANDIDATE, (128, 256), classes=5)
    cut = next(trace for trace in chart.data if trace.type == "bar" and trace.base is not None)
    longest = max(base + width for base, width in zip(cut.base, cut.x, strict=True))
    assert list(cut.x) == pytest.approx([longest * gone / 64 for gone in (16, 32, 24, 16, 16)])
    assert "32 of 64 channels pruned" in cut.hovertext[1]
    whole = architecture_figure(replace(CANDIDATE, before_export=()), (128, 256), classes=5)
    assert not [trace for trace in whole.data if trace.type == "bar" and trace.base is not None]


def test_a_blocks_name_is_text() -> None:
    evil = Candidate(replace(ONE, head=Head(32, 1, "<b onclick=x>")))
    sent = architecture_figure(evil, (128, 256), classes=5).to_json()
    assert "onclick" in sent
    assert "<b onclick" not in sent.replace("\\u003c", "<")


# ---- classes

CONFUSION = Confusion(((8, 2, 0, 0), (1, 3, 0, 0), (0, 0, 0, 0), (2, 0, 0, 0)))


def test_classes_by_their_iou() -> None:
    assert class_scores(CONFUSION, ("sky", "road", "boat")) == (
        ClassScore("sky", 8 / 13, 10 / 16),
        ClassScore("road", 3 / 6, 4 / 16),
        ClassScore("class 3", 0.0, 2 / 16),
        ClassScore("boat", None, 0.0),
    )


def test_rows_of_a_confusion_sum_to_one_or_nothing() -> None:
    assert confusion_shares(CONFUSION) == ((0.8, 0.2, 0, 0), (0.25, 0.75, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0))


@pytest.mark.parametrize("dark", [False, True])
def test_scores_are_drawn_and_absent_classes_said(dark: bool) -> None:
    names = ("sky", "road", "<boat>")
    sent = class_iou_figure(CONFUSION, names, dark=dark).to_json()
    assert "absent from truth and prediction" in sent
    assert "mean 0.372" in sent
    heat = confusion_figure(CONFUSION, names, dark=dark).data[0]
    assert heat.customdata[0][1] == 2
    assert list(heat.x) == ["sky", "road", "&lt;boat&gt;", "class 3"]


def test_many_classes_stay_light() -> None:
    counts = tuple(tuple(int(i == j) for j in range(255)) for i in range(255))
    assert len(confusion_figure(Confusion(counts), ()).to_json()) < 1_500_000


# ---- training and time


def test_a_stage_carries_on_where_the_last_one_stopped() -> None:
    rows = loss_rows({"train": [3.0, 2.0], "fine-tune": [2.5]})
    assert rows == {"train": ((1, 3.0), (2, 2.0)), "fine-tune": ((3, 2.5),)}
    assert [trace.name for trace in losses_figure({"train": [3.0, 2.0], "fine-tune": []}).data] == ["train"]
    assert "no losses" in losses_figure({}).layout.annotations[0].text


def test_the_profile_is_coloured_by_type_the_dearest_first() -> None:
    operations = [Operation("a", "Conv", 2.0), Operation("b", "Relu", 0.5), Operation("c", "Conv", 1.0)]
    chart: Any = profile_figure(operations, dark=True)
    assert [(trace.name, list(trace.x)) for trace in chart.data] == [("Conv, 3 ms", [0, 2]), ("Relu, 0.5 ms", [1])]
    assert "3 operations, 3.5 ms" in profile_page("a model", operations)
