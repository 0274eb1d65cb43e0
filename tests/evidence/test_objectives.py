from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.errors import SegsearchError, StudyError, UserError
from segsearch.evidence.objectives import (
    MACHINE_BOUND,
    OBJECTIVES,
    PERCENTILES,
    Limit,
    Rejected,
    broken_limits,
    demand_sense,
    intervals_of,
    nearest_misses,
    objective,
    read_limit,
    samples_wanted,
    values_of,
)
from segsearch.evidence.timing import Block, Comparison, Energy, Timing
from segsearch.evidence.types import Confusion, Evidence

quick = settings(max_examples=40, deadline=None, derandomize=True)

GATE = Evidence(
    "a.onnx", 5000, 700, 9000, Timing((4.0, 2.0, 9.0), warmup_runs=1, threads=1, machine="m"), seed=0, versions=()
)
TRAINED = replace(GATE, confusion=Confusion(((3, 1), (0, 4))))
# 500 runs of 1 to 500 ms, of twice that on the wall, beside a reference that took twice its calibrated time: half of
# that is the machine's.
FULL = replace(
    TRAINED,
    timing=Timing(
        tuple(float(sample) for sample in range(1, 501)),
        warmup_runs=1,
        threads=1,
        machine="m",
        comparison=Comparison("float-1", 2.0, (Block(0, 500, 250.5, 4.0),), 62.5, 60.0, 64.0, "interval"),
        load_ms=(30.0, 10.0, 20.0),
        first_run_ms=(7.0, 9.0),
        peak_memory_bytes=123456,
        energy_mj=0.25,
        wall_ms=tuple(2.0 * sample for sample in range(1, 501)),
        energy=Energy((900.0, 1100.0), 125.0, 2.0),
    ),
)
UNMEASURED = {
    "latency_p95_ms",
    "latency_p99_ms",
    "wall_p95_ms",
    "wall_p99_ms",
    "load_ms",
    "first_run_ms",
    "peak_memory_bytes",
    "energy_mj",
}


def test_values_are_read_from_the_evidence() -> None:
    miou = pytest.approx((3 / 4 + 4 / 5) / 2)
    plain = {"miou": miou, "latency_ms": 4.0, "size_bytes": 5000.0, "params": 700.0, "macs": 9000.0}
    assert values_of(TRAINED) == plain
    assert values_of(FULL) == plain | {
        "latency_ms": 125.0,
        "latency_p95_ms": 237.5,  # the 475th of 500, halved
        "latency_p99_ms": 247.5,
        "wall_p95_ms": 950.0,  # whatever the reference took
        "wall_p99_ms": 990.0,
        "load_ms": 10.0,
        "first_run_ms": 4.0,
        "peak_memory_bytes": 123456.0,
        "energy_mj": 0.25,
    }


def test_what_was_not_measured_has_no_value_and_is_not_estimated() -> None:
    assert set(values_of(GATE)) == set(OBJECTIVES) - UNMEASURED - {"miou"}
    assert set(values_of(TRAINED)) == set(OBJECTIVES) - UNMEASURED
    assert set(values_of(replace(FULL, confusion=None))) == set(OBJECTIVES) - {"miou"}
    for field in ("load_ms", "first_run_ms", "peak_memory_bytes"):
        nothing = () if field in ("load_ms", "first_run_ms") else None
        without = replace(FULL, timing=replace(FULL.timing, **{field: nothing}))
        assert set(values_of(without)) == set(OBJECTIVES) - {field}
    without = replace(FULL, timing=replace(FULL.timing, wall_ms=()))
    assert set(values_of(without)) == set(OBJECTIVES) - {"wall_p95_ms", "wall_p99_ms"}


def test_an_energy_with_the_idle_machine_in_it_is_no_value() -> None:
    """Earlier versions stored it without saying how it was found: it does not compare with today's."""
    old = replace(FULL, timing=replace(FULL.timing, energy=None))
    assert old.timing.energy_mj == 0.25
    assert set(values_of(old)) == set(OBJECTIVES) - {"energy_mj"}


def test_a_measured_nothing_is_a_value() -> None:
    zero = replace(FULL, timing=replace(FULL.timing, peak_memory_bytes=0, energy_mj=0.0))
    assert (values_of(zero)["peak_memory_bytes"], values_of(zero)["energy_mj"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "needed"), [("latency_p95_ms", 100), ("latency_p99_ms", 500), ("wall_p95_ms", 100), ("wall_p99_ms", 500)]
)
def test_a_percentile_of_too_few_samples_does_not_exist(name: str, needed: int) -> None:
    def of(count: int) -> float | None:
        samples = tuple(float(sample) for sample in range(1, count + 1))
        timing = replace(GATE.timing, samples_ms=samples, wall_ms=samples)
        return OBJECTIVES[name].of(replace(GATE, timing=timing))

    assert of(needed - 1) is None
    assert of(needed) == needed - 5
    assert samples_wanted([name]) == needed


def test_a_study_asks_for_the_samples_of_its_highest_percentile() -> None:
    assert samples_wanted([]) == samples_wanted(["miou", "latency_ms", "load_ms"]) == 0
    assert samples_wanted(["miou", "latency_p95_ms"]) == 100
    assert samples_wanted(iter(("latency_p99_ms", "latency_p95_ms"))) == 500
    assert (samples_wanted(["wall_p95_ms"]), samples_wanted(["latency_p95_ms", "wall_p99_ms"])) == (100, 500)


def test_only_latency_has_an_interval_and_only_beside_a_reference() -> None:
    assert intervals_of(GATE) == {}
    assert intervals_of(FULL) == {"latency_ms": (120.0, 128.0)}
    low, high = intervals_of(FULL)["latency_ms"]
    assert low <= values_of(FULL)["latency_ms"] <= high


def test_what_belongs_to_a_machine_comes_from_the_timing_alone() -> None:
    other = replace(FULL, size_bytes=1, params=1, macs=1, confusion=None, artifact="b.onnx", seed=9)
    ours = {name: value for name, value in values_of(FULL).items() if name in MACHINE_BOUND}
    assert {name: value for name, value in values_of(other).items() if name in MACHINE_BOUND} == ours
    assert set(ours) == set(MACHINE_BOUND)
    swapped = values_of(replace(FULL, timing=GATE.timing))
    assert {name for name, value in values_of(FULL).items() if swapped.get(name) == value} == set(OBJECTIVES) - set(
        MACHINE_BOUND
    )
    assert set(PERCENTILES) <= set(MACHINE_BOUND) <= set(OBJECTIVES)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_named_and_gives_a_plain_float(name: str) -> None:
    entry = objective(name)
    assert entry.name == name
    assert entry.title
    assert entry.direction == ("maximize" if name == "miou" else "minimize")
    assert type(entry.of(FULL)) is float
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


def test_a_gate_does_not_break_a_limit_on_what_it_could_not_measure() -> None:
    limits = ("energy_mj<=0.1", "latency_p99_ms<=1", "wall_p95_ms<=1", "peak_memory_bytes<=5", "load_ms<=10")
    bounds = tuple(map(read_limit, limits))
    assert broken_limits(bounds, GATE) == ()
    assert broken_limits(bounds, FULL) == bounds[:4]


@pytest.mark.parametrize(
    ("limit", "broken"),
    [
        # The latency is 125 ms, from 120 to 128. Beside it everything is as it was: by the value.
        ("latency_ms<=130", False),
        ("latency_ms<=126", False),
        ("latency_ms<=124", False),  # by the value it would be
        ("latency_ms<=120", False),
        ("latency_ms<=119.9", True),
        ("latency_ms>=119", False),
        ("latency_ms>=124", False),
        ("latency_ms>=126", False),  # by the value it would be
        ("latency_ms>=128", False),
        ("latency_ms>=128.1", True),
        ("latency_p95_ms<=237", True),
        ("latency_p95_ms>=238", True),
        ("params<=699", True),
    ],
)
def test_a_limit_is_broken_with_the_whole_interval_where_there_is_one(limit: str, broken: bool) -> None:
    bound = read_limit(limit)
    assert broken_limits((bound,), FULL) == ((bound,) if broken else ())


def test_an_upper_bound_on_quality_is_a_mistake_and_a_lower_one_on_a_cost_is_none() -> None:
    demand_sense(map(read_limit, ("miou>=0.9", "latency_ms<=12", "latency_ms>=5", "params>=100000")), where="limits")
    with pytest.raises(StudyError) as caught:
        demand_sense(map(read_limit, ("latency_ms<=12", "miou <= 0.90")), where="--limit")
    assert str(caught.value) == (
        "--limit: miou<=0.9 leaves out every model that is better than 0.9, and so the best. Write miou>=0.9 where a "
        "model must reach that, and no limit where the best is wanted."
    )
    assert read_limit("miou<=0.9") == Limit("miou", "<=", 0.9), "a study that began with it goes on"


def test_the_nearest_misses_of_each_limit_by_hand() -> None:
    wide = replace(GATE, params=900, macs=10)
    limits = (read_limit("params<=600"), read_limit("macs<=5"), read_limit("size_bytes<=9999"))
    assert nearest_misses(limits, [wide, GATE]) == (
        "params<=600 is broken by 2, of which the nearest has 700",
        "macs<=5 is broken by 2, of which the nearest has 10",
    )
    timed = (read_limit("latency_ms<=100"),)
    assert nearest_misses(timed, [GATE, FULL]) == (
        "latency_ms<=100 is broken by 1, of which the nearest has 125 (95 %: 120 to 128)",
    )
    assert nearest_misses(limits, []) == ()


def test_the_least_excess_is_that_of_the_near_end() -> None:
    upper, lower = Limit("latency_ms", "<=", 10.0), Limit("latency_ms", ">=", 10.0)
    assert upper.sure_excess(12.0, (11.0, 14.0)) == pytest.approx(0.1)
    assert upper.sure_excess(12.0, (9.0, 14.0)) == pytest.approx(-0.1)
    assert lower.sure_excess(8.0, (7.0, 9.0)) == pytest.approx(0.1)
    assert lower.sure_excess(8.0, (7.0, 11.0)) == pytest.approx(-0.1)
    assert (upper.sure_excess(12.0, None), lower.sure_excess(8.0, None)) == (upper.excess(12.0), lower.excess(8.0))


def test_a_rejection_carries_its_evidence_and_says_what_was_broken() -> None:
    broken = broken_limits((read_limit("params<=100"), read_limit("macs<=10")), GATE)
    rejected = Rejected(GATE, broken)
    assert str(rejected) == "params<=100 broken by 700; macs<=10 broken by 9000"
    assert rejected.evidence is GATE
    assert rejected.broken == broken
    timed = Rejected(FULL, (read_limit("latency_ms<=100"), read_limit("macs<=10")))
    assert str(timed) == "latency_ms<=100 broken by 125 (95 %: 120 to 128); macs<=10 broken by 9000"
    assert isinstance(rejected, SegsearchError)
    assert not isinstance(rejected, UserError)
