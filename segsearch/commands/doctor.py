"""The command that looks at this machine: what it offers a study, and what would stand in its way."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.commands.showing import watched
from segsearch.terminal import say, stoppable, write

if TYPE_CHECKING:
    from segsearch.commands.health import Verdict
    from segsearch.trial.convolutions import Scan
    from segsearch.workshop import Progress

# Enough to meet most shapes of the built-in space and to end within a minute on two cores.
DRAWS = 40


def doctor(
    space: Annotated[str, typer.Option("--space", help="The space whose convolutions are tried.")] = "mobile",
    draws: Annotated[int, typer.Option("--draws", min=0, help="How many of its draws; 0 for none.")] = DRAWS,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at this machine: what it means for a study, and whether training is safe on it. Takes under a minute."""
    from segsearch.workshop import silent

    # A program reads standard output: no line about progress may stand in its JSON.
    with stoppable(lambda: "segsearch doctor"), nullcontext() if json else watched() as watch:
        verdicts, scan = examine(space, draws=draws, progress=watch.progress if watch else silent)
    usable = all(verdict.state != "bad" for verdict in verdicts)
    if json:
        write(as_json(verdicts, scan, usable=usable))
    else:
        say(*lines_of(verdicts))
        say("", "A study can run here." if usable else "A study cannot run here before what is bad is cured.")
    if not usable:
        raise typer.Exit(1)


def examine(space: str, *, draws: int, progress: Progress) -> tuple[list[Verdict], Scan | None]:
    """Every verdict, and the scan where one was made. Raises `SpaceError` where the space cannot be loaded."""
    from segsearch.commands import health
    from segsearch.space.load import load_space
    from segsearch.trial.convolutions import scan_convolutions

    load_space(space)
    progress("machine", 0, 1)
    verdicts = [health.of_versions({name: health.version_of(name) for name in health.NEEDED})]
    sound = verdicts[0].state != "bad"
    if sound:
        verdicts += of_this_machine()
    verdicts += of_its_extras()
    progress("machine", 1, 1)
    if not sound or draws == 0:
        return verdicts, None
    scan = scan_convolutions(space, draws=draws, progress=progress)
    return [*verdicts, health.of_scan(scan, space)], scan


def of_this_machine() -> list[Verdict]:
    """What the machine has, and what of it this process may use."""
    import psutil

    from segsearch.commands import health
    from segsearch.latency.cgroup import allowance
    from segsearch.latency.machine import this_machine
    from segsearch.runtimes import RUNTIMES
    from segsearch.workshop import free_bytes

    # First of all, before anything here keeps it busy.
    others, spin, load = health.busy_share(), health.spin_share(), health.load_average()
    here, limits, memory = this_machine(RUNTIMES["onnxruntime"]), allowance(), psutil.virtual_memory()
    allowed = len(here.affinity) or here.cores
    return [
        health.of_cores(here.cores, allowed, limits.cores),
        health.of_instructions(platform.machine(), here.flags),
        health.of_clock(here.governor, here.max_mhz),
        health.of_memory(int(memory.available), int(memory.total), limits.memory_bytes),
        health.of_disk(free_bytes(Path("runs")), Path("runs").absolute()),
        health.of_quiet(others, spin, load, here.cores, allowed),
    ]


def of_its_extras() -> list[Verdict]:
    """What may be installed beside."""
    from segsearch.commands import health
    from segsearch.pretrained.packages import PACKAGES, is_installed

    runtimes = {name: health.version_of(name, module) for name, module in health.OTHER_RUNTIMES}
    return [
        health.of_runtimes(runtimes),
        health.of_postgres(health.version_of("psycopg", "psycopg")),
        health.of_weights([name for name in PACKAGES if is_installed(name)]),
    ]


def lines_of(verdicts: Sequence[Verdict]) -> list[str]:
    """One line a verdict, and what to do below those that need it."""
    width = max(len(verdict.title) for verdict in verdicts)
    lines = []
    for verdict in verdicts:
        lines.append(f"{verdict.state:<4}  {verdict.title:<{width}}  {verdict.sentence}")
        if verdict.cure and verdict.state != "good":
            lines.append(f"{'':<{width + 8}}{verdict.cure}")
    return lines


def as_json(verdicts: Sequence[Verdict], scan: Scan | None, *, usable: bool) -> str:
    """The same for programs, with every fault of the scan."""
    from json import dumps

    found = None
    if scan is not None:
        faults = [asdict(fault) for fault in scan.faults]
        found = {"draws": scan.draws, "convolutions": len(scan.tried), "faults": faults}
    return dumps({"usable": usable, "verdicts": [*map(asdict, verdicts)], "scan": found}, indent=2) + "\n"
