"""Pictures of answers: colours where their classes are, and a legend that names them and fits in."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from segsearch.masks import class_colours
from segsearch.predicting import draw
from segsearch.predicting.draw import PAPER, Key, as_jpeg, as_label, overlay

NAMES = tuple(f"class of number {number}" for number in range(150))


def key(count: int) -> Key:
    return Key(NAMES[:count], class_colours(NAMES[:count]))


def rgb(colour: str) -> list[int]:
    return list(bytes.fromhex(colour[1:]))


def test_each_pixel_lies_between_picture_and_colour() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    label = np.repeat(np.arange(3, dtype=np.uint8), 30)[None].repeat(60, 0)
    page = np.asarray(overlay(pixels, np.ascontiguousarray(label), key(3)))
    for index in range(3):
        there = label == index
        mean = (pixels[there].astype(float) + rgb(key(3).colours[index])) / 2
        assert np.abs(page[:60][there] - mean).max() <= 1


def test_the_legend_shows_every_class_where_all_fit_in() -> None:
    blank = np.zeros((300, 600, 3), np.uint8)
    page = np.asarray(overlay(blank, np.zeros((300, 600), np.uint8), key(4)))
    legend = page[300:]
    assert 0 < len(legend) <= draw.MOST_LEGEND * 300
    for colour in key(4).colours:
        assert (legend == rgb(colour)).all(axis=2).sum() > 50


def test_of_many_classes_the_legend_shows_those_that_are_there_at_one_height() -> None:
    blank, label = np.zeros((200, 300, 3), np.uint8), np.zeros((200, 300), np.uint8)
    label[:, 100:] = 77
    label[:5, :5] = 140
    many = key(150)
    page, other = (np.asarray(overlay(blank, one, many)) for one in (label, np.zeros_like(label)))
    assert page.shape == other.shape
    assert page.shape[0] <= 200 * (1 + draw.MOST_LEGEND)
    assert (page[200:] == rgb(many.colours[77])).all(axis=2).any()
    assert not (other[200:] == rgb(many.colours[77])).all(axis=2).any()
    crowded = np.random.default_rng(0).integers(0, 150, (200, 300), dtype=np.uint8)
    assert np.asarray(overlay(blank, crowded, many)).shape == page.shape


@pytest.mark.parametrize("sides", [(1, 1), (5, 300), (300, 5), (33, 47)])
def test_any_size_is_drawn_and_a_video_has_even_sides(sides: tuple[int, int]) -> None:
    label = np.zeros(sides, np.uint8)
    page = overlay(np.zeros((*sides, 3), np.uint8), label, key(20), even=True)
    assert page.width % 2 == page.height % 2 == 0
    assert 0 <= page.width - sides[1] <= 1
    assert np.asarray(page)[-1, -1].tolist() == list(PAPER)


def test_a_class_beyond_the_legend_is_drawn_all_the_same() -> None:
    label = np.full((50, 50), 200, np.uint8)
    assert overlay(np.zeros((50, 50, 3), np.uint8), label, key(3)).width == 50


def test_files_hold_what_was_drawn() -> None:
    label = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    with Image.open(io.BytesIO(as_label(label))) as found:
        assert (np.asarray(found) == label).all()
    content, suffix = as_jpeg(Image.new("RGB", (40, 30)))
    assert suffix == ".jpg"
    assert Image.open(io.BytesIO(content)).format == "JPEG"
    content, suffix = as_jpeg(Image.new("RGB", (66_000, 1)))
    assert suffix == ".png"
    assert Image.open(io.BytesIO(content)).format == "PNG"
