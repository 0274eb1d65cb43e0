"""Masks of one folder that were written by several programs: what one calls 1 another calls 255."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.datasets import open_dataset
from segsearch.datasets.types import UInt8
from segsearch.errors import DataError
from segsearch.readings.types import Wanted
from segsearch.study import read_study
from segsearch.survey.look import look
from segsearch.survey.scaffold import write_study
from tests.survey.trees import save, scene


def as_bit(path: Path, label: UInt8) -> None:
    Image.fromarray(label.astype(bool)).save(path)


def as_grey(path: Path, label: UInt8) -> None:
    Image.fromarray(label * np.uint8(255)).save(path)


def as_indices(path: Path, label: UInt8) -> None:
    mask = Image.fromarray(label).convert("P")
    mask.putpalette([0, 0, 0, 255, 255, 255])
    mask.save(path)


def turned_round(path: Path, label: UInt8) -> None:
    mask = Image.fromarray(1 - label).convert("P")
    mask.putpalette([255, 255, 255, 0, 0, 0])
    mask.save(path)


@pytest.mark.parametrize(
    ("one", "other"),
    [(as_grey, as_bit), (as_grey, as_indices), (as_grey, turned_round), (as_indices, turned_round)],
)
def test_masks_of_two_kinds_are_refused_where_numbers_disagree_and_read_by_what_they_show(
    one: object, other: object, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    for seed in range(10):
        image, label = scene(seed, classes=2)
        save(root / f"images/{seed:02}.png", image)
        (root / "masks").mkdir(exist_ok=True)
        (one if seed % 2 else other)(root / f"masks/{seed:02}.png", label)  # type: ignore[operator]
    with pytest.raises(DataError, match="--read colours"):
        look(root)
    found = look(root, Wanted(by="colours"))
    write_study(found, tmp_path / "mine.toml")
    dataset = open_dataset(read_study(tmp_path / "mine.toml").data, cache=tmp_path / "cache")
    assert len(dataset.classes) == 2
    for number, pair in enumerate(found.splits.validation):
        np.testing.assert_array_equal(dataset.validation.label(number), scene(int(pair.image.stem), classes=2)[1])


def test_masks_of_bits_of_indices_and_of_the_same_numbers_are_one_kind(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed in range(9):
        image, label = scene(seed, classes=2)
        save(root / f"images/{seed:02}.png", image)
        (root / "masks").mkdir(exist_ok=True)
        if seed % 3 == 2:
            save(root / f"masks/{seed:02}.png", label)
        else:
            (as_bit, as_indices)[seed % 3](root / f"masks/{seed:02}.png", label)
    assert [rule.low for rule in look(root).reading.rules] == [0, 1]
