"""How far a mIoU would move on other images: a bootstrap over the validation images that all models share.

What an image does to the mIoU is how much leaving it out changes that (the jackknife). A resample gives every image a
random weight above 0 (the Bayesian bootstrap: Rubin 1981, Annals of Statistics 9) and adds up what the images do, so
weighted. So every resample scores the very classes that the whole split scores, those of its truth. Images drawn with
replacement would leave a class that two images hold out of every seventh resample, and score another set of classes
there; and they show too little spread where few images hold a class, which leaving out does not (MacKinnon and White
1985, Journal of Econometrics 29: it is their HC3).

The weights depend on a fixed seed and the number of images alone. Two models of a study have the same weights in the
same resample, and the spread of their difference leaves out what both find hard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.evidence.images import NOT_KEPT, NoSpread, PerImage, Spread

RESAMPLES = 200
SEED = 20_250_607
# Half-width of a 95 % interval in standard deviations of a normal distribution.
NORMAL = 1.959964
# The same of Student's t with 1, 2, ... degrees of freedom.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True)
class Gap:
    """How much higher one model's mIoU is than another's, with the 95 % interval on the same images."""

    value: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Whether the two are told apart."""
        return self.low > 0 or self.high < 0


def spread_of(images: PerImage | None) -> Spread | NoSpread:
    """The interval of `images.miou` over other images of the same kind, or why it has none.

    It is normal, value +- 1.96 standard deviations of the resamples: percentiles of some hundred resamples move more
    themselves. `stretch` is in the vector already. A class whose truth lies in one image has no spread that could be
    seen, and so the mIoU has no interval. `benchmarks/intervals.py` counts how often it holds the long-run value.
    """
    if images is None:
        return NOT_KEPT
    holders = [0] * len(images.classes)
    seen = 0
    for image in images.images:
        seen += any(truth for _, _, truth, _ in image)
        for index, _, truth, _ in image:
            holders[index] += truth > 0
    if seen < 2:
        return NoSpread(
            "one validation image alone has pixels that count" if seen else "every pixel of the split is void"
        )
    alone = [name for name, count in zip(images.classes, holders, strict=True) if count == 1]
    if alone:
        more = f" (and so do {len(alone) - 1} more classes)" if alone[1:] else ""
        return NoSpread(f"class {alone[0]!r} lies in one validation image only{more}")
    value = images.miou
    vector = (value + stretch(seen) * moves(images)).astype("<f4")
    half = NORMAL * float(np.std(vector, dtype=np.float64))
    return Spread(max(0.0, value - half), min(1.0, value + half), vector.tobytes())


def moves(images: PerImage) -> NDArray[np.float64]:
    """How far the mIoU moves in each resample, before `stretch`: (resamples,).

    Needs two images with truth of each class that has any: these classes are scored in every resample, as in the whole
    split.
    """
    counts = np.zeros((3, len(images.images), len(images.classes)))
    for number, image in enumerate(images.images):
        for index, *found in image:
            counts[:, number, index] = found
    hits, truth, predicted = counts[:, :, counts[1].any(axis=0)]
    union = truth + predicted - hits
    whole = hits.sum(axis=0) / union.sum(axis=0)
    without = (hits.sum(axis=0) - hits) / (union.sum(axis=0) - union)
    pulls = (whole - without).mean(axis=1)
    moved: NDArray[np.float64] = weights(len(pulls)) @ pulls - pulls.sum()
    return moved


def weights(images: int) -> NDArray[np.float64]:
    """The weight of every image in every resample: (resamples, images), exponential with a mean of 1 in each resample.

    Made of the bit generator's own numbers, whose stream numpy promises to keep: models that were scored under two
    versions of it are still compared on the same resamples.
    """
    raw = np.random.PCG64(SEED).random_raw(RESAMPLES * images).reshape(RESAMPLES, images)
    drawn = -np.log(((raw >> np.uint64(11)) + 0.5) * 2.0**-53)
    shared: NDArray[np.float64] = drawn / drawn.mean(axis=1, keepdims=True)
    return shared


def stretch(images: int) -> float:
    """Student's t with n - 1 degrees of freedom over the normal's 1.96: 1.03 at 50 images, 1.3 at 6.

    So 1.96 standard deviations of a vector are its 95 % interval, and those of a difference of two are its own.
    """
    return student(images - 1) / NORMAL


def student(freedom: int) -> float:
    """Half-width of a 95 % interval by Student's t, to three digits."""
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    cubed = NORMAL**3
    return NORMAL + (cubed + NORMAL) / 4 / freedom + (5 * cubed * NORMAL**2 + 16 * cubed + 3 * NORMAL) / 96 / freedom**2


def vector_of(spread: Spread) -> NDArray[np.float32]:
    """The mIoU in each resample: (resamples,)."""
    return np.frombuffer(spread.resampled, dtype="<f4")


def gap(value: float, spread: Spread | NoSpread, other: float, its: Spread | NoSpread) -> Gap | None:
    """How much higher `value` is than `other`; None where the two have no resamples in common."""
    if isinstance(spread, NoSpread) or isinstance(its, NoSpread) or len(spread.resampled) != len(its.resampled):
        return None
    half = NORMAL * float(np.std(vector_of(spread) - vector_of(its), dtype=np.float64))
    found = value - other
    return Gap(found, found - half, found + half)
