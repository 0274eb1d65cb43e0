"""Networks of the field beside a study's trials, as they are written and read inside a transaction."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select

from segsearch.evidence.images import Spread
from segsearch.evidence.objectives import intervals_of, values_of
from segsearch.evidence.types import Evidence
from segsearch.space.candidate import Candidate
from segsearch.space.keys import from_json, to_json
from segsearch.store.clock import stamp
from segsearch.store.put import put
from segsearch.store.rows import Failure, ReferenceRow
from segsearch.store.schema import references
from segsearch.store.spreads import spread_columns, spread_in

_NO_SPREAD = dict.fromkeys(("low", "high", "reason", "resampled"))


def put_reference(
    connection: Connection,
    study: str,
    name: str,
    candidate: Candidate,
    found: Evidence | Failure,
    *,
    precision: str,
    machine: str,
    train_seconds: float | None,
) -> None:
    """Write how a reference did on a machine, over what was stored of it there, into the caller's transaction."""
    evidence = found if isinstance(found, Evidence) else None
    failure = found if isinstance(found, Failure) else None
    values = {
        "state": "failed" if evidence is None else "trained",
        "candidate": to_json(candidate),
        "values": json.dumps(values_of(evidence) if evidence else {}, sort_keys=True, allow_nan=False),
        "intervals": json.dumps(intervals_of(evidence) if evidence else {}, sort_keys=True, allow_nan=False),
        "artifact": evidence.artifact if evidence else None,
        "failure_kind": failure.kind if failure else None,
        "failure_reason": failure.reason if failure else None,
        "train_seconds": train_seconds,
        "finished": stamp(connection),
        "json": to_json(evidence) if evidence else None,
        **(spread_columns(evidence.images) if evidence else _NO_SPREAD),
    }
    key = {"study": study, "name": name, "precision": precision, "machine": machine}
    put(connection, references, key, values)


def references_of(connection: Connection, study: str) -> tuple[ReferenceRow, ...]:
    """All references of a study by name, precision and machine, without their evidence."""
    table = references.c
    query = select(*(column for column in table if column.name != "json")).where(table.study == study)
    rows = connection.execute(query.order_by(table.name, table.precision, table.machine)).mappings()
    found = []
    for row in rows:
        intervals = {name: (low, high) for name, (low, high) in json.loads(row["intervals"]).items()}
        spread = spread_in(row)
        if isinstance(spread, Spread):
            intervals["miou"] = (spread.low, spread.high)
        found.append(
            ReferenceRow(
                name=row["name"],
                precision=row["precision"],
                machine=row["machine"],
                state=row["state"],
                candidate=from_json(Candidate, row["candidate"]),
                values=json.loads(row["values"]),
                intervals=intervals,
                artifact=row["artifact"],
                failure=None if row["failure_kind"] is None else Failure(row["failure_kind"], row["failure_reason"]),
                train_seconds=row["train_seconds"],
                finished=row["finished"],
                spread=spread,
            )
        )
    return tuple(found)
