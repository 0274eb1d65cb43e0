"""What one evaluation found, as a plain record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from segsearch.api.html import facts
from segsearch.evidence.images import Spread
from segsearch.evidence.objectives import intervals_of, values_of
from segsearch.evidence.types import Evidence
from segsearch.judging.words import describe, in_words
from segsearch.space.candidate import Candidate


@dataclass(frozen=True)
class Evaluated:
    """A candidate's evidence: `trained`, or `rejected` by the limits in `broken`, with what was measured untrained.

    `values` holds every objective, `intervals` the 95 % intervals of those that have one, `class_iou` the IoU of each
    class (None where the truth lacks it). `artifact` is the path of the file, where it was kept, `sha256` its hash.
    `evidence` holds the raw counts and samples.
    """

    state: Literal["trained", "rejected"]
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    class_iou: Mapping[str, float | None]
    broken: tuple[str, ...]
    artifact: Path | None
    sha256: str
    machine: str
    candidate: Candidate = field(repr=False)
    evidence: Evidence = field(repr=False)

    @property
    def design(self) -> str:
        """Its network and its compression in words."""
        return describe(self.candidate)

    def _repr_html_(self) -> str:
        about: list[tuple[str, Any]] = [("state", self.state), ("design", self.design)]
        about += [("breaks", limit) for limit in self.broken]
        about += [(name, in_words(name, value)) for name, value in self.values.items()]
        about += [(f"IoU of {name}", "-" if iou is None else f"{iou:.3f}") for name, iou in self.class_iou.items()]
        return facts([*about, ("machine", self.machine[:8]), *([("file", self.artifact)] if self.artifact else [])])


def as_evaluated(
    candidate: Candidate,
    evidence: Evidence,
    *,
    classes: Sequence[str],
    broken: tuple[str, ...],
    artifact: Path | None,
) -> Evaluated:
    """Evidence of a file as a record."""
    from segsearch.evidence.resample import spread_of

    spread = spread_of(evidence.images) if evidence.confusion is not None else None
    of_miou = {"miou": (spread.low, spread.high)} if isinstance(spread, Spread) else {}
    ious = evidence.confusion.class_iou if evidence.confusion is not None else ()
    return Evaluated(
        state="rejected" if broken else "trained",
        values=values_of(evidence),
        intervals=of_miou | intervals_of(evidence),
        class_iou=dict(zip(classes, ious, strict=True)) if ious else {},
        broken=broken,
        artifact=artifact,
        sha256=evidence.artifact.split(".")[0],
        machine=evidence.timing.machine,
        candidate=candidate,
        evidence=evidence,
    )
