"""From a database to a report: how every door opens one to read, and what it judges."""

from __future__ import annotations

from collections.abc import Sequence

from segsearch.errors import OlderDatabase
from segsearch.evidence.objectives import demand_sense, read_limit
from segsearch.judging.fronts import Report, make_report, one_machine
from segsearch.store import Store, open_store
from segsearch.store.grown import grown_of


def open_to_read(db: str) -> Store:
    """A database to read. One of an older segsearch is brought up to date first, where it can be written."""
    try:
        return open_store(db, read_only=True)
    except OlderDatabase:
        open_store(db).close()
        return open_store(db, read_only=True)


def report_of(
    store: Store, study: str | None, limits: Sequence[str] | None, machine: str | None, *, where: str = "--limit"
) -> Report:
    """A study of a database under further limits, as it is on one machine. `where` names the limits in errors."""
    bounds = [read_limit(limit) for limit in limits or ()]
    demand_sense(bounds, where=where)
    row = store.study(study)
    trials, timings = store.trials(row.name), store.timings(row.name)
    key = one_machine(trials, timings, store.machines(), machine)
    again, beside, grown = store.confirmations(row.name), store.references(row.name), grown_of(store, row.name)
    return make_report(row, trials, timings, bounds, machine=key, confirmations=again, references=beside, grown=grown)
