"""A report as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from segsearch.evidence.objectives import OBJECTIVES
from segsearch.judging import fronts, tables
from segsearch.store import ConfirmationRow
from tests.judging.reports import CLOSE, SPANS, alike_in, drawn, study_row, timing


def test_the_table_shows_the_front_alone(found: fronts.Report) -> None:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(tables.as_table(found))
    first = [line.split()[0] for line in capture.get().splitlines()[1:]]
    assert first == ["0", "1*", "3"]


def test_json_is_whole(found: fronts.Report) -> None:
    objects = json.loads(tables.as_json(found))
    assert objects == tables.as_objects(found)
    assert objects[4]["breaks"] == ["latency_ms<=9"]
    assert objects[0]["artifact"]["sha256"] == f"{0:064x}"


def test_the_table_shows_intervals_and_marks_ties(close: fronts.Report) -> None:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(tables.as_table(close))
    lines = capture.get().splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["0", "1*", "2~", "4"]
    assert ["2 ±0.1" in lines[0], "4 ±0.12" in lines[1], "8 ±0.5" in lines[3]] == [True] * 3


def test_json_tells_intervals_and_ties(close: fronts.Report) -> None:
    objects = json.loads(tables.as_json(close))
    assert [one["tied_with"] for one in objects] == [[], [], [1], [], []]
    assert [one["on_front"] for one in objects] == [True, True, True, False, True]
    assert objects[2]["intervals"] == {"latency_ms": [4.0, 4.2]}
    assert {one["machine"] for one in objects} == {"m"}


def test_csv_tells_intervals_and_leaves_open_what_was_not_measured(tmp_path: Path) -> None:
    found = drawn(study_row(tmp_path), CLOSE, on=[SPANS[0], timing(1, 1 / 3)])
    first, second = csv.DictReader(io.StringIO(tables.as_csv(found)))
    assert (first["latency_ms"], first["latency_low_ms"], first["latency_high_ms"]) == ("2.0", "1.9", "2.1")
    assert (second["latency_ms"], second["latency_low_ms"], second["latency_high_ms"]) == (repr(1 / 3), "", "")
    assert (first["energy_mj"], first["peak_memory_bytes"], first["miou"]) == ("", "", "0.4")
    assert set(OBJECTIVES) <= set(first)
    assert None not in first  # as many cells as names


def shown(found: fronts.Report) -> list[str]:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(tables.as_table(found))
    return capture.get().splitlines()


def test_a_miou_stands_with_half_the_width_of_its_interval(tmp_path: Path) -> None:
    _, zero, *_, four = shown(alike_in(tmp_path))
    assert "0.400 ±0.2 " in zero
    assert "0.700  " in four


def test_programs_are_told_the_interval_or_why_there_is_none(tmp_path: Path) -> None:
    found = alike_in(tmp_path)
    first, *_, last = tables.as_objects(found)
    assert first["intervals"]["miou"] == list(found.rows[0].intervals["miou"])
    assert (first["no_interval"], first["confirmed"]) == ({}, None)
    assert "miou" not in last["intervals"]
    assert last["no_interval"] == {"miou": "class 'bus' lies in one validation image only"}
    lines = list(csv.DictReader(io.StringIO(tables.as_csv(found))))
    low, high = found.rows[0].intervals["miou"]
    assert (lines[0]["miou_low"], lines[0]["miou_high"]) == (repr(low), repr(high))
    assert (lines[4]["miou_low"], lines[4]["miou_high"]) == ("", "")
    assert None not in lines[0]


def test_seeds_have_a_column_where_there_are_any(tmp_path: Path) -> None:
    again = [ConfirmationRow(1, seed, miou, None, "", 0.0) for seed, miou in ((1, 0.58), (2, 0.62))]
    found = alike_in(tmp_path, confirmations=again)
    head, zero, one, *_ = shown(found)
    assert "miou over seeds" in head
    assert "0.600 ±0.02 (3)" in one
    assert "±0.02" not in zero
    assert "over seeds" not in shown(alike_in(tmp_path))[0]
    assert tables.as_objects(found)[1]["confirmed"] == {
        "seeds": 3,
        "mean": pytest.approx(0.6),
        "sd": pytest.approx(0.02),
    }
