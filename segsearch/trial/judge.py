"""How far files are from the float file that they were made of, on a few training images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsearch.datasets import Split
from segsearch.errors import TrialFailed
from segsearch.evidence.layers import Apart, Drawn
from segsearch.evidence.types import Confusion
from segsearch.runtimes import Image, Runtime
from segsearch.trial.files import CALIBRATION_IMAGES, spread
from segsearch.trial.score import count, nearest, to_input

# Training images that layers are judged on. `benchmarks/mixed.py --sample` prints what more of them say.
SAMPLE_IMAGES = 16
# Scores of an image that are compared at most: of larger maps every second row and column, or fewer.
MOST_SCORES = 2**18

_Logs = NDArray[np.float32]


@dataclass(frozen=True)
class Judge:
    """Images and their labels, and what the float file says of them: log-probabilities (classes, h, w) of each."""

    runtime: Runtime
    threads: int
    classes: int
    drawn: Drawn
    images: tuple[Image, ...]
    labels: tuple[NDArray[np.uint8], ...]
    said: tuple[_Logs, ...]

    def apart(self, model: Path) -> Apart:
        """How far a file that answers scores is from the float one. Raises `TrialFailed` where it cannot be run."""
        sums = _Sums(self.classes), _Sums(self.classes)
        divergence = []
        for label, said, found in zip(self.labels, self.said, self._answers(model), strict=True):
            likely = np.exp(said)
            divergence.append(float((likely * (said - found)).sum(axis=0).mean()))
            for each, logs in zip(sums, (said, found), strict=True):
                each.add(likely, logs.argmax(axis=0), label)
        there = sums[0].predicted > 0
        exact, rounded = (float(each.expected_iou[there].mean()) for each in sums)
        divergence_mean = max(0.0, float(np.mean(divergence)))
        return Apart(exact - rounded, divergence_mean, sums[0].labelled_miou - sums[1].labelled_miou)

    def _answers(self, model: Path) -> Iterator[_Logs]:
        yield from answers_of(model, self.images, self.runtime, threads=self.threads)


def judge_by(model: Path, split: Split, *, classes: int, runtime: Runtime, threads: int, most: int) -> Judge:
    """A judge by what the float file `model`, which answers scores, says of at most `most` images of a training split.

    They are spread over those that the calibration leaves; where it leaves none, over all.
    """
    taken = set(spread(len(split), CALIBRATION_IMAGES))
    left = [index for index in range(len(split)) if index not in taken]
    chosen = [left[at] for at in spread(len(left), most)] if left else spread(len(split), most)
    images = tuple(to_input(split.images[index]) for index in chosen)
    return Judge(
        runtime=runtime,
        threads=threads,
        classes=classes,
        drawn=Drawn(len(chosen), bool(left)),
        images=images,
        labels=tuple(split.label(index) for index in chosen),
        said=tuple(answers_of(model, images, runtime, threads=threads)),
    )


def answers_of(model: Path, images: Sequence[Image], runtime: Runtime, *, threads: int) -> Iterator[_Logs]:
    """The log-probabilities (classes, h, w) that a file of scores says of each image."""
    session = runtime.open(model, threads=threads)
    for image in images:
        scores = session.run(image)[0].astype(np.float32)
        if not np.isfinite(scores).all():
            raise TrialFailed("layers", f"{model.name}: the model answered NaN or infinity on a training image.")
        step = max(1, math.ceil(math.sqrt(scores.size / MOST_SCORES)))
        scores = scores[:, ::step, ::step]
        scores = scores - scores.max(axis=0)
        yield scores - np.log(np.exp(scores).sum(axis=0))


@dataclass
class _Sums:
    """What a file chose over several images, against the labels and against how likely somebody says each class is."""

    classes: int
    hits: NDArray[np.float64] = field(init=False)
    truth: NDArray[np.float64] = field(init=False)
    predicted: NDArray[np.float64] = field(init=False)
    counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.hits, self.truth, self.predicted = (np.zeros(self.classes) for _ in range(3))
        self.counts = np.zeros((self.classes, self.classes), dtype=np.int64)

    def add(self, likely: _Logs, chosen: NDArray[np.int64], label: NDArray[np.uint8]) -> None:
        """One image: how likely each class is (classes, h, w), which one is chosen (h, w), and its label."""
        flat, likelihood = chosen.ravel(), np.take_along_axis(likely, chosen[None], axis=0).ravel()
        self.hits += np.bincount(flat, weights=likelihood, minlength=self.classes)
        self.predicted += np.bincount(flat, minlength=self.classes)
        self.truth += likely.sum(axis=(1, 2), dtype=np.float64)
        self.counts += count(nearest(label, chosen.shape), chosen, classes=self.classes)

    @property
    def expected_iou(self) -> NDArray[np.float64]:
        """Of each class, were the truth as likely as it was said."""
        found: NDArray[np.float64] = self.hits / np.maximum(self.truth + self.predicted - self.hits, 1e-9)
        return found

    @property
    def labelled_miou(self) -> float:
        """By the labels; 0 where every pixel is void."""
        counts = tuple(tuple(int(value) for value in row) for row in self.counts)
        return Confusion(counts).miou if self.counts.any() else 0.0
