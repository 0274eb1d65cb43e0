"""Which validation images to look at, and what the exported files answer on them; no torch anywhere."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from segsearch.errors import DatabaseError, DataError, TrialFailed
from segsearch.trial.score import classes_of, count, nearest, to_input
from segsearch.workshop import Artifacts, Progress, silent

if TYPE_CHECKING:
    from segsearch.datasets import Split
    from segsearch.runtimes import Session
    from segsearch.store import StudyRow

UInt8 = NDArray[np.uint8]

# Images that are looked through for hard ones, and models that are asked about them.
AMONG, JUDGES = 24, 4


@dataclass(frozen=True)
class Gallery:
    """A study's validation images and the folder of its exported files. `key` names the pixels."""

    split: Split
    classes: tuple[str, ...]
    void: int
    key: str
    artifacts: Artifacts


@dataclass(frozen=True)
class Shown:
    """An image to look at and why: models disagree on `score` of its labelled pixels, or it was drawn at random."""

    index: int
    name: str
    why: Literal["hard", "random"]
    score: float | None = None


@dataclass(frozen=True)
class Answer:
    """What one exported file says of one image: a class for each pixel of the label, and how well that fits.

    `iou` is the mean over the classes of this image's truth, `right` the share of labelled pixels that are right; both
    None where nothing is labelled.
    """

    artifact: str
    index: int
    prediction: UInt8
    iou: float | None
    right: float | None


@dataclass
class MaskCache:
    """What was answered lately, within `max_bytes`, and the files opened last; any thread may ask."""

    max_bytes: int = 64 * 2**20
    max_sessions: int = 6
    _masks: OrderedDict[tuple[str, str, int], UInt8] = field(default_factory=OrderedDict)
    _sessions: OrderedDict[str, Session] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def bytes(self) -> int:
        return sum(mask.nbytes for mask in self._masks.values())

    def mask(self, key: tuple[str, str, int]) -> UInt8 | None:
        with self._lock:
            found = self._masks.get(key)
            if found is not None:
                self._masks.move_to_end(key)
            return found

    def keep_mask(self, key: tuple[str, str, int], mask: UInt8) -> None:
        with self._lock:
            self._masks[key] = mask
            total = self.bytes
            while total > self.max_bytes and len(self._masks) > 1:
                total -= self._masks.popitem(last=False)[1].nbytes

    def session(self, artifacts: Artifacts, name: str) -> Session:
        """The opened file; where it is not among the last ones its bytes are checked and it is opened now."""
        with self._lock:
            found = self._sessions.get(name)
            if found is not None:
                self._sessions.move_to_end(name)
                return found
        from segsearch.runtimes import RUNTIMES

        opened = RUNTIMES["onnxruntime"].open(artifacts.verified(name), threads=1)
        with self._lock:
            self._sessions[name] = opened
            while len(self._sessions) > self.max_sessions:
                self._sessions.popitem(last=False)
        return opened


def open_gallery(study: StudyRow, *, cache: Path, progress: Progress = silent) -> Gallery:
    """The validation images of a study, decoded into `cache` where they are not there yet (`workshop.cache_of`).

    Raises `DataError` where the images are gone or are no longer those that the study was scored on.
    """
    from segsearch.datasets import open_dataset

    dataset = open_dataset(study.study.data, cache=cache, progress=progress, texts=study.texts)
    if study.data_key != dataset.key:
        raise DataError(
            f"Masks are compared on the images that study {study.name} was scored on; those of "
            f"{study.study.data.root or 'the data set'} have changed. Bring the old ones back."
        )
    return Gallery(dataset.validation, dataset.classes, dataset.void, dataset.key, study.artifacts)


def known(gallery: Gallery, artifact: str, index: int, cache: MaskCache) -> UInt8 | None:
    """What `predict` would answer, where it was asked lately."""
    return cache.mask((artifact, gallery.key, index))


def predict(gallery: Gallery, artifact: str, index: int, cache: MaskCache) -> UInt8:
    """The exported file's class for each pixel of an image's label: (label height, label width).

    As it is scored: the highest score at the file's size, brought to the label's by nearest neighbour. Raises
    `DatabaseError` where the file is gone, changed, or cannot be run.
    """
    found = known(gallery, artifact, index, cache)
    if found is not None:
        return found
    key = (artifact, gallery.key, index)
    path = gallery.artifacts.path(artifact)
    try:
        session = cache.session(gallery.artifacts, artifact)
        answer = session.run(to_input(gallery.split.images[index]))
    except TrialFailed as error:
        raise DatabaseError(f"{path}: cannot be run: {' '.join(str(error).split())[:200]}") from None
    except DatabaseError:
        raise
    except Exception as error:  # ONNX Runtime's errors share no base class but Exception
        raise DatabaseError(
            f"{path}: failed on {gallery.split.names[index]}: {' '.join(str(error).split())[:200]}"
        ) from None
    shape = tuple(int(side) for side in gallery.split.label_shapes[index])
    mask = nearest(classes_of(answer), shape).astype(np.uint8)
    cache.keep_mask(key, mask)
    return mask


def answer(gallery: Gallery, artifact: str, index: int, cache: MaskCache) -> Answer:
    """What an exported file says of an image, and how well it fits the truth. Raises as `predict` does."""
    prediction, label = predict(gallery, artifact, index, cache), gallery.split.label(index)
    known = label < len(gallery.classes)
    right = float((prediction[known] == label[known]).mean()) if known.any() else None
    return Answer(artifact, index, prediction, image_iou(label, prediction, classes=len(gallery.classes)), right)


def image_iou(label: UInt8, prediction: UInt8, *, classes: int) -> float | None:
    """Mean IoU of one image over the classes of its truth; None where nothing is labelled."""
    # An answer beyond the classes is wrong whatever it is: it must not count as another pair.
    counts = count(label, np.minimum(prediction, classes - 1).astype(np.int64), classes=classes)
    hits, truth = counts.diagonal(), counts.sum(axis=1)
    unions = counts.sum(axis=0) + truth - hits
    present = truth > 0
    return float((hits[present] / unions[present]).mean()) if present.any() else None


# ---- which images


def choose_images(
    gallery: Gallery,
    artifacts: Sequence[str],
    cache: MaskCache,
    *,
    hard: int = 4,
    drawn: int = 2,
    among: int = AMONG,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Shown, ...]:
    """The images that the models disagree on most, the hardest first, then a random draw of the others.

    Hard ones are looked for among a fair draw of `among` images, with up to four models spread over `artifacts` (the
    front's, in its order). The same seed and models choose the same images. Raises as `predict` does.
    """
    source = random.Random(seed)
    order = source.sample(range(len(gallery.split)), len(gallery.split))
    judges = spread(artifacts, JUDGES)
    scores: dict[int, float] = {}
    for done, index in enumerate(order[:among] if judges else (), start=1):
        masks = [predict(gallery, judge, index, cache) for judge in judges]
        scores[index] = disagreement(gallery.split.label(index), masks, classes=len(gallery.classes))
        progress("comparing masks", done, min(among, len(order)))
    hardest = sorted(scores, key=lambda index: (-scores[index], index))[:hard]
    others = [index for index in reversed(order) if index not in hardest][:drawn]
    names = gallery.split.names
    return (
        *(Shown(index, names[index], "hard", scores[index]) for index in hardest),
        *(Shown(index, names[index], "random") for index in others),
    )


def spread(artifacts: Sequence[str], count: int) -> tuple[str, ...]:
    """At most `count` different ones, from end to end."""
    unique = list(dict.fromkeys(artifacts))
    if len(unique) <= count:
        return tuple(unique)
    return tuple(unique[round(place * (len(unique) - 1) / max(count - 1, 1))] for place in range(count))


def disagreement(label: UInt8, masks: Sequence[UInt8], *, classes: int) -> float:
    """The share of labelled pixels on which not all masks agree; of a single mask, on which it is wrong."""
    known = label < classes
    if not known.any():
        return 0.0
    first, *others = masks
    apart = np.zeros(label.shape, dtype=np.bool_)
    for other in others or [label]:
        apart |= first != other
    return float(apart[known].mean())
