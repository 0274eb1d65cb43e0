"""A process that is asked once and answers once, in a quiet session of its own: what it is asked to run may end it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

from segsearch.errors import TrialFailed
from segsearch.runtimes import Runtime

# A model slower than any that is worth shipping still ends its measurement.
PATIENCE_SECONDS = 600.0


def answer_of(module: str, order: Any, *, runtime: Runtime, what: str) -> Any:
    """What `python -m module` answers to an order (both JSON) about `what`.

    Raises `TrialFailed` with the kind and the reason that it answers, of kind `runtime` where it ends badly or not at
    all, and of kind `crash` where the runtime ends it by a signal.
    """
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", module],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            start_new_session=True,  # Ctrl-C is for us to handle, not for it
        )
    except subprocess.TimeoutExpired:
        raise TrialFailed("runtime", f"{what}: no end after {PATIENCE_SECONDS:.0f} s of timing.") from None
    if ended.returncode < 0:
        died = signal.Signals(-ended.returncode).name
        raise TrialFailed("crash", f"{runtime.name} {runtime.version} died of {died} while it timed {what}.")
    if ended.returncode != 0:
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise TrialFailed("runtime", f"{what} could not be timed: {last[:400]}")
    answer = json.loads(ended.stdout)
    if isinstance(answer, dict) and "reason" in answer:
        raise TrialFailed(answer["kind"], answer["reason"])
    return answer
