"""What masks' values and colours mean: golden labels by hand, and what nobody explained is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from segsearch.datasets.decode import Fault
from segsearch.datasets.labels import labelling, read_label
from segsearch.settings.data import DataSettings


def settings(**changes: object) -> DataSettings:
    return DataSettings.model_validate({"kind": "folders", "height": 32, "width": 32, "root": "x", **changes})


def label(path: Path, pixels: object, *, classes: int = 2, **changes: object) -> list[list[int]]:
    Image.fromarray(np.array(pixels)).save(path)
    found: list[list[int]] = read_label(path, labelling(settings(**changes), classes)).tolist()
    return found


def test_without_a_map_values_are_classes(tmp_path: Path) -> None:
    pixels = np.array([[0, 1, 255]], np.uint8)
    assert label(tmp_path / "a.png", pixels) == [[0, 1, 255]]
    assert label(tmp_path / "a.png", np.array([[0, 1, 7]], np.uint16), void=7) == [[0, 1, 7]]


def test_void_may_be_zero_where_the_map_says_so(tmp_path: Path) -> None:
    """ADE20K's way: 0 is unlabelled, the first name is 1."""
    written = {"0": "void", "1": 0, "2": 1}
    assert label(tmp_path / "a.png", np.array([[0, 1, 2]], np.uint8), map=written) == [[255, 0, 1]]


def test_a_threshold_makes_two_classes_of_blurred_and_of_lossy_masks(tmp_path: Path) -> None:
    written = {"0-127": 0, "128-255": 1}
    grey = np.array([[0, 127, 128, 255]], np.uint8)
    assert label(tmp_path / "a.png", grey, map=written) == [[0, 0, 1, 1]]
    flat = np.full((8, 8), 250, np.uint8)
    assert label(tmp_path / "a.jpg", flat, map=written) == [[1] * 8] * 8


@pytest.mark.parametrize("changes", [{}, {"map": {"0": 0, "250": 1}}])
def test_a_lossy_mask_is_refused_where_not_every_value_has_a_class(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(Fault, match=r"a\.jpg: a mask must be stored without loss"):
        label(tmp_path / "a.jpg", np.zeros((8, 8), np.uint8), **changes)


def test_colours_are_classes_in_files_of_colours_of_palettes_and_of_greys(tmp_path: Path) -> None:
    written = {"#000000": 0, "#FF0000": 1, "#010203": "void"}
    colours = np.array([[[0, 0, 0], [255, 0, 0], [1, 2, 3]]], np.uint8)
    assert label(tmp_path / "rgb.png", colours, colours=written) == [[0, 1, 255]]
    assert label(tmp_path / "grey.png", np.zeros((1, 2), np.uint8), colours=written) == [[0, 0]]
    mask = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    mask.putpalette([255, 0, 0, 1, 2, 3, 0, 0, 0])
    mask.save(tmp_path / "palette.png")
    assert read_label(tmp_path / "palette.png", labelling(settings(colours=written), 2)).tolist() == [[1, 255, 0]]


@pytest.mark.parametrize(
    ("pixels", "changes", "words"),
    [
        ([[0, 9]], {}, r"classes 0\.\.1 or void 255, got 9 \(first at row 0, column 1\).*data\.map"),
        ([[0, 9]], {"map": {"0": 0, "1": 1}}, r"must stand in data\.map, got 9"),
        ([[[0, 0, 0], [9, 8, 7]]], {"colours": {"#000000": 0}}, r"must stand in data\.colours, got #090807"),
        ([[[0, 0, 0], [9, 8, 7]]], {}, "got RGB colours; name the classes' colours in data.colours"),
    ],
)
def test_what_nobody_explained_is_refused(
    tmp_path: Path, pixels: object, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(Fault, match=words):
        label(tmp_path / "a.png", np.array(pixels, np.uint8), **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"map": {"x": 0}}, 'must be written as "7" or "128-255"'),
        ({"map": {"9-2": 0}}, "must be written as"),
        ({"map": {"70000": 0}}, "up to 65535"),
        ({"map": {"0-9": 0, "9": 1}}, "9 twice"),
        ({"map": {"0": -1}}, "0 must be a class by its line in the list, from 0, or 'void', got -1"),
        ({"map": {"0": "viod"}}, "0 must be a class by its line in the list, from 0, or 'void', got 'viod'"),
        ({"colours": {"#ff0000": 255}}, "#ff0000 must be a class by its line in the list"),
        ({"levels": [0]}, r"levels must be the values of black and of white, the smaller first, got \[0\]"),
        ({"levels": "high"}, "levels must be the values of black and of white"),
        ({"colours": {"red": 0}}, 'must be written as "#rrggbb"'),
        ({"colours": {"#FF0000": 0, "#ff0000": 1}}, "two spellings"),
        ({"map": {"0": 0}, "colours": {"#ff0000": 1}}, "give one of them"),
        ({"levels": [9, 9]}, "the smaller first"),
    ],
)
def test_maps_that_say_two_things_or_none_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**changes)
