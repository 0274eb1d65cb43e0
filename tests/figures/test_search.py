"""The search in pictures: light at any size, and an empty one is said to be empty."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segsearch.figures import (
    coordinates_figure,
    hypervolume_figure,
    importance_figure,
    outcomes_figure,
    throughput_figure,
)
from segsearch.store import TrialRow
from tests.figures.trials import drawn, report


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
