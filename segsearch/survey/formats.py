"""Images that are there in two formats: the one without loss is read, if both show the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsearch.datasets.decode import open_picture
from segsearch.datasets.folders import in_order
from segsearch.errors import DataError
from segsearch.pairing.types import Matched, Place
from segsearch.survey.holdout import THUMB

# What loss changes of a thumbnail's grey levels, and of their order where one file holds more than 8 bits.
_MOST_APART = 8.0
_LEAST_ALIKE = 0.9


def demand_alike(matched: Matched) -> None:
    """Raise `DataError` where an image is left out for another of its name that shows something else.

    `images/1.png` beside `images/1.jpg` may be its mask, whatever lies in `masks`.
    """
    kept = {_name(image): image for image in matched.images}
    pairs = [(kept[_name(twin)], twin) for twin in matched.twins if _name(twin) in kept]
    different = [pair for pair, alike in zip(pairs, in_order(_alike, pairs), strict=True) if not alike]
    if different:
        image, twin = different[0]
        more = f" (and {len(different) - 1} more like it)" if len(different) > 1 else ""
        raise DataError(
            f"{image.path}: two images of one name must be one picture in two formats, got {twin.inner}, which shows "
            f"something else{more}; one of them may be a mask. Move those that are no images to another folder."
        )


def _name(place: Place) -> str:
    return place.inner.rpartition(".")[0]


def _alike(pair: tuple[Place, Place]) -> bool:
    """Whether two files show the same, but for loss and size. Raises `DataError` for one that cannot be read."""
    (one, wide), (other, wider) = (_thumb(place.path) for place in pair)
    if wide or wider:
        grey, other_grey = one.mean(axis=2).ravel(), other.mean(axis=2).ravel()
        if not grey.std() or not other_grey.std():
            return bool(grey.std() == other_grey.std())
        return bool(np.corrcoef(grey, other_grey)[0, 1] >= _LEAST_ALIKE)
    return bool(np.abs(one - other).mean() <= _MOST_APART)


def _thumb(path: Path) -> tuple[NDArray[Any], bool]:
    """A thumbnail, upright, (THUMB, THUMB, 3), and whether its file holds more than 8 bits: then as they are."""
    picture = open_picture(path, "image")
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture.convert("F").resize((THUMB, THUMB), Image.Resampling.BILINEAR), dtype=np.float64)
        return np.repeat(values[..., None], 3, axis=2), True
    colours = picture.convert("RGBA") if picture.mode == "P" else picture
    return np.asarray(colours.convert("RGB").resize((THUMB, THUMB), Image.Resampling.BILINEAR), dtype=np.float64), False
