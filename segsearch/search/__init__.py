"""The search, and all the Optuna: `run_search` is the way in."""

from __future__ import annotations

from segsearch.search.loop import Evaluate, Event, EventKind, Summary, run_search

__all__ = ["Evaluate", "Event", "EventKind", "Summary", "run_search"]
