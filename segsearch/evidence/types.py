"""What was measured of one exported file: raw counts, raw timings, sizes and where they came from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from segsearch.evidence.images import PerImage
from segsearch.evidence.timing import Timing
from segsearch.space.keys import later


@dataclass(frozen=True)
class Confusion:
    """Pixel counts over a whole split: (classes, classes), rows are truth, columns prediction; void left out."""

    counts: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.counts) for row in self.counts):
            raise ValueError("Confusion.counts must be square")
        if any(count < 0 for row in self.counts for count in row):
            raise ValueError("Confusion.counts must not be negative")

    @property
    def class_iou(self) -> tuple[float | None, ...]:
        """Intersection over union of each class; None where the truth holds no pixel of a class."""
        return tuple(hit / (truth + predicted - hit) if truth else None for hit, truth, predicted in self.sums)

    @property
    def miou(self) -> float:
        """Mean intersection over union over the classes of the truth, pooled over all pixels.

        All models of a split are so scored over one set of classes. A pixel that is taken for a class which the truth
        lacks is missed by its own class and counts there.
        """
        present = [score for score in self.class_iou if score is not None]
        if not present:
            raise ValueError("mIoU is undefined: every pixel of the split is void")
        return sum(present) / len(present)

    @property
    def sums(self) -> tuple[tuple[int, int, int], ...]:
        """(hits, truth, predicted) of each class: (classes, 3)."""
        columns = [sum(column) for column in zip(*self.counts, strict=True)]
        return tuple((row[index], sum(row), columns[index]) for index, row in enumerate(self.counts))


@dataclass(frozen=True)
class Evidence:
    """All that is known about one exported file. A gate's evidence has no `confusion`: nothing was trained.

    `parity_max_abs` is the largest absolute difference between torch's logits and the float graph's,
    relative to the largest logit; None where nothing was compared. `images` are the pixels of `confusion` image by
    image: the store keeps them apart, and `Store.evidence` gives evidence without them.
    """

    artifact: str
    size_bytes: int
    params: int
    macs: int
    timing: Timing
    seed: int
    versions: tuple[tuple[str, str], ...]
    confusion: Confusion | None = None
    parity_max_abs: float | None = None
    images: Annotated[PerImage | None, later(None)] = None

    def __post_init__(self) -> None:
        if min(self.size_bytes, self.params, self.macs) <= 0:
            raise ValueError("Evidence.size_bytes, params and macs must be positive")
        if self.parity_max_abs is not None and not math.isfinite(self.parity_max_abs):
            raise ValueError(f"Evidence.parity_max_abs must be finite, got {self.parity_max_abs}")
        if self.images is not None and (self.confusion is None or self.images.pooled != self.confusion.sums):
            raise ValueError("Evidence.images must hold the pixels of Evidence.confusion, image by image")
