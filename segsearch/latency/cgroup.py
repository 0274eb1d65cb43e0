"""What the system lets this process have of the machine: the limits of its control groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Without a limit the first version says a number that no machine has.
_NO_LIMIT_BYTES = 2**60


@dataclass(frozen=True)
class Allowance:
    """Cores' worth of time and bytes of memory; None where there is no limit."""

    cores: float | None
    memory_bytes: int | None


def allowance(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> Allowance:
    """The tightest limits on the way from this process's control groups up, of either version."""
    cores: list[float] = []
    memory: list[int] = []
    for controllers, group in _groups(membership):
        if not controllers:
            for folder in _upwards(root, group):
                cores += _share(_numbers(folder / "cpu.max"))
                memory += _numbers(folder / "memory.max")[:1]
        if "cpu" in controllers:
            for folder in _upwards(root / "cpu", group):
                quota = _numbers(folder / "cpu.cfs_quota_us"), _numbers(folder / "cpu.cfs_period_us")
                cores += _share([*quota[0], *quota[1]])
        if "memory" in controllers:
            for folder in _upwards(root / "memory", group):
                memory += _numbers(folder / "memory.limit_in_bytes")[:1]
    memory = [limit for limit in memory if 0 < limit < _NO_LIMIT_BYTES]
    return Allowance(min(cores, default=None), min(memory, default=None))


def _groups(membership: Path) -> Iterator[tuple[list[str], str]]:
    """Lines as `4:cpu,cpuacct:/a/b`; the second version has one line, `0::/a/b`."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        yield [name for name in controllers.split(",") if name], group.strip("/")


def _upwards(root: Path, group: str) -> Iterator[Path]:
    """The group's folder and those above it. Inside a container only the last may be there."""
    folder = root / group
    while folder != root:
        yield folder
        folder = folder.parent
    yield root


def _numbers(file: Path) -> list[int]:
    """The numbers of a file, up to the first word that is none (`max`)."""
    try:
        words = file.read_text().split()
    except OSError:
        return []
    found: list[int] = []
    for word in words:
        if not word.lstrip("-").isdigit():
            return []
        found.append(int(word))
    return found


def _share(quota: list[int]) -> list[float]:
    """Cores that a quota in a period makes; a negative quota is none."""
    return [quota[0] / quota[1]] if len(quota) == 2 and quota[0] > 0 and quota[1] > 0 else []
