from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from segsearch.datasets.scene import draw_scene
from segsearch.datasets.scene_canvas import CLASSES, VOID, blank_canvas
from segsearch.datasets.scene_things import (
    Draw,
    Spot,
    draw_car_end,
    draw_car_side,
    draw_person,
    draw_pole,
    draw_tree,
)
from segsearch.datasets.synthetic import open_synthetic
from segsearch.datasets.types import Dataset, Split
from segsearch.settings.data import DataSettings


def _open(cache: Path, *, height: int = 96, width: int = 128, train: int = 64, validation: int = 24) -> Dataset:
    settings = DataSettings(
        kind="synthetic", height=height, width=width, train_count=train, validation_count=validation
    )
    return open_synthetic(settings, cache=cache)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return _open(tmp_path_factory.mktemp("cache"))


def test_pixels_are_the_same_on_every_machine() -> None:
    image, mask = draw_scene((1, 2, 3), height=64, width=80)
    digest = hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()
    assert digest == "ec612e3086998ef036d1ee87cbeafee5d8ad7bbd798ab5c41a9f8bb6adf08c9e", (
        "raise scene.VERSION with every change that moves a pixel"
    )


def test_scenes_depend_on_their_own_seed_alone(tmp_path: Path) -> None:
    few, many = _open(tmp_path, train=2, validation=1), _open(tmp_path, train=3, validation=2)
    np.testing.assert_array_equal(few.train.images, many.train.images[:2])
    np.testing.assert_array_equal(few.validation.images, many.validation.images[:1])
    assert few.key != many.key
    assert len({image.tobytes() for split in (many.train, many.validation) for image in split.images}) == 5


def test_seeds_differ(tmp_path: Path) -> None:
    settings = DataSettings(kind="synthetic", height=32, width=32, train_count=1, validation_count=1)
    keys = {open_synthetic(settings, cache=tmp_path, seed=seed).key for seed in (1, 2, 1)}
    assert len(keys) == 2


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 200), (150, 40), (256, 512)])
def test_any_size(height: int, width: int) -> None:
    image, mask = draw_scene((5,), height=height, width=width)
    assert image.shape == (height, width, 3)
    assert mask.shape == (height, width)
    assert set(np.unique(mask)) <= {*range(len(CLASSES)), VOID}


def test_classes_are_all_there_and_of_very_different_frequency(dataset: Dataset) -> None:
    for split in (dataset.train, dataset.validation):
        counts = np.bincount(split.masks.ravel(), minlength=256)
        shares = counts[: len(CLASSES)] / counts.sum()
        assert shares.min() > 0.005
        assert shares.max() > 10 * shares.min()
        assert 0.01 < counts[VOID] / counts.sum() < 0.15


@pytest.mark.parametrize("draw", [draw_tree, draw_pole, draw_car_end, draw_car_side, draw_person])
def test_things_shrink_with_distance(draw: Draw) -> None:
    """Four times as far, four times as low; the foot stays on its spot."""
    tall = list[int]()
    for scale in (20.0, 5.0):
        canvas = blank_canvas((1,), height=256, width=256)
        draw(canvas, Spot(x=128.0, y=200.0, scale=scale))
        rows = np.nonzero((canvas.mask != VOID).any(axis=1))[0]
        assert rows[-1] == 199
        tall.append(rows[-1] - rows[0] + 1)
    assert tall[0] / tall[1] == pytest.approx(4, rel=0.2)


def test_poles_are_thin(dataset: Dataset) -> None:
    poles = dataset.train.masks == CLASSES.index("pole")
    edges = np.diff(np.pad(poles, ((0, 0), (0, 0), (1, 1))).astype(np.int8), axis=2).ravel()
    assert np.median(np.nonzero(edges == -1)[0] - np.nonzero(edges == 1)[0]) <= 3


def _colours_known(split: Split, bits: int) -> tuple[np.typing.NDArray[np.int64], np.typing.NDArray[np.uint8]]:
    """The colour's bin and the class of every labelled pixel."""
    labelled = split.masks != VOID
    red, green, blue = (split.images[labelled] >> (8 - bits)).astype(np.int64).T
    return (red << 2 * bits) | (green << bits) | blue, split.masks[labelled]


@pytest.mark.parametrize("bits", [3, 4, 5])
@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_colour_alone_does_not_solve_it(dataset: Dataset, bits: int, balance: float) -> None:
    """The best class of each colour bin, with classes weighted by frequency to the power of -balance."""
    classes = len(CLASSES)
    colours, labels = _colours_known(dataset.train, bits)
    counts = np.bincount(colours * classes + labels, minlength=classes << 3 * bits).reshape(-1, classes)
    prior = counts.sum(axis=0)
    # A little of the prior, so that a colour never seen gets a sensible class.
    best = ((counts + 1e-4 * prior) / prior**balance).argmax(axis=1)
    colours, labels = _colours_known(dataset.validation, bits)
    confusion = np.bincount(labels.astype(np.int64) * classes + best[colours], minlength=classes**2)
    confusion = confusion.reshape(classes, classes)
    hits = confusion.diagonal()
    miou = (hits / (confusion.sum(axis=0) + confusion.sum(axis=1) - hits)).mean()
    assert miou < 0.35
