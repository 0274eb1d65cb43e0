"""Trials that another trial's training made, as they are written and read inside a transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from segsearch.store import schema
from segsearch.store.put import put

trials, siblings, screenings = schema.trials, schema.siblings, schema.screenings

SAME = (siblings.c.study == trials.c.study) & (siblings.c.trial == trials.c.number)


def put_sibling(connection: Connection, study: str, number: int, origin: int) -> None:
    """Note that the training of `origin` made a trial's file, too."""
    put(connection, siblings, {"study": study, "trial": number}, {"origin": origin})


def trials_with_origin() -> Select[Any]:
    """Every trial with the one whose training made it, and whether it is only looked at, for `trial_row`."""
    gate_only = and_(screenings.c.trial.is_not(None), screenings.c.promoted.is_(None)).label("gate_only")
    looked_at = (screenings.c.study == trials.c.study) & (screenings.c.trial == trials.c.number)
    found = select(trials, siblings.c.origin, gate_only).outerjoin_from(trials, siblings, SAME)
    return found.outerjoin(screenings, looked_at)


def trained_in(connection: Connection, study: str) -> int:
    """How many trainings of a study came to their end: trained trials, without siblings."""
    query = select(func.count()).select_from(trials.outerjoin(siblings, SAME))
    query = query.where(trials.c.study == study, trials.c.state == "trained", siblings.c.origin.is_(None))
    return int(connection.execute(query).scalar_one())


def known_keys(connection: Connection, study: str) -> frozenset[str]:
    """The content keys of all candidates that a study has a trial of, but for those that were only looked at."""
    query = select(trials.c.key).where(trials.c.study == study, trials.c.state.not_in(("screened", "duplicate")))
    return frozenset(connection.execute(query).scalars())
