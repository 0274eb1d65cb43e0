"""Every error segsearch raises on purpose, and what each one means for the study.

SegsearchError
├── UserError            the user can cure it: one or two lines, exit code 2, no traceback
│   ├── StudyError       a study file or a command-line value
│   ├── SpaceError       a search space that is missing, raises, or returns something else
│   ├── DataError        images, masks, classes or list files
│   ├── DatabaseError    a database that is missing, foreign, newer, locked or read-only
│   │   └── OlderDatabase    one of an older segsearch, opened only to read
│   ├── StorageFull      no room left for the database or an artifact
│   └── SearchStuck      nothing the search draws can be kept (limits nobody meets, every trial fails)
└── TrialFailed          this trial cannot be finished; the study goes on and keeps the reason
"""

from __future__ import annotations


class SegsearchError(Exception):
    """Root of everything raised on purpose."""


class UserError(SegsearchError):
    """The message states the rule, what was found and the cure, in one or two lines."""


class StudyError(UserError):
    """A study file, an objective, a limit or a command-line value is not as it must be."""


class SpaceError(UserError):
    """A search space is missing, cannot be imported, raises, or does not return a Candidate."""


class DataError(UserError):
    """A data set breaks a rule; the message names the file."""


class DatabaseError(UserError):
    """A database is missing, not ours, of a newer schema, locked, or read-only."""


class OlderDatabase(DatabaseError):
    """A database of an older schema was opened only to read: opened to write, it is brought up to date."""


class StorageFull(UserError):
    """No room is left for the database or an artifact."""


class SearchStuck(UserError):
    """The search gave up after a bounded number of candidates that it could not keep."""


class TrialFailed(SegsearchError):
    """One trial cannot be finished. `kind` is a short stable word, the message the reason."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
