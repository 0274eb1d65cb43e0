"""Judgements of a search on made rows: sick, well, and too few to say."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from segsearch.judging.health import health_lines, judgements
from segsearch.judging.judgement import Judgement, dots
from segsearch.judging.of_models import judge_prediction, judge_teacher
from segsearch.judging.of_rows import judge_int8, judge_limits, judge_machine
from segsearch.judging.of_search import judge_bounds, judge_gains
from segsearch.space.steps import Distill, Quantize
from segsearch.store import TimingRow, TrialRow
from tests import fakes
from tests.figures.trials import trial

STUDY = fakes.make_study(trials=100, limits=["latency_ms<=12"], teacher={"epochs": 2, "choices": {"depth": 1}})


def verdict(found: Judgement | None) -> str | None:
    return None if found is None else found.verdict


# ---- limits


def measured(count: int, met: int) -> list[TrialRow]:
    latencies = [3.0 + index / 100 for index in range(met)] + [20.0 + index for index in range(count - met)]
    return [
        trial(number, {"latency_ms": one}, state="trained" if one <= 12 else "rejected")
        for number, one in enumerate(latencies)
    ]


@pytest.mark.parametrize(
    ("count", "met", "wanted"),
    [(19, 0, None), (20, 0, "sick"), (40, 1, None), (120, 2, "sick"), (20, 1, "well"), (40, 30, "well")],
)
def test_a_limit_that_leaves_nothing(count: int, met: int, wanted: str | None) -> None:
    found = judge_limits(measured(count, met), STUDY)
    assert verdict(found) == wanted
    if found is not None and met == 0:
        assert found.words == "latency_ms<=12 leaves none of 20 candidates that were measured; the nearest has 20"
        assert found.picture is not None
        assert found.picture.mark == 0.0


def test_the_limit_that_leaves_least_is_told_and_a_study_without_limits_has_no_judgement() -> None:
    two = fakes.make_study(limits=["latency_ms<=1", "size_bytes<=10"])
    rows = [replace(row, values={**row.values, "size_bytes": 5.0}) for row in measured(30, 30)]
    found = judge_limits(rows, two)
    assert found is not None
    assert found.words.startswith("latency_ms<=1 leaves none of 30")
    assert judge_limits(rows, fakes.make_study()) is None


# ---- bounds


def at_bounds(members: int, others: int, *, high: bool) -> list[TrialRow]:
    """A front whose width is at the highest, or anywhere; the other models' widths are anywhere."""
    dice, rows = random.Random(3), list[TrialRow]()
    for index in range(members):
        width = 64 if high and index else dice.choice([8, 16, 24, 32, 40, 48, 56])
        params = {"width": width, "depth": dice.randint(1, 6), "word": "a"}
        rows.append(trial(index, {"miou": 0.4 + index / 100, "latency_ms": 1.0 + index}, params=params))
    for index in range(members, members + others):
        params = {"width": 8 * dice.randint(1, 8), "depth": dice.randint(1, 6), "word": "b"}
        rows.append(trial(index, {"miou": 0.2, "latency_ms": 11.0}, params=params))
    return rows


RANGES = {"width": (8.0, 64.0), "depth": (1.0, 6.0)}


@pytest.mark.parametrize(
    ("members", "others", "high", "wanted"),
    [(10, 30, True, "sick"), (10, 30, False, "well"), (4, 30, True, None), (10, 8, True, None)],
)
def test_a_parameter_whose_best_values_lie_at_its_bound(members: int, others: int, high: bool, wanted: str) -> None:
    found = judge_bounds(at_bounds(members, others, high=high), STUDY, RANGES)
    assert verdict(found) == wanted
    if wanted == "sick" and found is not None:
        assert found.words.startswith(f"width is at its upper bound, 64, in {members - 1} of {members} models")


def test_an_end_that_cannot_be_widened_and_a_parameter_without_a_range_are_no_bounds() -> None:
    rows = at_bounds(10, 30, high=True)
    low = [replace(row, params={"width": 1 - int(row.params["width"]) / 64}) for row in rows]
    assert verdict(judge_bounds(low, STUDY, {"width": (0.0, 0.875)})) == "well"
    assert judge_bounds(rows, STUDY, {}) is None


def test_chance_raises_no_alarm_at_bounds() -> None:
    alarms = 0
    for seed in range(40):
        dice = random.Random(seed)
        rows = [
            trial(
                number,
                {"miou": dice.random(), "latency_ms": 10 * dice.random() + 0.1},
                params={f"p{index}": dice.randint(2, 5) for index in range(12)},
            )
            for number in range(60)
        ]
        alarms += verdict(judge_bounds(rows, STUDY, {f"p{index}": (2.0, 5.0) for index in range(12)})) == "sick"
    assert alarms == 0


# ---- prediction


def trainings(count: int, *, noise: float, depends: float, seed: int = 0, **changes: Any) -> list[TrialRow]:
    """Models of the fake space with an error that depends on their latency so much, and chance."""
    dice, rows = random.Random(seed), list[TrialRow]()
    for number in range(count):
        one = fakes.candidate(8 * dice.randint(1, 24), dice.randint(1, 6), block=dice.choice(["conv", "separable"]))
        latency = fakes.latency_of(one)
        miou = 0.4 + depends * math.log(latency + 0.5) / 10 + dice.gauss(0, noise)
        values = {"miou": miou, "latency_ms": latency, "macs": 1e6 * latency, "params": 1e3, "size_bytes": 1e4}
        rows.append(trial(number, values, candidate=one, key=one.key, params={"depth": number % 5}, **changes))
    return rows


@pytest.mark.parametrize(
    ("count", "noise", "depends", "wanted"),
    [(19, 0.05, 0.0, None), (60, 0.05, 0.0, "sick"), (60, 0.005, 1.0, "well"), (20, 0.005, 1.0, "well")],
)
def test_an_error_that_is_not_to_be_foretold(count: int, noise: float, depends: float, wanted: str | None) -> None:
    assert verdict(judge_prediction(trainings(count, noise=noise, depends=depends), STUDY)) == wanted


def test_siblings_and_equal_errors_are_nothing_to_foretell_from() -> None:
    rows = trainings(60, noise=0.05, depends=0.0)
    assert judge_prediction([replace(row, origin=0) for row in rows], STUDY) is None
    assert judge_prediction([replace(row, values={**row.values, "miou": 0.5}) for row in rows], STUDY) is None


# ---- gains


def growing(gains: Sequence[float]) -> list[TrialRow]:
    rows, miou = [trial(0, {"miou": 0.1, "latency_ms": 9.0})], 0.3
    for number, gain in enumerate(gains, start=1):
        miou += gain
        rows.append(trial(number, {"miou": miou, "latency_ms": 3.0}))
    return rows


def test_a_search_that_has_stopped_gaining() -> None:
    assert judge_gains(growing([0.0] * 15), STUDY) is None
    still = judge_gains(growing([0.02] * 5 + [0.0] * 30), STUDY)
    assert verdict(still) == "sick"
    assert still is not None
    assert "at most 0.0% to the hypervolume, another hour 0.0%" in still.words
    grows = judge_gains(growing([0.01] * 30), STUDY)
    assert verdict(grows) == "well"
    assert grows is not None
    assert grows.words.startswith("the front grows: the next 10 trainings are expected to add at most ")
    ended = fakes.make_study(trials=36)
    assert verdict(judge_gains(growing([0.02] * 5 + [0.0] * 30), ended)) == "well", "it has ended as it should"
    early = judge_gains(growing([0.01] * 35), ended)
    assert early is not None
    assert early.todo == "`segsearch resume` with more --trials goes on."


# ---- the machine


def timed(count: int, width: float) -> list[TimingRow]:
    ends = (4.0 * (1 - width / 2), 4.0 * (1 + width / 2))
    return [TimingRow(number, "m", {"latency_ms": 4.0}, {"latency_ms": ends}, float(number)) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "width", "wanted"), [(9, 0.2, None), (10, 0.2, "sick"), (10, 0.03, "well"), (30, 0.04, "well")]
)
def test_a_noisy_machine(count: int, width: float, wanted: str | None) -> None:
    assert verdict(judge_machine(timed(count, width), STUDY)) == wanted
    assert judge_machine([replace(one, intervals={}) for one in timed(30, 0.2)], STUDY) is None


# ---- a teacher


def taught(count: int, *, helps: float, seed: int = 0) -> list[TrialRow]:
    rows = trainings(count, noise=0.004, depends=0.8, seed=seed)
    pupils = []
    for row in rows[::2]:
        one = replace(row.candidate, distill=Distill(0.5, 2.0))
        values = {**row.values, "miou": row.values["miou"] + helps}
        pupils.append(replace(row, candidate=one, key=one.key, values=values))
    return [*pupils, *rows[1::2]]


@pytest.mark.parametrize(
    ("count", "helps", "wanted"),
    [(14, -0.05, None), (60, -0.03, "sick"), (60, -0.005, "sick"), (60, 0.03, "well"), (16, -0.001, None)],
)
def test_a_teacher_that_does_not_help(count: int, helps: float, wanted: str | None) -> None:
    found = judge_teacher(taught(count, helps=helps), STUDY)
    assert verdict(found) == wanted, found


def test_a_teacher_below_its_students_has_nothing_to_teach() -> None:
    rows = taught(20, helps=0.0)
    found = judge_teacher(rows, STUDY, 0.05)
    assert verdict(found) == "sick"
    assert found is not None
    assert found.words == "the teacher's mIoU is 0.050, and 10 of 10 untaught models have more"
    assert judge_teacher(rows, fakes.make_study(), 0.05) is None, "nobody teaches"


def test_chance_raises_no_alarm_about_a_teacher_that_helps() -> None:
    assert not [
        seed for seed in range(15) if verdict(judge_teacher(taught(40, helps=0.02, seed=seed), STUDY)) == "sick"
    ]


# ---- int8


def twins(count: int, loss: Callable[[int], float], **step: Any) -> list[TrialRow]:
    rows = []
    for number in range(count):
        one = fakes.candidate(8, number + 1)
        rows.append(trial(2 * number, {"miou": 0.5 + number / 100}, candidate=one, key=one.key))
        small = replace(one, after_export=(Quantize(**step),))
        values = {"miou": 0.5 + number / 100 - loss(number)}
        rows.append(trial(2 * number + 1, values, candidate=small, key=small.key, origin=2 * number))
    return rows


@pytest.mark.parametrize(
    ("count", "loss", "wanted"),
    [(4, 0.05, None), (6, 0.05, "sick"), (6, 0.005, "well"), (6, 0.02, None)],
)
def test_int8_that_loses(count: int, loss: float, wanted: str | None) -> None:
    found = judge_int8(twins(count, lambda number: loss + 0.002 * (-1) ** number), STUDY)
    assert verdict(found) == wanted
    if wanted == "sick" and found is not None:
        assert 'bits = "mixed" or "trained"' in found.todo


def test_int8_that_loses_names_what_loses_less_and_its_unlike_pairs_are_none() -> None:
    rows = twins(6, lambda number: 0.05)
    mixed = [replace(row, number=100 + row.number) for row in twins(6, lambda number: 0.01, float_convolutions=3)]
    found = judge_int8([*rows, *mixed[1::2]], STUDY)
    assert found is not None
    assert found.todo == "Of the same models, mixed loses 0.010."
    assert judge_int8(rows[1::2], STUDY) is None, "no floats beside them"
    assert judge_int8(mixed, STUDY) is None, "none that is int8 throughout"


# ---- all of them


def test_nothing_is_said_of_a_study_that_was_not_begun_and_the_sick_come_first() -> None:
    assert judgements(STUDY, ()) == ()
    found = judgements(STUDY, measured(40, 30), timed(20, 0.2))
    assert [(one.name, one.verdict) for one in found] == [("machine", "sick"), ("limits", "well")]
    lines = health_lines(found)
    assert lines[0].startswith("Look     machine: the machine is noisy: ")
    assert lines[1] == "Well     limits"
    assert set(found[0].record) == {"name", "verdict", "words", "todo"}
    assert health_lines(()) == []


def test_a_picture_stays_in_its_box_with_any_points() -> None:
    assert dots([]) is None
    for points in ([(1.0, 1.0)], [(1.0, 2.0)] * 3, [(float(one), -float(one)) for one in range(1000)]):
        found = dots(points, mark=-5.0)
        assert found is not None
        assert len(found.dots) <= 150
        assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in (*found.dots, (found.mark or 0.0, 0.0)))
