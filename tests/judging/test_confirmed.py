"""What models score over several seeds, and whether their order holds."""

from __future__ import annotations

import pytest
from rich.console import Console

from segsearch.judging.confirmed import as_objects, as_table, order_lines, over_seeds, seeds_of
from segsearch.store import ConfirmationRow
from tests.judging.reports import ALIKE


def again(trial: int, *mious: float) -> list[ConfirmationRow]:
    return [ConfirmationRow(trial, 1 + at, miou, None, f"{at}.onnx", 0.0) for at, miou in enumerate(mious)]


def test_the_first_seed_counts_like_any_other() -> None:
    found = over_seeds(0.5, [0.4, 0.6, 0.5])
    assert (found.seeds, found.mean, found.low, found.high) == (4, pytest.approx(0.5), 0.4, 0.6)
    assert found.sd == pytest.approx((0.02 / 3) ** 0.5)  # of a sample: three degrees of freedom
    assert found.words == "0.500 ±0.082 (4)"


def test_models_stand_in_the_order_of_their_first_miou() -> None:
    found = seeds_of(ALIKE, [*again(1, 0.58), *again(2, 0.61), *again(4, 0.5)], {0, 1, 2})
    assert [(one.trial.number, len(one.others)) for one in found] == [(1, 1), (2, 1), (0, 0)]


def test_an_order_that_changes_is_told_with_what_a_seed_moves() -> None:
    found = seeds_of(ALIKE, [*again(1, 0.58), *again(2, 0.61)], {0, 1, 2})
    assert order_lines(found) == [
        "The order by mIoU changes: 1, 2 at first, 2, 1 by the mean over seeds (the best first).",
        "One seed moves a mIoU by 1.4 points (standard deviation).",
    ]
    kept = seeds_of(ALIKE, [*again(1, 0.60), *again(2, 0.59)], {1, 2})
    assert order_lines(kept) == [
        "The order by mIoU is the same by the mean over seeds.",
        "One seed moves a mIoU by 0 points (standard deviation).",
    ]
    assert len(order_lines(seeds_of(ALIKE, again(1, 0.58), {1, 2}))) == 1
    assert order_lines(seeds_of(ALIKE, [], {1, 2})) == []


def test_the_table_and_the_objects_say_the_same() -> None:
    found = seeds_of(ALIKE, again(1, 0.58, 0.62), {0, 1, 4})
    console = Console(width=160)
    with console.capture() as capture:
        console.print(as_table(found))
    lines = [line.split() for line in capture.get().splitlines()[1:]]
    assert lines == [
        ["4", "0.700", "1", "-", "-", "-", "-"],
        ["1", "0.600", "±0.2", "3", "0.600", "0.02", "0.580", "0.620"],
        ["0", "0.400", "±0.2", "1", "-", "-", "-", "-"],
    ]
    four, one, _ = as_objects(found)
    assert (four["seeds"], four["mean"], four["others"]) == (1, None, [])
    assert (one["trial"], one["seeds"], one["lowest"], one["highest"]) == (1, 3, 0.58, 0.62)
    assert one["others"][1] == {"seed": 2, "miou": 0.62, "interval": None, "artifact": "1.onnx"}
