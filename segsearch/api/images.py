"""An image of any origin to the classes of its pixels, by the rules by which a file was scored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsearch.datasets.decode import Fault, picture_as_rgb, read_image
from segsearch.datasets.types import UInt8
from segsearch.errors import DataError, TrialFailed
from segsearch.predicting.answer import answered
from segsearch.settings.data import DataSettings

if TYPE_CHECKING:
    from segsearch.runtimes import Session

Picture = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


def predict(session: Session, picture: Picture, settings: DataSettings) -> UInt8:
    """The class of each pixel at the picture's own size: (height, width). Raises `DataError`, and `TrialFailed` where
    a score is not finite."""
    pixels = as_rgb(picture, settings)
    try:
        return answered(session, pixels, where="this image").label
    except Fault as fault:
        raise TrialFailed("score", f"{fault}.") from None


def as_rgb(picture: Picture | Any, settings: DataSettings) -> UInt8:
    """A picture as RGB (height, width, 3), read as a study's images are. Raises `DataError`."""
    if isinstance(picture, Image.Image):
        return picture_as_rgb(picture, levels=settings.levels, exif=settings.exif)
    if isinstance(picture, (str, os.PathLike)):
        return read_image(Path(picture), levels=settings.levels, exif=settings.exif)
    if not isinstance(picture, np.ndarray):
        kind = type(picture).__name__
        raise DataError(f"An image is a path, a PIL image or uint8 RGB (height, width, 3), got {kind}.")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        found = f"{picture.dtype} {picture.shape}"
        raise DataError(f"An array of an image must be uint8 RGB (height, width, 3), values 0 to 255, got {found}.")
    return picture
