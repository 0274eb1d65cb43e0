from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.evidence.timing import Block, Comparison, Timing
from segsearch.evidence.types import Confusion, Evidence
from segsearch.space.keys import from_json, to_json

quick = settings(max_examples=60, deadline=None, derandomize=True)

TIMING = Timing((3.0, 1.0, 2.0), warmup_runs=2, threads=1, machine="m")
EVIDENCE = Evidence("a.onnx", 1000, 10, 20, TIMING, seed=0, versions=(("torch", "2"),))


def test_miou_leaves_an_absent_class_out() -> None:
    # Class 2 is in neither truth nor prediction; scored 1 it would make 0.7 of 0.55.
    confusion = Confusion(((6, 2, 0), (2, 2, 0), (0, 0, 0)))
    assert confusion.class_iou == (pytest.approx(0.6), pytest.approx(1 / 3), None)
    assert confusion.miou == pytest.approx((0.6 + 1 / 3) / 2)


def test_a_class_that_is_only_predicted_is_missed_by_its_own_class_and_none_of_the_mean() -> None:
    """Candidates would be ranked over different sets of classes: one stray pixel took one from 0.375 to 0.25."""
    confusion = Confusion(((6, 2), (0, 0)))
    assert confusion.class_iou == (0.75, None)
    assert confusion.miou == 0.75
    stray, clean = Confusion(((3, 5, 1), (1, 1, 0), (0, 0, 0))), Confusion(((3, 5, 0), (1, 1, 0), (0, 0, 0)))
    assert stray.class_iou == (3 / 10, 1 / 7, None)
    assert clean.class_iou == (3 / 9, 1 / 7, None)
    assert stray.miou == (3 / 10 + 1 / 7) / 2


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
        if (truth == label).any():
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
    compared = Comparison("float-1", 1 / 7, (Block(0, 3, 0.1 + 0.2, 1 / 3),), 0.9, 0.9 - 1e-16, 0.9, "time")
    timing = replace(TIMING, samples_ms=(0.1 + 0.2, 1 / 3, 1e-7), comparison=compared, load_ms=(1 / 9,), energy_mj=1e-9)
    full = replace(EVIDENCE, timing=timing, confusion=Confusion(((2**53 + 1, 0), (1, 2))), parity_max_abs=1e-7)
    assert from_json(Evidence, to_json(full)) == full
    assert from_json(Evidence, to_json(EVIDENCE)) == EVIDENCE


def test_evidence_of_an_older_segsearch_is_read() -> None:
    old = (
        '{"artifact":"a.onnx","confusion":null,"macs":20,"parity_max_abs":null,"params":10,"seed":0,"size_bytes":1000,'
        '"timing":{"machine":"m","samples_ms":[3.0,1.0,2.0],"threads":1,"warmup_runs":2},"versions":[["torch","2"]]}'
    )
    assert from_json(Evidence, old) == EVIDENCE


def test_stored_evidence_cannot_smuggle_a_nan_in() -> None:
    text = to_json(EVIDENCE).replace("1000", "0")
    with pytest.raises(ValueError, match="must be positive"):
        from_json(Evidence, text)
    with pytest.raises(ValueError, match="finite"):
        from_json(Evidence, to_json(EVIDENCE).replace("3.0", "NaN"))
