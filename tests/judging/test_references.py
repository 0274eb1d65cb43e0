"""What stands beside a reference: who is no slower, who is no worse, in words that say no more than is known."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from segsearch.evidence.images import NOT_KEPT, NoSpread, Spread
from segsearch.evidence.objectives import Limit
from segsearch.judging import fronts
from segsearch.judging.references import (
    as_csv,
    as_objects,
    as_table,
    chosen_references,
    verdict_lines,
    verdict_of,
    verdict_words,
)
from segsearch.store import Failure, ReferenceRow
from tests import fakes
from tests.judging.reports import ALIKE, CLOSE, SPANS, TRIALS, numbers, spread, study_row, timings

# The front of TRIALS under 9 ms: 0 (0.40, 2 ms), 1 (0.55, 4 ms), 3 (0.60, 8 ms).


def reference(
    miou: float,
    latency_ms: float,
    *,
    name: str = "unet-mobile",
    precision: str = "fp32",
    machine: str = "m",
    around: float = 0.0,
    of_miou: Spread | NoSpread = NOT_KEPT,
) -> ReferenceRow:
    spans = {"latency_ms": (latency_ms - around, latency_ms + around)} if around else {}
    return ReferenceRow(
        name=name,
        precision=precision,
        machine=machine,
        state="trained",
        candidate=fakes.candidate(16, 2, quantized=precision == "int8"),
        values=numbers(miou, latency_ms),
        intervals=spans,
        artifact="ab" * 32 + ".onnx",
        failure=None,
        train_seconds=150.0,
        finished=1.0,
        spread=of_miou,
    )


FAILED = replace(
    reference(0.1, 1.0, name="icnet-mobile"),
    state="failed",
    values={},
    intervals={},
    artifact=None,
    failure=Failure("diverged", "the loss became NaN"),
    train_seconds=None,
)


def beside(tmp_path: Path, *found: ReferenceRow, limits: Sequence[str] = ("latency_ms<=9",)) -> fronts.Report:
    row = study_row(tmp_path, limits=list(limits))
    return fronts.make_report(row, TRIALS, timings(TRIALS), machine="m", references=found)


def words(report: fronts.Report) -> str:
    (one,) = report.references
    return verdict_words(verdict_of(report, one))


def test_they_stand_beside_a_front_and_are_no_part_of_it(tmp_path: Path) -> None:
    unbeaten = reference(0.99, 0.1)
    elsewhere = reference(0.5, 5.0, machine="other")
    alone, found = beside(tmp_path), beside(tmp_path, unbeaten, elsewhere, FAILED)
    assert found.references == (unbeaten,)
    assert replace(found, references=()) == alone
    assert [row.trial for row in found.front] == [0, 1, 3]
    assert fronts.narrowed(found, [Limit("latency_ms", "<=", 5.0)]).references == (unbeaten,)


@pytest.mark.parametrize(
    ("miou", "latency_ms", "best", "fastest", "ratio"),
    [
        (0.50, 5.0, 1, 1, 1.25),  # 2 has its very numbers and is off the front
        (0.55, 4.0, 1, 1, 1.0),
        (0.45, 9.0, 3, 1, 2.25),
        (0.58, 5.0, 1, 3, 0.625),
        (0.65, 9.0, 3, None, None),
        (0.50, 1.0, None, 1, 0.25),
        (0.65, 1.0, None, None, None),
    ],
)
def test_who_is_no_slower_and_who_is_no_worse(
    tmp_path: Path, miou: float, latency_ms: float, best: int | None, fastest: int | None, ratio: float | None
) -> None:
    report = beside(tmp_path, reference(miou, latency_ms))
    verdict = verdict_of(report, report.references[0])
    assert (verdict.best and verdict.best.trial, verdict.fastest and verdict.fastest.trial) == (best, fastest)
    assert verdict.ratio == (None if ratio is None else pytest.approx(ratio))


def test_a_model_over_the_limits_stands_beside_nothing(tmp_path: Path) -> None:
    """Trial 4 (0.70, 12 ms) would beat it, and no one may have it."""
    report = beside(tmp_path, reference(0.65, 13.0))
    assert verdict_of(report, report.references[0]).fastest is None
    free = beside(tmp_path, reference(0.65, 13.0), limits=())
    assert verdict_of(free, free.references[0]).fastest is not None


@pytest.mark.parametrize(
    ("miou", "latency_ms", "said"),
    [
        (0.50, 5.0, "unet-mobile, fp32: trial 1 (mIoU 0.550) is 1.25 times faster, +5 mIoU points."),
        (0.55, 4.0, "unet-mobile, fp32: trial 1 (mIoU 0.550) is as fast within the intervals, of the same mIoU."),
        (
            0.45,
            9.0,
            (
                "unet-mobile, fp32: trial 3 (mIoU 0.600) is 1.12 times faster, +15 mIoU points; "
                "trial 1 (mIoU 0.550) is 2.25 times faster, +10 mIoU points."
            ),
        ),
        (
            0.58,
            5.0,
            (
                "unet-mobile, fp32: no model of the front is at once as fast and as good by the plain values; "
                "trial 1 (mIoU 0.550) is 1.25 times faster, −3 mIoU points; "
                "trial 3 (mIoU 0.600) is 1.6 times slower, +2 mIoU points."
            ),
        ),
        (
            0.65,
            9.0,
            (
                "unet-mobile, fp32: no model of the front is as good by the plain values; "
                "trial 3 (mIoU 0.600) is 1.12 times faster, −5 mIoU points."
            ),
        ),
        (
            0.50,
            1.0,
            (
                "unet-mobile, fp32: no model of the front is as fast by the plain values; "
                "trial 1 (mIoU 0.550) is 4 times slower, +5 mIoU points."
            ),
        ),
        (0.65, 1.0, "unet-mobile, fp32: no model of the front is as fast, or as good."),
    ],
)
def test_the_verdict_in_words(tmp_path: Path, miou: float, latency_ms: float, said: str) -> None:
    assert words(beside(tmp_path, reference(miou, latency_ms))) == said


def test_a_difference_in_miou_is_that_of_the_same_images(tmp_path: Path) -> None:
    """Both are hard for the same images: .02 are a difference where each one's own interval is +-.196."""
    row = study_row(tmp_path)

    def said(one: ReferenceRow) -> str:
        return words(fronts.make_report(row, ALIKE[:2], timings(ALIKE[:2]), machine="m", references=[one]))

    sure = reference(0.58, 6.0, of_miou=spread(0.58, 0.1, -0.1, 0.1, -0.1))
    assert said(sure).endswith(
        "trial 1 (mIoU 0.600) is 1.5 times faster, +2.0 mIoU points (95 % +2.0 to +2.0 on the same images)."
    )
    unsure = reference(0.58, 6.0, of_miou=spread(0.58, 0.12, -0.12, 0.08, -0.08))
    assert "as good within the interval: +2.0 mIoU points (95 % −1.9 to +5.9 on the same images)" in said(unsure)


def test_latencies_are_told_apart_by_their_intervals(tmp_path: Path) -> None:
    row = study_row(tmp_path)

    def said(around: float) -> str:
        one = reference(0.60, 4.2, around=around)
        return words(fronts.make_report(row, CLOSE, SPANS, machine="m", references=[one]))

    assert "trial 1 (mIoU 0.600) is as fast within the intervals" in said(0.1)
    assert "trial 1 (mIoU 0.600) is 1.05 times faster" in said(0.05)


def test_an_empty_front_is_said(tmp_path: Path) -> None:
    report = beside(tmp_path, reference(0.5, 5.0), limits=["latency_ms<=0.1"])
    assert verdict_lines(report, report.references) == [
        "No trained trial meets latency_ms<=0.1: nothing stands beside the references."
    ]
    assert verdict_lines(report, ()) == []


def test_the_lines_end_with_what_they_do_not_say(tmp_path: Path) -> None:
    report = beside(tmp_path, reference(0.5, 5.0))
    what, first, _, *rest = verdict_lines(report, report.references)
    assert "no slower" in what
    assert first.startswith("unet-mobile, fp32: ")
    assert "best of 5 trained models, chosen on the very images that score it" in rest[0]
    assert "longer trainings" in rest[1]


def test_the_table_holds_the_chosen_ones_in_their_order(tmp_path: Path) -> None:
    found = (reference(0.5, 5.0), reference(0.58, 2.5, precision="int8"), reference(0.65, 9.0, name="alexnet"))
    report = beside(tmp_path, *found)
    assert chosen_references(report, ["alexnet", "unet-mobile"]) == (found[2], found[0], found[1])
    chosen = chosen_references(report, ["unet-mobile", "unknown"])

    def drawn(width: int) -> list[str]:
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(as_table(chosen, width=width))
        return [" ".join(line.split()) for line in console.export_text().splitlines()]

    assert drawn(110) == [
        "reference ships miou latency_ms size_bytes params macs training",
        "unet-mobile fp32 0.500 5 1 kB 1 k 1 k 2 min",
        "unet-mobile int8 0.580 2.5 1 kB 1 k 1 k 2 min",
    ]
    assert drawn(80) == [
        "reference ships miou latency_ms training",
        "unet-mobile fp32 0.500 5 2 min",
        "unet-mobile int8 0.580 2.5 2 min",
    ]


def test_programs_are_told_all_of_it(tmp_path: Path) -> None:
    report = beside(tmp_path, reference(0.5, 12.0, of_miou=NoSpread("every pixel of the split is void")))
    trained, failed = as_objects(report, report.references, [FAILED], tmp_path)
    assert (trained["reference"], trained["precision"], trained["state"]) == ("unet-mobile", "fp32", "trained")
    assert (trained["breaks"], trained["train_seconds"]) == (["latency_ms<=9"], 150.0)
    assert trained["no_interval"] == {"miou": "every pixel of the split is void"}
    assert trained["best_no_slower"]["trial"] == 3
    assert trained["fastest_no_worse"] == {
        "trial": 1,
        "miou": 0.55,
        "latency_ms": 4.0,
        "times_faster": 3.0,
        "miou_gap": pytest.approx(0.05),
        "miou_gap_interval": None,
    }
    assert trained["artifact"] == {"path": str(tmp_path / ("ab" * 32 + ".onnx")), "sha256": "ab" * 32}
    assert failed["failure"] == {"kind": "diverged", "reason": "the loss became NaN"}
    assert (failed["verdict"], failed["artifact"], failed["objectives"]) == (None, None, {})
    lines = list(csv.DictReader(io.StringIO(as_csv(report, report.references, [FAILED], tmp_path))))
    assert [line["reference"] for line in lines] == ["unet-mobile", "icnet-mobile"]
    assert (lines[0]["fastest_no_worse"], float(lines[0]["fastest_no_worse_times_faster"])) == ("1", 3.0)
    assert (lines[0]["best_no_slower"], float(lines[0]["miou"]), lines[0]["breaks"]) == ("3", 0.5, "latency_ms<=9")
    assert (lines[1]["miou"], lines[1]["failure"]) == ("", "diverged: the loss became NaN")
    assert None not in lines[0], "no line has more cells than the head"
    assert lines[0]["machine"] == lines[1]["machine"] == "m"
