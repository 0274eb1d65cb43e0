"""Annotation files of other tools, drawn to the masks that segsearch reads: one file a format, and what draws them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segsearch.annotations import coco, cvat, labelme, yolo
from segsearch.annotations.source import contents, open_source
from segsearch.annotations.types import Annotated, Asked, Format
from segsearch.errors import DataError
from segsearch.workshop import Progress, silent

__all__ = ["FORMATS", "Annotated", "Asked", "read_annotations"]

FORMATS: Mapping[str, Format] = {
    "coco": Format("COCO JSON", coco.fits, coco.read),
    "labelme": Format("LabelMe JSON", labelme.fits, labelme.read),
    "yolo": Format("YOLO segmentation", yolo.fits, yolo.read),
    "cvat": Format("CVAT XML for images 1.1", cvat.fits, cvat.read),
}


def read_annotations(path: Path, asked: Asked, *, progress: Progress = silent) -> tuple[Format, Annotated]:
    """The format of a file or folder and what it holds. Raises `DataError` where it is of none, or of several."""
    source = open_source(path, progress=progress)
    found = [format_ for format_ in FORMATS.values() if format_.fits(source)]
    titles = ", ".join(format_.title for format_ in FORMATS.values())
    if not found:
        raise DataError(
            f"{path}: there must be annotations of a known format, got {contents(source)}.\n"
            f"Tried: {titles}. Export one of them, or correct the path."
        )
    if len(found) > 1:
        raise DataError(
            f"{path}: a folder must hold annotations of one format, got {' and '.join(one.title for one in found)}; "
            "name the file or the folder that is meant."
        )
    return found[0], found[0].read(source, asked)
