"""What was counted on each validation image, and how sure that makes a mIoU: an interval, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PerImage:
    """Pixel counts of each image of a split, void left out.

    `classes` are their names. An image holds `(class, hits, truth, predicted)` for each class that its truth or its
    prediction has any pixel of, in the order of the classes: most classes are in few images of a large data set.
    """

    classes: tuple[str, ...]
    images: tuple[tuple[tuple[int, int, int, int], ...], ...]

    def __post_init__(self) -> None:
        for image in self.images:
            numbers = [found[0] for found in image]
            if numbers != sorted(set(numbers)) or (numbers and not 0 <= numbers[0] <= numbers[-1] < len(self.classes)):
                raise ValueError(f"PerImage.images must name each of {len(self.classes)} classes once, in order")
            for _, hits, truth, predicted in image:
                if not 0 <= hits <= min(truth, predicted) or max(truth, predicted) == 0:
                    raise ValueError(f"PerImage.images needs 0 <= hits <= truth and predicted, got {image}")

    @property
    def pooled(self) -> tuple[tuple[int, int, int], ...]:
        """(hits, truth, predicted) of each class over all images: (classes, 3)."""
        sums = [[0, 0, 0] for _ in self.classes]
        for image in self.images:
            for index, *counts in image:
                sums[index] = [total + count for total, count in zip(sums[index], counts, strict=True)]
        return tuple((hits, truth, predicted) for hits, truth, predicted in sums)

    @property
    def miou(self) -> float:
        """The very number that `Confusion.miou` makes of the same pixels."""
        scores = [hits / (truth + predicted - hits) for hits, truth, predicted in self.pooled if truth]
        if not scores:
            raise ValueError("mIoU is undefined: every pixel of the split is void")
        return sum(scores) / len(scores)


@dataclass(frozen=True)
class Spread:
    """The 95 % interval of a mIoU over images, and its mIoU in each resample, as little-endian float32.

    Two models that were scored on the same images share the resamples, so that their difference is paired.
    """

    low: float
    high: float
    resampled: bytes


@dataclass(frozen=True)
class NoSpread:
    """Why a mIoU has no interval, in words that follow `miou has no interval:`."""

    reason: str


# Of trials that were kept before schema 7.
NOT_KEPT = NoSpread("scored before counts were kept for each image")
