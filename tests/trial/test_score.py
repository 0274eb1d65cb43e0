from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segsearch.datasets import Split
from segsearch.errors import TrialFailed
from segsearch.trial.score import count, nearest, of_image, score, score_images, to_input


def split_of(images: NDArray[np.uint8], labels: list[NDArray[np.uint8]]) -> Split:
    sizes = [label.size for label in labels]
    return Split(
        names=tuple(f"image{index}" for index in range(len(labels))),
        images=images,
        masks=np.zeros(images.shape[:3], np.uint8),
        labels_flat=np.concatenate([label.reshape(-1) for label in labels]) if labels else np.zeros(0, np.uint8),
        label_starts=np.cumsum([0, *sizes])[:-1].astype(np.int64),
        label_shapes=np.array([label.shape for label in labels], dtype=np.int64).reshape(-1, 2),
    )


@dataclass
class Reading:
    """A session that predicts the class written in the red channel."""

    classes: int
    shape: tuple[int, int, int, int] = (1, 3, 4, 6)
    poison: float | None = None
    seen: list[NDArray[np.float32]] = field(default_factory=list)

    def run(self, image: NDArray[np.float32], /) -> NDArray[np.float32]:
        self.seen.append(image)
        scores = (np.arange(self.classes)[None, :, None, None] == image[:, :1]).astype(np.float32)
        if self.poison is not None:
            scores[0, 0, 0, 0] = self.poison
        return scores

    def time_ms(self, image: Any, /, *, warmup_runs: int, runs: int) -> list[float]:
        raise NotImplementedError


@dataclass
class Masking(Reading):
    """The same as a mask of uint8."""

    def run(self, image: NDArray[np.float32], /) -> Any:
        return super().run(image).argmax(axis=1).astype(np.uint8)


def test_counts_agree_with_a_naive_loop_over_images_of_any_size() -> None:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 3, (5, 4, 6, 3), dtype=np.uint8)
    shapes = [(4, 6), (8, 12), (5, 7), (3, 4), (1, 1)]
    labels = [draw.integers(0, 5, shape, dtype=np.uint8) for shape in shapes]  # 3 and 4 are void
    expected = np.zeros((3, 3), np.int64)
    for image, label in zip(images, labels, strict=True):
        for row in range(label.shape[0]):
            for column in range(label.shape[1]):
                if label[row, column] < 3:
                    y = int((row + 0.5) * 4 / label.shape[0])
                    x = int((column + 0.5) * 6 / label.shape[1])
                    expected[label[row, column], image[y, x, 0]] += 1
    found = score(Reading(3), split_of(images, labels), classes=3)
    assert found.counts == tuple(map(tuple, expected.tolist()))
    assert all(type(value) is int for row in found.counts for value in row)


def test_a_mask_is_scored_as_the_scores_that_it_was_made_of() -> None:
    draw = np.random.default_rng(1)
    images = draw.integers(0, 3, (3, 4, 6, 3), dtype=np.uint8)
    labels = [draw.integers(0, 4, shape, dtype=np.uint8) for shape in [(4, 6), (8, 12), (5, 7)]]
    split = split_of(images, labels)
    assert score(Masking(3), split, classes=3) == score(Reading(3), split, classes=3)


def test_one_confusion_over_the_split_is_not_the_mean_over_images() -> None:
    images = np.zeros((2, 4, 6, 3), np.uint8)
    labels = [np.zeros((4, 6), np.uint8), np.ones((1, 1), np.uint8)]
    assert score(Reading(2), split_of(images, labels), classes=2).counts == ((24, 0), (1, 0))


def test_an_image_of_nothing_but_void_counts_nothing() -> None:
    images = np.zeros((1, 4, 6, 3), np.uint8)
    found = score(Reading(2), split_of(images, [np.full((4, 6), 255, np.uint8)]), classes=2)
    assert found.counts == ((0, 0), (0, 0))
    with pytest.raises(ValueError, match="void"):
        _ = found.miou


def test_progress_is_told_image_by_image() -> None:
    told: list[tuple[str, int, int]] = []
    images = np.zeros((3, 4, 6, 3), np.uint8)
    labels = [np.zeros((4, 6), np.uint8)] * 3
    score(Reading(2), split_of(images, labels), classes=2, progress=lambda *step: told.append(step))
    assert told == [("score", 1, 3), ("score", 2, 3), ("score", 3, 3)]


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_fails_the_trial_and_names_the_image(poison: float) -> None:
    split = split_of(np.zeros((1, 4, 6, 3), np.uint8), [np.zeros((4, 6), np.uint8)])
    with pytest.raises(TrialFailed, match="NaN or infinity on image0") as caught:
        score(Reading(2, poison=poison), split, classes=2)
    assert caught.value.kind == "score"


def test_an_image_is_read_as_the_model_reads_it() -> None:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    read = to_input(image)
    assert read.shape == (1, 3, 4, 6)
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    assert read[0, 1, 2, 3] == image[2, 3, 1]


def test_nearest_doubles_halves_and_keeps() -> None:
    small = np.array([[1, 2], [3, 4]], dtype=np.int64)
    assert nearest(small, (2, 2)) is small
    assert nearest(small, (4, 4)).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert nearest(nearest(small, (4, 4)), (2, 2)).tolist() == small.tolist()
    assert nearest(small, (1, 3)).tolist() == [[3, 4, 4]]
    assert nearest(np.array([[5]]), (3, 2)).tolist() == [[5, 5]] * 3


@pytest.mark.parametrize("classes", [1, 2, 19, 150, 256])
def test_counting_agrees_with_a_loop_for_any_number_of_classes(classes: int) -> None:
    draw = np.random.default_rng(classes)
    label = draw.integers(0, 256, (6, 7), dtype=np.uint8)
    prediction = draw.integers(0, classes, (6, 7))
    expected = np.zeros((classes, classes), np.int64)
    for truth, found in zip(label.reshape(-1), prediction.reshape(-1), strict=True):
        if truth < classes:
            expected[truth, found] += 1
    assert np.array_equal(count(label, prediction, classes=classes), expected)


def test_each_image_is_counted_on_its_own_and_together_they_are_the_split() -> None:
    images = np.zeros((3, 4, 6, 3), np.uint8)
    images[1] = 1
    labels = [np.zeros((4, 6), np.uint8), np.zeros((2, 3), np.uint8), np.full((4, 6), 255, np.uint8)]
    found = score_images(Reading(3), split_of(images, labels), classes=("road", "bus", "sky"))
    assert found.images is not None
    assert found.images.classes == ("road", "bus", "sky")
    assert found.images.images == (((0, 24, 24, 24),), ((0, 0, 6, 0), (1, 0, 0, 6)), ())
    assert found.images.pooled == found.confusion.sums
    assert found.images.miou == found.confusion.miou == 24 / 30


def test_an_image_holds_the_classes_of_its_truth_and_of_its_prediction() -> None:
    counts = np.array([[3, 0, 1], [0, 0, 0], [0, 0, 0]])
    assert of_image(counts) == ((0, 3, 4, 3), (2, 0, 0, 1))
    assert all(type(value) is int for row in of_image(counts) for value in row)
