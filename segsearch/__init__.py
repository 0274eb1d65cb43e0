"""segsearch: compression and architecture search for semantic segmentation, judged on the file that ships."""

import os
from typing import TYPE_CHECKING

# No telemetry, of ours or of others. ONNX Runtime's is on unless told otherwise before it is imported: a thread beside
# every measurement, files in the user's folder, the network. Whichever room imports it first, this came before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "DatabaseError",
    "Evaluated",
    "Event",
    "Front",
    "Latency",
    "Run",
    "SegsearchError",
    "SpaceError",
    "StudyError",
    "Trial",
    "TrialFailed",
    "Tried",
    "UserError",
    "__version__",
    "evaluate",
    "measure",
    "open",
    "run",
    "try_space",
]

if TYPE_CHECKING:
    from segsearch.api.begin import evaluate, run
    from segsearch.api.events import Event
    from segsearch.api.evidence import Evaluated
    from segsearch.api.front import Front
    from segsearch.api.latency import Latency, measure
    from segsearch.api.opened import Run
    from segsearch.api.opened import open_run as open  # noqa: A004
    from segsearch.api.trials import Trial
    from segsearch.api.tried import Tried, try_space
    from segsearch.errors import (
        DatabaseError,
        DataError,
        SegsearchError,
        SpaceError,
        StudyError,
        TrialFailed,
        UserError,
    )
else:
    # Where each name lives: nothing is loaded before it is asked for, and no name but these is made up.
    _HOMES = {
        "Evaluated": "segsearch.api.evidence",
        "Event": "segsearch.api.events",
        "Front": "segsearch.api.front",
        "Latency": "segsearch.api.latency",
        "Run": "segsearch.api.opened",
        "Trial": "segsearch.api.trials",
        "Tried": "segsearch.api.tried",
        "evaluate": "segsearch.api.begin",
        "measure": "segsearch.api.latency",
        "open": "segsearch.api.opened",
        "run": "segsearch.api.begin",
        "try_space": "segsearch.api.tried",
    }
    _ERRORS = {
        "DataError",
        "DatabaseError",
        "SegsearchError",
        "SpaceError",
        "StudyError",
        "TrialFailed",
        "UserError",
    }

    def __getattr__(name):
        home = "segsearch.errors" if name in _ERRORS else _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'segsearch' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(home), "open_run" if name == "open" else name)

    def __dir__():
        return sorted({*globals(), *__all__})
