"""Models trained to the end on the chart: the way from each proxy, what a mark says, and who has no place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from segsearch import figures
from segsearch.evidence.objectives import read_limit
from segsearch.figures import explore_figure, figure, hover
from segsearch.figures.finals import ends_of
from tests import fakes
from tests.figures.rows import ACROSS, FOUND, UP
from tests.judging.reports import ended

ON_ALL = replace(fakes.RECIPE, train_on="train+val")
GROWN = replace(
    FOUND,
    grown=(
        ended(0, 0.52, 2.1, test=0.5),
        ended(1, 0.62, 4.1),
        ended(1, 0.66, 4.3, seed=1),
        ended(3, None, 8.0, recipe=ON_ALL, test=0.7),
        ended(4, 0.80, 12.0),
        ended(99, 0.9, 1.0),
    ),
    test_looks=2,
)


def traces(chart: Any) -> Mapping[str, Any]:
    return {trace.uid: trace for trace in chart.data}


def test_an_arrow_leads_from_each_proxy_to_where_its_model_ended() -> None:
    shown = traces(explore_figure(GROWN, up="miou", across="latency_ms"))
    end, way = shown["trained to the end, fp32"], shown["way, fp32"]
    assert (list(end.x), list(end.y)) == ([2.1, 12.0], [0.52, 0.80])
    assert list(way.x) == [2.0, 2.1, None, 12.0, 12.0, None]
    assert list(way.y) == [0.40, 0.52, None, 0.70, 0.80, None]
    assert list(way.marker.symbol) == ["circle", "arrow", "circle"] * 2
    assert way.marker.angleref == "previous"
    assert (way.customdata, way.hoverinfo, way.showlegend) == (None, "skip", False)
    assert way.legendgroup == end.legendgroup, "the legend switches both off together"
    ints = shown["trained to the end, int8"]
    assert (list(ints.x), list(ints.y)) == ([pytest.approx(4.2)], [pytest.approx(0.64)]), "the mean over the seeds"


def test_no_model_of_the_chart_moves_for_them_and_a_click_is_one_on_the_trial() -> None:
    shown, alone = (traces(explore_figure(found, up="miou", across="latency_ms")) for found in (GROWN, FOUND))
    assert list(shown["int8, on the front"].x) == list(alone["int8, on the front"].x)
    assert list(shown["edge"].x) == list(alone["edge"].x)
    assert list(shown["trained to the end, fp32"].customdata) == [0, 4]
    assert shown.keys() - alone.keys() == {
        f"{what}, {ships}" for what in ("trained to the end", "way") for ships in ("fp32", "int8")
    }


def test_who_breaks_a_limit_stays_faint_in_the_end() -> None:
    (floats, _) = ends_of(GROWN, (ACROSS, UP))
    assert floats.outside == (False, True)
    (floats, ints) = ends_of(GROWN, (ACROSS, UP), [read_limit("latency_ms<=3")])
    assert (floats.outside, ints.outside) == ((False, True), (True,))


def test_a_place_needs_a_miou_and_a_value_on_every_axis() -> None:
    learned_all = replace(FOUND, grown=(ended(3, None, recipe=ON_ALL, test=0.7),))
    assert ends_of(learned_all, (ACROSS, UP)) == ()
    assert ends_of(GROWN, (figures.marks.axis_named("energy_mj"), UP)) == ()
    (floats, _) = ends_of(GROWN, (None, UP))
    assert floats.values[0] == floats.before[0] == (0.0, 4.0)
    solid = traces(explore_figure(GROWN, up="miou", across="latency_ms", depth="size_bytes"))
    assert {solid[uid].type for uid in ("way, fp32", "trained to the end, fp32")} == {"scatter3d"}
    assert list(solid["trained to the end, fp32"].z) == [2e6, 2e6]


def test_bars_are_of_one_seed_alone() -> None:
    floats, ints = ends_of(GROWN, (ACROSS, UP))
    assert floats.intervals[1][0] == (0.5, 0.54)
    low, high = ints.intervals[1][0]
    assert low == high


def test_hovering_tells_both_and_how_it_was_trained() -> None:
    floats, ints = ends_of(GROWN, (ACROSS, UP))
    assert floats.words[0].split("<br>")[:5] == [
        "trial 0, trained to the end",
        "miou 0.520 ±0.02 (as a proxy 0.400)",
        "latency_ms 2.1 ±0.1",
        "test miou 0.500 ±0.03",
        "40 epochs, average of the weights 0.999, auxiliary loss 0.4",
    ]
    assert ints.words[0].split("<br>")[1] == "miou 0.640 ±0.028 (2) (as a proxy 0.550)"
    assert "trained to the end miou 0.520 ±0.02" in hover(GROWN, GROWN.rows[0])
    assert "trained to the end" not in hover(GROWN, GROWN.rows[3])


def test_the_page_has_room_for_them_and_says_what_they_are() -> None:
    wide = replace(FOUND, grown=(ended(3, 0.6, 30.0),))
    assert list(figure(wide).layout.xaxis.range) == [0, pytest.approx(33)]
    page = figures.as_page(GROWN)
    assert "Triangles are models trained to the end" in page
    assert '<th class="number">final miou</th>' in page
    assert '<td class="number">0.520 ±0.02</td><td class="number">0.500 ±0.03</td>' in page
    assert "Kendall&#x27;s tau of proxy and final miou over 3 models" in page
    assert "2 files were judged" in page
    assert "Triangles" not in figures.as_page(FOUND)
    assert "final miou" not in figures.as_page(FOUND)
    learned_all = replace(FOUND, grown=(ended(3, None, recipe=ON_ALL, test=0.7),))
    assert "Triangles" not in figures.as_page(learned_all)


@pytest.mark.parametrize("depth", [None, "size_bytes"])
@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_sent(depth: str | None, dark: bool) -> None:
    chart = explore_figure(GROWN, up="miou", across="latency_ms", depth=depth, dark=dark)
    assert len(json.loads(chart.to_json())["data"]) == len(chart.data)
