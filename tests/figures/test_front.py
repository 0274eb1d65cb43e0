"""The chart of the front: its rows, what stands out, and that it stays light."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.evidence.objectives import OBJECTIVES, Limit, read_limit
from segsearch.figures import DARK, LIGHT, empty_figure, explore_figure, figure, theme
from segsearch.figures.marks import axis_named, edge_of, marks_of, number_of, rejected_of, title_of
from segsearch.judging.fronts import Report, Row
from tests import fakes

UP, ACROSS, SIZE = OBJECTIVES["miou"], OBJECTIVES["latency_ms"], OBJECTIVES["size_bytes"]


def row(trial: int, miou: float, latency_ms: float, **changes: Any) -> Row:
    made = Row(
        trial=trial,
        candidate=fakes.candidate(8, 1 + trial % 12, quantized=trial % 2 == 1),
        values={"miou": miou, "latency_ms": latency_ms, "size_bytes": 1e6 * (1 + trial % 7), "params": 10.0},
        intervals={"latency_ms": (latency_ms - 0.1, latency_ms + 0.2)},
        artifact=Path(f"{trial:064x}.onnx"),
        sha256=f"{trial:064x}",
        machine="m",
        on_front=True,
        broken=(),
    )
    return replace(made, **changes)


ROWS = (
    row(0, 0.40, 2.0),
    row(1, 0.55, 4.0),
    row(2, 0.50, 5.0, on_front=False),
    row(3, 0.60, 8.0),
    row(4, 0.70, 12.0, on_front=False, broken=(Limit("latency_ms", "<=", 9.0),)),
    row(5, 0.54, 4.1, tied=(1,)),
)
REJECTED = ({"latency_ms": 13.0, "size_bytes": 2e6}, {"latency_ms": 300.0}, {"params": 7.0})
FOUND = Report("fake", (UP, ACROSS), (Limit("latency_ms", "<=", 9.0),), ROWS, REJECTED, "m")


def many(count: int) -> Report:
    rows = tuple(row(i, 0.2 + i / 2 / count, 1 + i * 7 % 100 / 10, on_front=i >= count - 40) for i in range(count))
    return replace(FOUND, rows=rows)


def test_rows_by_precision_and_standing() -> None:
    shown = {marks.name: marks for marks in marks_of(FOUND, (ACROSS, UP))}
    assert {name: marks.trials for name, marks in shown.items()} == {
        "fp32, dominated or over a limit": (2, 4),
        "fp32, on the front": (0,),
        "int8, on the front": (1, 3, 5),
    }
    assert shown["int8, on the front"].values == ((4.0, 8.0, 4.1), (0.55, 0.60, 0.54))
    assert shown["int8, on the front"].tied == (False, False, True)
    assert shown["fp32, dominated or over a limit"].outside == (False, True)
    assert shown["fp32, on the front"].intervals == (((1.9, 2.2),), ((0.40, 0.40),))


def test_a_further_limit_makes_the_front_faint() -> None:
    shown = marks_of(FOUND, (ACROSS, UP), [read_limit("latency_ms<=5")])
    assert {marks.trials for marks in shown if marks.on_front} == {(0,), (1, 5)}
    faint = next(marks for marks in shown if not marks.on_front and marks.ships == "int8")
    assert (faint.trials, faint.outside) == ((3,), (True,))


def test_who_lacks_an_axis_is_left_out() -> None:
    energy = OBJECTIVES["energy_mj"]
    assert marks_of(FOUND, (energy, UP)) == ()
    assert explore_figure(FOUND, up="miou", across="energy_mj").data is not None


def test_words_are_spent_on_the_front_first() -> None:
    shown = marks_of(many(50), (ACROSS, UP), worded=45)
    told = {trial for marks in shown for trial, words in zip(marks.trials, marks.words, strict=True) if words}
    assert told == {*range(10, 50), *range(5)}


def test_rejected_ones_do_not_squeeze_the_others() -> None:
    assert rejected_of(FOUND, (ACROSS,), bounds=FOUND.limits).values == ((13.0,),)
    assert rejected_of(FOUND, (ACROSS,), bounds=FOUND.limits).beyond == 1
    assert rejected_of(FOUND, (ACROSS, SIZE), bounds=()).values == ((13.0,), (2e6,))


def test_the_edge_is_drawn_where_the_axes_are_the_front() -> None:
    assert [member.trial for member in edge_of(FOUND, UP, ACROSS)] == [0, 1, 5, 3]
    assert edge_of(FOUND, SIZE, ACROSS) == ()


def test_axes_in_words() -> None:
    assert title_of(ACROSS) == "latency [ms], lower is better"
    assert title_of(axis_named("trial")) == "trial"
    assert [number_of(axis) for axis in (UP, ACROSS, SIZE, None)] == [".3f", ".4g", ".3s", "d"]


# ---- the figure


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
    hundred = replace(FOUND, limits=(read_limit("latency_ms<=100"), read_limit("miou>=0.3")))
    chart = explore_figure(hundred, up="miou", across="latency_ms", logs=(True, False))
    assert [(shape.x0, shape.y0) for shape in chart.layout.shapes] == [(100, 0), (0, 0.3)]
    assert [(note.text, note.x, note.y) for note in chart.layout.annotations] == [
        ("latency_ms&lt;=100", 2, 1),
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
        assert len(set(colours)) == len(set(shapes)) == 3


def test_the_page_has_room_for_long_names() -> None:
    assert [trace.name for trace in figure(FOUND).data if trace.showlegend is not False] == [
        "rejected by a limit, not trained (1 beyond the chart)",
        "fp32, dominated or over a limit",
        "fp32, on the front",
        "int8, on the front",
        "another is as good within the intervals",
        "knee (trial 1)",
    ]
