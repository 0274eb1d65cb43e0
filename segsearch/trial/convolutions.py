"""Ask whether the convolutions of a space can be trained on this machine: none may end its process.

Nothing here loads torch; `segsearch.trial.scan` is the process that tries them.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Any

from segsearch.latency.cores import own_cores
from segsearch.workshop import Progress, silent

SCANNER = (sys.executable, "-P", "-m", "segsearch.trial.scan")
# Each scanner loads torch: more of them cost more memory than they save time.
MOST_SCANNERS = 4


@dataclass(frozen=True, order=True)
class Convolution:
    """One convolution as training meets it: its shape, and the map (height, width) that it reads."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    atrous: int
    groups: int
    bias: bool
    height: int
    width: int
    channels_last: bool

    def __str__(self) -> str:
        """`8 -> 16, 1x1, stride 2, on 48x64, channels_last`."""
        parts = [f"{self.inputs} -> {self.outputs}", f"{self.kernel}x{self.kernel}"]
        parts += [f"stride {self.stride}"] if self.stride > 1 else []
        parts += [f"rate {self.atrous}"] if self.atrous > 1 else []
        parts += [f"{self.groups} groups"] if self.groups > 1 else []
        layout = "channels_last" if self.channels_last else "channels_first"
        return ", ".join([*parts, f"on {self.height}x{self.width}", layout])


@dataclass(frozen=True)
class Fault:
    """What could not be tried to its end, and why: the name of the signal that ended it, or the error."""

    what: str
    reason: str
    convolution: Convolution | None = None


@dataclass(frozen=True)
class ScanOrder:
    """What one scanner tries: these draws of a space, on crops of (height, width), with and without their pruning."""

    space: str
    draws: tuple[int, ...]
    height: int
    width: int
    parent: int


@dataclass(frozen=True)
class Scan:
    """What was tried: distinct convolutions, each forward and backward, and those that failed."""

    draws: int
    tried: tuple[Convolution, ...]
    faults: tuple[Fault, ...]


def scan_convolutions(
    space: str,
    *,
    draws: int,
    size: tuple[int, int] = (96, 128),
    progress: Progress = silent,
    scanner: Sequence[str] = SCANNER,
) -> Scan:
    """Try the convolutions of the first `draws` draws of a space, forward and backward, in processes of their own.

    `size` is that of the training crops: (height, width). One thread a process, one process a core.
    """
    count = max(1, min(draws, MOST_SCANNERS, len(own_cores()) or os.cpu_count() or 1))
    heard: queue.Queue[dict[str, Any] | None] = queue.Queue()
    tried: set[Convolution] = set()
    faults: list[Fault] = []
    with ExitStack() as stack:
        for index in range(count):
            order = ScanOrder(space, tuple(range(index, draws, count)), *size, parent=os.getpid())
            child = stack.enter_context(_started(scanner, order))
            stack.callback(_end, child)
            listener = threading.Thread(target=_listen, args=(child, heard), daemon=True)
            listener.start()
        done, open_ends = 0, count
        progress("convolutions", 0, draws)
        while open_ends:
            line = heard.get()
            if line is None:
                open_ends -= 1
                continue
            tried |= {Convolution(**entry) for entry in line.get("tried", ())}
            faults += [_fault(entry) for entry in line["faults"]]
            if "draw" in line:
                done += 1
                progress("convolutions", done, draws)
    once = {(fault.what, fault.reason): fault for fault in faults}
    return Scan(draws, tuple(sorted(tried)), tuple(once.values()))


def _started(scanner: Sequence[str], order: ScanOrder) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        list(scanner),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for us to handle, not for it
    )
    assert child.stdin is not None
    with suppress(BrokenPipeError):  # it ended already, and will be heard to
        json.dump(asdict(order), child.stdin)
        child.stdin.close()
    return child


def _listen(child: subprocess.Popen[str], heard: queue.Queue[dict[str, Any] | None]) -> None:
    """Pass on what a scanner says, and how it ended where that was not well."""
    assert child.stdout is not None
    assert child.stderr is not None
    said: list[str] = []
    errors = threading.Thread(target=lambda: said.extend(child.stderr or ()), daemon=True)
    errors.start()
    try:
        for text in child.stdout:
            heard.put(json.loads(text))
        code = child.wait()
        errors.join()
        if code != 0:
            last = (" ".join("".join(said[-1:]).split()) or "no message")[:400]
            reason = signal.Signals(-code).name if code < 0 else last
            heard.put({"faults": [{"what": "the scan itself", "reason": reason}]})
    except ValueError as error:
        heard.put({"faults": [{"what": "the scan itself", "reason": f"not understood: {error}"}]})
    finally:
        heard.put(None)


def _fault(entry: dict[str, Any]) -> Fault:
    found = entry.get("convolution")
    return Fault(entry["what"], entry["reason"], Convolution(**found) if found else None)


def _end(child: subprocess.Popen[str]) -> None:
    """End a scanner and whatever it is trying."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
