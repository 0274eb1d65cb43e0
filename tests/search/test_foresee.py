"""What a proposal costs is foreseen from those that were looked at, and the most promising one is looked at."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from segsearch.search.earlier import Earlier, Known, Source
from segsearch.search.expect import expected, known_of
from segsearch.search.foresee import Proposal, foreseen, most_promising
from segsearch.search.screen import proposals
from segsearch.search.surrogate import Unfit
from segsearch.space.candidate import Named
from segsearch.study import Study
from tests import fakes
from tests.search.test_screen import STUDY, costs, drawn, history, miou_of

POINT: Mapping[str, Any] = {"depth": 4, "block": "separable", "expansion": 2.0, "precision": "float"}


def proposed(count: int, study: Study = STUDY, *, seed: int = 5) -> list[Proposal]:
    return list(islice(proposals(fakes.draw, history(30, 10), study, seed=seed), count))


def test_costs_are_foreseen_within_a_fifth_from_forty_looks() -> None:
    rows, new = history(30, 60), [drawn(50_000 + seed) for seed in range(40)]
    found = foreseen(new, rows, STUDY)
    assert [one.number for one in found] == list(range(40))
    off = [abs(math.log(one.values["latency_ms"] / costs(one.candidate)["latency_ms"])) for one in found]
    spread = statistics.pstdev(math.log(costs(candidate)["latency_ms"]) for _, candidate in new)
    assert statistics.median(off) < 0.2 * spread
    assert all(one.values.keys() == {"latency_ms"} for one in found), "of nothing that no objective asks for"


def test_limits_on_other_costs_are_foreseen_too() -> None:
    study = STUDY.model_copy(update={"limits": (*STUDY.limits, "params<=1000000")})
    found = foreseen(proposed(3), history(30, 10), study)
    assert all(one.values.keys() == {"latency_ms", "params"} for one in found)


def test_a_cost_that_is_the_same_for_all_is_that_and_an_unknown_one_is_left_to_the_gate() -> None:
    """A network that is only rounded has one number of parameters; no machine may have counted the memory."""
    study = STUDY.model_copy(update={"limits": (*STUDY.limits, "params<=1000000", "peak_memory_bytes<=1e9")})
    rows = [replace(row, values={**row.values, "params": 500.0}) for row in history(30, 10)]
    found, plain = (foreseen(proposed(6), rows, one) for one in (study, STUDY))
    assert {one.values["params"] for one in found} == {500.0}
    assert all(one.values.keys() == {"latency_ms", "params"} for one in found)
    assert [one.values["latency_ms"] for one in found] == [one.values["latency_ms"] for one in plain]
    assert most_promising(proposed(6), rows, study) == most_promising(proposed(6), rows, STUDY)


def test_a_study_of_costs_alone_looks_at_whatever_is_proposed() -> None:
    study = STUDY.model_copy(update={"objectives": ("latency_ms", "params")})
    assert most_promising(proposed(6), history(30, 10), study) == proposed(6)[0]


def test_foreseen_costs_do_not_say_how_machines_differ() -> None:
    """An earlier study is aligned by models that both have timed, and no guess is one of them."""
    new, rows = proposed(6), history(30, 10)

    def gains(alike: bool) -> tuple[float, ...]:
        before = [
            Known(0, one, one.key if alike else str(place), params, {**costs(one), "latency_ms": 5.0, "miou": 0.4})
            for place, (params, one) in enumerate(new)
        ]
        earlier = Earlier((Source("before", 6, 6),), (), tuple(before))
        return expected(foreseen(new, rows, STUDY), known_of(rows, STUDY), STUDY, earlier=earlier).gains

    assert gains(alike=True) == gains(alike=False)


def test_the_one_that_is_better_at_the_same_cost_is_looked_at() -> None:
    """A separable block has .2 more than a convolution of the same latency."""
    rows = history(40, 0)
    pairs = [
        [{**POINT, "channels": channels, "block": "conv", "kernel": 3}, {**POINT, "channels": channels}]
        for channels in (64, 96, 128, 160)
    ]
    for pair in pairs:
        both = [(dict(params), fakes.draw(Named(params))) for params in pair]
        assert most_promising(both, rows, STUDY) == both[1]
        assert most_promising(both[::-1], rows, STUDY) == both[1], "in whatever order they are proposed"


def test_what_is_thought_to_break_a_limit_is_looked_at_only_where_all_are() -> None:
    rows = history(40, 0)
    over, within = ({**POINT, "channels": channels, "depth": 12} for channels in (256, 32))
    both = [(dict(params), fakes.draw(Named(params))) for params in (over, within)]
    assert costs(both[0][1])["latency_ms"] > 12 > costs(both[1][1])["latency_ms"]
    assert most_promising(both, rows, STUDY) == both[1]
    assert most_promising([both[0], both[0]], rows, STUDY) == both[0]


@pytest.mark.parametrize("trained", [0, 3])
def test_the_first_is_looked_at_where_nobody_can_say(trained: int) -> None:
    rows, new = history(trained, 1) if trained else [], proposed(4)
    assert most_promising(new, rows, STUDY) == new[0]
    if not trained:
        with pytest.raises(Unfit, match="0 trained so far, 4 are needed"):
            foreseen(new, rows, STUDY)


def test_rows_in_whatever_order_say_the_same() -> None:
    rows, new = history(30, 10), proposed(8)
    first = most_promising(new, rows, STUDY)
    assert most_promising(new, rows[::-1], STUDY) == first
    assert most_promising([first], [], STUDY) == first


def test_failed_rows_and_those_of_unknown_costs_teach_no_costs() -> None:
    rows, new = history(30, 10), proposed(4)
    odd = [replace(rows[0], number=900, state="failed", values={}), replace(rows[1], number=901, values={"macs": 1.0})]
    assert [one.values for one in foreseen(new, [*rows, *odd], STUDY)] == [
        one.values for one in foreseen(new, rows, STUDY)
    ]


def test_proposals_differ_and_the_first_is_the_one_that_was_proposed_alone() -> None:
    found = proposed(16)
    assert len({candidate.key for _, candidate in found}) == 16
    assert proposed(1) == found[:1]
    known = {row.key for row in history(30, 10)}
    assert not known & {candidate.key for _, candidate in found}


def test_a_model_that_was_trained_is_better_than_those_whose_cost_it_has() -> None:
    """The ground of these tests: the fake error is one that a surrogate can learn."""
    params, candidate = {**POINT, "channels": 96}, fakes.draw(Named({**POINT, "channels": 96}))
    conv = fakes.draw(Named({**params, "block": "conv", "kernel": 3}))
    assert miou_of(candidate) == pytest.approx(miou_of(conv) + 0.2)
