"""The database: all the SQL. `open_store` is the way in, frozen rows are the way out."""

from __future__ import annotations

from segsearch.store.rows import (
    NO_TRIAL,
    STATES,
    ConfirmationRow,
    Counts,
    Failure,
    GrownRow,
    Pick,
    PickRow,
    ReferenceRow,
    StageRow,
    State,
    StudyRow,
    TimingRow,
    TrialRow,
)
from segsearch.store.store import Store, open_store

__all__ = [
    "NO_TRIAL",
    "STATES",
    "ConfirmationRow",
    "Counts",
    "Failure",
    "GrownRow",
    "Pick",
    "PickRow",
    "ReferenceRow",
    "StageRow",
    "State",
    "Store",
    "StudyRow",
    "TimingRow",
    "TrialRow",
    "open_store",
]
