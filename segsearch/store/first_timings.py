"""Timings of before there were several machines: each becomes one of the machine that its trial was timed on."""

from __future__ import annotations

import json

from sqlalchemy import Connection, insert, select, update

from segsearch.evidence.objectives import MACHINE_BOUND
from segsearch.store.schema import evidence, studies, timings, trials


def keep_timings_by_machine(connection: Connection) -> None:
    """Make the table of timings, fill it from the trials, and leave `timing.runs` out of the settings."""
    timings.create(connection, checkfirst=True)
    for row in connection.execute(select(studies.c.name, studies.c.settings)).all():
        settings = json.loads(row.settings)
        settings.get("timing", {}).pop("runs", None)
        connection.execute(update(studies).where(studies.c.name == row.name).values(settings=json.dumps(settings)))
    query = select(trials, evidence.c.json.label("evidence")).join(
        evidence, (evidence.c.study == trials.c.study) & (evidence.c.trial == trials.c.number)
    )
    for row in connection.execute(query.where(trials.c.machine.is_not(None))).all():
        values = json.loads(row._mapping["values"])
        connection.execute(
            insert(timings).values(
                study=row.study,
                trial=row.number,
                machine=row.machine,
                values=json.dumps({name: value for name, value in values.items() if name in MACHINE_BOUND}),
                intervals="{}",
                json=json.dumps(json.loads(row.evidence)["timing"]),
                taken=row.finished,
            )
        )
