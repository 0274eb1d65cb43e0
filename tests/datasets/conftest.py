"""A small folder of images and masks, right in every way until a test breaks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.settings.data import DataSettings

Pixels = np.typing.NDArray[np.uint8]
MakeSettings = Callable[..., DataSettings]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three training pairs and two validation pairs, 48 x 40 pixels, classes a, b, c, void 255."""
    folder = tmp_path / "data"
    random = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for index in range(count):
            for kind in ("images", "masks"):
                (folder / kind / split).mkdir(parents=True, exist_ok=True)
            image = random.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            mask = random.choice(np.array([0, 1, 2, 255], dtype=np.uint8), (40, 48))
            Image.fromarray(image).save(folder / "images" / split / f"{split}{index}.png")
            Image.fromarray(mask).save(folder / "masks" / split / f"{split}{index}.png")
    (folder / "classes.txt").write_text("a\nb\nc\n")
    return folder


@pytest.fixture
def settings(root: Path) -> MakeSettings:
    def make(**changes: object) -> DataSettings:
        values = {"kind": "folders", "height": 32, "width": 36, "root": str(root), **changes}
        return DataSettings.model_validate(values)

    return make
