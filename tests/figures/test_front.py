"""The chart of the front: what stands out, its page, and that it stays light."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch import figures
from segsearch.evidence.objectives import read_limit
from segsearch.figures import DARK, LIGHT, empty_figure, explore_figure, figure, theme
from segsearch.judging import fronts
from segsearch.store import ReferenceRow
from tests import fakes
from tests.figures.rows import FOUND, many, row
from tests.judging.reports import TRIALS, drawn, numbers, study_row, trial


def traces(chart: Any) -> Mapping[str, Any]:
    return {trace.uid: trace for trace in chart.data}


def test_selected_and_picked_are_pointed_at_and_cannot_be_clicked() -> None:
    shown = traces(explore_figure(FOUND, up="miou", across="latency_ms", selected=(1, 3, 99), picked=0))
    assert list(shown["selected"].text) == ["1", "3"]
    assert list(shown["picked"].x) == [2.0]
    assert all(shown[uid].hoverinfo == "skip" for uid in ("selected", "picked", "knee", "edge"))
    clicked = [trial for trace in shown.values() if trace.customdata is not None for trial in trace.customdata]
    assert sorted(clicked) == [0, 1, 2, 3, 4, 5]


def test_bars_are_the_intervals() -> None:
    bars = traces(explore_figure(FOUND, up="miou", across="latency_ms"))["fp32, on the front"]
    assert list(bars.error_x.array) == pytest.approx([0.2])
    assert list(bars.error_x.arrayminus) == pytest.approx([0.1])
    assert bars.error_y.array is None


def test_zoom_and_margins_stay_while_trials_come() -> None:
    few, more = (explore_figure(found, up="miou", across="latency_ms") for found in (FOUND, many(60)))
    assert few.layout.uirevision == more.layout.uirevision
    assert few.layout.margin == more.layout.margin
    assert few.layout.margin.autoexpand is False
    assert few.layout.xaxis.range is None
    fixed = explore_figure(FOUND, up="miou", across="latency_ms", ranges={"latency_ms": (1, 100)}, logs=(True, False))
    assert list(fixed.layout.xaxis.range) == [0, 2]
    assert fixed.layout.xaxis.type == "log"


def test_a_limit_stands_at_its_place_on_a_logarithmic_axis() -> None:
    ten = replace(FOUND, limits=(read_limit("latency_ms<=10"), read_limit("miou>=0.3")))
    chart = explore_figure(ten, up="miou", across="latency_ms", logs=(True, False))
    assert [(shape.x0, shape.y0) for shape in chart.layout.shapes] == [(10, 0), (0, 0.3)]
    assert [(note.text, note.x, note.y) for note in chart.layout.annotations] == [
        ("latency_ms&lt;=10", 1, 1),
        ("miou&gt;=0.3", 1, 0.3),
    ]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("depth", [None, "size_bytes"])
def test_it_can_be_sent_in_two_and_three_dimensions(depth: str | None, dark: bool) -> None:
    chart = explore_figure(FOUND, up="miou", across="latency_ms", depth=depth, dark=dark, selected=(1,), picked=3)
    sent = json.loads(chart.to_json())
    kinds = {trace["type"] for trace in sent["data"]}
    assert kinds == ({"scatter3d"} if depth else {"scatter"})
    assert sent["layout"]["font"]["color"] == theme(dark).ink


def test_ten_thousand_trials_stay_light() -> None:
    chart = explore_figure(many(10_000), up="miou", across="latency_ms")
    assert len(chart.to_json()) < 400_000
    assert {trace.type for trace in chart.data if trace.customdata is not None and len(trace.customdata) > 1000} == {
        "scattergl"
    }


def test_names_are_text() -> None:
    evil = row(0, 0.5, 1.0)
    object.__setattr__(evil.candidate.architecture.paths[0].stages[0], "block", "<img src=x>")
    sent = explore_figure(replace(FOUND, rows=(evil,)), up="miou", across="latency_ms").to_json()
    assert "<img" not in sent.replace("\\u003c", "<")
    assert "&lt;img" in sent.replace("\\u0026", "&")


def test_nothing_to_show_is_said() -> None:
    none = replace(FOUND, rows=(), rejected=())
    assert not list(explore_figure(none, up="miou", across="latency_ms").data)
    assert not list(figure(none).data)
    assert empty_figure("nothing <yet>").layout.annotations[0].text == "nothing &lt;yet&gt;"


def test_precisions_differ_by_colour_and_by_shape_on_both_grounds() -> None:
    for look in (LIGHT, DARK):
        colours, shapes = zip(*look.styles.values(), look.other, strict=True)
        assert len(set(colours)) == len(set(shapes)) == 4


def test_the_page_has_room_for_long_names() -> None:
    assert [trace.name for trace in figure(FOUND).data if trace.showlegend is not False] == [
        "rejected by a limit, not trained (1 beyond the chart)",
        "fp32, dominated or over a limit",
        "fp32, on the front",
        "int8, on the front",
        "another is as good within the intervals",
        "knee (trial 1)",
    ]


# ---- a report


def named_traces(found: fronts.Report) -> dict[str, dict[str, object]]:
    return {trace.name or "edge": trace.to_plotly_json() for trace in figures.figure(found).data}


def test_the_figure_separates_precision_and_standing(found: fronts.Report) -> None:
    shown = named_traces(found)
    assert set(shown) == {
        "edge",
        "int8, on the front",
        "fp32, on the front",
        "fp32, dominated or over a limit",
        "knee (trial 1)",
        "rejected by a limit, not trained (1 beyond the chart)",
    }
    assert list(shown["fp32, on the front"]["x"]) == [4.0, 8.0]  # type: ignore[call-overload]
    assert list(shown["fp32, on the front"]["y"]) == [0.55, 0.60]  # type: ignore[call-overload]
    assert list(shown["fp32, dominated or over a limit"]["x"]) == [5.0, 12.0]  # type: ignore[call-overload]
    # 30 ms would squeeze the others together: the legend counts it instead.
    assert list(shown["rejected by a limit, not trained (1 beyond the chart)"]["x"]) == [None]  # type: ignore[call-overload]
    colours, shapes = zip(*figures.STYLES.values(), figures.OTHER_STYLE, strict=True)
    assert len(set(colours)) == len(set(shapes)) == 4


def test_the_chart_draws_the_intervals_of_the_front(close: fronts.Report) -> None:
    bars = named_traces(close)["fp32, on the front"]["error_x"]
    assert [bars["array"], bars["arrayminus"]] == [  # type: ignore[index]
        pytest.approx([0.1, 0.14, 0.5, 0.1]),  # the cheapest first
        pytest.approx([0.1, 0.1, 0.5, 0.1]),
    ]
    assert "error_x" not in named_traces(close)["fp32, dominated or over a limit"]


def test_the_page_needs_nothing_else_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    evil = trial(0, numbers(0.4, 2.0))
    object.__setattr__(evil.candidate.architecture.paths[0].stages[0], "block", "<script>alert(1)</script>")
    page = figures.as_page(drawn(study_row(tmp_path), [evil]))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    head = page[: page.index("<script")]
    assert "http" not in head


def test_the_page_marks_ties_and_tells_intervals(close: fronts.Report) -> None:
    page = figures.as_page(close)
    assert '<td class="number">2~</td>' in page
    assert '<td class="number">1</td>' in page
    assert "4.1 ±0.1" in page


@pytest.mark.parametrize("objectives", [["miou"], ["miou", "latency_ms", "size_bytes"], ["latency_ms", "miou"]])
def test_any_number_of_objectives_can_be_drawn(objectives: list[str], tmp_path: Path) -> None:
    found = drawn(study_row(tmp_path, objectives=objectives), TRIALS)
    assert found.front
    assert "Front of fake" in figures.as_page(found)


def test_an_empty_study_has_an_empty_page(tmp_path: Path) -> None:
    assert "0 of 0 trained models" in figures.as_page(drawn(study_row(tmp_path), ()))


# ---- references


def reference(name: str, miou: float, latency_ms: float, **changes: Any) -> ReferenceRow:
    made = ReferenceRow(
        name=name,
        precision="fp32",
        machine="m",
        state="trained",
        candidate=fakes.candidate(16, 2),
        values={"miou": miou, "latency_ms": latency_ms, "size_bytes": 3e6},
        intervals={"latency_ms": (latency_ms - 0.2, latency_ms + 0.3)},
        artifact=None,
        failure=None,
        train_seconds=None,
        finished=0.0,
    )
    return replace(made, **changes)


BESIDE = replace(
    FOUND,
    references=(
        reference("bisenet-mobile", 0.5, 6.0),
        reference("unet-mobile", 0.52, 9.0),
        reference("unet-mobile", 0.51, 5.0, precision="int8"),
        reference("unet", 0.6, 1000.0, precision="int8"),
    ),
)


def test_references_are_tall_hollow_diamonds_that_say_their_names_and_cannot_be_clicked() -> None:
    shown = traces(explore_figure(BESIDE, up="miou", across="latency_ms"))
    floats, ints = shown["reference, fp32"], shown["reference, int8"]
    assert (list(floats.x), list(floats.y), list(ints.x)) == ([6.0, 9.0], [0.5, 0.52], [5.0])
    assert floats.hovertext[1].startswith("unet-mobile<br>trained by the study")
    assert {trace.marker.symbol for trace in (floats, ints)} == {"diamond-tall-open"}
    assert floats.marker.color != ints.marker.color
    assert list(floats.error_x.array) == pytest.approx([0.3, 0.3])
    assert (floats.customdata, ints.customdata) == (None, None)
    assert (floats.name, ints.name) == ("reference, fp32", "reference, int8 (1 beyond the chart)")
    alone = traces(explore_figure(FOUND, up="miou", across="latency_ms"))
    assert list(shown["int8, on the front"].x) == list(alone["int8, on the front"].x)
    assert shown.keys() - alone.keys() == {"reference, fp32", "reference, int8"}


def test_a_reference_far_out_squeezes_no_model_together() -> None:
    far = replace(FOUND, references=(reference("unet", 0.6, 1000.0),))
    entry = traces(explore_figure(far, up="miou", across="latency_ms"))["reference, fp32"]
    assert (entry.name, list(entry.x)) == ("reference, fp32 (1 beyond the chart)", [None])
    logarithmic = explore_figure(far, up="miou", across="latency_ms", logs=(True, False))
    assert list(traces(logarithmic)["reference, fp32"].x) == [1000.0]
    assert figure(far).layout.xaxis.range[1] < 20
    near = replace(FOUND, references=(reference("unet", 0.6, 30.0),))
    assert list(figure(near).layout.xaxis.range) == [0, pytest.approx(33)]


def test_a_reference_stands_where_it_has_a_value_on_every_axis() -> None:
    solid = traces(explore_figure(BESIDE, up="miou", across="latency_ms", depth="size_bytes"))
    assert (solid["reference, fp32"].type, list(solid["reference, fp32"].z)) == ("scatter3d", [3e6, 3e6])
    for without in ("trial", "energy_mj"):
        chart = explore_figure(BESIDE, up="miou", across=without)
        assert not [trace for trace in chart.data if (trace.uid or "").startswith("reference")]


def test_names_of_references_are_text_and_the_page_says_what_they_are() -> None:
    evil = replace(FOUND, references=(reference("<img src=x>", 0.5, 6.0),))
    assert "<img" not in explore_figure(evil, up="miou", across="latency_ms").to_json().replace("\\u003c", "<")
    assert "Tall hollow diamonds are networks of the field" in figures.as_page(BESIDE)
    assert "hollow diamonds" not in figures.as_page(FOUND)
