"""Trials that were looked at and wait to be promoted, as they are written and read inside a transaction."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, func, insert, select, update

from segsearch.store import schema

trials, screenings = schema.trials, schema.screenings


def put_screening(connection: Connection, study: str, number: int) -> None:
    """Note that a trial was entered to be looked at alone."""
    connection.execute(insert(screenings).values(study=study, trial=number))


def looks_in(connection: Connection, study: str) -> int:
    """How many trials of a study were entered to be looked at since the last promotion."""
    last = select(func.max(screenings.c.promoted)).where(screenings.c.study == study)
    newest = connection.execute(last).scalar_one()
    query = select(func.count()).where(
        screenings.c.study == study, screenings.c.trial > (-1 if newest is None else newest)
    )
    return int(connection.execute(query).scalar_one())


def note_promotion(connection: Connection, study: str, number: int) -> None:
    """Note that a trial is looked at alone no more: what is entered from now on is looked at since."""
    newest = select(func.max(trials.c.number)).where(trials.c.study == study).scalar_subquery()
    here = (screenings.c.study == study, screenings.c.trial == number)
    connection.execute(update(screenings).where(*here).values(promoted=newest))


def give_way(connection: Connection, study: str, key: str, number: int) -> None:
    """A trial that is trained takes the place of those of an equal candidate that were only looked at."""
    query = select(trials.c.number).where(trials.c.study == study, trials.c.key == key, trials.c.state == "screened")
    looked_at = list(connection.execute(query).scalars())
    if not looked_at:
        return
    here = trials.c.study == study
    connection.execute(update(trials).where(here, trials.c.twin.in_(looked_at)).values(twin=number))
    repeats = {"state": "duplicate", "twin": number, "values": "{}", "artifact": None, "machine": None}
    connection.execute(update(trials).where(here, trials.c.number.in_(looked_at)).values(**repeats))
    forget_evidence(connection, study, looked_at)


def forget_evidence(connection: Connection, study: str, numbers: Collection[int]) -> None:
    """Forget what was measured of trials whose rows say nothing of it any more."""
    for table in (schema.evidence, schema.timings):
        connection.execute(delete(table).where(table.c.study == study, table.c.trial.in_(numbers)))
