"""The search in pictures: golden rows by hand, and the properties that they must have."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsearch.evidence.objectives import OBJECTIVES, Limit, read_limit
from segsearch.figures import (
    coordinates_figure,
    hypervolume_figure,
    importance_figure,
    outcomes_figure,
    throughput_figure,
)
from segsearch.figures.coordinates import lines_of
from segsearch.figures.importance import GROUPS, importances
from segsearch.figures.reached import (
    OutcomeCount,
    Pace,
    Reached,
    finished_over_time,
    outcomes,
    pace,
    reached,
    volume,
)
from segsearch.judging.fronts import Report, Row
from segsearch.judging.status import seconds_worked
from segsearch.store import Failure, TrialRow
from tests import fakes

GOALS = (OBJECTIVES["miou"], OBJECTIVES["latency_ms"])


def trial(number: int, values: Mapping[str, float] | None = None, **changes: Any) -> TrialRow:
    one = fakes.candidate(8, 1 + number % 12)
    made = TrialRow(
        number=number,
        state="trained",
        candidate=one,
        key=one.key,
        params={},
        values=values or {},
        artifact=None,
        machine="m",
        failure=None,
        twin=None,
        seed=0,
        attempts=1,
        worker=None,
        started=100.0 * number,
        finished=100.0 * number + 60,
    )
    return replace(made, **changes)


def report(trials: list[TrialRow], *limits: Limit, goals: Any = GOALS) -> Report:
    rows = [
        Row(
            trial=one.number,
            candidate=one.candidate,
            values=one.values,
            intervals={},
            artifact=Path(),
            sha256="",
            machine="m",
            on_front=False,
            broken=tuple(limit for limit in limits if limit.excess(one.values[limit.objective]) > 0),
        )
        for one in trials
        if one.state == "trained"
    ]
    return Report("fake", goals, limits, tuple(rows), (), "m")


def point(miou: float, latency_ms: float) -> dict[str, float]:
    return {"miou": miou, "latency_ms": latency_ms}


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


@given(points)
def test_hypervolume_never_shrinks_and_is_a_share(found: list[tuple[float, float]]) -> None:
    trials = [trial(number, point(*one)) for number, one in enumerate(found)]
    shares = [one.share for one in reached(report(trials), trials)]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 + 1e-9 for share in shares)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_volume_is_the_area_under_the_stairs(members: list[tuple[float, float]]) -> None:
    area, height = 0.0, 1.0
    for across, up in sorted(members):
        if up < height:
            area, height = area + (height - up) * (1 - across), up
    assert volume(members) == pytest.approx(area, abs=1e-9)


# ---- importance


def drawn(count: int, seed: int = 0) -> list[TrialRow]:
    """`decides` settles the mIoU, `idle` does nothing, `inner` settles the rest in one branch alone."""
    source = random.Random(seed)
    found = []
    for number in range(count):
        decides, idle, branch = source.choice("abc"), source.randint(1, 40), source.choice(["on", "off"])
        params: dict[str, Any] = {"decides": decides, "idle": idle, "branch": branch, "same": 1}
        value = {"a": 0.1, "b": 0.4, "c": 0.7}[decides] + source.uniform(0, 0.05)
        if branch == "on":
            params["inner"] = source.choice([1, 2])
            value += 0.1 * params["inner"]
        found.append(trial(number, {"miou": value}, params=params))
    return found


def test_who_decides_and_who_does_nothing() -> None:
    found = {one.parameter: one for one in importances(drawn(300), "miou")}
    assert next(iter(found)) == "decides"
    assert found["decides"].share > 0.8
    assert found["decides"].clear
    assert found["idle"].share < 0.05
    assert found["idle"].groups == GROUPS
    assert not found["idle"].clear
    assert "same" not in found  # one value tells nothing
    assert found["inner"].trials == sum("inner" in one.params for one in drawn(300))


def test_a_parameter_that_alone_decides_is_all() -> None:
    trials = [trial(number, {"miou": number % 2 / 2}, params={"side": number % 2}) for number in range(40)]
    assert importances(trials, "miou")[0].share == pytest.approx(1.0)


def test_importance_by_hand() -> None:
    # Ranks 0 1 2 3 | 4 5 6 7: means 1.5 and 5.5, between 2 * 4 * 4 = 32 of 42; less chance: 1 - 10/42 * 7/6.
    trials = [trial(number, {"miou": number / 10}, params={"half": "ab"[number // 4]}) for number in range(8)]
    assert importances(trials, "miou")[0].share == pytest.approx(1 - 10 / 42 * 7 / 6)


def test_chance_is_called_chance() -> None:
    idle = [one for seed in range(60) for one in importances(drawn(80, seed), "miou") if one.parameter == "idle"]
    assert sum(one.clear for one in idle) <= 8  # about 1 of 20


def test_rejected_trials_tell_of_latency_and_machines_are_kept_apart() -> None:
    trials = [
        trial(number, {"latency_ms": 1.0 + number}, params={"w": number // 6}, state="rejected") for number in range(12)
    ]
    assert importances(trials, "latency_ms")[0].trials == 12
    assert importances(trials, "latency_ms", machine="another") == ()
    assert importances(trials[:3], "latency_ms") == ()


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


def test_the_pace_leaves_pauses_out() -> None:
    trials = [trial(0), trial(1), trial(2, state="rejected"), trial(9), trial(10, state="running", finished=None)]
    assert pace(trials, asked=6) == Pace(trained=3, asked=6, finished=4, seconds=240.0, seconds_left=240.0)
    assert pace(trials, asked=6).seconds_each == 80.0
    assert pace([], asked=6) == Pace(0, 6, 0, 0.0, None)


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


# ---- coordinates


def test_scales_say_where_a_parameter_is_missing() -> None:
    kinds: list[dict[str, Any]] = [{"block": "conv", "rate": "0.5"}, {"block": "aspp", "rate": "1"}, {"block": "conv"}]
    trials = [trial(number, point(0.5, 1.0 + number), params=params) for number, params in enumerate(kinds)]
    lines = lines_of(report(trials), {one.number: one.params for one in trials}, parameters=["block", "rate"])
    assert lines.trials == (0, 1, 2)
    assert [scale.title for scale in lines.scales] == ["mIoU", "latency [ms]", "block", "rate"]
    assert lines.scales[2].words == ("aspp", "conv")
    assert lines.scales[2].values == (1.0, 0.0, 1.0)
    assert lines.scales[3].words == ("–", "0.5", "1")
    assert lines.scales[3].values == (1.0, 2.0, 0.0)


def test_numbers_stay_numbers_and_the_missing_stand_below() -> None:
    params: list[dict[str, Any]] = [{"x": float(number)} for number in range(101)] + [{}]
    trials = [trial(number, point(0.5, 1.0), params=one) for number, one in enumerate(params)]
    scale = lines_of(report(trials), {one.number: one.params for one in trials}, parameters=["x"]).scales[2]
    assert scale.values[-1] == pytest.approx(-12.0)
    assert scale.words == ("–", "0", "25", "50", "75", "100")


# ---- figures


def crowd(count: int) -> list[TrialRow]:
    return [
        replace(one, values=one.values | {"latency_ms": 1.0 + one.number % 97}, state="trained")
        for one in drawn(count, seed=1)
    ]


@pytest.mark.parametrize("dark", [False, True])
def test_figures_stay_light_at_ten_thousand_trials(dark: bool) -> None:
    trials = crowd(10_000)
    found = report(trials)
    assert len(hypervolume_figure(found, trials, over="time", dark=dark).to_json()) < 60_000
    assert len(importance_figure(trials, ["miou", "latency_ms"], dark=dark).to_json()) < 20_000
    assert len(coordinates_figure(found, trials, dark=dark).to_json()) < 150_000
    assert len(outcomes_figure(trials, dark=dark).to_json()) < 10_000
    assert len(throughput_figure(trials, dark=dark).to_json()) < 30_000


def test_an_empty_search_is_said_to_be_empty() -> None:
    charts = (
        hypervolume_figure(report([]), []),
        importance_figure([], ["miou"]),
        coordinates_figure(report([]), []),
        outcomes_figure([]),
        throughput_figure([]),
    )
    assert all(len(chart.layout.annotations) == 1 for chart in charts)
