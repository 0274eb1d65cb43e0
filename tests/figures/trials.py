"""Trials of a search and the report of them, by hand."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segsearch.evidence.objectives import OBJECTIVES, Limit
from segsearch.judging.fronts import Report, Row
from segsearch.store import TrialRow
from tests import fakes

GOALS = (OBJECTIVES["miou"], OBJECTIVES["latency_ms"])


def trial(number: int, values: Mapping[str, float] | None = None, **changes: Any) -> TrialRow:
    one = fakes.candidate(8, 1 + number % 12)
    made = TrialRow(
        number=number,
        state="trained",
        candidate=one,
        key=one.key,
        params={},
        values=values or {},
        artifact=None,
        machine="m",
        failure=None,
        twin=None,
        seed=0,
        attempts=1,
        worker=None,
        started=100.0 * number,
        finished=100.0 * number + 60,
    )
    return replace(made, **changes)


def report(trials: list[TrialRow], *limits: Limit, goals: Any = GOALS) -> Report:
    rows = [
        Row(
            trial=one.number,
            candidate=one.candidate,
            values=one.values,
            intervals={},
            artifact=Path(),
            sha256="",
            machine="m",
            on_front=False,
            broken=tuple(limit for limit in limits if limit.excess(one.values[limit.objective]) > 0),
        )
        for one in trials
        if one.state == "trained"
    ]
    return Report("fake", goals, limits, tuple(rows), (), "m")


def point(miou: float, latency_ms: float) -> dict[str, float]:
    return {"miou": miou, "latency_ms": latency_ms}


def drawn(count: int, seed: int = 0) -> list[TrialRow]:
    """`decides` settles the mIoU, `idle` does nothing, `inner` settles the rest in one branch alone."""
    source = random.Random(seed)
    found = []
    for number in range(count):
        decides, idle, branch = source.choice("abc"), source.randint(1, 40), source.choice(["on", "off"])
        params: dict[str, Any] = {"decides": decides, "idle": idle, "branch": branch, "same": 1}
        value = {"a": 0.1, "b": 0.4, "c": 0.7}[decides] + source.uniform(0, 0.05)
        if branch == "on":
            params["inner"] = source.choice([1, 2])
            value += 0.1 * params["inner"]
        found.append(trial(number, {"miou": value}, params=params))
    return found
