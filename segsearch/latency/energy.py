"""Energy of the processor's package by its own counter (RAPL), where the system lets it be read; else nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Counter:
    """The counters of all packages, in microjoules; each wraps around at its range."""

    files: tuple[tuple[Path, int], ...]

    def read(self) -> tuple[int, ...]:
        return tuple(int(path.read_text()) for path, _ in self.files)

    def spent_mj(self, before: tuple[int, ...], after: tuple[int, ...]) -> float:
        """Millijoules between two readings."""
        spent = 0
        for (_, span), first, last in zip(self.files, before, after, strict=True):
            spent += last - first if last >= first else last - first + span
        return spent / 1e3


def find_counter(folder: Path = POWERCAP) -> Counter | None:
    """The packages' counters; None where there is none or it may not be read."""
    files = []
    for package in sorted(folder.glob("intel-rapl:[0-9]*")):
        if ":" in package.name.removeprefix("intel-rapl:"):
            continue  # a part of a package is in its package's count
        try:
            energy = package / "energy_uj"
            int(energy.read_text())
            files.append((energy, int((package / "max_energy_range_uj").read_text())))
        except (OSError, ValueError):
            return None
    return Counter(tuple(files)) if files else None
