"""Fronts: rows under limits, on one machine, and within the confidence intervals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segsearch import figures
from segsearch.errors import StudyError
from segsearch.evidence.images import NoSpread
from segsearch.evidence.objectives import MACHINE_BOUND, OBJECTIVES, Limit, read_limit
from segsearch.judging import fronts
from segsearch.store import ConfirmationRow
from tests import fakes
from tests.judging.reports import (
    ALIKE,
    CLOSE,
    HERE,
    LIMITS,
    SPANS,
    THERE,
    TRIALS,
    alike_in,
    drawn,
    numbers,
    study_row,
    timing,
    timings,
    trial,
)


def test_the_front_is_of_those_that_meet_every_limit(found: fronts.Report, tmp_path: Path) -> None:
    assert [row.trial for row in found.front] == [0, 1, 3]
    assert [row.trial for row in found.rows] == [0, 1, 2, 3, 4]
    assert [row.trial for row in found.rows if row.broken] == [4]
    tighter = drawn(study_row(tmp_path, limits=list(LIMITS)), TRIALS, [read_limit("latency_ms<=5")])
    assert [row.trial for row in tighter.front] == [0, 1]


def test_a_limit_can_bring_a_beaten_trial_to_the_front(tmp_path: Path) -> None:
    trials = [trial(0, numbers(0.6, 4.0) | {"size_bytes": 9000.0}), trial(1, numbers(0.5, 5.0))]
    assert [row.trial for row in drawn(study_row(tmp_path), trials).front] == [0]
    small = drawn(study_row(tmp_path), trials, [Limit("size_bytes", "<=", 5000.0)])
    assert [row.trial for row in small.front] == [1]


# ---- machines


def test_one_machine_needs_no_choice() -> None:
    assert fronts.one_machine(TRIALS, timings(TRIALS), []) == "m"
    assert fronts.one_machine(TRIALS, timings(TRIALS), [fakes.MACHINE, HERE]) == "m"


def test_before_anything_is_timed_there_is_no_machine() -> None:
    assert fronts.one_machine((), (), []) == ""
    assert fronts.one_machine(TRIALS[6:], (), [HERE]) == ""


def test_a_study_of_rejected_trials_alone_is_of_their_machine() -> None:
    assert fronts.one_machine(TRIALS[5:], timings(TRIALS[5:]), []) == "m"
    elsewhere = [timing(7, 2.0, machine=HERE.key), *timings(TRIALS[5:])]
    assert fronts.one_machine(TRIALS[5:], elsewhere, []) == ""  # nothing to compare, and so nothing to choose


def test_where_only_a_rejected_trial_was_elsewhere_no_choice_is_asked_for() -> None:
    trials = [*TRIALS, trial(7, numbers(0.1, 99.0), state="rejected", machine=HERE.key)]
    assert fronts.one_machine(trials, timings(trials), []) == "m"


def test_several_machines_are_named_and_one_must_be_chosen() -> None:
    both = [timing(0, 2.0, machine=HERE.key), timing(1, 2.0, machine=HERE.key), timing(1, 3.0, machine=THERE.key)]
    with pytest.raises(StudyError, match="do not compare") as caught:
        fronts.one_machine(TRIALS, both, [HERE, THERE])
    assert str(caught.value) == (
        "Latencies of different machines do not compare. Choose one with --machine: "
        "aaaaaaaa (a CPU, 2 cores, onnxruntime 1, 1 thread, 2 models); "
        "aabbaabb (another CPU, 8 cores, onnxruntime 2, 4 threads, 1 model)."
    )
    with pytest.raises(StudyError, match=r"aabbaabb \(unknown, 1 model\)\.$"):
        fronts.one_machine(TRIALS, both, [HERE])
    assert fronts.one_machine(TRIALS, both, [HERE, THERE], "aab") == THERE.key
    assert fronts.one_machine(TRIALS, both, [HERE, THERE], HERE.key) == HERE.key
    for wanted in ("aa", "", "b", HERE.key + "a"):
        with pytest.raises(
            StudyError, match=f"must begin the key of one machine .*, got '{wanted}': aaaaaaaa .*aabbaabb"
        ):
            fronts.one_machine(TRIALS, both, [HERE, THERE], wanted)


def test_a_whole_key_that_begins_another_one_is_that_machine() -> None:
    both = [timing(0, 2.0), timing(1, 2.0, machine="mm")]
    assert fronts.one_machine(TRIALS, both, [], "m") == "m"


def test_a_machine_that_has_only_begun_can_be_named() -> None:
    """A run there may end before its first model is trained."""
    assert fronts.one_machine(TRIALS, timings(TRIALS), [HERE, THERE], HERE.key) == HERE.key
    assert fronts.one_machine((), (), [HERE], "aaaa") == HERE.key
    with pytest.raises(StudyError, match=r"got 'b': none yet\."):
        fronts.one_machine((), (), [HERE], "b")
    with pytest.raises(StudyError, match="got 'aa'"):
        fronts.one_machine((), (), [HERE, THERE], "aa")


def test_a_front_is_of_the_latencies_of_one_machine(tmp_path: Path) -> None:
    row, trials = study_row(tmp_path), [trial(0, numbers(0.6, 4.0)), trial(1, numbers(0.5, 2.0))]
    both = [*timings(trials), timing(0, 1.0, machine="n"), timing(1, 3.0, machine="n")]
    assert [row.trial for row in drawn(row, trials, on=both).front] == [1, 0]
    there = fronts.make_report(row, trials, both, machine="n")
    assert [row.trial for row in there.front] == [0]
    assert [row.machine for row in there.rows] == ["n", "n"]
    assert (there.machine, there.untimed) == ("n", 0)


def test_nothing_that_belongs_to_another_machine_is_shown(tmp_path: Path) -> None:
    again = timing(0, 1.0, machine="n")
    (shown,) = fronts.make_report(study_row(tmp_path), TRIALS[:1], [*timings(TRIALS), again], machine="n").rows
    assert shown.values["latency_ms"] == 1.0
    assert set(shown.values) == set(OBJECTIVES) - set(MACHINE_BOUND) | {"latency_ms"}
    assert shown.values["miou"] == TRIALS[0].values["miou"]


def test_limits_hold_on_the_machine_that_is_shown(tmp_path: Path) -> None:
    row = study_row(tmp_path, limits=["latency_ms<=9"])
    faster = [timing(one.number, one.values["latency_ms"] / 2, machine="n") for one in TRIALS[:5]]
    assert [row.trial for row in fronts.make_report(row, TRIALS, faster, machine="n").rows if row.broken] == []


def test_what_was_never_timed_on_a_machine_is_left_out_and_counted(found: fronts.Report, tmp_path: Path) -> None:
    assert found.untimed == 0
    some = fronts.make_report(
        study_row(tmp_path),
        TRIALS,
        [*timings(TRIALS), timing(3, 1.0, machine="n"), timing(5, 1.0, machine="n")],
        machine="n",
    )
    assert [row.trial for row in some.rows] == [3]
    assert some.untimed == 4
    assert drawn(study_row(tmp_path), TRIALS, on=[]).untimed == 5


def test_a_model_without_an_objective_on_a_machine_is_left_out_and_counted(tmp_path: Path) -> None:
    row = study_row(tmp_path, objectives=["miou", "energy_mj"])
    metered = replace(timing(0, 2.0, machine="n"), values={"latency_ms": 2.0, "energy_mj": 0.5})
    found = fronts.make_report(row, TRIALS, [metered, timing(1, 2.0, machine="n")], machine="n")
    assert [row.trial for row in found.rows] == [row.trial for row in found.front] == [0]
    assert found.untimed == 4
    assert "1 of 1 trained models" in figures.as_page(found)


def test_what_another_machine_rejected_is_left_out(tmp_path: Path) -> None:
    trials = [*TRIALS, trial(7, {"latency_ms": 40.0}, state="rejected", machine="n")]
    assert [values["latency_ms"] for values in drawn(study_row(tmp_path), trials).rejected] == [30.0]
    there = fronts.make_report(study_row(tmp_path), trials, timings(trials), machine="n")
    assert [values["latency_ms"] for values in there.rejected] == [40.0]


# ---- confidence intervals


def test_a_front_keeps_what_is_beaten_within_the_intervals_only(close: fronts.Report) -> None:
    assert [(row.trial, row.tied) for row in close.front] == [(0, ()), (1, ()), (2, (1,)), (4, ())]
    assert [row.trial for row in close.rows if not row.on_front] == [3]
    assert close.rows[3].tied == ()
    assert close.rows[1].intervals == {"latency_ms": (3.9, 4.14)}


def test_without_intervals_there_are_no_ties(tmp_path: Path) -> None:
    plain = drawn(study_row(tmp_path), CLOSE)
    assert [row.trial for row in plain.front] == [0, 1, 4]
    assert not any(row.tied or row.intervals for row in plain.rows)


def test_a_model_over_a_limit_ties_with_nobody(tmp_path: Path) -> None:
    limited = drawn(study_row(tmp_path), CLOSE, [read_limit("miou<=0.59")], on=SPANS)
    assert [(row.trial, row.tied) for row in limited.front] == [(0, ()), (2, ())]


def test_intervals_of_what_is_no_objective_keep_nothing(tmp_path: Path) -> None:
    (row,) = drawn(study_row(tmp_path, objectives=["miou"]), CLOSE, on=SPANS).front
    assert (row.trial, row.tied) == (4, ())


# ---- mIoU in pairs


def test_a_model_that_is_beaten_within_the_paired_interval_stays(tmp_path: Path) -> None:
    """By its own interval of half a point to twenty, 3 would stay as well."""
    found = alike_in(tmp_path)
    assert [(row.trial, row.tied) for row in found.front] == [(0, ()), (1, ()), (2, (1,)), (4, ())]
    low, high = found.rows[3].intervals["miou"]
    assert low < 0.4 < 0.6 < high
    assert "miou" not in found.rows[4].intervals
    assert found.rows[4].spread == NoSpread("class 'bus' lies in one validation image only")


def test_a_difference_is_told_in_pairs(tmp_path: Path) -> None:
    zero, one, two, three, four = alike_in(tmp_path).rows
    found = fronts.miou_gap(one, two)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.01, -0.0096, 0.0296), abs=1e-5)
    assert fronts.miou_gap(one, four) is None
    # With a model without resamples the plain values are compared, as the front does it.
    assert [fronts.told_apart(one, other, "miou") for other in (zero, two, three, four)] == [True, False, True, True]
    assert not fronts.told_apart(four, four, "miou")


def test_limits_that_take_away_leave_the_front_of_what_is_left(tmp_path: Path) -> None:
    """`narrowed` is `make_report` under the limits, whichever way they cut."""
    for words in ("miou>=0.55", "latency_ms<=5", "miou<=0.59", "size_bytes<=2000", "latency_ms>=4.5"):
        limit = read_limit(words)
        again = fronts.make_report(study_row(tmp_path), ALIKE, timings(ALIKE), [limit], machine="m")
        assert fronts.narrowed(alike_in(tmp_path), [limit]) == again


def test_a_front_without_miou_asks_for_no_resamples(tmp_path: Path) -> None:
    found = alike_in(tmp_path, objectives=["latency_ms"])
    assert [row.trial for row in found.front] == [0]


# ---- other seeds


def test_what_other_seeds_scored_is_told_and_changes_no_front(tmp_path: Path) -> None:
    again = [ConfirmationRow(1, seed, miou, None, "", 0.0) for seed, miou in ((1, 0.30), (2, 0.33))]
    found = alike_in(tmp_path, confirmations=again)
    assert [row.trial for row in found.front] == [row.trial for row in alike_in(tmp_path).front]
    confirmed = found.rows[1].confirmed
    assert confirmed is not None
    assert (confirmed.seeds, confirmed.low, confirmed.high) == (3, 0.30, 0.60)
    assert confirmed.mean == pytest.approx(0.41)
    assert confirmed.sd == pytest.approx(0.165227, abs=1e-6)  # the sample's: two degrees of freedom
    assert {row.confirmed for row in found.rows if row.trial != 1} == {None}
