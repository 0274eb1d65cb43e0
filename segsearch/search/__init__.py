"""The search, and all the Optuna: `run_search` is the way in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segsearch.search.events import Event, EventKind, Summary
    from segsearch.search.loop import Evaluate, run_search

__all__ = ["Evaluate", "Event", "EventKind", "Summary", "run_search"]


def __getattr__(name: str) -> Any:
    """Optuna takes a second to load: who only asks the surrogate what it thinks of rows need not wait for it."""
    if name in __all__:
        room = "loop" if name in ("Evaluate", "run_search") else "events"
        return getattr(import_module(f"segsearch.search.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
