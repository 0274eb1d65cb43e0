"""Score an exported file: one confusion matrix over the split and the counts of each image, at the labels' size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segsearch.datasets import Split
from segsearch.errors import TrialFailed
from segsearch.evidence.images import PerImage
from segsearch.evidence.types import Confusion
from segsearch.runtimes import Answer, Session
from segsearch.workshop import Progress, silent

Index = TypeVar("Index", bound=np.integer[Any])


@dataclass(frozen=True)
class Scored:
    """The pixels of a split by truth and prediction, and those of each image; None of an outcome that lacks them."""

    confusion: Confusion
    images: PerImage | None


def score(session: Session, split: Split, *, classes: int, progress: Progress = silent) -> Confusion:
    """One confusion over the whole split. Raises as `score_images` does."""
    return score_images(session, split, classes=[str(index) for index in range(classes)], progress=progress).confusion


def score_images(session: Session, split: Split, *, classes: Sequence[str], progress: Progress = silent) -> Scored:
    """Run the file over every image of the split and count; `classes` are their names.

    The prediction is the file's mask, or the class of the highest score, at the model's size, brought to each label's
    own size by nearest neighbour: what a user of the file would do. Raises `TrialFailed` where a score is not finite;
    a mask does not show that (`export.check_parity` looks at the scores inside it on a few images).
    """
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    images = []
    for index in range(len(split)):
        answer = session.run(to_input(split.images[index]))
        if not np.isfinite(answer).all():
            raise TrialFailed("score", f"The model answered NaN or infinity on {split.names[index]}.")
        label = split.label(index)
        found = count(label, nearest(classes_of(answer), label.shape), classes=len(classes))
        counts += found
        images.append(of_image(found))
        progress("score", index + 1, len(split))
    confusion = Confusion(tuple(tuple(int(value) for value in row) for row in counts))
    return Scored(confusion, PerImage(tuple(classes), tuple(images)))


def to_input(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """An RGB image (height, width, 3) as the exported model reads it: (1, 3, height, width), 0..255."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)


def classes_of(answer: Answer) -> NDArray[np.int64]:
    """The class of each pixel (height, width) that a file's answer to one image says."""
    chosen: NDArray[Any] = answer[0].argmax(axis=0) if answer.ndim == 4 else answer[0]
    return chosen.astype(np.int64, copy=False)


def nearest(prediction: NDArray[Index], shape: tuple[int, ...]) -> NDArray[Index]:
    """A class map resized to (height, width) by nearest neighbour, pixel centres at half pixels."""
    if prediction.shape == shape:
        return prediction
    rows, columns = (
        ((np.arange(wanted) + 0.5) * have / wanted).astype(np.int64)
        for wanted, have in zip(shape, prediction.shape, strict=True)
    )
    found: NDArray[Index] = prediction.take(rows, axis=0).take(columns, axis=1)
    return found


def count(label: NDArray[np.uint8], prediction: NDArray[np.int64], *, classes: int) -> NDArray[np.int64]:
    """Pixels by (truth, prediction): (classes, classes). Labels outside the classes are void and not counted."""
    known = label < classes
    pairs = label[known].astype(np.int64) * classes + prediction[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def of_image(counts: NDArray[np.int64]) -> tuple[tuple[int, int, int, int], ...]:
    """What `PerImage` holds of one image: (class, hits, truth, predicted) of its classes, from (classes, classes)."""
    sums = np.stack([counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)], axis=1)
    found = ((index, *map(int, sums[index])) for index in map(int, np.flatnonzero(sums.any(axis=1))))
    return tuple((index, hits, truth, predicted) for index, hits, truth, predicted in found)
