"""Energy by the processor's own counter (RAPL), where the system lets it be read: a model's share of what all takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segsearch.evidence.timing import Energy

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


@dataclass(frozen=True)
class Part:
    """One part of a turn: what all packages spent, for how long, and how often the file ran (not at all when idle)."""

    spent_mj: float
    seconds: float
    runs: int = 0

    @property
    def power_mw(self) -> float:
        return self.spent_mj / self.seconds


def of_turn(
    idle: tuple[Part, Part], model: tuple[Part, Part], reference: tuple[Part, Part]
) -> tuple[float, Energy] | None:
    """Millijoules of a run of the model, and how they were found, from one turn of idle, model, reference, reference,
    model, idle: what drifts steadily over it is in the idle machine and in the model alike, and is subtracted.

    None where that says nothing: the two readings of the idle machine differ by as much as the model adds to them, or
    the model or the reference adds nothing.
    """
    before, after = (part.power_mw for part in idle)
    still = (before + after) / 2

    def added_mj(parts: tuple[Part, Part]) -> float:
        return sum(part.spent_mj - still * part.seconds for part in parts) / sum(part.runs for part in parts)

    seconds = sum(part.seconds for part in model) / sum(part.runs for part in model)
    model_mj, reference_mj = added_mj(model), added_mj(reference)
    if model_mj <= 0 or reference_mj <= 0 or abs(after - before) * seconds >= model_mj:
        return None
    return model_mj, Energy((before, after), still * seconds, reference_mj)
