"""Reports: rows against a naive front, picks with their reasons, words, and the figure's own data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from segsearch import figures, report
from segsearch.candidate import (
    Architecture,
    Candidate,
    Context,
    Distill,
    Feature,
    Head,
    Join,
    Prune,
    Quantize,
    Stage,
    Stem,
)
from segsearch.candidate import Path as Chain
from segsearch.errors import StudyError
from segsearch.objectives import OBJECTIVES, Limit, read_limit
from segsearch.store import Failure, StudyRow, TrialRow
from segsearch.workshop import Artifacts
from tests import fakes

LIMITS = ("latency_ms<=9",)


def numbers(miou: float, latency_ms: float) -> dict[str, float]:
    base = dict.fromkeys(OBJECTIVES, 1000.0)
    return base | {"miou": miou, "latency_ms": latency_ms, "latency_p95_ms": latency_ms}


def trial(number: int, values: Mapping[str, float], *, state: str = "trained", quantized: bool = False) -> TrialRow:
    one = fakes.candidate(8, number + 1, quantized=quantized)
    return TrialRow(
        number=number,
        state=state,  # type: ignore[arg-type]
        candidate=one,
        key=one.key,
        params={},
        values=values,
        artifact=f"{number:064x}.onnx",
        machine="m",
        failure=Failure("limit", "latency_ms<=9 broken by 30") if state == "rejected" else None,
        twin=None,
        seed=0,
        attempts=1,
        worker=None,
        started=0.0,
        finished=1.0,
    )


def study_row(tmp_path: Path, **changes: object) -> StudyRow:
    return StudyRow("fake", fakes.make_study(**changes), "", "", Artifacts(tmp_path), 0.0)


TRIALS = (
    trial(0, numbers(0.40, 2.0), quantized=True),
    trial(1, numbers(0.55, 4.0)),
    trial(2, numbers(0.50, 5.0)),  # beaten by 1
    trial(3, numbers(0.60, 8.0)),
    trial(4, numbers(0.70, 12.0)),  # over the study's limit
    trial(5, {"latency_ms": 30.0, "size_bytes": 5.0}, state="rejected"),
    trial(6, {}, state="failed"),
)


@pytest.fixture
def found(tmp_path: Path) -> report.Report:
    return report.make_report(study_row(tmp_path, limits=list(LIMITS)), TRIALS)


def test_the_front_is_of_those_that_meet_every_limit(found: report.Report, tmp_path: Path) -> None:
    assert [row.trial for row in found.front] == [0, 1, 3]
    assert [row.trial for row in found.rows] == [0, 1, 2, 3, 4]
    assert [row.trial for row in found.rows if row.broken] == [4]
    tighter = report.make_report(study_row(tmp_path, limits=list(LIMITS)), TRIALS, [read_limit("latency_ms<=5")])
    assert [row.trial for row in tighter.front] == [0, 1]


def test_a_limit_can_bring_a_beaten_trial_to_the_front(tmp_path: Path) -> None:
    trials = [trial(0, numbers(0.6, 4.0) | {"size_bytes": 9000.0}), trial(1, numbers(0.5, 5.0))]
    assert [row.trial for row in report.make_report(study_row(tmp_path), trials).front] == [0]
    small = report.make_report(study_row(tmp_path), trials, [Limit("size_bytes", "<=", 5000.0)])
    assert [row.trial for row in small.front] == [1]


def test_picks_say_why(found: report.Report) -> None:
    assert report.pick_from(found, prefer="miou").trial == 3
    assert report.pick_from(found, prefer="latency_ms").trial == 0
    knee = report.pick_from(found, prefer="knee")
    assert knee.trial == report.knee_of(found).trial == 1
    assert knee.reason == (
        "the knee of the front, nearest to the best of every objective at once under latency_ms<=9: "
        "miou 0.550, latency_ms 4"
    )


@pytest.mark.parametrize(
    ("number", "words"), [(0, "on the front"), (2, "though trial 1 is at least as good"), (4, "breaks latency_ms<=9")]
)
def test_a_pick_by_hand_says_where_it_stands(found: report.Report, number: int, words: str) -> None:
    assert words in report.pick_trial(found, number).reason


@pytest.mark.parametrize("number", [5, 6, 7])
def test_only_a_trained_trial_can_be_picked(found: report.Report, number: int) -> None:
    with pytest.raises(StudyError, match="On the front: 0, 1, 3"):
        report.pick_trial(found, number)


def test_nothing_to_pick_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="none yet"):
        report.pick_from(report.make_report(study_row(tmp_path), ()), prefer="knee")
    none = report.make_report(study_row(tmp_path), TRIALS, [read_limit("latency_ms<=1")])
    with pytest.raises(StudyError, match="the nearest is trial 0"):
        report.pick_from(none, prefer="knee")


def test_a_candidate_in_words() -> None:
    stages = (
        Stage("conv", 24, 2, stride=2),
        Stage("inverted_residual", 40, 3, stride=2, kernel=5, expansion=4.0, atrous=(1, 2)),
        Stage("grouped", 64, 1, groups=8),
    )
    path = Chain(Stem(16), stages, Context("pyramid_pooling", 64, bins=(1, 2, 4)))
    architecture = Architecture((path,), (Join("concat", Feature(0, 1), 32),), Head(48), input_scale=0.75)
    one = Candidate(architecture, Distill(0.4, 2.0), (Prune(0.25, "l2"),), (Quantize(symmetric_activations=True),))
    assert report.describe(one) == (
        "input x0.75; stem 16, conv 2x24 /2, inverted_residual 3x40 /2 k5 e4 rates 1-2, grouped 1x64 g8; "
        "pyramid_pooling 1-2-4 (64); concat from stage 1 (32); head 48; taught 0.4 at T 2; pruned 25% by l2; "
        "int8 symmetric"
    )
    assert report.describe(fakes.candidate(8, 1)).endswith("head 16; fp32")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("miou", 0.61234, "0.612"),
        ("latency_ms", 4.23456, "4.235"),
        ("size_bytes", 812, "812 B"),
        ("size_bytes", 812_345, "812 kB"),
        ("params", 1_234_567, "1.23 M"),
        ("macs", 2_500_000_000, "2.5 G"),
    ],
)
def test_values_in_words(name: str, value: float, words: str) -> None:
    assert report.in_words(name, value) == words


def test_the_table_shows_the_front_alone(found: report.Report) -> None:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(report.as_table(found))
    first = [line.split()[0] for line in capture.get().splitlines()[1:]]
    assert first == ["0", "1*", "3"]


def test_json_is_whole(found: report.Report) -> None:
    objects = json.loads(report.as_json(found))
    assert objects == report.as_objects(found)
    assert objects[4]["breaks"] == ["latency_ms<=9"]
    assert objects[0]["artifact"]["sha256"] == f"{0:064x}"


# ---- the figure


def traces(found: report.Report) -> dict[str, dict[str, object]]:
    return {trace.name or "edge": trace.to_plotly_json() for trace in figures.figure(found).data}


def test_the_figure_separates_precision_and_standing(found: report.Report) -> None:
    shown = traces(found)
    assert set(shown) == {
        "edge",
        "int8, on the front",
        "fp32, on the front",
        "fp32, dominated or over a limit",
        "knee (trial 1)",
        "rejected by a limit, not trained",
    }
    assert list(shown["fp32, on the front"]["x"]) == [4.0, 8.0]  # type: ignore[call-overload]
    assert list(shown["fp32, on the front"]["y"]) == [0.55, 0.60]  # type: ignore[call-overload]
    assert list(shown["fp32, dominated or over a limit"]["x"]) == [5.0, 12.0]  # type: ignore[call-overload]
    assert list(shown["rejected by a limit, not trained"]["x"]) == [30.0]  # type: ignore[call-overload]
    colours, shapes = zip(*figures.STYLES.values(), figures.OTHER_STYLE, strict=True)
    assert len(set(colours)) == len(set(shapes)) == 3


def test_hovering_tells_the_design(found: report.Report) -> None:
    lines = figures.hover(found, found.rows[0]).split("<br>")
    assert lines[:3] == ["trial 0", "miou 0.400", "latency_ms 2"]
    assert lines[-1] == "int8"


def test_the_page_needs_nothing_else_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    evil = trial(0, numbers(0.4, 2.0))
    object.__setattr__(evil.candidate.architecture.paths[0].stages[0], "block", "<script>alert(1)</script>")
    page = figures.as_page(report.make_report(study_row(tmp_path), [evil]))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    head = page[: page.index("<script")]
    assert "http" not in head


@pytest.mark.parametrize("objectives", [["miou"], ["miou", "latency_ms", "size_bytes"], ["latency_ms", "miou"]])
def test_any_number_of_objectives_can_be_drawn(objectives: list[str], tmp_path: Path) -> None:
    found = report.make_report(study_row(tmp_path, objectives=objectives), TRIALS)
    assert found.front
    assert "Front of fake" in figures.as_page(found)


def test_an_empty_study_has_an_empty_page(tmp_path: Path) -> None:
    assert "0 of 0 trained models" in figures.as_page(report.make_report(study_row(tmp_path), ()))
