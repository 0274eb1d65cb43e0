"""Masks to look at: what the exported files of a study answer on its validation images, and pictures of it."""

from __future__ import annotations

from segsearch.masks.gallery import (
    Answer,
    Gallery,
    MaskCache,
    Shown,
    answer,
    choose_images,
    disagreement,
    image_iou,
    known,
    open_gallery,
    predict,
    spread,
)
from segsearch.masks.paint import (
    ERROR_COLOUR,
    ClassColour,
    blended_png,
    class_colours,
    classes_png,
    errors_png,
    legend_of,
    picture_png,
)

__all__ = [
    "ERROR_COLOUR",
    "Answer",
    "ClassColour",
    "Gallery",
    "MaskCache",
    "Shown",
    "answer",
    "blended_png",
    "choose_images",
    "class_colours",
    "classes_png",
    "disagreement",
    "errors_png",
    "image_iou",
    "known",
    "legend_of",
    "open_gallery",
    "picture_png",
    "predict",
    "spread",
]
