from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.candidate import from_json, to_json
from segsearch.evidence import Confusion, Evidence
from segsearch.timing import Machine, Timing

quick = settings(max_examples=60, deadline=None, derandomize=True)

TIMING = Timing((3.0, 1.0, 2.0), warmup_runs=2, threads=1, machine="m")
EVIDENCE = Evidence("a.onnx", 1000, 10, 20, TIMING, seed=0, versions=(("torch", "2"),))


def test_median_and_p95_of_hand_worked_samples() -> None:
    assert TIMING.median_ms == 2.0
    assert TIMING.p95_ms == 3.0
    twenty = replace(TIMING, samples_ms=tuple(float(value) for value in range(20, 0, -1)))
    assert twenty.median_ms == 10.5
    assert twenty.p95_ms == 19.0  # exactly 19 of 20 samples, 95 %, do not exceed it
    twenty_one = replace(TIMING, samples_ms=tuple(float(value) for value in range(1, 22)))
    assert twenty_one.p95_ms == 20.0  # 19 of 21 would be 90.5 %
    hundred = replace(TIMING, samples_ms=tuple(float(value) for value in range(1, 101)))
    assert hundred.p95_ms == 95.0
    assert replace(TIMING, samples_ms=(7.0,)).p95_ms == 7.0


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=200))
@quick
def test_p95_is_the_smallest_sample_that_95_percent_do_not_exceed(samples: list[float]) -> None:
    found = replace(TIMING, samples_ms=tuple(samples)).p95_ms

    def covers(bound: float) -> bool:
        return 100 * sum(sample <= bound for sample in samples) >= 95 * len(samples)

    assert found == min(sample for sample in samples if covers(sample))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), 0.0, -1.0])
def test_a_timing_refuses_what_cannot_be_a_time(bad: float) -> None:
    with pytest.raises(ValueError, match="finite and positive"):
        replace(TIMING, samples_ms=(1.0, bad))


def test_a_timing_needs_samples_and_a_machine() -> None:
    with pytest.raises(ValueError, match="at least one sample, got none"):
        replace(TIMING, samples_ms=())
    with pytest.raises(ValueError, match="without one does not exist"):
        replace(TIMING, machine="")


def test_miou_leaves_an_absent_class_out() -> None:
    # Class 2 is in neither truth nor prediction; scored 1 it would make 0.7 of 0.55.
    confusion = Confusion(((6, 2, 0), (2, 2, 0), (0, 0, 0)))
    assert confusion.class_iou == (pytest.approx(0.6), pytest.approx(1 / 3), None)
    assert confusion.miou == pytest.approx((0.6 + 1 / 3) / 2)


def test_a_class_that_is_only_predicted_scores_zero() -> None:
    confusion = Confusion(((6, 2), (0, 0)))
    assert confusion.class_iou == (0.75, 0.0)
    assert confusion.miou == 0.375


def test_a_class_that_is_never_predicted_scores_zero() -> None:
    assert Confusion(((4, 0), (4, 0))).class_iou == (0.5, 0.0)


def test_perfect_and_worst() -> None:
    assert Confusion(((5, 0), (0, 1))).miou == 1.0
    assert Confusion(((0, 5), (1, 0))).miou == 0.0


@pytest.mark.parametrize("counts", [(), ((0,),), ((0, 0), (0, 0))])
def test_miou_of_nothing_but_void_is_undefined(counts: Any) -> None:
    with pytest.raises(ValueError, match="every pixel of the split is void"):
        _ = Confusion(counts).miou


@given(st.integers(1, 5), st.integers(0, 2**31))
@quick
def test_miou_agrees_with_a_naive_triple_loop(classes: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, classes + 1, (4, 9))  # the last value is void
    truth[0, 0] = 0
    found = draw.integers(0, classes, (4, 9))
    counts = [[0] * classes for _ in range(classes)]
    scores = []
    for label in range(classes):
        hit = union = 0
        for row in range(4):
            for column in range(9):
                real, said = int(truth[row, column]), int(found[row, column])
                if real == classes:
                    continue
                if label == 0:
                    counts[real][said] += 1
                hit += real == said == label
                union += label in (real, said)
        if union:
            scores.append(hit / union)
    confusion = Confusion(tuple(tuple(row) for row in counts))
    assert confusion.miou == pytest.approx(sum(scores) / len(scores), abs=1e-12)


def test_a_confusion_is_square_and_counts() -> None:
    with pytest.raises(ValueError, match="square"):
        Confusion(((1, 2), (3,)))
    with pytest.raises(ValueError, match="square"):
        Confusion(((1, 2),))
    with pytest.raises(ValueError, match="negative"):
        Confusion(((1, -1), (0, 0)))


@pytest.mark.parametrize("field", ["size_bytes", "params", "macs"])
@pytest.mark.parametrize("value", [0, -5])
def test_evidence_refuses_what_cannot_be_a_size(field: str, value: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        replace(EVIDENCE, **{field: value})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_evidence_refuses_a_parity_that_is_not_a_number(value: float) -> None:
    with pytest.raises(ValueError, match="parity_max_abs must be finite"):
        replace(EVIDENCE, parity_max_abs=value)


def test_evidence_goes_through_json_without_rounding() -> None:
    timing = replace(TIMING, samples_ms=(0.1 + 0.2, 1 / 3, 1e-7))
    full = replace(EVIDENCE, timing=timing, confusion=Confusion(((2**53 + 1, 0), (1, 2))), parity_max_abs=1e-7)
    assert from_json(Evidence, to_json(full)) == full
    assert from_json(Evidence, to_json(EVIDENCE)) == EVIDENCE
    machine = Machine("k", "cpü", 2, 10, "Linux", "onnxruntime 1")
    assert from_json(Machine, to_json(machine)) == machine


def test_stored_evidence_cannot_smuggle_a_nan_in() -> None:
    text = to_json(EVIDENCE).replace("1000", "0")
    with pytest.raises(ValueError, match="must be positive"):
        from_json(Evidence, text)
    with pytest.raises(ValueError, match="finite"):
        from_json(Timing, to_json(TIMING).replace("3.0", "NaN"))
