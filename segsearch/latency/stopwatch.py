"""The process that measures: nothing but a runtime in it. It reads an order from standard input and answers in JSON.

`python -m segsearch.latency.stopwatch`; `measure` starts it. Torch is never loaded here.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from segsearch.errors import TrialFailed
from segsearch.evidence.timing import Block, Energy, State
from segsearch.latency.energy import Counter, Part, find_counter, of_turn
from segsearch.latency.ratio import FEWEST_SESSIONS, ratio_of
from segsearch.runtimes import NOISE, RUNTIMES, Feed, Runtime, Timer

# Of a block each of its four parts takes about this long: shorter ones are all clock, longer ones let drift in.
SEGMENT_MS = 4.0
# A reference run far longer than the model's would only cost time: its own noise is small by then.
LONGEST_REFERENCE_MS = 40.0
# Both files are opened anew after about this long.
SESSION_MS = 250.0
# Time that is up ends nothing before these: one session's blocks do not know how much sessions differ.
LEAST_SESSIONS = 3
MOST_BLOCKS = 8
# In the warm state about so much of a file's own runs goes before those that count, and one run at least.
WARM_MS = 1.5
# Of a turn for the energy each of its six parts takes so long; counters go on every millisecond or so.
ENERGY_SECONDS = 0.25
RAISED_PRIORITY = -10


@dataclass(frozen=True)
class Order:
    """What to time. `deadline` is on the system's monotonic clock, which all processes share.

    `samples` is the least number of the model's runs, whatever the interval says. `empty` is a model that does nothing.
    `parent` is the process that asks; the order is dropped where it is gone. Feeds are what the two files are given.
    """

    runtime: str
    model: str
    reference: str
    empty: str
    threads: int
    cores: tuple[int, ...]
    warmup_runs: int
    interval: float
    deadline: float
    samples: int
    parent: int
    state: State = "pipeline"
    feed: Feed = NOISE
    reference_feed: Feed = NOISE


@dataclass(frozen=True)
class Answer:
    """What was timed: the model's runs in order, the blocks they lie in, and the rest of what it costs.

    `wall_ms` is the time that passed of the same runs. `energy` says how `energy_mj` was found.
    """

    samples_ms: tuple[float, ...]
    wall_ms: tuple[float, ...]
    blocks: tuple[Block, ...]
    clock: Literal["cpu", "wall"]
    ended_by: Literal["interval", "time"]
    load_ms: tuple[float, ...]
    first_run_ms: tuple[float, ...]
    peak_memory_bytes: int | None
    energy_mj: float | None
    energy: Energy | None


class Orphaned(Exception):
    """Whoever asked is gone: nobody will read the answer."""


def main() -> int:
    raw = json.load(sys.stdin)
    feeds = {name: feed_of(raw[name]) for name in ("feed", "reference_feed")}
    order = Order(**(raw | {"cores": tuple(raw["cores"])} | feeds))
    make_quiet(order.cores)
    try:
        answer = asdict(take(order))
    except TrialFailed as failed:
        answer = {"kind": failed.kind, "reason": str(failed)}
    except Orphaned:
        return 1
    json.dump(answer, sys.stdout)
    return 0


def feed_of(raw: Any) -> Feed:
    """A feed as it comes in an order."""
    return Feed(tuple((name, tuple(values)) for name, values in raw["values"]), raw["weights"])


def make_quiet(cores: tuple[int, ...]) -> None:
    """Stay on the cores asked for, go first where the system allows it, and collect no garbage meanwhile."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    if hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, RAISED_PRIORITY)
    gc.collect()
    gc.disable()


def take(order: Order) -> Answer:
    """Sessions of blocks until the interval is narrow enough and the samples are enough, or time is up.

    Of a block the model and the reference run in turn as model, reference, reference, model: a drift that is steady
    over the block cancels in their ratio. Each of the two finds the caches as the other left them; in the warm state
    runs that do not count go first.
    """
    runtime, model, reference = RUNTIMES[order.runtime], Path(order.model), Path(order.reference)
    clock: Literal["cpu", "wall"] = "cpu" if order.threads == 1 else "wall"
    watch = _Watch(runtime, order.threads, clock, order.parent, order.state)
    memory = watch.peak_memory(Path(order.empty), model, order.feed)
    samples: list[float] = []
    walls: list[float] = []
    blocks: list[Block] = []
    loads: list[float] = []
    firsts: list[float] = []
    ended: Literal["interval", "time"] | None = None
    session = 0
    while ended is None:
        opened, load, first = watch.open(model, order.feed)
        loads.append(load)
        firsts.append(first)
        other, _, _ = watch.open(reference, order.reference_feed)
        for timer in (opened, other):
            watch.runs(timer, order.warmup_runs if session == 0 else 2)
        for times, block in watch.session(opened, other, session, order.deadline):
            samples += watch.in_ms(times)
            walls += [wall / 1e6 for wall, _ in times]
            blocks.append(block)
        session += 1
        enough = len(samples) >= order.samples
        if enough and session >= FEWEST_SESSIONS and ratio_of(blocks).width <= order.interval:
            ended = "interval"
        elif enough and session >= LEAST_SESSIONS and time.monotonic() > order.deadline:
            ended = "time"
    energy_mj, energy = watch.energy(opened, other) or (None, None)
    return Answer(
        samples_ms=tuple(samples),
        wall_ms=tuple(walls),
        blocks=tuple(blocks),
        clock=clock,
        ended_by=ended,
        load_ms=tuple(loads),
        first_run_ms=tuple(firsts),
        peak_memory_bytes=memory,
        energy_mj=energy_mj,
        energy=energy,
    )


# Of each run the nanoseconds that passed, and those of its thread's processor time.
Times = list[tuple[int, int]]


@dataclass(frozen=True)
class _Watch:
    runtime: Runtime
    threads: int
    clock: Literal["cpu", "wall"]
    parent: int
    state: State

    def now(self) -> int:
        return time.thread_time_ns() if self.clock == "cpu" else time.perf_counter_ns()

    def in_ms(self, times: Times) -> list[float]:
        """Milliseconds of each run, by the clock of this measurement.

        A virtual machine's clock of processor time may stand still over a run of microseconds: that is its least step.
        """
        return [max(1, cpu if self.clock == "cpu" else wall) / 1e6 for wall, cpu in times]

    def runs(self, timer: Timer, count: int) -> list[float]:
        """Milliseconds of each of `count` runs."""
        return self.in_ms(timer.times_ns(count))

    def switched(self, timer: Timer, count: int, run_ms: float) -> Times:
        """`count` runs of a file after the other one's; warm, others of its own that take `run_ms` each go first."""
        if self.state == "warm":
            timer.times_ns(max(1, round(WARM_MS / run_ms)))
        return timer.times_ns(count)

    def open(self, model: Path, feed: Feed) -> tuple[Timer, float, float]:
        """The opened file, the milliseconds that took, and those of its first run."""
        start = self.now()
        timer = self.runtime.timer(model, threads=self.threads, feed=feed)
        load = (self.now() - start) / 1e6
        return timer, load, self.runs(timer, 1)[0]

    def session(self, model: Timer, reference: Timer, number: int, deadline: float) -> Iterator[tuple[Times, Block]]:
        """The blocks of one session with the model's runs; at least one, and no more once the deadline is past."""
        one, other = (max(min(self.runs(timer, 2)), 1e-4) for timer in (model, reference))
        runs = max(1, round(SEGMENT_MS / one))
        of_reference = max(1, round(min(runs * one, LONGEST_REFERENCE_MS) / other))
        length = 2 * (runs * one + of_reference * other)
        for _ in range(min(MOST_BLOCKS, max(1, round(SESSION_MS / length)))):
            first = self.switched(model, runs, one)
            between = self.switched(reference, of_reference, other) + reference.times_ns(of_reference)
            times = first + self.switched(model, runs, one)
            means = (sum(taken) / len(taken) for taken in map(self.in_ms, (times, between)))
            yield times, Block(number, len(times), *means)
            if os.getppid() != self.parent:
                raise Orphaned
            if time.monotonic() > deadline:
                return

    def peak_memory(self, empty: Path, model: Path, feed: Feed) -> int | None:
        """Bytes that opening and running the model take above the runtime's own; None where that cannot be read."""
        self.open(empty, NOISE)
        before = _resident()
        if before is None or not _forget_peak():
            return None
        timer, _, _ = self.open(model, feed)
        self.runs(timer, 1)
        peak = _status("VmHWM")
        return None if peak is None else max(peak - before, 0)

    def energy(self, model: Timer, reference: Timer) -> tuple[float, Energy] | None:
        """Millijoules of a run by the machine's own counter, and how they were found; None where it says nothing."""
        counter = find_counter()
        if counter is None:
            return None
        turn = [self.part(counter, timer) for timer in (None, model, reference, reference, model, None)]
        return of_turn((turn[0], turn[5]), (turn[1], turn[4]), (turn[2], turn[3]))

    def part(self, counter: Counter, timer: Timer | None) -> Part:
        """Run a file for a while, once at least, or sleep where there is none."""
        before, start, runs = counter.read(), time.monotonic(), 0
        if timer is None:
            time.sleep(ENERGY_SECONDS)
        while timer is not None and (runs == 0 or time.monotonic() - start < ENERGY_SECONDS):
            runs += len(timer.times_ns(1))
        seconds = time.monotonic() - start
        return Part(counter.spent_mj(before, counter.read()), seconds, runs)


def _resident() -> int | None:
    return _status("VmRSS")


def _status(key: str) -> int | None:
    """Bytes under a key of this process's status."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _forget_peak() -> bool:
    """Let the peak of this process's memory begin anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
