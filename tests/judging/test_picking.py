"""Picks: with their reasons, among ties, and why there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.errors import StudyError
from segsearch.evidence.objectives import read_limit
from segsearch.judging import fronts, picking, tables
from tests.judging.reports import (
    ALIKE,
    CLOSE,
    HERE,
    SPANS,
    TRIALS,
    alike_in,
    drawn,
    numbers,
    sampled,
    study_row,
    timing,
    timings,
    trial,
)


def test_picks_say_why(found: fronts.Report) -> None:
    assert picking.pick_from(found, prefer="miou").trial == 3
    assert picking.pick_from(found, prefer="latency_ms").trial == 0
    knee = picking.pick_from(found, prefer="knee")
    assert knee.trial == fronts.knee_of(found).trial == 1
    assert knee.reason == (
        "the knee of the front, nearest to the best of every objective at once under latency_ms<=9: "
        "miou 0.550, latency_ms 4"
    )


@pytest.mark.parametrize(
    ("number", "words"), [(0, "on the front"), (2, "though trial 1 is at least as good"), (4, "breaks latency_ms<=9")]
)
def test_a_pick_by_hand_says_where_it_stands(found: fronts.Report, number: int, words: str) -> None:
    assert words in picking.pick_trial(found, number).reason


@pytest.mark.parametrize("number", [5, 6, 7])
def test_only_a_trained_trial_can_be_picked(found: fronts.Report, number: int) -> None:
    with pytest.raises(StudyError, match="On the front: 0, 1, 3"):
        picking.pick_trial(found, number)


def test_nothing_to_pick_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="none yet"):
        picking.pick_from(drawn(study_row(tmp_path), ()), prefer="knee")
    none = drawn(study_row(tmp_path), TRIALS, [read_limit("latency_ms<=1")])
    with pytest.raises(StudyError, match="the nearest is trial 0"):
        picking.pick_from(none, prefer="knee")


# ---- picks among ties


def test_the_best_of_one_thing_says_whom_it_is_not_told_apart_from(close: fronts.Report) -> None:
    assert picking.pick_from(close, prefer="latency_ms").reason == (
        "the lowest latency on the front: miou 0.400, latency_ms 2"
    )
    assert picking.pick_from(close, prefer="miou").reason == "the highest mIoU on the front: miou 0.700, latency_ms 8"
    assert picking.pick_from(replace(close, rows=close.rows[1:]), prefer="latency_ms").reason == (
        "the lowest latency on the front (not told apart from trial 2): miou 0.600, latency_ms 4"
    )


def test_of_two_that_are_best_alike_the_one_that_nobody_beats_is_picked(tmp_path: Path) -> None:
    trials = [trial(0, numbers(0.5, 4.0)), trial(1, numbers(0.6, 4.0))]
    found = drawn(study_row(tmp_path), trials, on=[timing(0, 4.0, (3.9, 4.1)), timing(1, 4.0, (3.9, 4.1))])
    assert [(row.trial, row.tied) for row in found.front] == [(0, (1,)), (1, ())]
    assert picking.pick_from(found, prefer="latency_ms").trial == 1
    assert picking.pick_from(found, prefer="knee").trial == 1


def test_a_pick_by_hand_of_a_tied_model_says_whose_intervals_it_is_in(close: fronts.Report) -> None:
    assert picking.pick_trial(close, 2).reason == (
        "chosen by hand, on the front, within the confidence intervals of trial 1: miou 0.550, latency_ms 4.1"
    )
    assert picking.pick_trial(close, 1).reason == "chosen by hand, on the front: miou 0.600, latency_ms 4"
    assert "though trial 1 is at least as good in everything" in picking.pick_trial(close, 3).reason


def test_the_smallest_file_may_be_a_tied_model_and_its_pick_says_so(tmp_path: Path) -> None:
    trials = [*CLOSE[:2], replace(CLOSE[2], values={**CLOSE[2].values, "size_bytes": 5.0})]
    pick = picking.pick_from(drawn(study_row(tmp_path), trials, on=SPANS), prefer="size_bytes")
    assert pick.trial == 2
    assert pick.reason == (
        "the lowest file size on the front: miou 0.550, latency_ms 4.1, within the confidence intervals of trial 1"
    )


# ---- picks where something was not measured


def test_a_limit_on_what_was_not_measured_is_not_met(tmp_path: Path) -> None:
    measured = replace(timing(1, 4.0), values={"latency_ms": 4.0, "energy_mj": 1.0})
    limit = read_limit("energy_mj<=2")
    found = drawn(study_row(tmp_path), CLOSE[:2], [limit], on=[timing(0, 2.0), measured])
    assert [(row.trial, row.broken) for row in found.rows] == [(0, (limit,)), (1, ())]
    assert [row.trial for row in found.front] == [1]
    assert tables.as_objects(found)[0]["breaks"] == ["energy_mj<=2"]
    assert "though it breaks energy_mj<=2 (not measured)" in picking.pick_trial(found, 0).reason


def test_a_limit_on_what_was_nowhere_measured_is_said(tmp_path: Path) -> None:
    found = drawn(study_row(tmp_path), CLOSE, [read_limit("energy_mj<=2"), read_limit("miou>=0.5")], on=SPANS)
    with pytest.raises(StudyError) as caught:
        picking.pick_from(found, prefer="knee")
    assert str(caught.value) == (
        "A limit must be on what was measured, and energy_mj was not on machine m: no trained trial is seen to meet "
        "energy_mj<=2, miou>=0.5. Leave that limit out, or choose another with --machine."
    )


def test_a_trial_that_was_timed_elsewhere_alone_is_not_picked(tmp_path: Path) -> None:
    some = drawn(study_row(tmp_path), TRIALS, on=[timing(1, 4.0)])
    with pytest.raises(StudyError, match=r"that was timed on machine m; trial 0 is not one\. On the front: 1\."):
        picking.pick_trial(some, 0)
    none = fronts.make_report(study_row(tmp_path), TRIALS, timings(TRIALS), machine=HERE.key)
    with pytest.raises(StudyError, match=r"timed on machine aaaaaaaa .*none of 5 was; `segsearch remeasure`"):
        picking.pick_from(none, prefer="knee")


# ---- picks by a mIoU that has an interval


def test_the_highest_miou_says_whom_it_is_not_told_apart_from_on_the_same_images(tmp_path: Path) -> None:
    without = drawn(study_row(tmp_path), ALIKE[:4])
    assert picking.pick_from(without, prefer="miou").reason == (
        "the highest mIoU on the front (not told apart from trial 2): miou 0.600, latency_ms 4"
    )
    assert picking.pick_from(alike_in(tmp_path), prefer="miou").trial == 4  # exact: it has no resamples


def test_many_that_are_not_told_apart_are_counted(tmp_path: Path) -> None:
    offsets = (0.2, -0.2, 0.1, -0.1)
    many = [
        sampled(number, 0.5 + number / 1000, 2.0 + number, *(offsets[number % 4 :] + offsets[: number % 4]))
        for number in range(9)
    ]
    reason = picking.pick_from(drawn(study_row(tmp_path), many), prefer="miou").reason
    assert "(not told apart from trial 1, 2, 3, 5 and 2 more)" in reason
