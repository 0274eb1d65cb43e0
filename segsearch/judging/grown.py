"""Chosen models trained to the end: what became of each, and whether the proxies told the truth about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

from rich.table import Table
from rich.text import Text

from segsearch.evidence.objectives import OBJECTIVES
from segsearch.judging.agreement import tau_interval
from segsearch.judging.fronts import Report, Row, point_of
from segsearch.judging.pareto import costs, dominates, front
from segsearch.judging.words import duration, in_words
from segsearch.settings.retrain import Recipe
from segsearch.store import GrownRow, TrialRow

# Models of about one latency are compared within so many bands.
BANDS = 3
# With fewer models an order says nothing.
FEWEST = 3


@dataclass(frozen=True)
class Final:
    """A model as a proxy and trained to the end: mIoU before and after (the mean over seeds), latency after."""

    trial: int
    proxy: float
    final: float
    latency_ms: float


@dataclass(frozen=True)
class Honesty:
    """How well proxies foretold.

    `tau` is Kendall's rank agreement of proxy and final mIoU with its 95 % interval (`agreement`), `banded` that of
    models of about one latency alone; `regret` is how far the proxies' best ends below the best. `ahead` of the models
    are beaten in mIoU and latency by no other one as proxies, and `dominated` are those of them that are in the end.
    None where there is nothing to compare.
    """

    models: int
    tau: float | None
    interval: tuple[float, float] | None
    banded: float | None
    banded_interval: tuple[float, float] | None
    regret: float
    best: int
    chosen: int
    ahead: int
    dominated: tuple[int, ...]


def stratified(report: Report, count: int) -> tuple[int, ...]:
    """`count` trials from the cheapest to the dearest: evenly of the front, then of the fronts behind it."""
    left = [row for row in report.rows if not row.broken]
    directions = [goal.direction for goal in report.objectives]
    found: list[Row] = []
    while left and len(found) < count:
        layer = {
            left[index].trial for index in front([point_of(report.objectives, row.values) for row in left], directions)
        }
        members = sorted((row for row in left if row.trial in layer), key=lambda row: _cost(report, row))
        found += evenly(members, count - len(found))
        left = [row for row in left if row.trial not in layer]
    return tuple(row.trial for row in sorted(found, key=lambda row: _cost(report, row)))


def _cost(report: Report, row: Row) -> float:
    last = report.objectives[-1]
    return row.values[last.name] * (-1.0 if last.direction == "maximize" else 1.0)


def evenly(members: Sequence[Row], count: int) -> list[Row]:
    """`count` of them with even steps between, both ends among them; all where there are no more."""
    if len(members) <= count:
        return list(members)
    if count == 1:
        return [members[len(members) // 2]]
    return [members[round(index * (len(members) - 1) / (count - 1))] for index in range(count)]


def honesty_of(finals: Sequence[Final]) -> Honesty | None:
    """How well the proxies foretold; None for fewer than two models."""
    if len(finals) < 2:
        return None
    best = max(finals, key=lambda one: one.final)
    chosen = max(finals, key=lambda one: one.proxy)
    before, after = (
        _beaten([(miou, one.latency_ms) for one, miou in zip(finals, mious, strict=True)])
        for mious in ([one.proxy for one in finals], [one.final for one in finals])
    )
    ahead = [index for index in range(len(finals)) if index not in before]
    enough = len(finals) >= FEWEST
    tau = kendall(list(combinations(finals, 2))) if enough else None
    banded = kendall(pairs_in_bands(finals)) if enough else None
    bands = [*Counter(bands_of(finals).values()).values()]
    return Honesty(
        models=len(finals),
        tau=tau,
        interval=None if tau is None else tau_interval(tau, [len(finals)]),
        banded=banded,
        banded_interval=None if banded is None else tau_interval(banded, bands),
        regret=best.final - chosen.final,
        best=best.trial,
        chosen=chosen.trial,
        ahead=len(ahead),
        dominated=tuple(finals[index].trial for index in ahead if index in after),
    )


def _beaten(points: Sequence[tuple[float, float]]) -> set[int]:
    """Which of some models, given as mIoU and latency, another one beats."""
    turned = costs(points, ["maximize", "minimize"])
    return {index for index, cost in enumerate(turned) if any(dominates(other, cost) for other in turned)}


def kendall(pairs: Sequence[tuple[Final, Final]]) -> float | None:
    """Kendall's tau-b of proxy and final mIoU over pairs (Kendall 1945, Biometrika 33); None where all are tied."""
    agree = first = second = 0
    for one, other in pairs:
        before, after = _sign(one.proxy - other.proxy), _sign(one.final - other.final)
        agree += before * after
        first += before != 0
        second += after != 0
    return agree / (first * second) ** 0.5 if first and second else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def pairs_in_bands(finals: Sequence[Final]) -> list[tuple[Final, Final]]:
    """Pairs of about one latency: both in the same third of the models."""
    return _within(finals, bands_of(finals))


def bands_of(finals: Sequence[Final]) -> dict[int, int]:
    """In which third of the models, by latency, each trial is; of a few models there are fewer parts."""
    ordered = sorted(finals, key=lambda one: one.latency_ms)
    bands = min(BANDS, max(1, len(ordered) // 2))
    cuts = [round(index * len(ordered) / bands) for index in range(bands + 1)]
    return {one.trial: band for band, (low, high) in enumerate(pairwise(cuts)) for one in ordered[low:high]}


def _within(models: Sequence[Final], bands: Mapping[int, int]) -> list[tuple[Final, Final]]:
    return [(one, other) for one, other in combinations(models, 2) if bands[one.trial] == bands[other.trial]]


def as_table(trials: Sequence[TrialRow], grown: Sequence[GrownRow]) -> Table:
    """One line for each training: mIoU as a proxy and in the end, on the test images, and what the file costs."""
    columns = ("trial", "seed", "proxy", "final miou", "test miou", "latency_ms", "size", "epochs", "took")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for trial in trials:
        for one in (one for one in grown if one.trial == trial.number):
            numbers = (
                str(one.trial),
                str(one.seed),
                f"{trial.values['miou']:.3f}",
                _in_words(one.values.get("miou"), one.intervals.get("miou")),
                _in_words(one.test, one.test_interval),
                in_words("latency_ms", one.values["latency_ms"]),
                in_words("size_bytes", one.values["size_bytes"]),
                str(one.recipe.epochs),
                "-" if one.train_seconds is None else duration(one.train_seconds),
            )
            table.add_row(*map(Text, numbers))
    return table


def _in_words(miou: float | None, interval: tuple[float, float] | None) -> str:
    return "-" if miou is None else with_half(in_words("miou", miou), interval)


def with_half(shown: str, interval: tuple[float, float] | None) -> str:
    """A value in words with half the width of its interval, where it has one."""
    return shown if interval is None else f"{shown} ±{(interval[1] - interval[0]) / 2:.2g}"


def honesty_lines(found: Honesty | None) -> list[str]:
    """What the figures say, in words."""
    if found is None:
        return []
    lines = []
    if found.tau is not None:
        banded = ""
        if found.banded is not None:
            banded = f"; among models of about one latency {_with_ends(found.banded, found.banded_interval)}"
        overall = _with_ends(found.tau, found.interval)
        lines.append(f"Kendall's tau of proxy and final miou over {found.models} models: {overall}{banded}.")
    if found.best == found.chosen:
        lines.append(f"The proxies' best, trial {found.best}, is the best in the end.")
    else:
        lines.append(
            f"The proxies' best, trial {found.chosen}, ends {found.regret:.3f} below trial {found.best}, the best in "
            "the end."
        )
    names = f": {', '.join(map(str, found.dominated))}" if found.dominated else ""
    lines.append(
        f"Of {found.ahead} that no other of them beats as proxies, {len(found.dominated)} are beaten in the end{names}."
    )
    return lines


def _with_ends(tau: float, interval: tuple[float, float] | None) -> str:
    return f"{tau:.2f}" + (f" (95 %: {interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


def look_lines(grown: Sequence[GrownRow], looks: int) -> list[str]:
    """How often the test images were looked at; nothing where none were."""
    if all(one.test is None for one in grown):
        return []
    files = "1 file was" if looks == 1 else f"{looks} files were"
    return [f"{files} judged on this study's test images so far: whoever chooses by them needs others to judge by."]


def as_objects(trials: Sequence[TrialRow], grown: Sequence[GrownRow]) -> list[dict[str, Any]]:
    """The same as plain data: what `retrain --json` prints."""
    proxies = {trial.number: trial.values["miou"] for trial in trials}
    return [
        {
            "trial": one.trial,
            "seed": one.seed,
            "proxy_miou": proxies[one.trial],
            "values": {name: one.values[name] for name in OBJECTIVES if name in one.values},
            "intervals": {name: list(ends) for name, ends in one.intervals.items()},
            "test_miou": one.test,
            "test_interval": list(one.test_interval) if one.test_interval else None,
            "artifact": one.artifact,
            "machine": one.machine,
            "recipe": recipe_object(one.recipe),
            "train_seconds": one.train_seconds,
            "looks": [list(look) for look in one.looks],
        }
        for one in grown
        if one.trial in proxies
    ]


def recipe_object(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}


def honesty_object(found: Honesty | None) -> dict[str, Any] | None:
    return None if found is None else {name: getattr(found, name) for name in found.__dataclass_fields__}
