"""Trials of a report that were trained to the end: which count, what they say, and to whom it is told."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from segsearch.evidence.objectives import Limit
from segsearch.judging import fronts, tables
from segsearch.judging.finals import as_table, ended_by_trial, ended_of, honesty_in, lines_of, recipe_words
from segsearch.store import GrownRow
from tests import fakes
from tests.judging.reports import TRIALS, drawn, ended, study_row, timings

LONG = replace(fakes.RECIPE, epochs=400)
ON_ALL = replace(fakes.RECIPE, train_on="train+val")
# Proxies of .40, .55, .50 and .60: 1 and 2 change places.
ENDED = (
    ended(0, 0.50, 2.0, finished=1.0),
    ended(1, 0.61, 4.0, finished=2.0),
    ended(2, 0.63, 5.0, finished=3.0),
    ended(3, 0.70, 8.0, finished=4.0),
)


def report_of(tmp_path: Path, grown: Sequence[GrownRow], limits: Sequence[Limit] = ()) -> fronts.Report:
    return fronts.make_report(study_row(tmp_path), TRIALS, timings(TRIALS), limits, machine="m", grown=grown)


def test_a_report_has_those_of_its_machine_and_no_front_is_made_of_them(tmp_path: Path) -> None:
    elsewhere = ended(0, 0.99, 0.1, machine="n", test=0.9)
    found = report_of(tmp_path, [*ENDED, elsewhere])
    assert found.grown == ENDED
    assert found.rows == drawn(study_row(tmp_path), TRIALS).rows
    assert fronts.narrowed(found, [Limit("latency_ms", "<=", 5.0)]).grown == ENDED
    assert found.test_looks == 1, "a look at the test images is one wherever it was"


def test_seeds_are_one_model_and_recipes_are_not() -> None:
    rows = [ended(1, 0.60), ended(1, 0.64, seed=1), ended(1, 0.7, recipe=LONG), ended(2, 0.5)]
    found = ended_of(rows)
    assert [(one.trial, one.recipe.epochs, len(one.rows)) for one in found] == [(1, 40, 2), (1, 400, 1), (2, 40, 1)]
    both, one, _ = found
    assert both.values["miou"] == pytest.approx(0.62)
    assert both.intervals == {}, "an interval over images is one file's own"
    assert (both.shown("miou"), one.shown("miou")) == ("0.620 ±0.028 (2)", "0.700 ±0.02")
    assert (both.shown("latency_ms"), both.shown("energy_mj")) == ("4 (2)", "-")


def test_the_newest_recipe_counts_but_not_one_without_a_miou(tmp_path: Path) -> None:
    new = ended(1, 0.7, recipe=LONG, finished=9.0)
    on_all = ended(1, None, recipe=ON_ALL, test=0.66, finished=10.0)
    assert ended_by_trial(report_of(tmp_path, [*ENDED, new]))[1].rows == (new,)
    assert ended_by_trial(report_of(tmp_path, [on_all, *ENDED]))[1].rows == (ENDED[1],)
    alone = ended_by_trial(report_of(tmp_path, [on_all]))[1]
    assert (alone.scored, alone.shown("miou"), alone.shown_test) == (False, "-", "0.660 ±0.03")


def test_a_seed_that_was_not_tested_leaves_no_mean() -> None:
    (some,) = ended_of([ended(1, 0.6, test=0.5), ended(1, 0.6, seed=1)])
    assert (some.test, some.shown_test) == (None, "-")
    (both,) = ended_of([ended(1, 0.6, test=0.5), ended(1, 0.6, seed=1, test=0.52)])
    assert both.shown_test == "0.510 ±0.014 (2)"


def test_recipes_in_words() -> None:
    assert recipe_words(fakes.RECIPE) == "40 epochs, average of the weights 0.999, auxiliary loss 0.4"
    plain = replace(
        fakes.RECIPE, epochs=1, ema=0.0, auxiliary=0.0, small_start=0.25, balanced=True, train_on="train+val"
    )
    assert recipe_words(plain) == (
        "1 epoch, small views for 25%, rare classes more often, learned from training and validation images"
    )


def test_honesty_is_of_one_recipe_the_one_of_most_models(tmp_path: Path) -> None:
    found = honesty_in(report_of(tmp_path, ENDED))
    assert found is not None
    honesty, recipe = found
    assert (recipe, honesty.models, honesty.tau) == (fakes.RECIPE, 4, pytest.approx(4 / 6))
    assert (honesty.best, honesty.chosen, honesty.regret) == (3, 3, 0.0)
    mixed = report_of(tmp_path, [*ENDED, ended(0, 0.1, recipe=LONG, finished=9.0), ended(3, 0.9, recipe=LONG)])
    again = honesty_in(mixed)
    assert again == found, "four models by one recipe outweigh two by a newer one"
    first, *rest = lines_of(mixed)
    assert first.startswith("Recipes do not compare; of 4 models by one (40 epochs,")
    assert rest == lines_of(report_of(tmp_path, ENDED))


def test_one_model_says_nothing_of_the_proxies(tmp_path: Path) -> None:
    assert honesty_in(report_of(tmp_path, ENDED[:1])) is None
    assert lines_of(report_of(tmp_path, ENDED[:1])) == []
    assert lines_of(report_of(tmp_path, [ENDED[0], ended(0, 0.6, 2.0, seed=1)])) == [
        "Over several seeds it is the mean, the standard deviation and, in brackets, their number."
    ]
    assert honesty_in(report_of(tmp_path, ())) is None
    on_all = [ended(trial, None, recipe=ON_ALL, test=0.5) for trial in (0, 1)]
    assert honesty_in(report_of(tmp_path, on_all)) is None
    assert lines_of(report_of(tmp_path, on_all)) == [
        "2 files were judged on this study's test images so far: whoever chooses by them needs others to judge by."
    ]


def test_a_trial_that_was_never_timed_here_has_no_proxy_to_compare_with(tmp_path: Path) -> None:
    found = report_of(tmp_path, [*ENDED, ended(77, 0.9, 1.0)])
    honesty = honesty_in(found)
    assert honesty is not None
    assert honesty[0].models == 4
    assert shown(found)[1].split()[:3] == ["77", "40", "-"]


def shown(found: fronts.Report) -> list[str]:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(as_table(found))
    return capture.get().splitlines()


def test_the_table_stands_in_the_order_of_cost(tmp_path: Path) -> None:
    grown = [*ENDED, ended(1, 0.63, 4.0, seed=1)]
    head, *lines = shown(report_of(tmp_path, grown))
    assert " ".join(head.split()) == "trial epochs proxy final miou test miou latency_ms size"
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3"]
    assert " ".join(lines[0].split()) == "0 40 0.400 0.500 ±0.02 - 2 ±0.1 2 MB"
    assert " ".join(lines[1].split()) == "1 40 0.550 0.620 ±0.014 (2) - 4 (2) 2 MB (2)"
    head, line = shown(report_of(tmp_path, [ended(1, None, recipe=ON_ALL, test=0.6)]))
    assert "learned from" in head
    assert " ".join(line.split()) == "1 40 train+val 0.550 - 0.600 ±0.03 4 ±0.1 2 MB"


def test_programs_are_told_under_each_trial(tmp_path: Path) -> None:
    found = report_of(tmp_path, [*ENDED, ended(1, 0.63, 4.0, seed=1), ended(4, 0.8, 12.0, test=0.75)])
    zero, one, _, _, four = json.loads(tables.as_json(found))
    assert (zero["final"]["seeds"], zero["final"]["objectives"]["miou"], zero["final"]["miou_sd"]) == (1, 0.5, None)
    assert zero["final"]["intervals"]["miou"] == [0.48, 0.52]
    assert (zero["final"]["test_miou"], zero["final"]["test_interval"]) == (None, None)
    assert (one["final"]["seeds"], one["final"]["intervals"]) == (2, {})
    assert one["final"]["objectives"]["miou"] == pytest.approx(0.62)
    assert one["final"]["miou_sd"] == pytest.approx(0.0002**0.5)
    assert [training["seed"] for training in one["final"]["trainings"]] == [0, 1]
    file = one["final"]["trainings"][1]["artifact"]
    assert Path(file["path"]) == tmp_path / f"{file['sha256']}.onnx"
    assert (four["final"]["test_miou"], four["final"]["test_interval"]) == (0.75, [0.72, 0.78])
    assert four["final"]["recipe"]["epochs"] == 40
    assert tables.as_objects(report_of(tmp_path, ()))[0]["final"] is None
    lines = list(csv.DictReader(io.StringIO(tables.as_csv(found))))
    assert [(line["final_miou"], line["test_miou"]) for line in (lines[0], lines[4])] == [("0.5", ""), ("0.8", "0.75")]
    assert float(lines[1]["final_miou"]) == pytest.approx(0.62)
    none = list(csv.DictReader(io.StringIO(tables.as_csv(report_of(tmp_path, ())))))
    assert {(line["final_miou"], line["test_miou"]) for line in none} == {("", "")}
    assert None not in none[0]
