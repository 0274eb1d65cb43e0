"""Reports: rows against a naive front, picks with their reasons, words, and the figure's own data."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from segsearch import figures
from segsearch.errors import StudyError
from segsearch.evidence.objectives import MACHINE_BOUND, OBJECTIVES, Limit, read_limit
from segsearch.evidence.timing import Machine
from segsearch.judging import fronts, picking, tables
from segsearch.judging import words as in_text
from segsearch.space.candidate import (
    Architecture,
    Candidate,
    Context,
    Distill,
    EncoderPath,
    Feature,
    Head,
    Join,
    Prune,
    Quantize,
    Stage,
    Stem,
)
from segsearch.store import Failure, StudyRow, TimingRow, TrialRow
from segsearch.workshop import Artifacts
from tests import fakes

LIMITS = ("latency_ms<=9",)


def numbers(miou: float, latency_ms: float) -> dict[str, float]:
    base = dict.fromkeys(OBJECTIVES, 1000.0)
    return base | {"miou": miou, "latency_ms": latency_ms, "latency_p95_ms": latency_ms}


def trial(
    number: int, values: Mapping[str, float], *, state: str = "trained", quantized: bool = False, machine: str = "m"
) -> TrialRow:
    one = fakes.candidate(8, number + 1, quantized=quantized)
    return TrialRow(
        number=number,
        state=state,  # type: ignore[arg-type]
        candidate=one,
        key=one.key,
        params={},
        values=values,
        artifact=f"{number:064x}.onnx",
        machine=machine,
        failure=Failure("limit", "latency_ms<=9 broken by 30") if state == "rejected" else None,
        twin=None,
        seed=0,
        attempts=1,
        worker=None,
        started=0.0,
        finished=1.0,
    )


def timing(number: int, latency_ms: float, around: tuple[float, float] | None = None, machine: str = "m") -> TimingRow:
    intervals = {} if around is None else {"latency_ms": around}
    return TimingRow(number, machine, {"latency_ms": latency_ms}, intervals, taken=1.0)


def timings(trials: Sequence[TrialRow]) -> list[TimingRow]:
    """What each trial cost on the machine that it was evaluated on, without intervals."""
    return [
        TimingRow(
            one.number,
            str(one.machine),
            {name: value for name, value in one.values.items() if name in MACHINE_BOUND},
            {},
            taken=1.0,
        )
        for one in trials
        if one.values
    ]


def drawn(
    row: StudyRow, trials: Sequence[TrialRow], limits: Sequence[Limit] = (), *, on: Sequence[TimingRow] | None = None
) -> fronts.Report:
    """The report on machine m."""
    return fronts.make_report(row, trials, timings(trials) if on is None else on, limits, machine="m")


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
def found(tmp_path: Path) -> fronts.Report:
    return drawn(study_row(tmp_path, limits=list(LIMITS)), TRIALS)


def test_the_front_is_of_those_that_meet_every_limit(found: fronts.Report, tmp_path: Path) -> None:
    assert [row.trial for row in found.front] == [0, 1, 3]
    assert [row.trial for row in found.rows] == [0, 1, 2, 3, 4]
    assert [row.trial for row in found.rows if row.broken] == [4]
    tighter = drawn(study_row(tmp_path, limits=list(LIMITS)), TRIALS, [read_limit("latency_ms<=5")])
    assert [row.trial for row in tighter.front] == [0, 1]


def test_a_limit_can_bring_a_beaten_trial_to_the_front(tmp_path: Path) -> None:
    trials = [trial(0, numbers(0.6, 4.0) | {"size_bytes": 9000.0}), trial(1, numbers(0.5, 5.0))]
    assert [row.trial for row in drawn(study_row(tmp_path), trials).front] == [0]
    small = drawn(study_row(tmp_path), trials, [Limit("size_bytes", "<=", 5000.0)])
    assert [row.trial for row in small.front] == [1]


def test_picks_say_why(found: fronts.Report) -> None:
    assert picking.pick_from(found, prefer="miou").trial == 3
    assert picking.pick_from(found, prefer="latency_ms").trial == 0
    knee = picking.pick_from(found, prefer="knee")
    assert knee.trial == fronts.knee_of(found).trial == 1
    assert knee.reason == (
        "the knee of the front, nearest to the best of every objective at once under latency_ms<=9: "
        "miou 0.550, latency_ms 4"
    )


@pytest.mark.parametrize(
    ("number", "words"), [(0, "on the front"), (2, "though trial 1 is at least as good"), (4, "breaks latency_ms<=9")]
)
def test_a_pick_by_hand_says_where_it_stands(found: fronts.Report, number: int, words: str) -> None:
    assert words in picking.pick_trial(found, number).reason


@pytest.mark.parametrize("number", [5, 6, 7])
def test_only_a_trained_trial_can_be_picked(found: fronts.Report, number: int) -> None:
    with pytest.raises(StudyError, match="On the front: 0, 1, 3"):
        picking.pick_trial(found, number)


def test_nothing_to_pick_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="none yet"):
        picking.pick_from(drawn(study_row(tmp_path), ()), prefer="knee")
    none = drawn(study_row(tmp_path), TRIALS, [read_limit("latency_ms<=1")])
    with pytest.raises(StudyError, match="the nearest is trial 0"):
        picking.pick_from(none, prefer="knee")


def test_a_candidate_in_words() -> None:
    stages = (
        Stage("conv", 24, 2, stride=2),
        Stage("inverted_residual", 40, 3, stride=2, kernel=5, expansion=4.0, atrous=(1, 2)),
        Stage("grouped", 64, 1, groups=8),
    )
    path = EncoderPath(Stem(16), stages, Context("pyramid_pooling", 64, bins=(1, 2, 4)))
    architecture = Architecture((path,), (Join("concat", Feature(0, 1), 32),), Head(48), input_scale=0.75)
    one = Candidate(architecture, Distill(0.4, 2.0), (Prune(0.25, "l2"),), (Quantize(symmetric_activations=True),))
    assert in_text.describe(one) == (
        "input x0.75; stem 16, conv 2x24 /2, inverted_residual 3x40 /2 k5 e4 rates 1-2, grouped 1x64 g8; "
        "pyramid_pooling 1-2-4 (64); concat from stage 1 (32); head 48; taught 0.4 at T 2; pruned 25% by l2; "
        "int8 symmetric"
    )
    assert in_text.describe(fakes.candidate(8, 1)).endswith("head 16; fp32")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("miou", 0.61234, "0.612"),
        ("latency_ms", 4.23456, "4.235"),
        ("size_bytes", 812, "812 B"),
        ("size_bytes", 812_345, "812 kB"),
        ("params", 1_234_567, "1.23 M"),
        ("macs", 2_500_000_000, "2.5 G"),
        ("peak_memory_bytes", 0, "0 B"),
        ("peak_memory_bytes", 50_000_000, "50 MB"),
        ("energy_mj", 0.123456, "0.1235"),
    ],
)
def test_values_in_words(name: str, value: float, words: str) -> None:
    assert in_text.in_words(name, value) == words


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


# ---- machines


HERE = Machine("aaaa" * 16, "a CPU", 2, 2**30, "Linux", "onnxruntime 1")
THERE = Machine("aabb" * 16, "another CPU", 8, 2**30, "Linux", "onnxruntime 2", threads=4)


def test_one_machine_needs_no_choice() -> None:
    assert fronts.one_machine(TRIALS, timings(TRIALS), []) == "m"
    assert fronts.one_machine(TRIALS, timings(TRIALS), [fakes.MACHINE, HERE]) == "m"


def test_before_anything_is_timed_there_is_no_machine() -> None:
    assert fronts.one_machine((), (), []) == ""
    assert fronts.one_machine(TRIALS[6:], (), [HERE]) == ""


def test_a_study_of_rejected_trials_alone_is_of_their_machine() -> None:
    assert fronts.one_machine(TRIALS[5:], timings(TRIALS[5:]), []) == "m"
    elsewhere = [timing(7, 2.0, machine=HERE.key), *timings(TRIALS[5:])]
    assert fronts.one_machine(TRIALS[5:], elsewhere, []) == ""  # nothing to compare, and so nothing to choose


def test_where_only_a_rejected_trial_was_elsewhere_no_choice_is_asked_for() -> None:
    trials = [*TRIALS, trial(7, numbers(0.1, 99.0), state="rejected", machine=HERE.key)]
    assert fronts.one_machine(trials, timings(trials), []) == "m"


def test_several_machines_are_named_and_one_must_be_chosen() -> None:
    both = [timing(0, 2.0, machine=HERE.key), timing(1, 2.0, machine=HERE.key), timing(1, 3.0, machine=THERE.key)]
    with pytest.raises(StudyError, match="do not compare") as caught:
        fronts.one_machine(TRIALS, both, [HERE, THERE])
    assert str(caught.value) == (
        "Latencies of different machines do not compare. Choose one with --machine: "
        "aaaaaaaa (a CPU, 2 cores, onnxruntime 1, 1 thread, 2 models); "
        "aabbaabb (another CPU, 8 cores, onnxruntime 2, 4 threads, 1 model)."
    )
    with pytest.raises(StudyError, match=r"aabbaabb \(unknown, 1 model\)\.$"):
        fronts.one_machine(TRIALS, both, [HERE])
    assert fronts.one_machine(TRIALS, both, [HERE, THERE], "aab") == THERE.key
    assert fronts.one_machine(TRIALS, both, [HERE, THERE], HERE.key) == HERE.key
    for wanted in ("aa", "", "b", HERE.key + "a"):
        with pytest.raises(
            StudyError, match=f"must begin the key of one machine .*, got '{wanted}': aaaaaaaa .*aabbaabb"
        ):
            fronts.one_machine(TRIALS, both, [HERE, THERE], wanted)


def test_a_whole_key_that_begins_another_one_is_that_machine() -> None:
    both = [timing(0, 2.0), timing(1, 2.0, machine="mm")]
    assert fronts.one_machine(TRIALS, both, [], "m") == "m"


def test_a_machine_that_has_only_begun_can_be_named() -> None:
    """A run there may end before its first model is trained."""
    assert fronts.one_machine(TRIALS, timings(TRIALS), [HERE, THERE], HERE.key) == HERE.key
    assert fronts.one_machine((), (), [HERE], "aaaa") == HERE.key
    with pytest.raises(StudyError, match=r"got 'b': none yet\."):
        fronts.one_machine((), (), [HERE], "b")
    with pytest.raises(StudyError, match="got 'aa'"):
        fronts.one_machine((), (), [HERE, THERE], "aa")


def test_a_front_is_of_the_latencies_of_one_machine(tmp_path: Path) -> None:
    row, trials = study_row(tmp_path), [trial(0, numbers(0.6, 4.0)), trial(1, numbers(0.5, 2.0))]
    both = [*timings(trials), timing(0, 1.0, machine="n"), timing(1, 3.0, machine="n")]
    assert [row.trial for row in drawn(row, trials, on=both).front] == [1, 0]
    there = fronts.make_report(row, trials, both, machine="n")
    assert [row.trial for row in there.front] == [0]
    assert [row.machine for row in there.rows] == ["n", "n"]
    assert (there.machine, there.untimed) == ("n", 0)


def test_nothing_that_belongs_to_another_machine_is_shown(tmp_path: Path) -> None:
    again = timing(0, 1.0, machine="n")
    (shown,) = fronts.make_report(study_row(tmp_path), TRIALS[:1], [*timings(TRIALS), again], machine="n").rows
    assert shown.values["latency_ms"] == 1.0
    assert set(shown.values) == set(OBJECTIVES) - set(MACHINE_BOUND) | {"latency_ms"}
    assert shown.values["miou"] == TRIALS[0].values["miou"]


def test_limits_hold_on_the_machine_that_is_shown(tmp_path: Path) -> None:
    row = study_row(tmp_path, limits=["latency_ms<=9"])
    faster = [timing(one.number, one.values["latency_ms"] / 2, machine="n") for one in TRIALS[:5]]
    assert [row.trial for row in fronts.make_report(row, TRIALS, faster, machine="n").rows if row.broken] == []


def test_what_was_never_timed_on_a_machine_is_left_out_and_counted(found: fronts.Report, tmp_path: Path) -> None:
    assert found.untimed == 0
    some = fronts.make_report(
        study_row(tmp_path),
        TRIALS,
        [*timings(TRIALS), timing(3, 1.0, machine="n"), timing(5, 1.0, machine="n")],
        machine="n",
    )
    assert [row.trial for row in some.rows] == [3]
    assert some.untimed == 4
    assert drawn(study_row(tmp_path), TRIALS, on=[]).untimed == 5


def test_a_model_without_an_objective_on_a_machine_is_left_out_and_counted(tmp_path: Path) -> None:
    row = study_row(tmp_path, objectives=["miou", "energy_mj"])
    metered = replace(timing(0, 2.0, machine="n"), values={"latency_ms": 2.0, "energy_mj": 0.5})
    found = fronts.make_report(row, TRIALS, [metered, timing(1, 2.0, machine="n")], machine="n")
    assert [row.trial for row in found.rows] == [row.trial for row in found.front] == [0]
    assert found.untimed == 4
    assert "1 of 1 trained models" in figures.as_page(found)


def test_what_another_machine_rejected_is_left_out(tmp_path: Path) -> None:
    trials = [*TRIALS, trial(7, {"latency_ms": 40.0}, state="rejected", machine="n")]
    assert [values["latency_ms"] for values in drawn(study_row(tmp_path), trials).rejected] == [30.0]
    there = fronts.make_report(study_row(tmp_path), trials, timings(trials), machine="n")
    assert [values["latency_ms"] for values in there.rejected] == [40.0]


# ---- confidence intervals


CLOSE = (
    trial(0, numbers(0.40, 2.0)),
    trial(1, numbers(0.60, 4.0)),
    trial(2, numbers(0.55, 4.1)),  # beaten by 1, but not beyond the intervals
    trial(3, numbers(0.50, 5.0)),  # beaten by 1 and 2
    trial(4, numbers(0.70, 8.0)),
)
SPANS = (
    timing(0, 2.0, (1.9, 2.1)),
    timing(1, 4.0, (3.9, 4.14)),
    timing(2, 4.1, (4.0, 4.2)),
    timing(3, 5.0, (4.8, 5.3)),
    timing(4, 8.0, (7.5, 8.5)),
)


@pytest.fixture
def close(tmp_path: Path) -> fronts.Report:
    return drawn(study_row(tmp_path), CLOSE, on=SPANS)


def test_a_front_keeps_what_is_beaten_within_the_intervals_only(close: fronts.Report) -> None:
    assert [(row.trial, row.tied) for row in close.front] == [(0, ()), (1, ()), (2, (1,)), (4, ())]
    assert [row.trial for row in close.rows if not row.on_front] == [3]
    assert close.rows[3].tied == ()
    assert close.rows[1].intervals == {"latency_ms": (3.9, 4.14)}


def test_without_intervals_there_are_no_ties(tmp_path: Path) -> None:
    plain = drawn(study_row(tmp_path), CLOSE)
    assert [row.trial for row in plain.front] == [0, 1, 4]
    assert not any(row.tied or row.intervals for row in plain.rows)


def test_a_model_over_a_limit_ties_with_nobody(tmp_path: Path) -> None:
    limited = drawn(study_row(tmp_path), CLOSE, [read_limit("miou<=0.59")], on=SPANS)
    assert [(row.trial, row.tied) for row in limited.front] == [(0, ()), (2, ())]


def test_intervals_of_what_is_no_objective_keep_nothing(tmp_path: Path) -> None:
    (row,) = drawn(study_row(tmp_path, objectives=["miou"]), CLOSE, on=SPANS).front
    assert (row.trial, row.tied) == (4, ())


def test_the_table_shows_intervals_and_marks_ties(close: fronts.Report) -> None:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(tables.as_table(close))
    lines = capture.get().splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["0", "1*", "2~", "4"]
    assert ["2 ±0.1" in lines[0], "4 ±0.12" in lines[1], "8 ±0.5" in lines[3]] == [True] * 3


@pytest.mark.parametrize(
    ("value", "around", "words"),
    [
        (7.834, (7.77, 7.89), "7.834 ±0.06"),
        (7.8, None, "7.8"),
        (7.8, (7.8, 7.8), "7.8 ±0"),
        (1500.0, (1380.0, 1620.0), "1500 ±120"),
        (1500.0, (1450.2, 1649.4), "1500 ±100"),
        (1500.0, (1402.0, 1600.0), "1500 ±99"),
    ],
)
def test_a_value_stands_with_half_the_width_of_its_interval(
    value: float, around: tuple[float, float] | None, words: str, tmp_path: Path
) -> None:
    (row,) = drawn(study_row(tmp_path), CLOSE[:1], on=[timing(0, value, around)]).rows
    assert in_text.with_interval(row, "latency_ms") == words
    assert in_text.with_interval(row, "energy_mj") == "-"
    assert in_text.with_interval(row, "miou") == "0.400"


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


def test_hovering_tells_the_interval_and_who_is_alike(close: fronts.Report) -> None:
    lines = figures.hover(close, close.rows[2]).split("<br>")
    assert lines[:4] == ["trial 2", "miou 0.550", "latency_ms 4.1 ±0.1", "within the intervals of trial 1"]
    assert "within" not in figures.hover(close, close.rows[1])


def test_the_chart_draws_the_intervals_of_the_front(close: fronts.Report) -> None:
    bars = traces(close)["fp32, on the front"]["error_x"]
    assert [bars["array"], bars["arrayminus"]] == [  # type: ignore[index]
        pytest.approx([0.1, 0.14, 0.5, 0.1]),  # the cheapest first
        pytest.approx([0.1, 0.1, 0.5, 0.1]),
    ]
    assert "error_x" not in traces(close)["fp32, dominated or over a limit"]


def test_the_page_marks_ties_and_tells_intervals(close: fronts.Report) -> None:
    page = figures.as_page(close)
    assert '<td class="number">2~</td>' in page
    assert '<td class="number">1</td>' in page
    assert "4.1 ±0.1" in page


# ---- picks among ties


def test_the_best_of_one_thing_says_whom_it_is_not_told_apart_from(close: fronts.Report) -> None:
    assert picking.pick_from(close, prefer="latency_ms").reason == (
        "the lowest latency on the front: miou 0.400, latency_ms 2"
    )
    assert picking.pick_from(close, prefer="miou").reason == "the highest mIoU on the front: miou 0.700, latency_ms 8"
    assert picking.pick_from(replace(close, rows=close.rows[1:]), prefer="latency_ms").reason == (
        "the lowest latency on the front (not told apart from trial 2): miou 0.600, latency_ms 4"
    )


def test_of_two_that_are_best_alike_the_one_that_nobody_beats_is_picked(tmp_path: Path) -> None:
    trials = [trial(0, numbers(0.5, 4.0)), trial(1, numbers(0.6, 4.0))]
    found = drawn(study_row(tmp_path), trials, on=[timing(0, 4.0, (3.9, 4.1)), timing(1, 4.0, (3.9, 4.1))])
    assert [(row.trial, row.tied) for row in found.front] == [(0, (1,)), (1, ())]
    assert picking.pick_from(found, prefer="latency_ms").trial == 1
    assert picking.pick_from(found, prefer="knee").trial == 1


def test_a_pick_by_hand_of_a_tied_model_says_whose_intervals_it_is_in(close: fronts.Report) -> None:
    assert picking.pick_trial(close, 2).reason == (
        "chosen by hand, on the front, within the confidence intervals of trial 1: miou 0.550, latency_ms 4.1"
    )
    assert picking.pick_trial(close, 1).reason == "chosen by hand, on the front: miou 0.600, latency_ms 4"
    assert "though trial 1 is at least as good in everything" in picking.pick_trial(close, 3).reason


def test_the_smallest_file_may_be_a_tied_model_and_its_pick_says_so(tmp_path: Path) -> None:
    trials = [*CLOSE[:2], replace(CLOSE[2], values={**CLOSE[2].values, "size_bytes": 5.0})]
    pick = picking.pick_from(drawn(study_row(tmp_path), trials, on=SPANS), prefer="size_bytes")
    assert pick.trial == 2
    assert pick.reason == (
        "the lowest file size on the front: miou 0.550, latency_ms 4.1, within the confidence intervals of trial 1"
    )


# ---- picks where something was not measured


def test_a_limit_on_what_was_not_measured_is_not_met(tmp_path: Path) -> None:
    measured = replace(timing(1, 4.0), values={"latency_ms": 4.0, "energy_mj": 1.0})
    limit = read_limit("energy_mj<=2")
    found = drawn(study_row(tmp_path), CLOSE[:2], [limit], on=[timing(0, 2.0), measured])
    assert [(row.trial, row.broken) for row in found.rows] == [(0, (limit,)), (1, ())]
    assert [row.trial for row in found.front] == [1]
    assert tables.as_objects(found)[0]["breaks"] == ["energy_mj<=2"]
    assert "though it breaks energy_mj<=2 (not measured)" in picking.pick_trial(found, 0).reason


def test_a_limit_on_what_was_nowhere_measured_is_said(tmp_path: Path) -> None:
    found = drawn(study_row(tmp_path), CLOSE, [read_limit("energy_mj<=2"), read_limit("miou>=0.5")], on=SPANS)
    with pytest.raises(StudyError) as caught:
        picking.pick_from(found, prefer="knee")
    assert str(caught.value) == (
        "A limit must be on what was measured, and energy_mj was not on machine m: no trained trial is seen to meet "
        "energy_mj<=2, miou>=0.5. Leave that limit out, or choose another with --machine."
    )


def test_a_trial_that_was_timed_elsewhere_alone_is_not_picked(tmp_path: Path) -> None:
    some = drawn(study_row(tmp_path), TRIALS, on=[timing(1, 4.0)])
    with pytest.raises(StudyError, match=r"that was timed on machine m; trial 0 is not one\. On the front: 1\."):
        picking.pick_trial(some, 0)
    none = fronts.make_report(study_row(tmp_path), TRIALS, timings(TRIALS), machine=HERE.key)
    with pytest.raises(StudyError, match=r"timed on machine aaaaaaaa .*none of 5 was; `segsearch remeasure`"):
        picking.pick_from(none, prefer="knee")


# ---- the figure


def traces(found: fronts.Report) -> dict[str, dict[str, object]]:
    return {trace.name or "edge": trace.to_plotly_json() for trace in figures.figure(found).data}


def test_the_figure_separates_precision_and_standing(found: fronts.Report) -> None:
    shown = traces(found)
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
    assert len(set(colours)) == len(set(shapes)) == 3


def test_hovering_tells_the_design(found: fronts.Report) -> None:
    lines = figures.hover(found, found.rows[0]).split("<br>")
    assert lines[:3] == ["trial 0", "miou 0.400", "latency_ms 2"]
    assert lines[-1] == "int8"


def test_the_page_needs_nothing_else_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    evil = trial(0, numbers(0.4, 2.0))
    object.__setattr__(evil.candidate.architecture.paths[0].stages[0], "block", "<script>alert(1)</script>")
    page = figures.as_page(drawn(study_row(tmp_path), [evil]))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    head = page[: page.index("<script")]
    assert "http" not in head


@pytest.mark.parametrize("objectives", [["miou"], ["miou", "latency_ms", "size_bytes"], ["latency_ms", "miou"]])
def test_any_number_of_objectives_can_be_drawn(objectives: list[str], tmp_path: Path) -> None:
    found = drawn(study_row(tmp_path, objectives=objectives), TRIALS)
    assert found.front
    assert "Front of fake" in figures.as_page(found)


def test_an_empty_study_has_an_empty_page(tmp_path: Path) -> None:
    assert "0 of 0 trained models" in figures.as_page(drawn(study_row(tmp_path), ()))
