"""What a search reached and what its trials came to: golden rows by hand, and the properties that they must have."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.evidence.objectives import read_limit
from segsearch.figures.reached import OutcomeCount, Pace, Reached, finished_over_time, outcomes, pace, reached, volume
from segsearch.judging.status import seconds_worked
from segsearch.store import Failure
from tests.figures.trials import GOALS, point, report, trial

quick = settings(max_examples=100, deadline=None, derandomize=True)

# ---- hypervolume


def test_hypervolume_of_a_sequence_by_hand() -> None:
    # Best 0.6 and 2 ms; worst 0.2 and 10 ms: a unit of mIoU is 0.4, of latency 8 ms.
    trials = [
        trial(0, point(0.2, 10.0)),  # the reference itself: nothing
        trial(1, point(0.4, 6.0)),  # half of each: 1/4
        trial(2, point(0.3, 8.0)),  # dominated
        trial(3, point(0.6, 10.0)),  # at the reference's latency: nothing more
        trial(4, point(0.3, 2.0)),  # a quarter of the height over all of the width: 1/4 + 1/4 - 1/8
        trial(5, point(0.2, 9.0)),  # the last
    ]
    assert reached(report(trials), trials) == (
        Reached(0, 1, 60.0, 0.0),
        Reached(1, 2, 120.0, pytest.approx(0.25)),
        Reached(3, 4, 240.0, pytest.approx(0.25)),
        Reached(4, 5, 300.0, pytest.approx(0.375)),
        Reached(5, 6, 360.0, pytest.approx(0.375)),
    )


def test_a_limit_is_the_reference_and_who_breaks_it_does_not_count() -> None:
    trials = [
        trial(0, point(0.2, 9.0)),
        trial(1, point(0.6, 4.0)),
        trial(2, point(0.9, 12.0)),
        trial(3, point(0.4, 2.0)),
    ]
    found = reached(report(trials, read_limit("latency_ms<=10")), trials)
    # Best 0.6 and 2 ms, reference 0.2 and 10 ms: trial 0 has no height; 1 covers 6/8; 3 adds a quarter of half.
    assert [(one.trial, one.share) for one in found] == [
        (0, 0.0),
        (1, pytest.approx(0.75)),
        (3, pytest.approx(0.75 + 0.25 * 0.5)),
    ]


def test_one_objective_alone() -> None:
    trials = [trial(0, point(0.2, 1)), trial(1, point(0.3, 1)), trial(2, point(0.6, 1))]
    found = reached(report(trials, goals=GOALS[:1]), trials)
    assert [one.share for one in found] == [0.0, pytest.approx(0.25), 1.0]


points = st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 50)), min_size=1, max_size=30)


@quick
@given(points)
def test_hypervolume_never_shrinks_and_is_a_share(found: list[tuple[float, float]]) -> None:
    trials = [trial(number, point(*one)) for number, one in enumerate(found)]
    shares = [one.share for one in reached(report(trials), trials)]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 + 1e-9 for share in shares)


@quick
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_volume_is_the_area_under_the_stairs(members: list[tuple[float, float]]) -> None:
    area, height = 0.0, 1.0
    for across, up in sorted(members):
        if up < height:
            area, height = area + (height - up) * (1 - across), up
    assert volume(members) == pytest.approx(area, abs=1e-9)


# ---- outcomes and pace


def test_reasons_are_counted_by_limit_and_kind() -> None:
    trials = [
        trial(0, point(0.5, 1)),
        trial(1, state="rejected", failure=Failure("limit", "latency_ms<=9 broken by 30; params<=5 broken by 6")),
        trial(2, state="rejected", failure=Failure("limit", "latency_ms<=9 broken by 12")),
        trial(3, state="failed", failure=Failure("diverged", "the loss became NaN")),
        trial(4, state="duplicate", twin=0),
        trial(5, state="running", finished=None),
    ]
    assert outcomes(trials) == (
        OutcomeCount("trained", "", 1, 0, ""),
        OutcomeCount("rejected", "latency_ms<=9", 2, 2, "latency_ms<=9 broken by 12"),
        OutcomeCount("rejected", "params<=5", 1, 1, "latency_ms<=9 broken by 30; params<=5 broken by 6"),
        OutcomeCount("failed", "diverged", 1, 3, "the loss became NaN"),
        OutcomeCount("duplicate", "repeats a candidate", 1, 4, "the same candidate as trial 0"),
    )


def test_what_was_looked_at_is_no_training_and_not_finished() -> None:
    looked = trial(1, {"latency_ms": 3.0}, state="screened")
    trials = [trial(0, point(0.2, 10.0)), looked]
    assert outcomes(trials)[-1] == OutcomeCount("screened", "", 1, 1, "")
    found = pace(trials, asked=3)
    assert (found.trained, found.finished, found.looked_at) == (1, 1, 1)
    assert found.seconds_each == found.seconds, "looks are in the price of a training"
    assert len(reached(report(trials), trials)) == 1
    assert finished_over_time(trials)["screened"][-1][1] == 1


def test_the_pace_leaves_pauses_out() -> None:
    trials = [trial(0), trial(1), trial(2, state="rejected"), trial(9), trial(10, state="running", finished=None)]
    assert pace(trials, asked=6) == Pace(trained=3, asked=6, finished=4, seconds=240.0, seconds_left=240.0)
    assert pace(trials, asked=6).seconds_each == 80.0
    assert pace([], asked=6) == Pace(0, 6, 0, 0.0, None)


@quick
@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 100)), min_size=1, max_size=30))
def test_the_clock_ends_where_the_status_ends(spans: list[tuple[float, float]]) -> None:
    trials = [trial(n, started=start, finished=start + length) for n, (start, length) in enumerate(spans)]
    line = finished_over_time(trials)["trained"]
    assert line[-1] == (pytest.approx(seconds_worked(trials)), len(trials))
    assert list(line) == sorted(line)


def test_lines_are_thinned_and_end_at_the_end() -> None:
    line = finished_over_time([trial(number) for number in range(1000)], points=50)["trained"]
    assert len(line) <= 51
    assert line[-1] == (60_000.0, 1000)
