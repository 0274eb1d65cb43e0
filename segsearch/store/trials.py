"""Rows of trials and of their timings, as they are read and written inside a transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, Row, select

from segsearch.errors import StudyError
from segsearch.evidence.objectives import MACHINE_BOUND, intervals_of, values_of
from segsearch.evidence.timing import Timing
from segsearch.evidence.types import Evidence
from segsearch.space.candidate import Candidate
from segsearch.space.keys import from_json, to_json
from segsearch.store import schema
from segsearch.store.clock import stamp
from segsearch.store.put import put
from segsearch.store.rows import Failure, TimingRow, TrialRow
from segsearch.store.spreads import spread_in
from segsearch.study import load_study

# So many are looked at to tell how fast a machine's references run; each holds hundreds of samples.
NEWEST_TIMINGS = 20


def put_timing(connection: Connection, study: str, trial: int, evidence: Evidence) -> None:
    """Write the timing of an evidence into the caller's transaction.

    Raises `StudyError` where it is of another state than the study's: the two do not compare.
    """
    settings = select(schema.studies.c.settings).where(schema.studies.c.name == study)
    state = load_study(connection.execute(settings).scalar_one()).timing.state
    if evidence.timing.state != state:
        raise StudyError(
            f"Latencies of one study are all taken in one timing.state, {state!r} in {study}; trial {trial} was timed "
            f"{evidence.timing.state!r}. `segsearch remeasure` times it as the study does."
        )
    values = {name: value for name, value in values_of(evidence).items() if name in MACHINE_BOUND}
    put(
        connection,
        schema.timings,
        {"study": study, "trial": trial, "machine": evidence.timing.machine},
        {
            "values": json.dumps(values, sort_keys=True, allow_nan=False),
            "intervals": json.dumps(intervals_of(evidence), sort_keys=True, allow_nan=False),
            "json": to_json(evidence.timing),
            "taken": stamp(connection),
        },
    )


def trial_row(row: Row[Any]) -> TrialRow:
    """A row of the trials table as the rest of segsearch sees it."""
    return TrialRow(
        number=row.number,
        state=row.state,
        candidate=from_json(Candidate, row.candidate),
        key=row.key,
        params=json.loads(row.params),
        values=json.loads(row._mapping["values"]),
        artifact=row.artifact,
        machine=row.machine,
        failure=None if row.failure_kind is None else Failure(row.failure_kind, row.failure_reason),
        twin=row.twin,
        seed=row.seed,
        attempts=row.attempts,
        worker=row.worker,
        started=row.started,
        finished=row.finished,
        spread=spread_in(row._mapping),
        origin=row._mapping.get("origin"),
        gate_only=bool(row._mapping.get("gate_only")),
    )


def slowdowns_of(connection: Connection, study: str) -> dict[str, float]:
    """Of each machine the least `Comparison.slowdown` of the newest timings, by its key."""
    table = schema.timings
    query = select(table.c.machine, table.c.json).where(table.c.study == study).order_by(table.c.taken.desc())
    found = defaultdict[str, list[float]](list)
    for row in connection.execute(query.limit(NEWEST_TIMINGS)):
        comparison = from_json(Timing, row.json).comparison
        if comparison is not None:
            found[row.machine].append(comparison.slowdown)
    return {machine: min(slowdowns) for machine, slowdowns in found.items()}


def timing_row(row: Any) -> TimingRow:
    """A row of the timings table as the rest of segsearch sees it."""
    return TimingRow(
        trial=row.trial,
        machine=row.machine,
        values=json.loads(row._mapping["values"]),
        intervals={name: (low, high) for name, (low, high) in json.loads(row.intervals).items()},
        taken=row.taken,
    )
