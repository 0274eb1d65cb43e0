"""Scores by class, confusion and losses by hand."""

from __future__ import annotations

import pytest

from segsearch.evidence.types import Confusion
from segsearch.figures import class_iou_figure, confusion_figure, losses_figure
from segsearch.figures.scores import ClassScore, class_scores, confusion_shares, look_rows, looks_figure, loss_rows

CONFUSION = Confusion(((8, 2, 0, 0), (1, 3, 0, 0), (0, 0, 0, 0), (2, 0, 0, 0)))
STRAY = Confusion(((8, 2, 2, 0), (1, 3, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)))


def test_classes_by_their_iou() -> None:
    assert class_scores(CONFUSION, ("sky", "road", "boat")) == (
        ClassScore("sky", 8 / 13, 10 / 16, 11 / 16),
        ClassScore("road", 3 / 6, 4 / 16, 5 / 16),
        ClassScore("class 3", 0.0, 2 / 16, 0.0),
        ClassScore("boat", None, 0.0, 0.0),
    )
    assert class_scores(STRAY, ("sky", "road", "boat"))[2:] == (
        ClassScore("boat", None, 0.0, 2 / 16),
        ClassScore("class 3", None, 0.0, 0.0),
    )


def test_rows_of_a_confusion_sum_to_one_or_nothing() -> None:
    assert confusion_shares(CONFUSION) == ((0.8, 0.2, 0, 0), (0.25, 0.75, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0))


@pytest.mark.parametrize("dark", [False, True])
def test_scores_are_drawn_and_absent_classes_said(dark: bool) -> None:
    names = ("sky", "road", "<boat>")
    sent = class_iou_figure(CONFUSION, names, dark=dark).to_json()
    assert 'absent from the truth"' in sent
    assert "mean 0.372" in sent
    stray = class_iou_figure(STRAY, names, dark=dark)
    assert list(stray.data[1].text) == [
        "\u00a0absent from the truth; 0.12 of the pixels are taken for it",
        "\u00a0absent from the truth",
    ]
    assert f"mean {STRAY.miou:.3f}" in stray.to_json()
    heat = confusion_figure(CONFUSION, names, dark=dark).data[0]
    assert heat.customdata[0][1] == 2
    assert list(heat.x) == ["sky", "road", "&lt;boat&gt;", "class 3"]


def test_many_classes_stay_light() -> None:
    counts = tuple(tuple(int(i == j) for j in range(255)) for i in range(255))
    assert len(confusion_figure(Confusion(counts), ()).to_json()) < 1_500_000


def test_a_stage_carries_on_where_the_last_one_stopped() -> None:
    rows = loss_rows({"train": [3.0, 2.0], "fine-tune": [2.5]})
    assert rows == {"train": ((1, 3.0), (2, 2.0)), "fine-tune": ((3, 2.5),)}
    assert [trace.name for trace in losses_figure({"train": [3.0, 2.0], "fine-tune": []}).data] == ["train"]
    assert "no losses" in losses_figure({}).layout.annotations[0].text


@pytest.mark.parametrize("dark", [False, True])
def test_looks_at_a_long_training_stand_at_their_epochs(dark: bool) -> None:
    rows = look_rows(((25, 1.2, 0.3), (50, 0.8, 0.4), (100, 0.5, 0.5)), 40)
    assert rows == ((10.0, 0.3), (20.0, 0.4), (40.0, 0.5))
    assert look_rows((), 40) == ()
    chart = looks_figure({"seed 0": rows, "seed <1>": (), "seed 2": rows}, proxy=0.35, dark=dark)
    assert [trace.name for trace in chart.data] == ["seed 0", "seed 2"]
    assert [shape.y0 for shape in chart.layout.shapes] == [0.35]
    assert chart.layout.annotations[0].text == "as a proxy 0.350"
    assert "nobody looked" in looks_figure({"seed 0": ()}).layout.annotations[0].text
