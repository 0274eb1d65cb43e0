"""What a study was given beside its data: a teacher that was trained elsewhere, images without labels.

Kept as the outcome of a stage that no trial did, so that they are what they were when the study is carried on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from segsearch.errors import StudyError
from segsearch.store import schema
from segsearch.store.clock import stamp
from segsearch.store.put import put_first
from segsearch.store.rows import NO_TRIAL

STAGE = "given"
# What may be given: the artifact of a teacher, the key of the images without labels.
TEACHER, UNLABELLED = "teacher", "unlabelled"
Given = Mapping[str, str]

_CHANGED = {
    TEACHER: "the teacher that {name} names is another one",
    UNLABELLED: "the images that data.unlabelled of {name} names changed",
}


def put_given(connection: Connection, study: str, given: Given) -> None:
    """Store what was given, where nothing is stored of it."""
    for what, value in given.items():
        made = {"trial": NO_TRIAL, "outcome": json.dumps({"is": value}), "seconds": 0.0, "finished": stamp(connection)}
        put_first(connection, schema.stages, {"study": study, "name": STAGE, "key": what}, made)


def given_of(connection: Connection, studies: Sequence[str]) -> dict[str, dict[str, str]]:
    """What each of these studies was given, by its name."""
    table, found = schema.stages, dict[str, dict[str, str]]()
    query = select(table.c.study, table.c.key, table.c.outcome)
    for row in connection.execute(query.where(table.c.study.in_(studies), table.c.name == STAGE)):
        found.setdefault(row.study, {})[row.key] = json.loads(row.outcome)["is"]
    return found


def demand_given(stored: Given, now: Given, *, name: str, begun: str, cure: str) -> None:
    """Raise `StudyError` naming the first thing that was given otherwise when the study began."""
    for what, words in _CHANGED.items():
        if what in stored and stored[what] != now.get(what):
            raise StudyError(f"{begun} {words.format(name=name)}. {cure}")
