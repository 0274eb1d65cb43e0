"""A report as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from rich.console import Console

from segsearch.evidence.objectives import OBJECTIVES
from segsearch.judging import fronts, tables
from tests.judging.reports import CLOSE, SPANS, drawn, study_row, timing


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
