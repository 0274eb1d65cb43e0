"""Data sets: images and masks decoded once, as arrays that training and scoring read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from segsearch.datasets.folders import classes_in, open_folders, open_test_folders
from segsearch.datasets.synthetic import classes_drawn, open_synthetic
from segsearch.datasets.types import Dataset, Split
from segsearch.datasets.unlabelled import Unlabelled, open_unlabelled
from segsearch.settings.data import DataSettings
from segsearch.settings.texts import Texts
from segsearch.workshop import Progress, silent

__all__ = [
    "CLASSES",
    "DATASETS",
    "Dataset",
    "OpenDataset",
    "Split",
    "Unlabelled",
    "classes_of",
    "open_dataset",
    "open_test",
    "open_unlabelled",
]


class OpenDataset(Protocol):
    """What a kind of data set is: settings in, arrays out. Raises `DataError` before anything is trained."""

    def __call__(
        self, settings: DataSettings, *, cache: Path, progress: Progress = silent, texts: Texts | None = None
    ) -> Dataset: ...


DATASETS: Mapping[str, OpenDataset] = {
    "synthetic": open_synthetic,
    "folders": open_folders,
}

# The test images as a data set of their own; drawn scenes have none.
TESTS: Mapping[str, Callable[..., Dataset | None]] = {"synthetic": lambda *_, **__: None, "folders": open_test_folders}

# The names of the classes, told from the settings and their lists alone.
CLASSES: Mapping[str, Callable[[DataSettings, Texts], tuple[str, ...]]] = {
    "synthetic": classes_drawn,
    "folders": classes_in,
}


def classes_of(settings: DataSettings, texts: Texts) -> tuple[str, ...]:
    """The classes of the data that the settings name, before an image is read. Raises `DataError`."""
    return CLASSES[settings.kind](settings, texts)


def open_dataset(
    settings: DataSettings, *, cache: Path, progress: Progress = silent, texts: Texts | None = None
) -> Dataset:
    """The data set that the settings name, decoded into `cache` where it is not there yet. Raises `DataError`.

    `texts` holds the lists that the settings name, where a run has kept them; without it the files are read.
    """
    return DATASETS[settings.kind](settings, cache=cache, progress=progress, texts=texts)


def open_test(
    settings: DataSettings, *, cache: Path, progress: Progress = silent, texts: Texts | None = None
) -> Dataset | None:
    """The test images that the settings name, as the validation split of a data set; None where they name none.

    To score them is a look at them: each one makes them worth less. Raises `DataError`.
    """
    return TESTS[settings.kind](settings, cache=cache, progress=progress, texts=texts)
