"""Generated street scenes: a data set with nothing to download, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segsearch.datasets.cache import Layout, Sample, cached
from segsearch.datasets.scene import VERSION, draw_scene
from segsearch.datasets.scene_canvas import CLASSES, VOID
from segsearch.datasets.types import Dataset
from segsearch.settings.data import DataSettings
from segsearch.settings.texts import Texts
from segsearch.workshop import Progress, silent

SEED = 20_240_229


def classes_drawn(settings: DataSettings, texts: Texts) -> tuple[str, ...]:
    """The classes of every scene."""
    return CLASSES


def open_synthetic(
    settings: DataSettings,
    *,
    cache: Path,
    progress: Progress = silent,
    texts: Texts | None = None,
    seed: int = SEED,
) -> Dataset:
    """`settings.train_count` and `settings.validation_count` scenes at the settings' size.

    Scene i of a split depends on the seed and i alone, so that a larger count only adds scenes. It has no lists.
    """
    height, width = settings.height, settings.width
    counts = {"train": settings.train_count, "validation": settings.validation_count}
    names = {split: tuple(f"{split}_{index:05d}" for index in range(count)) for split, count in counts.items()}
    layout = Layout(CLASSES, VOID, height, width, names["train"], names["validation"])
    total = sum(counts.values())

    def samples() -> Iterator[Sample]:
        done = 0
        for number, count in enumerate(counts.values()):
            for index in range(count):
                image, mask = draw_scene((seed, number, index), height=height, width=width)
                done += 1
                progress("drawing scenes", done, total)
                yield Sample(image, mask, label=mask if number else None)

    source = {"kind": "synthetic", "version": VERSION, "seed": seed}
    return cached(cache, source=source, layout=layout, samples=samples())
