"""What a study was told of earlier ones when it began: an artifact, named by the outcome of a stage of no trial."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select

from segsearch.store import schema
from segsearch.store.clock import stamp
from segsearch.store.put import put_first
from segsearch.store.rows import NO_TRIAL

stages = schema.stages
_STAGE = "earlier"


def put_earlier(connection: Connection, study: str, artifact: str) -> None:
    """Note the artifact, in the transaction that begins the study."""
    made = {"trial": NO_TRIAL, "outcome": json.dumps({"earlier": artifact}), "seconds": 0.0}
    key = {"study": study, "name": _STAGE, "key": _STAGE}
    put_first(connection, stages, key, made | {"finished": stamp(connection)})


def earlier_in(connection: Connection) -> dict[str, str]:
    """The artifacts of all studies that have one, by the study's name."""
    query = select(stages.c.study, stages.c.outcome).where(stages.c.name == _STAGE)
    return {row.study: str(json.loads(row.outcome)["earlier"]) for row in connection.execute(query)}
