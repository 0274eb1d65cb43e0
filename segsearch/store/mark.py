"""A short text that changes whenever a listing of a study would: cheap to ask again and again."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from segsearch.store.schema import confirmations, grown, picks, references, stages, timings, trials


def mark_of(connection: Connection, study: str) -> str:
    """How much of each kind the study holds, and when the newest came."""
    states = select(trials.c.state, func.count(), func.max(trials.c.number)).where(trials.c.study == study)
    newest = (
        select(func.count(), func.max(timings.c.taken)).where(timings.c.study == study),
        select(func.count(), func.max(picks.c.number), func.max(picks.c.created)).where(picks.c.study == study),
        select(func.count(), func.max(confirmations.c.finished)).where(confirmations.c.study == study),
        select(func.count(), func.max(references.c.finished)).where(references.c.study == study),
        select(func.count(), func.max(grown.c.finished)).where(grown.c.study == study),
        select(func.count(), func.max(stages.c.finished)).where(stages.c.study == study, stages.c.name == "explain"),
    )
    found = [*connection.execute(states.group_by(trials.c.state).order_by(trials.c.state)).all()]
    found += [connection.execute(query).one() for query in newest]
    return ";".join(",".join(map(str, row)) for row in found)
