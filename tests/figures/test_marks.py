"""What a chart of the front shows, as data: its points, who is left out, the edge, what hovering tells."""

from __future__ import annotations

from dataclasses import replace

from segsearch import figures
from segsearch.evidence.objectives import OBJECTIVES, read_limit
from segsearch.figures import explore_figure
from segsearch.figures.marks import axis_named, edge_of, marks_of, number_of, rejected_of, title_of
from segsearch.judging import fronts
from tests.figures.rows import ACROSS, FOUND, SIZE, UP, many


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
    assert [member.trial for member in edge_of(FOUND, UP, ACROSS)] == [0, 1, 3]
    small = replace(FOUND, rows=tuple(replace(row, values=row.values | {"params": row.trial}) for row in FOUND.rows))
    within = edge_of(small, UP, ACROSS, [read_limit("params>=2")])  # without 1, nothing beats 5
    assert [member.trial for member in within] == [5, 3]
    assert edge_of(FOUND, SIZE, ACROSS) == ()


def test_axes_in_words() -> None:
    assert title_of(ACROSS) == "latency [ms], lower is better"
    assert title_of(axis_named("trial")) == "trial"
    assert [number_of(axis) for axis in (UP, ACROSS, SIZE, None)] == [".3f", ".4g", ".3s", "d"]


def test_hovering_tells_the_design(found: fronts.Report) -> None:
    lines = figures.hover(found, found.rows[0]).split("<br>")
    assert lines[:3] == ["trial 0", "miou 0.400", "latency_ms 2"]
    assert lines[-1] == "int8"


def test_hovering_tells_the_interval_and_who_is_alike(close: fronts.Report) -> None:
    lines = figures.hover(close, close.rows[2]).split("<br>")
    assert lines[:4] == ["trial 2", "miou 0.550", "latency_ms 4.1 ±0.1", "within the intervals of trial 1"]
    assert "within" not in figures.hover(close, close.rows[1])
