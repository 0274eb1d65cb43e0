"""Trials of a report that were trained to the end: what each became over its seeds, and what that says of proxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.table import Table
from rich.text import Text

from segsearch.evidence.objectives import OBJECTIVES
from segsearch.judging.fronts import Report
from segsearch.judging.grown import (
    Final,
    Honesty,
    honesty_lines,
    honesty_of,
    look_lines,
    recipe_object,
    with_half,
)
from segsearch.judging.words import in_words
from segsearch.settings.retrain import Recipe
from segsearch.store import GrownRow


@dataclass(frozen=True)
class Ended:
    """What a trial became by one recipe, from one seed or several: `rows` by their seeds, at least one.

    `values` and `test` (the mIoU on the test images) are means over the seeds, of what all of them have. An interval
    over images is one file's own: there is none of several seeds.
    """

    trial: int
    recipe: Recipe
    rows: tuple[GrownRow, ...]

    @cached_property
    def values(self) -> Mapping[str, float]:
        names = [name for name in self.rows[0].values if all(name in row.values for row in self.rows)]
        return {name: mean(row.values[name] for row in self.rows) for name in names}

    @property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        return self.rows[0].intervals if len(self.rows) == 1 else {}

    @property
    def scored(self) -> bool:
        """Whether it has a mIoU: what learned from the validation images, too, has none there."""
        return "miou" in self.values

    @property
    def tests(self) -> tuple[float, ...]:
        return tuple(row.test for row in self.rows if row.test is not None)

    @property
    def test(self) -> float | None:
        return mean(self.tests) if len(self.tests) == len(self.rows) else None

    def shown(self, name: str) -> str:
        """`0.612 ±0.014` with half the interval of one seed, `0.608 ±0.004 (3)` with the deviation of three."""
        if name not in self.values:
            return "-"
        if len(self.rows) == 1:
            return with_half(in_words(name, self.values[name]), self.intervals.get(name))
        return _over_seeds(name, [row.values[name] for row in self.rows])

    @property
    def shown_test(self) -> str:
        """The mIoU on the test images, as `shown` has it."""
        if self.test is None:
            return "-"
        if len(self.rows) == 1:
            return with_half(in_words("miou", self.test), self.rows[0].test_interval)
        return _over_seeds("miou", self.tests)


def _over_seeds(name: str, found: Sequence[float]) -> str:
    deviation = stdev(found)
    around = f"{deviation:.2g}" if deviation < 99.5 else in_words(name, deviation)
    return f"{in_words(name, mean(found))}{f' ±{around}' if deviation else ''} ({len(found)})"


def ended_of(grown: Sequence[GrownRow]) -> tuple[Ended, ...]:
    """What trials became, recipe by recipe; of a trial the recipe that finished last stands last."""
    groups: dict[tuple[int, Recipe], list[GrownRow]] = {}
    for row in sorted(grown, key=lambda row: row.finished):
        key = (row.trial, row.recipe)
        groups[key] = [*groups.pop(key, []), row]
    return tuple(
        Ended(trial, recipe, tuple(sorted(rows, key=lambda row: row.seed))) for (trial, recipe), rows in groups.items()
    )


def ended_by_trial(report: Report) -> dict[int, Ended]:
    """What counts as a trial's final model: by the newest recipe that gave a mIoU, else by the newest."""
    found: dict[int, Ended] = {}
    for one in ended_of(report.grown):
        if one.scored or one.trial not in found or not found[one.trial].scored:
            found[one.trial] = one
    return found


def finals_of(ended: Sequence[Ended], proxies: Mapping[int, float]) -> tuple[Final, ...]:
    """Trials as their proxies had them and in the end; what learned from the validation images has no mIoU there."""
    return tuple(
        Final(one.trial, proxies[one.trial], one.values["miou"], one.values["latency_ms"])
        for one in sorted(ended, key=lambda one: one.trial)
        if one.scored
    )


def recipe_words(recipe: Recipe) -> str:
    """`100 epochs, average of the weights 0.999, auxiliary loss 0.4`."""
    words = [f"{recipe.epochs} epoch{'' if recipe.epochs == 1 else 's'}"]
    words += [f"average of the weights {recipe.ema:g}"] if recipe.ema else []
    words += [f"auxiliary loss {recipe.auxiliary:g}"] if recipe.auxiliary else []
    words += [f"small views for {recipe.small_start:.0%}"] if recipe.small_start else []
    words += ["rare classes more often"] if recipe.balanced else []
    words += ["learned from training and validation images"] if recipe.train_on == "train+val" else []
    return ", ".join(words)


# ---- the honesty of proxies


def honesty_in(report: Report) -> tuple[Honesty, Recipe] | None:
    """How well proxies foretold by the recipe that most models were trained to the end by; of two the newer one.

    None for fewer than two models. Trainings of two recipes do not compare.
    """
    proxies = {row.trial: row.values["miou"] for row in report.rows if "miou" in row.values}
    groups: dict[Recipe, list[Ended]] = {}
    for one in ended_of(report.grown):
        if one.scored and one.trial in proxies:
            groups[one.recipe] = [*groups.pop(one.recipe, []), one]
    if not groups:
        return None
    recipe, chosen = max(reversed(groups.items()), key=lambda group: len(group[1]))
    found = honesty_of(finals_of(chosen, proxies))
    return None if found is None else (found, recipe)


def lines_of(report: Report) -> list[str]:
    """What the final models say of the proxies, what their numbers are, and how often test images were looked at."""
    found, lines = honesty_in(report), list[str]()
    if found is not None:
        honesty, recipe = found
        if any(one.recipe != recipe for one in report.grown):
            lines.append(f"Recipes do not compare; of {honesty.models} models by one ({recipe_words(recipe)}):")
        lines += honesty_lines(honesty)
    if any(len(one.rows) > 1 for one in ended_of(report.grown)):
        lines.append("Over several seeds it is the mean, the standard deviation and, in brackets, their number.")
    return lines + look_lines(report.grown, report.test_looks)


# ---- tables


def as_table(report: Report) -> Table:
    """One line for each model and recipe, the cheapest first: mIoU as a proxy, in the end and on the test images.

    Over several seeds it is the mean, the standard deviation and their number.
    """
    proxies = {row.trial: row.values for row in report.rows}
    ended = sorted(ended_of(report.grown), key=lambda one: (one.values["latency_ms"], one.trial))
    mixed = any(one.recipe.train_on != "train" for one in ended)
    names = ["trial", "epochs", *(["learned from"] if mixed else []), "proxy", "final miou", "test miou"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (*names, "latency_ms", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in ended:
        proxy = proxies.get(one.trial, {}).get("miou")
        cells = [str(one.trial), str(one.recipe.epochs), *([one.recipe.train_on] if mixed else [])]
        cells += ["-" if proxy is None else in_words("miou", proxy), one.shown("miou"), one.shown_test]
        table.add_row(*map(Text, (*cells, one.shown("latency_ms"), one.shown("size_bytes"))))
    return table


def as_object(ended: Ended | None, folder: Path) -> dict[str, Any] | None:
    """A final model as plain data: what `front --json` says of it under its trial. `folder` holds its files."""
    if ended is None:
        return None
    several, scored = len(ended.rows) > 1, ended.scored
    return {
        "seeds": len(ended.rows),
        "objectives": {name: ended.values[name] for name in OBJECTIVES if name in ended.values},
        "intervals": {name: list(ends) for name, ends in ended.intervals.items()},
        "miou_sd": stdev(row.values["miou"] for row in ended.rows) if several and scored else None,
        "test_miou": ended.test,
        "test_interval": list(ended.rows[0].test_interval or ()) or None if not several else None,
        "test_miou_sd": stdev(ended.tests) if several and ended.test is not None else None,
        "recipe": recipe_object(ended.recipe),
        "trainings": [
            {
                "seed": row.seed,
                "miou": row.values.get("miou"),
                "test_miou": row.test,
                "train_seconds": row.train_seconds,
                "artifact": {"path": str((folder / row.artifact).absolute()), "sha256": row.artifact.split(".")[0]},
            }
            for row in ended.rows
        ],
    }
