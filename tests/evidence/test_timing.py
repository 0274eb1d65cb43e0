from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.evidence.timing import BEYOND, Block, Comparison, Energy, Machine, Timing, samples_needed
from segsearch.space.keys import from_json, to_json

quick = settings(max_examples=60, deadline=None, derandomize=True)

TIMING = Timing((3.0, 1.0, 2.0), warmup_runs=2, threads=1, machine="m")
# The reference is worth 2 ms; it took that in the first block and half as long again in the second.
BLOCKS = (Block(0, 2, 3.5, 2.0), Block(1, 3, 6.0, 3.0))
COMPARED = Comparison("float-1", 2.0, BLOCKS, 1.875, 1.75, 2.0, "interval")
BESIDE = Timing(
    (3.0, 4.0, 6.0, 5.4, 6.6), warmup_runs=2, threads=1, machine="m", clock="cpu", comparison=COMPARED, load_ms=(10.0,)
)
GOOD = st.floats(0.01, 1e4)


@st.composite
def timings(draw: Any) -> Timing:
    """A timing whose blocks hold its samples, in order, with a ratio in the middle of its interval."""
    blocks = [
        Block(session, draw(st.integers(1, 5)), draw(GOOD), draw(GOOD))
        for session in draw(st.lists(st.integers(0, 3), min_size=1, max_size=5))
    ]
    low, ratio, high = sorted(draw(st.tuples(GOOD, GOOD, GOOD)))
    count = sum(block.runs for block in blocks)
    return replace(
        TIMING,
        samples_ms=tuple(draw(st.lists(GOOD, min_size=count, max_size=count))),
        comparison=Comparison("r", draw(GOOD), tuple(blocks), ratio, low, high, "time"),
        load_ms=tuple(draw(st.lists(GOOD, max_size=3))),
        peak_memory_bytes=draw(st.none() | st.integers(0, 2**60)),
        energy_mj=draw(st.floats(0, 1e9)),
        state=draw(st.sampled_from(["pipeline", "warm"])),
        wall_ms=draw(st.just(()) | st.lists(GOOD, min_size=count, max_size=count).map(tuple)),
        energy=draw(st.none() | st.builds(Energy, st.tuples(GOOD, GOOD), GOOD, GOOD)),
    )


# ---- what cannot be a time


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -1.0])
@pytest.mark.parametrize("field", ["samples_ms", "wall_ms", "load_ms", "first_run_ms"])
def test_a_timing_refuses_what_cannot_be_a_time(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match="finite and positive"):
        replace(TIMING, **{field: (1.0, bad)})


def test_a_timing_needs_samples_and_a_machine() -> None:
    with pytest.raises(ValueError, match="at least one sample, got none"):
        replace(TIMING, samples_ms=())
    with pytest.raises(ValueError, match="without one does not exist"):
        replace(TIMING, machine="")


@pytest.mark.parametrize(
    ("field", "bad"), [("energy_mj", math.nan), ("energy_mj", math.inf), ("energy_mj", -1.0), ("peak_memory_bytes", -1)]
)
def test_a_timing_refuses_memory_and_energy_that_cannot_be(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        replace(TIMING, **{field: bad})


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_an_energy_is_not_found_from_what_cannot_be(bad: float) -> None:
    for wrong in (((bad, 1.0), 1.0, 1.0), ((1.0, 1.0), bad, 1.0), ((1.0, 1.0), 1.0, bad)):
        with pytest.raises(ValueError, match="finite and not negative"):
            Energy(*wrong)


def test_how_an_energy_was_found_needs_the_energy() -> None:
    with pytest.raises(ValueError, match="and there is none"):
        replace(TIMING, energy=Energy((1.0, 1.0), 1.0, 1.0))


@pytest.mark.parametrize("count", [1, 4])
def test_the_times_on_the_wall_are_of_the_same_runs(count: int) -> None:
    with pytest.raises(ValueError, match="wall_ms must hold the runs of samples_ms"):
        replace(TIMING, wall_ms=(1.0,) * count)


@pytest.mark.parametrize("samples", [(1.0,) * 4, (1.0,) * 6])
def test_a_timing_holds_the_runs_of_all_its_blocks(samples: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="the runs of all blocks, in order"):
        replace(BESIDE, samples_ms=samples)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
@pytest.mark.parametrize("field", ["model_ms", "reference_ms"])
def test_a_block_refuses_what_cannot_be_a_time(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match="finite and positive"):
        replace(BLOCKS[0], **{field: bad})


@pytest.mark.parametrize("runs", [0, -1])
def test_a_block_has_at_least_one_run(runs: int) -> None:
    with pytest.raises(ValueError, match=f"at least one run .*, got {runs} runs"):
        replace(BLOCKS[0], runs=runs)


@pytest.mark.parametrize(
    "bad",
    [
        {"ratio": 1.7},
        {"ratio": 2.1},
        {"low": 0.0},
        {"low": -1.0},
        {"high": math.inf},
        {"low": math.nan},
        {"ratio": math.nan},
        {"high": math.nan},
        {"reference_ms": 0.0},
        {"reference_ms": -2.0},
        {"reference_ms": math.inf},
        {"reference_ms": math.nan},
    ],
)
def test_a_comparison_refuses_an_interval_without_its_ratio_and_a_reference_without_time(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"0 < low <= ratio <= high, got .* positive reference_ms"):
        replace(COMPARED, **bad)


def test_a_comparison_needs_blocks_and_may_have_an_interval_of_no_width() -> None:
    with pytest.raises(ValueError, match="at least one block, got none"):
        replace(COMPARED, blocks=())
    exact = replace(COMPARED, low=COMPARED.ratio, high=COMPARED.ratio)
    assert replace(BESIDE, comparison=exact).interval_ms == (3.75, 3.75)


# ---- latency


def test_latency_is_the_ratio_in_the_unit_of_the_reference() -> None:
    assert BESIDE.latency_ms == 3.75
    assert BESIDE.interval_ms == (3.5, 4.0)
    assert BESIDE.median_ms == 5.4  # as it was: the drift of the second block is in it


def test_without_a_reference_latency_is_the_median() -> None:
    assert TIMING.latency_ms == TIMING.median_ms == 2.0
    assert TIMING.interval_ms is None
    assert replace(TIMING, samples_ms=(1.0, 2.0, 4.0, 9.0)).latency_ms == 3.0


def test_steady_samples_have_the_drift_of_their_own_block_taken_out() -> None:
    # Block 0 ran at the calibrated speed; in block 1 all took 3 ms for 2.
    assert BESIDE.steady_ms == (3.0, 4.0, pytest.approx(4.0), pytest.approx(3.6), pytest.approx(4.4))
    assert TIMING.steady_ms == TIMING.samples_ms


def test_other_times_lose_the_slowdown_of_the_whole_process() -> None:
    assert COMPARED.slowdown == 1.25  # the reference took 2 and 3 ms, in the middle 2.5, for 2
    assert BESIDE.steadied((10.0, 30.0, 20.0)) == 16.0
    assert BESIDE.steadied(()) is None
    assert TIMING.steadied((10.0, 30.0)) == 20.0
    assert TIMING.steadied(()) is None


@given(timings())
@quick
def test_latency_lies_in_its_interval(timing: Timing) -> None:
    assert timing.interval_ms is not None
    low, high = timing.interval_ms
    assert 0 < low <= timing.latency_ms <= high


@given(timings())
@quick
def test_taking_out_drift_leaves_the_order_within_a_block_and_the_number(timing: Timing) -> None:
    assert timing.comparison is not None
    assert len(timing.steady_ms) == len(timing.samples_ms)
    start = 0
    for block in timing.comparison.blocks:
        raw, steady = (found[start : start + block.runs] for found in (timing.samples_ms, timing.steady_ms))
        for (a, b), (x, y) in zip(pairwise(raw), pairwise(steady), strict=True):
            assert (a <= b) == (x <= y) or x == pytest.approx(y)
        assert math.fsum(steady) * block.reference_ms == pytest.approx(math.fsum(raw) * timing.comparison.reference_ms)
        start += block.runs


@given(timings(), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
@quick
def test_a_machine_that_slows_down_as_a_whole_changes_nothing_but_the_raw_samples(
    timing: Timing, slower: float
) -> None:
    """Powers of two, so that nothing is rounded."""
    assert timing.comparison is not None
    blocks = tuple(
        replace(block, model_ms=block.model_ms * slower, reference_ms=block.reference_ms * slower)
        for block in timing.comparison.blocks
    )
    slow = replace(
        timing,
        samples_ms=tuple(sample * slower for sample in timing.samples_ms),
        load_ms=tuple(sample * slower for sample in timing.load_ms),
        comparison=replace(timing.comparison, blocks=blocks),
    )
    assert slow.steady_ms == timing.steady_ms
    assert (slow.latency_ms, slow.interval_ms) == (timing.latency_ms, timing.interval_ms)
    assert slow.steadied(slow.load_ms) == timing.steadied(timing.load_ms)
    assert slow.median_ms == timing.median_ms * slower


# ---- percentiles


def test_a_percentile_needs_five_samples_beyond_it() -> None:
    assert [samples_needed(share) for share in (0.5, 0.9, 0.95, 0.99, 0.999)] == [10, 50, 100, 500, 5000]


def test_percentiles_of_hand_worked_samples() -> None:
    def of(count: int) -> Timing:
        return replace(TIMING, samples_ms=tuple(float(value) for value in range(count, 0, -1)))

    assert of(99).percentile_ms(0.95) is None
    assert of(100).percentile_ms(0.95) == 95.0  # exactly 95 of 100 samples do not exceed it
    assert of(101).percentile_ms(0.95) == 96.0  # 95 of 101 would be 94.1 %
    assert of(499).percentile_ms(0.99) is None
    assert of(500).percentile_ms(0.99) == 495.0
    assert of(500).percentile_ms(0.95) == 475.0


def test_percentiles_are_of_steady_samples() -> None:
    # Every other block is taken at half speed: plain samples would say 2.
    blocks = tuple(Block(number, 10, 1.0 + number % 2, 1.0 + number % 2) for number in range(10))
    samples = tuple(1.0 + number % 2 for number in range(10) for _ in range(10))
    timing = replace(TIMING, samples_ms=samples, comparison=Comparison("r", 1.0, blocks, 1.0, 0.9, 1.1, "time"))
    assert timing.percentile_ms(0.95) == timing.percentile_ms(0.5) == 1.0
    assert replace(timing, comparison=None).percentile_ms(0.95) == 2.0


def test_percentiles_on_the_wall_have_nothing_taken_out_and_are_never_estimated() -> None:
    """Half of the runs were held up by something else, which the processor time of the thread does not see."""
    walls = (1.0, 5.0) * 50
    blocks = (Block(0, 100, 1.0, 2.0),)
    timing = replace(TIMING, samples_ms=(1.0,) * 100, comparison=Comparison("r", 1.0, blocks, 0.5, 0.4, 0.6, "time"))
    assert (timing.percentile_ms(0.95), timing.wall_percentile_ms(0.95)) == (0.5, None)
    assert replace(timing, wall_ms=walls).wall_percentile_ms(0.95) == 5.0
    assert replace(timing, wall_ms=walls).percentile_ms(0.95) == 0.5
    assert replace(timing, wall_ms=walls).wall_percentile_ms(0.99) is None  # too few
    assert replace(timing, clock="wall").wall_percentile_ms(0.95) is None  # stored by an earlier version


@given(st.lists(GOOD, min_size=1, max_size=220), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
@quick
def test_a_percentile_is_the_smallest_sample_that_enough_do_not_exceed(samples: list[float], share: float) -> None:
    found = replace(TIMING, samples_ms=tuple(samples)).percentile_ms(share)
    if len(samples) < samples_needed(share):
        assert found is None
        return

    def covers(bound: float) -> bool:
        return sum(sample <= bound for sample in samples) >= share * len(samples) - 1e-9

    assert found == min(sample for sample in samples if covers(sample))
    assert sum(sample >= found for sample in samples) > BEYOND


# ---- as data


@given(timings())
@quick
def test_a_timing_goes_through_json_without_rounding(timing: Timing) -> None:
    before = to_json(timing)
    assert timing.steady_ms
    assert to_json(timing) == before  # what was worked out of it is not stored with it
    assert from_json(Timing, before) == timing


def test_a_timing_of_an_older_segsearch_is_read() -> None:
    old = '{"machine":"m","samples_ms":[3.0,1.0,2.0],"threads":1,"warmup_runs":2}'
    assert from_json(Timing, old) == TIMING
    assert (TIMING.state, TIMING.wall_ms, TIMING.energy) == ("pipeline", (), None)


def test_a_stored_timing_cannot_smuggle_nonsense_in() -> None:
    text = to_json(BESIDE)
    for old, new in (('"low":1.75', '"low":1.9'), ("5.4", "NaN"), ('"runs":2', '"runs":3'), ('"cpu"', '"sundial"')):
        assert old in text
        with pytest.raises(ValueError, match=r"Comparison needs|finite|all blocks|'cpu' or 'wall'"):
            from_json(Timing, text.replace(old, new))


def test_a_machine_goes_through_json_and_an_older_one_is_read() -> None:
    full = Machine(
        "0123456789abcdef",
        "cpü",
        2,
        10,
        "Linux",
        "onnxruntime 1",
        2,
        (0, 3),
        ("avx2",),
        "performance",
        3e3,
        (("r", 1 / 3),),
    )
    assert from_json(Machine, to_json(full)) == full
    assert full.short == "01234567"
    old = '{"key":"k","cpu":"a CPU","cores":2,"memory_bytes":10,"system":"Linux","runtime":"onnxruntime 1"}'
    assert from_json(Machine, old) == Machine("k", "a CPU", 2, 10, "Linux", "onnxruntime 1")


def test_the_words_of_a_timing_need_no_numpy() -> None:
    rooms = ", ".join(f"segsearch.evidence.{room}" for room in ("timing", "types", "objectives"))
    subprocess.run([sys.executable, "-c", f"import sys, {rooms}; assert 'numpy' not in sys.modules"], check=True)
