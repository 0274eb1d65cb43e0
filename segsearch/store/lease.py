"""Which workers are alive: on this host that is seen, elsewhere their lease tells, by the database's clock."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, Row, select

from segsearch.store import schema
from segsearch.store.clock import database_now

LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0

workers = schema.workers


def all_workers(connection: Connection) -> list[Row[Any]]:
    """Every worker that is known, each with the database's clock as `now`."""
    query = select(workers, database_now(connection).label("now")).order_by(workers.c.id)
    return list(connection.execute(query).all())


def is_alive(worker: Row[Any]) -> bool:
    """Whether a worker of `all_workers` can still finish what it holds."""
    host, _, _ = this_process()
    leased = bool(worker.lease_until > worker.now)
    if worker.host != host:
        return leased
    try:
        started = _started(worker.pid)
    except psutil.AccessDenied:
        return leased
    # The start of a process is counted from the boot, whose time of day moves a little when the clock is set.
    return started is not None and abs(started - worker.pid_started) < 2.0


def others(connection: Connection, mine: str) -> tuple[dict[str, Row[Any]], list[Row[Any]]]:
    """The workers beside `mine` that are alive, by id, and those that are known to be dead."""
    host, pid, _ = this_process()
    rows = [row for row in all_workers(connection) if row.id != mine]
    # One worker a process: another one of this process has ended.
    alive = {row.id: row for row in rows if (row.host, row.pid) != (host, pid) and is_alive(row)}
    return alive, [row for row in rows if row.id not in alive]


def this_process() -> tuple[str, int, float]:
    """Names this process among those of all hosts: host and its process space, number, seconds since 1970."""
    started = _started(os.getpid())
    assert started is not None
    return f"{socket.gethostname()}/{_process_space()}/{_boot()}", os.getpid(), started


def _started(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def _process_space() -> str:
    """Names the space in which process ids count: containers may share a host's name but not its processes."""
    try:
        return Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return ""


def _boot() -> str:
    """Names this start of this machine: two may have one name, and number their processes alike."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return ""
