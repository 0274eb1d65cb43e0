"""The trials of a study for whoever reads them again and again: only what has changed is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select

from segsearch.store import schema
from segsearch.store.rows import TrialRow
from segsearch.store.siblings import trials_with_origin
from segsearch.store.store import Store
from segsearch.store.trials import trial_row

# More than these are read with all others: a query holds no list of any length.
_MOST_NAMED = 200


@dataclass(frozen=True)
class Looking:
    """One reader's memory of a study's trials, without how sure their mIoU is."""

    store: Store
    study: str
    _marks: dict[int, tuple[object, ...]] = field(default_factory=dict, repr=False)
    _rows: dict[int, TrialRow] = field(default_factory=dict, repr=False)

    def trials(self) -> list[TrialRow]:
        """All trials as they are now, by number. What a trial is changes with its state, and never without a mark."""
        table = schema.trials.c
        marks = select(table.number, table.state, table.twin, table.worker, table.finished, table.attempts)
        with self.store.reading() as connection:
            found = {row[0]: tuple(row[1:]) for row in connection.execute(marks.where(table.study == self.study))}
            changed = [number for number, mark in found.items() if self._marks.get(number) != mark]
            query = trials_with_origin().where(table.study == self.study)
            if len(changed) <= _MOST_NAMED:
                query = query.where(table.number.in_(changed))
            rows = {row.number: trial_row(row) for row in connection.execute(query)} if changed else {}
        self._rows.update(rows)
        self._marks.update(found)
        return [self._rows[number] for number in sorted(found)]
