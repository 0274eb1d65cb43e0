from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.errors import SegsearchError, StudyError, UserError
from segsearch.evidence import Confusion, Evidence
from segsearch.objectives import OBJECTIVES, Limit, Rejected, broken_limits, objective, read_limit, values_of
from segsearch.timing import Timing

quick = settings(max_examples=40, deadline=None, derandomize=True)

GATE = Evidence(
    "a.onnx", 5000, 700, 9000, Timing((4.0, 2.0, 9.0), warmup_runs=1, threads=1, machine="m"), seed=0, versions=()
)
TRAINED = Evidence("a.onnx", 5000, 700, 9000, GATE.timing, seed=0, versions=(), confusion=Confusion(((3, 1), (0, 4))))


def test_values_are_read_from_the_evidence() -> None:
    assert values_of(TRAINED) == {
        "miou": pytest.approx((3 / 4 + 4 / 5) / 2),
        "latency_ms": 4.0,
        "latency_p95_ms": 9.0,
        "size_bytes": 5000.0,
        "params": 700.0,
        "macs": 9000.0,
    }


def test_an_untrained_gate_has_no_miou_and_nothing_else_is_missing() -> None:
    assert set(values_of(GATE)) == set(OBJECTIVES) - {"miou"}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_named_and_gives_a_plain_float(name: str) -> None:
    entry = objective(name)
    assert entry.name == name
    assert entry.title
    assert entry.direction == ("maximize" if name == "miou" else "minimize")
    assert type(entry.of(TRAINED)) is float
    assert name.endswith(f"_{entry.unit}") or not entry.unit  # units are in names


def test_an_unknown_objective_lists_the_known() -> None:
    with pytest.raises(StudyError, match=r"one of miou, latency_ms, .*; got 'latency'\."):
        objective("latency")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency_ms<=12", Limit("latency_ms", "<=", 12.0)),
        ("  latency_ms  <=  12.5 ", Limit("latency_ms", "<=", 12.5)),
        ("miou>=0.5", Limit("miou", ">=", 0.5)),
        ("size_bytes<=1e6", Limit("size_bytes", "<=", 1e6)),
        ("size_bytes<=1_000_000", Limit("size_bytes", "<=", 1e6)),
        ("miou>=-1", Limit("miou", ">=", -1.0)),
    ],
)
def test_limits_are_read(text: str, expected: Limit) -> None:
    assert read_limit(text) == expected


@given(
    st.sampled_from(sorted(OBJECTIVES)),
    st.sampled_from(["<=", ">="]),
    st.floats(allow_nan=False, width=32) | st.integers(0, 2**40),
)
@quick
def test_a_limit_reads_back_as_itself(name: str, operator: str, bound: float) -> None:
    if abs(bound) == float("inf"):
        return
    limit = Limit(name, "<=" if operator == "<=" else ">=", float(bound))
    assert read_limit(str(limit)) == limit


def test_a_limit_in_bytes_keeps_every_byte() -> None:
    assert read_limit(str(read_limit("size_bytes<=1234567"))).bound == 1234567


def test_a_limit_is_written_shortly() -> None:
    assert str(read_limit("latency_ms <= 12.0")) == "latency_ms<=12"
    assert str(read_limit("miou>=0.50")) == "miou>=0.5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must look like latency_ms<=12"),
        ("latency_ms", "must look like"),
        ("latency_ms<12", "must look like"),
        ("latency_ms==12", "must look like"),
        ("latency_ms<=", "must look like"),
        ("latency_ms<=12ms", "must look like"),
        ("12>=latency_ms", "must look like"),
        ("latency_ms<=nan", "must look like"),
        ("latency_ms<=inf", "must look like"),
        ("latency_ms<=1e999", "must end in a finite number"),
        ("latency_ms<=1__2", "must end in a number"),
        ("latency_ms<=--1", "must end in a number"),
        ("latency<=12", "An objective must be one of"),
        ("latency_ms<=12\nmiou>=1", "must look like"),
    ],
)
def test_an_unreadable_limit_says_what_it_must_look_like(text: str, message: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        read_limit(text)
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)


def test_excess_is_positive_only_beyond_the_bound() -> None:
    upper, lower = Limit("latency_ms", "<=", 10.0), Limit("miou", ">=", 0.5)
    assert upper.excess(12.0) == pytest.approx(0.2)
    assert upper.excess(10.0) == 0
    assert upper.excess(5.0) == pytest.approx(-0.5)
    assert lower.excess(0.4) == pytest.approx(0.2)
    assert lower.excess(0.5) == 0
    assert lower.excess(0.6) < 0
    assert Limit("miou", ">=", 0.0).excess(0.1) < 0
    assert Limit("macs", "<=", 0.0).excess(1.0) > 0


def test_broken_limits_keep_their_order_and_pass_over_what_is_not_known() -> None:
    limits = (read_limit("miou>=0.9"), read_limit("macs<=1"), read_limit("latency_ms<=4"), read_limit("params<=699"))
    assert [str(limit) for limit in broken_limits(limits, GATE)] == ["macs<=1", "params<=699"]
    assert [str(limit) for limit in broken_limits(limits, TRAINED)] == ["miou>=0.9", "macs<=1", "params<=699"]
    assert broken_limits((), TRAINED) == ()


def test_a_rejection_carries_its_evidence_and_says_what_was_broken() -> None:
    broken = broken_limits((read_limit("params<=100"), read_limit("macs<=10")), GATE)
    rejected = Rejected(GATE, broken)
    assert str(rejected) == "params<=100 broken by 700; macs<=10 broken by 9000"
    assert rejected.evidence is GATE
    assert rejected.broken == broken
    assert isinstance(rejected, SegsearchError)
    assert not isinstance(rejected, UserError)
