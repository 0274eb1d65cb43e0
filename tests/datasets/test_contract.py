"""What every entry of the table of data sets promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from segsearch.datasets import CLASSES, DATASETS, Dataset, classes_of, open_dataset
from segsearch.settings.data import DataSettings
from segsearch.settings.texts import texts_of
from tests.datasets.conftest import MakeSettings


@pytest.fixture(params=sorted(DATASETS))
def any_settings(request: pytest.FixtureRequest, settings: MakeSettings) -> DataSettings:
    return settings(kind=request.param, train_count=3, validation_count=2)


@pytest.fixture
def dataset(any_settings: DataSettings, cache: Path) -> Dataset:
    return open_dataset(any_settings, cache=cache)


def test_every_kind_a_study_may_name_is_in_the_table() -> None:
    assert set(DATASETS) == set(get_args(DataSettings.model_fields["kind"].annotation))


def test_classes_are_known_before_an_image_is_read(dataset: Dataset, any_settings: DataSettings) -> None:
    assert set(CLASSES) == set(DATASETS)
    assert classes_of(any_settings, texts_of(any_settings)) == dataset.classes


def test_shapes_types_and_values(dataset: Dataset, any_settings: DataSettings) -> None:
    assert len(dataset.key) == 64
    assert dataset.void not in range(len(dataset.classes))
    allowed = {*range(len(dataset.classes)), dataset.void}
    for split, count in ((dataset.train, 3), (dataset.validation, 2)):
        assert len(split) == count
        assert len(set(split.names)) == count
        assert split.images.shape == (count, any_settings.height, any_settings.width, 3)
        assert split.masks.shape == (count, any_settings.height, any_settings.width)
        assert split.images.dtype == split.masks.dtype == np.uint8
        assert set(np.unique(split.masks)) <= allowed
        for index in range(count):
            assert split.label(index).shape == tuple(split.label_shapes[index])
            assert set(np.unique(split.label(index))) <= allowed


def test_second_opening_is_the_same_and_decodes_nothing(
    dataset: Dataset, any_settings: DataSettings, cache: Path
) -> None:
    stages: set[str] = set()
    again = open_dataset(any_settings, cache=cache, progress=lambda stage, done, total: stages.add(stage))
    assert again.key == dataset.key
    np.testing.assert_array_equal(again.validation.images, dataset.validation.images)
    assert stages <= {"checking files"}


def test_another_cache_holds_the_same_pixels(dataset: Dataset, any_settings: DataSettings, tmp_path: Path) -> None:
    assert open_dataset(any_settings, cache=tmp_path / "elsewhere").key == dataset.key


def test_another_size_is_other_data(dataset: Dataset, any_settings: DataSettings, cache: Path) -> None:
    larger = any_settings.model_copy(update={"height": any_settings.height + 1})
    assert open_dataset(larger, cache=cache).key != dataset.key


def test_arrays_cannot_be_written(dataset: Dataset) -> None:
    for array in (dataset.train.images, dataset.validation.masks, dataset.validation.labels_flat):
        assert not array.flags.writeable


def test_the_room_opens_without_torch() -> None:
    code = "import sys, segsearch.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
