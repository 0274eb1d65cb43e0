"""How the front stands to networks of the field: the best that is no slower than one, the fastest that is no worse."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.table import Table
from rich.text import Text

from segsearch.evidence.images import NoSpread
from segsearch.evidence.objectives import OBJECTIVES
from segsearch.judging.compare import changed
from segsearch.judging.fronts import Measured, Report, Row, broken_by, miou_gap, told_apart
from segsearch.judging.words import describe, duration, in_words, with_interval
from segsearch.space.candidate import Candidate
from segsearch.store import ReferenceRow

_SHOWN = ("miou", "latency_ms", "size_bytes", "params", "macs")
# Letters that all columns take but for the name's.
_WIDTH = 77


@dataclass(frozen=True)
class Verdict:
    """A reference, and who of the front stands beside it by the plain values.

    `best` has the highest mIoU of those that are no slower, `fastest` the lowest latency of those that are no worse;
    None where there is none.
    """

    reference: ReferenceRow
    best: Row | None
    fastest: Row | None

    @property
    def beaten(self) -> bool:
        """Whether a model is at once no slower and no worse, by the plain values."""
        return self.best is not None and self.best.values["miou"] >= self.reference.values["miou"]

    @property
    def ratio(self) -> float | None:
        """How many times faster `fastest` is."""
        return None if self.fastest is None else times_faster(self.fastest, self.reference)


def verdict_of(report: Report, one: ReferenceRow) -> Verdict:
    """The verdict on a trained reference. Its front is that of models within the study's limits."""
    members = [row for row in report.front if {"miou", "latency_ms"} <= row.values.keys()]
    quick = [row for row in members if row.values["latency_ms"] <= one.values["latency_ms"]]
    good = [row for row in members if row.values["miou"] >= one.values["miou"]]
    return Verdict(
        one,
        min(quick, key=lambda row: (-row.values["miou"], row.values["latency_ms"], row.trial), default=None),
        min(good, key=lambda row: (row.values["latency_ms"], -row.values["miou"], row.trial), default=None),
    )


def times_faster(row: Measured, one: Measured) -> float:
    """The latency of `one` over that of `row`."""
    return one.values["latency_ms"] / row.values["latency_ms"]


def verdict_words(verdict: Verdict) -> str:
    """The verdict as a sentence: `pspnet-mobile, int8: trial 12 (mIoU 0.558) is 1.6 times faster, +2.1 mIoU points.`"""
    one, best, fastest = verdict.reference, verdict.best, verdict.fastest
    name = f"{one.name}, {one.precision}"
    members = {row.trial: row for row in (best, fastest) if row is not None}
    told = "; ".join(
        f"trial {trial} (mIoU {in_words('miou', row.values['miou'])}) is {_beside(row, one)}"
        for trial, row in members.items()
    )
    if best is None and fastest is None:
        return f"{name}: no model of the front is as fast, or as good."
    if verdict.beaten:
        return f"{name}: {told}."
    lack = "as good" if fastest is None else "as fast" if best is None else "at once as fast and as good"
    return f"{name}: no model of the front is {lack} by the plain values; {told}."


def _beside(row: Row, one: ReferenceRow) -> str:
    """How a model stands to a reference: its speed, then its mIoU."""
    ratio = times_faster(row, one)
    if not told_apart(row, one, "latency_ms"):
        speed = "as fast within the intervals"
    else:
        speed = f"{max(ratio, 1 / ratio):.3g} times {'faster' if ratio > 1 else 'slower'}"
    change, between = row.values["miou"] - one.values["miou"], miou_gap(row, one)
    if change == 0:
        return f"{speed}, of the same mIoU"
    words = changed(OBJECTIVES["miou"], change, between)
    return f"{speed}, {words}" if between is None or between.sure else f"{speed}, as good within the interval: {words}"


def chosen_references(report: Report, names: Sequence[str]) -> tuple[ReferenceRow, ...]:
    """The trained references of these names, in their order."""
    order = {name: place for place, name in enumerate(names)}
    found = [one for one in report.references if one.name in order]
    return tuple(sorted(found, key=lambda one: order[one.name]))


def as_table(chosen: Sequence[ReferenceRow], *, width: int) -> Table:
    """Trained references with their numbers, in the order that they are given in.

    Where `width` letters do not hold all of it beside the names, it has what is compared alone.
    """
    names = max((len(one.name) for one in chosen), default=0)
    shown = _SHOWN if width >= names + _WIDTH else _SHOWN[:2]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("reference", overflow="fold")
    table.add_column("ships", no_wrap=True)
    for name in (*shown, "training"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in chosen:
        cells = [one.name, one.precision, *(with_interval(one, name) for name in shown)]
        cells.append("-" if one.train_seconds is None else duration(one.train_seconds))
        table.add_row(*map(Text, cells))
    return table


def verdict_lines(report: Report, chosen: Sequence[ReferenceRow]) -> list[str]:
    """What they are, a sentence for each reference, and what none of them says."""
    if not chosen:
        return []
    if not report.front:
        return [f"No trained trial meets {', '.join(map(str, report.limits))}: nothing stands beside the references."]
    what = "Beside each reference the best model of the front that is no slower, and the fastest that is no worse:"
    chance = (
        f"The front is the best of {len(report.rows)} trained models, chosen on the very images that score it; a "
        "reference is one training by the same recipe."
    )
    elsewhere = "What references score elsewhere comes of longer trainings, pretrained encoders and larger inputs."
    return [what, *(verdict_words(verdict_of(report, one)) for one in chosen), "", chance, elsewhere]


def as_objects(
    report: Report, chosen: Sequence[ReferenceRow], failed: Sequence[ReferenceRow], folder: Path
) -> list[dict[str, Any]]:
    """The references and the verdicts as plain data: what `compare --json` prints. `folder` holds their files."""
    return [_as_object(report, one, folder) for one in (*chosen, *failed)]


def _as_object(report: Report, one: ReferenceRow, folder: Path) -> dict[str, Any]:
    trained = one.state == "trained"
    verdict = verdict_of(report, one) if trained else None
    return {
        "reference": one.name,
        "precision": one.precision,
        "state": one.state,
        "objectives": dict(one.values),
        "intervals": {name: list(interval) for name, interval in one.intervals.items()},
        "no_interval": {"miou": one.spread.reason} if trained and isinstance(one.spread, NoSpread) else {},
        "breaks": [str(limit) for limit in broken_by(report.limits, one.values)] if trained else [],
        "train_seconds": one.train_seconds,
        "best_no_slower": _member(verdict.best, one) if verdict else None,
        "fastest_no_worse": _member(verdict.fastest, one) if verdict else None,
        "verdict": verdict_words(verdict) if verdict else None,
        "failure": {"kind": one.failure.kind, "reason": one.failure.reason} if one.failure else None,
        "design": describe(one.candidate),
        "candidate": TypeAdapter(Candidate).dump_python(one.candidate, mode="json"),
        "artifact": {"path": str((folder / one.artifact).absolute()), "sha256": one.artifact.split(".")[0]}
        if one.artifact
        else None,
        "machine": one.machine,
    }


def _member(row: Row | None, one: ReferenceRow) -> dict[str, Any] | None:
    if row is None:
        return None
    between = miou_gap(row, one)
    return {
        "trial": row.trial,
        "miou": row.values["miou"],
        "latency_ms": row.values["latency_ms"],
        "times_faster": times_faster(row, one),
        "miou_gap": row.values["miou"] - one.values["miou"],
        "miou_gap_interval": [between.low, between.high] if between else None,
    }


def as_csv(report: Report, chosen: Sequence[ReferenceRow], failed: Sequence[ReferenceRow], folder: Path) -> str:
    """The same, one line each; numbers in full."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    bounds = ("latency_low_ms", "latency_high_ms", "miou_low", "miou_high")
    beside = ("best_no_slower", "best_no_slower_miou", "fastest_no_worse", "fastest_no_worse_times_faster")
    about = ("breaks", "train_seconds", "failure", "design", "artifact", "sha256", "machine")
    writer.writerow(["reference", "precision", "state", *OBJECTIVES, *bounds, *beside, *about])
    for found in as_objects(report, chosen, failed, folder):
        best, fastest = (found[name] or {} for name in ("best_no_slower", "fastest_no_worse"))
        file, failure = found["artifact"] or {}, found["failure"]
        writer.writerow(
            [
                *(found[name] for name in ("reference", "precision", "state")),
                *(found["objectives"].get(name, "") for name in OBJECTIVES),
                *_ends(found["intervals"], "latency_ms"),
                *_ends(found["intervals"], "miou"),
                *(best.get(name, "") for name in ("trial", "miou")),
                *(fastest.get(name, "") for name in ("trial", "times_faster")),
                " ".join(found["breaks"]),
                "" if found["train_seconds"] is None else found["train_seconds"],
                f"{failure['kind']}: {failure['reason']}" if failure else "",
                found["design"],
                file.get("path", ""),
                file.get("sha256", ""),
                found["machine"],
            ]
        )
    return stream.getvalue()


def _ends(intervals: Mapping[str, Sequence[float]], name: str) -> Sequence[Any]:
    return intervals.get(name, ("", ""))
