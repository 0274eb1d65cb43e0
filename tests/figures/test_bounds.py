"""Limits on the chart: which ones are lines, and which would squeeze the models together and are arrows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.evidence.objectives import read_limit
from segsearch.figures import explore_figure, figure
from segsearch.figures.bounds import is_far
from segsearch.judging.fronts import Report
from tests.figures.rows import FOUND

quick = settings(max_examples=100, deadline=None, derandomize=True)


def under(*limits: str) -> Report:
    """Latencies from 2 to 12 ms, mIoU from 0.4 to 0.7."""
    return replace(FOUND, limits=tuple(map(read_limit, limits)))


def drawn(found: Report, **wishes: Any) -> Any:
    return explore_figure(found, up="miou", across="latency_ms", **wishes).layout


@pytest.mark.parametrize(
    ("bound", "ends", "log", "far"),
    [
        (22.0, (2.0, 12.0), False, False),  # as far away as the points reach
        (22.1, (2.0, 12.0), False, True),
        (-8.1, (2.0, 12.0), False, True),
        (5.0, (2.0, 12.0), False, False),
        (71.9, (2.0, 12.0), True, False),  # 12 ms times 12 / 2
        (72.1, (2.0, 12.0), True, True),
        (0.3, (2.0, 12.0), True, True),
        (8.0, (4.0, 4.0), False, False),  # one model alone
        (8.1, (4.0, 4.0), False, True),
        (39.0, (4.0, 4.0), True, False),
        (41.0, (4.0, 4.0), True, True),
        (0.9, (0.0, 0.0), False, False),
        (5.0, (0.0, 12.0), True, False),  # 0 has no logarithm: Plotly leaves that point out
    ],
)
def test_a_limit_is_far_where_the_models_would_have_less_than_half_of_the_axis(
    bound: float, ends: tuple[float, float], log: bool, far: bool
) -> None:
    assert is_far(bound, ends, log=log) is far


@quick
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(0, 1), st.booleans())
def test_no_limit_among_the_models_is_far(one: float, other: float, share: float, log: bool) -> None:
    ends = (min(one, other), max(one, other))
    bound = min(max(ends[0] + share * (ends[1] - ends[0]), ends[0]), ends[1])
    assert not is_far(bound, ends, log=log)


def test_a_far_limit_is_an_arrow_at_the_edge_with_its_value() -> None:
    layout = drawn(under("latency_ms<=500", "latency_ms<=9"))
    assert [shape.x0 for shape in layout.shapes] == [9]
    far, near = layout.annotations
    assert (far.text, far.showarrow, far.xref, far.yref) == ("latency_ms&lt;=500", True, "paper", "paper")
    assert far.x == 1
    assert far.ax < 0, "it points outwards"
    assert (near.text, near.showarrow) == ("latency_ms&lt;=9", False)


def test_far_limits_on_any_side_stand_apart() -> None:
    layout = drawn(under("latency_ms<=500", "latency_ms<=800", "miou>=-3", "miou<=7"))
    assert not layout.shapes
    shown = {(note.x, note.y, note.yshift) for note in layout.annotations}
    assert len(shown) == 4
    tips = {note.text: (note.ax, note.ay) for note in layout.annotations}
    assert tips["miou&lt;=7"][1] > 0, "pixels count downwards: its words are below its tip"
    assert tips["miou&gt;=-3"][1] < 0
    assert drawn(under("latency_ms>=-20")).annotations[0].x == 0


def test_a_limit_that_is_far_on_one_scale_is_near_on_another() -> None:
    forty = under("latency_ms<=40")
    assert not drawn(forty).shapes
    assert [shape.x0 for shape in drawn(forty, logs=(True, False)).shapes] == [40]


def test_rejected_candidates_beyond_a_far_limit_squeeze_nothing_either() -> None:
    far = replace(under("latency_ms<=290"), rejected=({"latency_ms": 300.0}, {"latency_ms": 13.0}))
    rug = next(trace for trace in explore_figure(far, up="miou", across="latency_ms").data if trace.uid == "rejected")
    assert (list(rug.x), rug.name) == ([13.0], "rejected by a limit, not trained (1 beyond the chart)")


def test_a_fixed_axis_has_lines_within_it_and_arrows_for_the_rest() -> None:
    layout = drawn(under("latency_ms<=50", "latency_ms<=500"), ranges={"latency_ms": (0.0, 60.0)})
    assert [shape.x0 for shape in layout.shapes] == [50]
    assert [note.text for note in layout.annotations if note.showarrow] == ["latency_ms&lt;=500"]


def test_the_page_gives_the_models_the_axis() -> None:
    far = figure(under("latency_ms<=500"))
    assert list(far.layout.xaxis.range) == [0, pytest.approx(13.2)]
    assert [note.text for note in far.layout.annotations if note.showarrow] == ["latency_ms&lt;=500"]
    near = figure(under("latency_ms<=20"))
    assert list(near.layout.xaxis.range) == [0, pytest.approx(22)]
    assert [shape.x0 for shape in near.layout.shapes] == [20]


def test_limits_stand_where_there_is_no_model_yet() -> None:
    none = replace(under("latency_ms<=500"), rows=(), rejected=())
    assert [shape.x0 for shape in drawn(none).shapes] == [500]
