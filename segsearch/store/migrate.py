"""How a database of an older schema becomes one of today's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from sqlalchemy import Connection, func, insert, select, update

from segsearch.evidence.objectives import MACHINE_BOUND
from segsearch.store.schema import (
    TABLES,
    claims,
    confirmations,
    evidence,
    folders,
    grown,
    migrations,
    references,
    screenings,
    siblings,
    spreads,
    starts,
    studies,
    texts,
    timings,
    trials,
)
from segsearch.study import ONCE, say


def _keep_timings_by_machine(connection: Connection) -> None:
    """Schema 2: timings are kept for each machine, and a measurement ends by its interval, not after `timing.runs`."""
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


def _claim_stages(connection: Connection) -> None:
    """Schema 3: a stage that is being made is claimed, and a shared folder is known by its token."""
    claims.create(connection, checkfirst=True)
    folders.create(connection, checkfirst=True)


def _name_machines_anew(connection: Connection) -> None:
    """Schema 4: a machine is named by how many cores it times on, not by which."""
    from segsearch.store.machine_keys import name_machines_anew

    name_machines_anew(connection)


def _say_what_was_meant(connection: Connection) -> None:
    """Schema 5: what newer settings would change is said in older studies, which go on as they began."""
    for row in connection.execute(select(studies.c.name, studies.c.settings)).all():
        settings = json.loads(row.settings)
        for key, value in ONCE.items():
            say(settings, key, value)
        connection.execute(update(studies).where(studies.c.name == row.name).values(settings=json.dumps(settings)))


def _leave_out_gross_energy(connection: Connection) -> None:
    """Schema 6: energy is told without the idle machine's: what was stored with it is a value no more.

    The evidence keeps it. A study that minimises energy has its models timed again (`segsearch remeasure`).
    """
    for table in (trials, timings):
        values, keys = table.c["values"], list(table.primary_key.columns)
        for row in connection.execute(select(values, *keys).where(values.like('%"energy_mj"%'))).all():
            kept = {name: value for name, value in json.loads(row[0]).items() if name != "energy_mj"}
            here = [key == found for key, found in zip(keys, row[1:], strict=True)]
            connection.execute(update(table).where(*here).values(values=json.dumps(kept, sort_keys=True)))


def _keep_spreads(connection: Connection) -> None:
    """Schema 7: how sure a mIoU is, over images and over seeds. Trials of before have neither, and say so."""
    spreads.create(connection, checkfirst=True)
    confirmations.create(connection, checkfirst=True)


def _score_classes_of_the_truth(connection: Connection) -> None:
    """Schema 8: a mIoU is the mean over the classes of the truth, and not over those that were predicted, too."""
    from segsearch.store.truth_classes import score_classes_of_the_truth

    score_classes_of_the_truth(connection)


def _keep_texts(connection: Connection) -> None:
    """Schema 9: the lists that a study names are kept with it, those of older studies when they are carried on.

    Older studies go on with the high bytes of images with more than 8 bits, as they began.
    """
    texts.create(connection, checkfirst=True)
    _say_what_was_meant(connection)


def _keep_references(connection: Connection) -> None:
    """Schema 10: networks of the field are kept beside the trials that they are compared with."""
    references.create(connection, checkfirst=True)


def _keep_starts(connection: Connection) -> None:
    """Schema 11: the pretrained weights that a study begins with are kept with it. Those of before have none."""
    starts.create(connection, checkfirst=True)


def _keep_grown(connection: Connection) -> None:
    """Schema 12: chosen trials that were trained to the end are kept beside them."""
    grown.create(connection, checkfirst=True)


def _keep_siblings(connection: Connection) -> None:
    """Schema 13: which trials another one's training made. Those of before trained for themselves."""
    siblings.create(connection, checkfirst=True)


def _keep_what_pruning_took(connection: Connection) -> None:
    """Schema 14: a pruned candidate trains whole before it is pruned; in older studies, as long as others in all."""
    _say_what_was_meant(connection)


def _keep_screenings(connection: Connection) -> None:
    """Schema 15: which trials were entered to be looked at alone. Those of before were not."""
    screenings.create(connection, checkfirst=True)


# Each entry turns schema n into n + 1. Once a migration changes a table, the first one must spell out the old
# tables: it may create only what stood there at its own time. (Some only add tables; others change rows.)
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    TABLES.create_all,
    _keep_timings_by_machine,
    _claim_stages,
    _name_machines_anew,
    _say_what_was_meant,
    _leave_out_gross_energy,
    _keep_spreads,
    _score_classes_of_the_truth,
    _keep_texts,
    _keep_references,
    _keep_starts,
    _keep_grown,
    _keep_siblings,
    _keep_what_pruning_took,
    _keep_screenings,
)


def schema_version(connection: Connection) -> int:
    """How many migrations this database has had."""
    return connection.execute(select(func.max(migrations.c.number))).scalar_one() or 0


def migrate(connection: Connection, version: int) -> None:
    """Bring a database of schema `version` up to date, in the caller's transaction."""
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        step(connection)
        connection.execute(insert(migrations).values(number=number, applied=time.time()))
