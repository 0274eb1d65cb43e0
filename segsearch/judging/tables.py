"""A report as a table for people, and as JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from pydantic import TypeAdapter
from rich.table import Table
from rich.text import Text

from segsearch.evidence.images import NoSpread
from segsearch.evidence.objectives import OBJECTIVES, Objective
from segsearch.judging.finals import as_object as final_object
from segsearch.judging.finals import ended_by_trial
from segsearch.judging.fronts import Report, knee_of
from segsearch.judging.words import describe, precision, with_interval
from segsearch.space.candidate import Candidate


def _shown(report: Report) -> list[Objective]:
    extra = [OBJECTIVES[name] for name in ("size_bytes", "params") if OBJECTIVES[name] not in report.objectives]
    return [*report.objectives, *extra]


def as_table(report: Report) -> Table:
    """The front, the cheapest first; `*` marks the knee, `~` what another beats within the intervals only."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("trial", justify="right", no_wrap=True)
    for goal in _shown(report):
        table.add_column(goal.name, justify="right", no_wrap=True)
    over_seeds = any(row.confirmed for row in report.front)
    if over_seeds:
        table.add_column("miou over seeds", justify="right", no_wrap=True)
    table.add_column("ships", no_wrap=True)
    table.add_column("design", overflow="fold")
    suggested = knee_of(report).trial if report.front else None
    for row in report.front:
        mark = "*" if row.trial == suggested else "~" if row.tied else " "
        cells = [with_interval(row, goal.name) for goal in _shown(report)]
        if over_seeds:
            cells.append(row.confirmed.words if row.confirmed else "-")
        shown = (f"{row.trial}{mark}", *cells, precision(row.candidate), describe(row.candidate))
        table.add_row(*map(Text, shown))
    return table


def as_objects(report: Report) -> list[dict[str, Any]]:
    """Every trained trial as plain data, in the order of trials: what `front --json` prints."""
    candidates, ended = TypeAdapter(Candidate), ended_by_trial(report)
    return [
        {
            "trial": row.trial,
            "on_front": row.on_front,
            "objectives": dict(row.values),
            "intervals": {name: list(interval) for name, interval in row.intervals.items()},
            "no_interval": {"miou": row.spread.reason} if isinstance(row.spread, NoSpread) else {},
            "confirmed": None
            if row.confirmed is None
            else {"seeds": row.confirmed.seeds, "mean": row.confirmed.mean, "sd": row.confirmed.sd},
            "final": final_object(ended.get(row.trial), row.artifact.parent),
            "tied_with": list(row.tied),
            "breaks": [str(limit) for limit in row.broken],
            "design": describe(row.candidate),
            "candidate": candidates.dump_python(row.candidate, mode="json"),
            "artifact": {"path": str(row.artifact), "sha256": row.sha256},
            "machine": row.machine,
        }
        for row in report.rows
    ]


def as_json(report: Report) -> str:
    return json.dumps(as_objects(report), indent=2, allow_nan=False) + "\n"


def as_csv(report: Report) -> str:
    """Every trained trial, one line each; numbers in full."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    bounds = ("latency_low_ms", "latency_high_ms", "miou_low", "miou_high")
    writer.writerow(
        [
            *("trial", "on_front", *OBJECTIVES, *bounds, "bits", "breaks", "design", "artifact", "sha256", "machine"),
            *("final_miou", "test_miou"),
        ]
    )
    ended = ended_by_trial(report)
    for row in report.rows:
        numbers = [row.values.get(name, "") for name in OBJECTIVES]  # an older database lacks newer objectives
        numbers += row.intervals.get("latency_ms", ("", ""))
        numbers += row.intervals.get("miou", ("", ""))
        words = (row.candidate.bits, " ".join(map(str, row.broken)), describe(row.candidate))
        final = ended.get(row.trial)
        ends = ("", "") if final is None else (final.values.get("miou", ""), "" if final.test is None else final.test)
        file = (row.artifact, row.sha256, row.machine)
        writer.writerow([row.trial, str(row.on_front).lower(), *numbers, *words, *file, *ends])
    return stream.getvalue()
