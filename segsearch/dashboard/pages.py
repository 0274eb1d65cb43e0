"""What each open page was sent to: a browser drops the answer to an action when the next one follows before it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from segsearch.dashboard.state import State

MOST_PAGES = 256


@dataclass
class Pages:
    """For each page the state that it asked from last, and the one that it was sent to. Safe to use from many threads.

    A page that asks from the same state again has not had its answer: its next action goes on from there.
    """

    _sent: OrderedDict[str, tuple[State, State]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, page: str, given: State, change: Callable[[State], State], *, anew: bool = False) -> State:
        """The state after `change`; `anew` where the page's address itself was changed, and counts as it stands."""
        with self._lock:
            asked, sent = self._sent.pop(page, (given, given))
            after = change(sent if asked == given and not anew else given)
            self._sent[page] = (given, after)
            while len(self._sent) > MOST_PAGES:
                self._sent.popitem(last=False)
            return after
