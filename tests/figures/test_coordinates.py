"""Parallel coordinates: scales of numbers and words, and where a parameter is missing."""

from __future__ import annotations

from typing import Any

import pytest

from segsearch.figures.coordinates import lines_of
from tests.figures.trials import point, report, trial


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
