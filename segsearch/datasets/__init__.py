"""Data sets: images and masks decoded once, as arrays that training and scoring read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from segsearch.datasets.folders import open_folders
from segsearch.datasets.synthetic import open_synthetic
from segsearch.datasets.types import Dataset, Split
from segsearch.study import DataSettings
from segsearch.workshop import Progress, silent

__all__ = ["DATASETS", "Dataset", "OpenDataset", "Split", "open_dataset"]


class OpenDataset(Protocol):
    """What a kind of data set is: settings in, arrays out. Raises `DataError` before anything is trained."""

    def __call__(self, settings: DataSettings, *, cache: Path, progress: Progress = silent) -> Dataset: ...


DATASETS: Mapping[str, OpenDataset] = {
    "synthetic": open_synthetic,
    "folders": open_folders,
}


def open_dataset(settings: DataSettings, *, cache: Path, progress: Progress = silent) -> Dataset:
    """The data set that the settings name, decoded into `cache` where it is not there yet. Raises `DataError`."""
    return DATASETS[settings.kind](settings, cache=cache, progress=progress)
