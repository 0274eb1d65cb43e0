"""How two models differ, in words, and how sure that is."""

from __future__ import annotations

from pathlib import Path

from segsearch.judging import compare, fronts
from tests.judging.reports import alike_in

BEFORE = "+1.0 mIoU points (95 % −1.0 to +3.0 on the same images) and −1 ms"


def test_a_neighbour_differs_by_so_much_on_the_same_images(tmp_path: Path) -> None:
    found = alike_in(tmp_path)
    assert compare.next_words(found, found.rows[2]) == [
        f"The next on the front before it, trial 1: {BEFORE}.",
        "The next on the front after it, trial 4: +11 mIoU points for +3 ms.",
    ]


def test_a_loss_has_its_interval_too(tmp_path: Path) -> None:
    found = alike_in(tmp_path)
    one, two = found.rows[1:3]
    assert compare.difference(found.objectives, one.values, two.values, fronts.miou_gap(two, one)) == (
        "−1.0 mIoU points (95 % −3.0 to +1.0 on the same images) and +1 ms"
    )


def test_without_resamples_a_difference_is_plain(close: fronts.Report) -> None:
    one, two = close.rows[1:3]
    assert (
        compare.difference(close.objectives, one.values, two.values, fronts.miou_gap(two, one))
        == "−5 mIoU points and +0.1 ms"
    )
