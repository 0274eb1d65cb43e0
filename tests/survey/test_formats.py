"""A picture that is there in two formats is read once; two pictures of one name are a question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsearch.errors import DataError
from segsearch.survey.look import look
from tests.survey.trees import COLOURS, save, scene, write


def folder(root: Path, second: str = "png", *, of: str = "picture") -> None:
    """images/NAME.jpg, a second file of each name, and masks elsewhere."""
    for seed in range(8):
        image, label = scene(seed)
        image = image.mean(axis=2).astype(np.uint8) if of == "wide" else image
        shown = {"picture": image, "wide": image * np.uint16(40), "label": label, "drawing": COLOURS[::-1][label]}
        save(root / f"images/{seed:03d}.jpg", image, quality=80)
        save(root / f"images/{seed:03d}.{second}", shown[of])
        save(root / f"masks/{seed:03d}.png", COLOURS[label])


@pytest.mark.parametrize("second", ["png", "tif", "bmp"])
def test_the_one_without_loss_is_read_and_said(tmp_path: Path, second: str) -> None:
    folder(tmp_path, second)
    found = look(tmp_path)
    assert {pair.image.path.suffix for pair in (*found.splits.train, *found.splits.validation)} == {f".{second}"}
    assert (
        "8 pictures lie there in two formats; the one without loss is read, images/000.jpg and others are not."
        in found.notes
    )


@pytest.mark.parametrize("of", ["label", "drawing"])
def test_labels_beside_photos_are_never_taken_for_them(tmp_path: Path, of: str) -> None:
    folder(tmp_path, of=of)
    with pytest.raises(DataError, match=r"000\.png: two images of one name must be one picture in two formats"):
        look(tmp_path)


def test_more_than_eight_bits_of_the_same_picture_are_the_same_picture(tmp_path: Path) -> None:
    folder(tmp_path, of="wide")
    assert look(tmp_path).pixels.levels is not None


def test_one_that_differs_is_enough(tmp_path: Path) -> None:
    folder(tmp_path)
    save(tmp_path / "images/005.png", scene(50)[0])
    with pytest.raises(DataError, match=r"005\.png: two images of one name .* which shows something else; one of them"):
        look(tmp_path)
    write(tmp_path / "images/005.png", "broken")
    with pytest.raises(DataError, match=r"005\.png: the image must be a readable"):
        look(tmp_path)
