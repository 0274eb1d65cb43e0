"""The trials of a study for whoever reads them again and again: only what has changed is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import select

from segsearch.store import schema
from segsearch.store.rows import TrialRow
from segsearch.store.siblings import trials_with_origin
from segsearch.store.spreads import trials_with_spread
from segsearch.store.store import Store
from segsearch.store.trials import trial_row

# More than these are read with all others: a query holds no list of any length.
_MOST_NAMED = 200


def read_again(
    store: Store, study: str, before: Mapping[int, TrialRow], *, spreads: bool = False
) -> tuple[TrialRow, ...]:
    """All trials as they are now, by number, of which those `before` are read only where they have changed.

    A trial changes with its state, its worker or its attempts alone. With `spreads`, how sure its mIoU is, too: that is
    written with the state.
    """
    table = schema.trials.c
    marks = select(table.number, table.state, table.twin, table.worker, table.attempts, table.finished)
    with store.reading() as connection:
        found = {row.number: tuple(row) for row in connection.execute(marks.where(table.study == study))}
        changed = [
            number for number, mark in found.items() if (old := before.get(number)) is None or _mark(old) != mark
        ]
        query = (trials_with_spread() if spreads else trials_with_origin()).where(table.study == study)
        if len(changed) <= _MOST_NAMED:
            query = query.where(table.number.in_(changed))
        read = {row.number: trial_row(row) for row in connection.execute(query)} if changed else {}
    return tuple(read[number] if number in read else before[number] for number in sorted(found))


def _mark(row: TrialRow) -> tuple[object, ...]:
    return row.number, row.state, row.twin, row.worker, row.attempts, row.finished


@dataclass(frozen=True)
class Looking:
    """One reader's memory of a study's trials, without how sure their mIoU is."""

    store: Store
    study: str
    _rows: dict[int, TrialRow] = field(default_factory=dict, repr=False)

    def trials(self) -> list[TrialRow]:
        """All trials as they are now, by number."""
        rows = read_again(self.store, self.study, self._rows)
        self._rows.update((row.number, row) for row in rows)
        return list(rows)
