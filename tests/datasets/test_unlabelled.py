"""Images without labels: which count, which file is wrong, and what judges a model is not learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.datasets import open_unlabelled
from segsearch.errors import DataError
from tests.datasets.conftest import MakeSettings


def add(folder: Path, name: str, *, seed: int, size: tuple[int, int] = (50, 60)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)


def test_they_are_resized_once_and_named_by_their_pixels(root: Path, settings: MakeSettings, cache: Path) -> None:
    add(root / "more", "b.png", seed=1)
    add(root / "more" / "deeper", "a.png", seed=2)
    found = open_unlabelled(settings(unlabelled="more"), cache=cache)
    assert found is not None
    assert (found.names, found.images.shape, found.left_out) == (("b.png", "deeper/a.png"), (2, 32, 36, 3), 0)
    (root / "more").rename(root.parent / "elsewhere")
    moved = open_unlabelled(settings(unlabelled=str(root.parent / "elsewhere")), cache=cache)
    assert moved is not None
    assert moved.key == found.key, "where they lie does not matter"
    add(root.parent / "elsewhere", "b.png", seed=3)
    other = open_unlabelled(settings(unlabelled=str(root.parent / "elsewhere")), cache=cache)
    assert other is not None
    assert other.key != found.key
    assert open_unlabelled(settings(), cache=cache) is None


def test_images_of_a_split_are_left_out(root: Path, settings: MakeSettings, cache: Path) -> None:
    add(root / "more", "new.png", seed=1)
    for split in ("train", "val"):
        (root / "more" / f"{split}.png").write_bytes((root / f"images/{split}/{split}0.png").read_bytes())
    found = open_unlabelled(settings(unlabelled="more"), cache=cache)
    assert found is not None
    assert (found.names, found.left_out) == (("new.png",), 2)
    with pytest.raises(DataError, match=r"must hold images that are in no split, got 5 that are"):
        open_unlabelled(settings(unlabelled="images"), cache=cache)


def test_a_bad_image_is_named(root: Path, settings: MakeSettings, cache: Path) -> None:
    add(root / "more", "a.png", seed=1)
    add(root / "more", "b.png", seed=2)
    (root / "more" / "a.png").write_bytes((root / "more" / "a.png").read_bytes()[:90])
    with pytest.raises(DataError, match=r"more/a\.png: the image must be a readable"):
        open_unlabelled(settings(unlabelled="more"), cache=cache)


@pytest.mark.parametrize(
    ("folder", "words"),
    [("gone", r"gone: data\.unlabelled must be a folder of images, got none there"), ("empty", r"got none; add some")],
)
def test_a_folder_that_is_gone_or_empty(
    root: Path, settings: MakeSettings, cache: Path, folder: str, words: str
) -> None:
    (root / "empty").mkdir()
    with pytest.raises(DataError, match=words):
        open_unlabelled(settings(unlabelled=folder), cache=cache)
