"""How the threads of a training wait for each other: awake for a moment, then asleep, so that others may work."""

from __future__ import annotations

from collections.abc import Mapping

# Each layer ends where its slowest thread does. GNU's OpenMP, torch's on Linux, keeps the others awake for a time in
# which the system may not give the slow one a core, because they have it: beside one busy process a training took 7
# to 45 times as long. At so few rounds it takes two to four times as long, and on a quiet machine at most a quarter of
# the rate is lost (`benchmarks/threads.py`). The sums are the same.
SPIN_ROUNDS = 2000
# Who set one of these has decided how threads wait.
DECIDED = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def environment_of_training(given: Mapping[str, str]) -> dict[str, str]:
    """The environment that a process which trains begins in, of the one of who starts it: read once, by OpenMP."""
    waits = {} if any(name in given for name in DECIDED) else {"GOMP_SPINCOUNT": str(SPIN_ROUNDS)}
    return {**given, **waits}
