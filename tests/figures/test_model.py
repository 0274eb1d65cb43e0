"""One model's architecture in a picture."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segsearch.figures import architecture_figure
from segsearch.figures.pieces import pieces_of
from segsearch.space.architecture import Head
from segsearch.space.candidate import Candidate
from tests.figures.designs import CANDIDATE, EXCHANGED, ONE, TWO


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    "candidate",
    [CANDIDATE, Candidate(TWO), Candidate(EXCHANGED)],
    ids=["one path", "three paths", "exchanged maps and scores"],
)
def test_every_piece_is_drawn(candidate: Candidate, dark: bool) -> None:
    chart = architecture_figure(candidate, (128, 256), classes=5, dark=dark)
    pieces = pieces_of(candidate, (128, 256), classes=5)
    text = " ".join(str(line) for trace in chart.select_traces({"mode": "text"}) for line in trace.text)
    assert all(f"<b>{piece.name}</b>" in text for piece in pieces)
    assert len(chart.layout.shapes) == sum(len(piece.sources) for piece in pieces)
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
