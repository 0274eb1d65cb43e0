"""Where the records of a study come from."""

from __future__ import annotations

from dataclasses import dataclass

from segsearch.store import Store, StudyRow


@dataclass(frozen=True)
class Source:
    """The open database that trials come from, and their study in it."""

    store: Store
    row: StudyRow
