"""What proxies foretold, against golden values by hand; and a sample of a front."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from segsearch.judging.agreement import tau_interval
from segsearch.judging.finals import ended_of, finals_of
from segsearch.judging.grown import (
    Final,
    as_objects,
    as_table,
    honesty_lines,
    honesty_of,
    kendall,
    look_lines,
    pairs_in_bands,
    stratified,
)
from segsearch.settings.retrain import Recipe
from segsearch.store import GrownRow
from tests.judging.reports import ALIKE, drawn, numbers, study_row, trial

RECIPE = Recipe(epochs=150, ema=0.999, auxiliary=0.4, small_start=0.0, balanced=False)


def final(trial: int, proxy: float, end: float, latency_ms: float) -> Final:
    return Final(trial, proxy, end, latency_ms)


def row(
    trial: int, miou: float | None, *, seed: int = 0, latency_ms: float = 5.0, test: float | None = None
) -> GrownRow:
    values = {"latency_ms": latency_ms, "size_bytes": 1000.0} | ({} if miou is None else {"miou": miou})
    interval = None if test is None else (test - 0.02, test + 0.02)
    return GrownRow(trial, RECIPE, seed, "m", values, {}, "a.onnx", 90.0, 1.0, (), test, interval)


def test_tau_counts_pairs_that_agree_less_those_that_do_not() -> None:
    """Of six pairs one is turned round: (5 - 1) / 6."""
    found = honesty_of(
        [final(0, 0.5, 0.6, 1.0), final(1, 0.52, 0.65, 2.0), final(2, 0.55, 0.64, 3.0), final(3, 0.6, 0.7, 4.0)]
    )
    assert found is not None
    assert found.tau == pytest.approx(4 / 6)
    assert (found.regret, found.best, found.chosen, found.dominated) == (0.0, 3, 3, (2,))


def test_ties_weigh_as_in_tau_b() -> None:
    """Two equal proxies: two pairs agree of three, over the root of 2 times 3."""
    one, two, three = final(0, 0.5, 0.6, 1.0), final(1, 0.5, 0.7, 1.0), final(2, 0.6, 0.8, 1.0)
    assert kendall([(one, two), (one, three), (two, three)]) == pytest.approx(2 / 6**0.5)
    assert kendall([(one, one)]) is None


def test_regret_is_what_trusting_the_proxies_costs() -> None:
    found = honesty_of([final(7, 0.6, 0.65, 3.0), final(9, 0.55, 0.7, 4.0)])
    assert found is not None
    assert found.regret == pytest.approx(0.05)
    assert (found.best, found.chosen, found.tau, found.dominated) == (9, 7, None, ())
    assert "The proxies' best, trial 7, ends 0.050 below trial 9" in honesty_lines(found)[0]
    assert honesty_of([final(7, 0.6, 0.65, 3.0)]) is None
    assert honesty_lines(None) == []


def test_who_was_beaten_before_does_not_count_as_beaten_in_the_end() -> None:
    """A short front is filled up from behind: that these models stay behind says nothing against the proxies."""
    behind, overtaken = final(0, 0.5, 0.55, 4.0), final(2, 0.7, 0.64, 5.0)
    found = honesty_of([behind, final(1, 0.6, 0.7, 3.0), overtaken])
    assert found is not None
    assert (found.ahead, found.dominated) == (2, (2,))
    assert honesty_lines(found)[-1] == "Of 2 that no other of them beats as proxies, 1 are beaten in the end: 2."


def test_bands_compare_models_of_about_one_latency() -> None:
    models = [final(number, 0.5 + number / 100, 0.6 + number / 100, float(number)) for number in range(9)]
    pairs = pairs_in_bands(models)
    assert len(pairs) == 9
    assert max(abs(one.latency_ms - other.latency_ms) for one, other in pairs) == 2.0


def test_within_bands_an_interval_is_of_the_pairs_within_them() -> None:
    """Between the bands all agree, within them none does."""
    models = [
        final(number, 0.5 + number / 100, 0.6 + number // 3 - number % 3 / 10, float(number)) for number in range(9)
    ]
    found = honesty_of(models)
    assert found is not None
    assert found.interval is not None
    assert found.tau == pytest.approx(0.5)
    assert found.interval == tau_interval(0.5, [9])
    assert found.banded == -1.0
    assert found.banded_interval == tau_interval(-1.0, [3, 3, 3])
    assert "among models of about one latency -1.00 (95 %: -1.00 to -0." in honesty_lines(found)[0]


def test_a_sample_goes_from_the_cheapest_to_the_dearest_and_fills_up_from_behind_the_front(tmp_path: Path) -> None:
    points = [(0.3, 1.0), (0.5, 2.0), (0.6, 3.0), (0.7, 5.0), (0.4, 4.0), (0.45, 6.0)]
    trials = [trial(number, numbers(*point)) for number, point in enumerate(points)]
    report = drawn(study_row(tmp_path), trials)
    assert stratified(report, 2) == (0, 3)
    assert stratified(report, 3) == (0, 2, 3)
    assert stratified(report, 5) == (0, 1, 2, 3, 5)
    assert stratified(report, 99) == (0, 1, 2, 4, 3, 5)


def test_a_final_is_the_mean_over_its_seeds_and_needs_a_validation_miou() -> None:
    rows = [row(1, 0.62), row(1, 0.64, seed=1), row(0, None, test=0.5)]
    found = finals_of(ended_of(rows), {one.number: one.values["miou"] for one in ALIKE})
    assert [(one.trial, one.final) for one in found] == [(1, pytest.approx(0.63))]


def test_the_table_and_the_objects_say_the_same() -> None:
    rows = [row(1, 0.62, test=0.6), row(0, None, test=0.5)]
    console = Console(width=160)
    with console.capture() as capture:
        console.print(as_table(ALIKE, rows))
    text = capture.get()
    assert "0.600 ±0.02" in text
    assert "2 min" in text
    found = {one["trial"]: one for one in as_objects(ALIKE, rows)}
    assert found[1]["values"]["miou"] == 0.62
    assert (found[0]["values"].get("miou"), found[0]["test_miou"]) == (None, 0.5)
    assert found[1]["recipe"]["epochs"] == 150


def test_looks_at_the_test_images_are_counted_in_words() -> None:
    assert look_lines([row(1, 0.62)], 0) == []
    assert look_lines([row(1, 0.62, test=0.6)], 1)[0].startswith("1 file was judged on this study's test images")
    assert look_lines([row(1, 0.62, test=0.6)], 3)[0].startswith("3 files were judged")


def test_proxies_that_know_the_latency_alone_are_seen_through_within_a_band() -> None:
    """Of fifteen pairs twelve lie in two bands and agree; the three within one do not."""
    quick = (final(0, 0.1, 0.15, 1.0), final(1, 0.2, 0.1, 1.1))
    slow = (final(2, 0.3, 0.45, 5.0), final(3, 0.4, 0.4, 5.1), final(4, 0.5, 0.75, 9.0), final(5, 0.6, 0.7, 9.1))
    found = honesty_of([*quick, *slow])
    assert found is not None
    assert found.tau == pytest.approx(9 / 15)
    assert found.banded == -1
    line = honesty_lines(found)[0]
    assert line.startswith("Kendall's tau of proxy and final miou over 6 models: 0.60 (95 %: ")
    # Three bands of one pair each: q/(1+q) to the third power is 2.5 %.
    assert line.endswith("; among models of about one latency -1.00 (95 %: -1.00 to 0.42).")
