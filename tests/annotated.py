"""One scene of polygons written as each annotation format has it, on images of 8x6 pixels."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_masks

from segsearch.annotations import Asked, read_annotations
from segsearch.annotations.draw import Painted, paint
from segsearch.annotations.types import Drawn, Overlaps

HEIGHT, WIDTH = 6, 8
CLASSES = ("car", "road")

Points = Sequence[tuple[float, float]]
# An image's name, and its shapes: a class and the corners of a polygon.
Scene = Mapping[str, Sequence[tuple[str, Points]]]


def box(left: float, top: float, right: float, bottom: float) -> Points:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


# A car of 3x2 pixels, and a road of 4x3 that was drawn after it; both hold pixel (2, 3).
SCENE: Scene = {"a.png": [("car", box(1, 1, 4, 3)), ("road", box(3, 2, 7, 5))], "b.png": []}


def golden(text: str) -> NDArray[np.uint8]:
    """A mask from its rows, a digit a pixel, `.` for background and `v` for void."""
    values = {".": 0, "v": 255}
    return np.array([[values.get(mark, ord(mark) - 48) for mark in row] for row in text.split()], dtype=np.uint8)


def theirs(runs: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """What pycocotools makes of compressed counts; it warns of a numpy to come."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        mask: NDArray[np.uint8] = coco_masks.decode({"size": [height, width], "counts": runs})
    return mask


def picture(path: Path, *, height: int = HEIGHT, width: int = WIDTH) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (90, 120, 60)).save(path)
    return path


def as_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def coco_of(scene: Scene) -> dict[str, Any]:
    """The content of a COCO file; categories have the ids 3 and 7."""
    ids = dict(zip(CLASSES, (3, 7), strict=True))
    things = [(image, *shape) for image, name in enumerate(scene) for shape in scene[name]]
    return {
        "images": [
            {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH} for number, name in enumerate(scene)
        ],
        "categories": [{"id": ids[name], "name": name} for name in reversed(CLASSES)],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": ids[label],
                "segmentation": [[number for point in points for number in point]],
                "iscrowd": 0,
            }
            for number, (image, label, points) in enumerate(things)
        ],
    }


def write_coco(folder: Path, scene: Scene = SCENE) -> Path:
    return as_json(folder / "instances.json", coco_of(scene))


def labelme_of(name: str, shapes: Sequence[tuple[str, Points]]) -> dict[str, Any]:
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": [
            {"label": label, "points": [list(point) for point in points], "shape_type": "polygon", "flags": {}}
            for label, points in shapes
        ],
        "imagePath": name,
        "imageData": "not looked at",
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }


def write_labelme(folder: Path, scene: Scene = SCENE) -> Path:
    for name, shapes in scene.items():
        as_json(folder / Path(name).with_suffix(".json"), labelme_of(Path(name).name, shapes))
    return folder


def write_yolo(folder: Path, scene: Scene = SCENE) -> Path:
    """With its images, which alone tell the sizes."""
    for name, shapes in scene.items():
        picture(folder / "images" / name)
        lines = [
            f"{CLASSES.index(label)} {' '.join(f'{x / WIDTH} {y / HEIGHT}' for x, y in points)}"
            for label, points in shapes
        ]
        file = folder / "labels" / Path(name).with_suffix(".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines))
    (folder / "data.yaml").write_text("names: [car, road]\n")
    return folder


def cvat_of(images: str, *, labels: Sequence[str] = CLASSES) -> str:
    named = "".join(f"<label><name>{name}</name></label>" for name in labels)
    return (
        "<?xml version='1.0' encoding='utf-8'?>\n<annotations><version>1.1</version>"
        f"<meta><task><labels>{named}</labels></task></meta>\n{images}\n</annotations>"
    )


def cvat_image(inner: str, name: str = "a.png") -> str:
    return f'<image id="0" name="{name}" width="{WIDTH}" height="{HEIGHT}">{inner}</image>'


def write_cvat(folder: Path, scene: Scene = SCENE) -> Path:
    images = [
        cvat_image(
            "".join(
                f'<polygon label="{label}" points="{";".join(f"{x},{y}" for x, y in points)}" z_order="0"/>'
                for label, points in shapes
            ),
            name,
        )
        for name, shapes in scene.items()
    ]
    path = folder / "annotations.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(cvat_of("".join(images)))
    return path


WRITERS: Mapping[str, Callable[[Path, Scene], Path]] = {
    "coco": write_coco,
    "labelme": write_labelme,
    "yolo": write_yolo,
    "cvat": write_cvat,
}


def drawn(path: Path, **asked: Any) -> list[Drawn]:
    return list(read_annotations(path, Asked(**asked))[1].images)


def painted(path: Path, overlaps: Overlaps | None = None, **asked: Any) -> dict[str, Painted]:
    """Every image's mask by its name, under the format's own rule or another."""
    found = read_annotations(path, Asked(**asked))[1]
    return {one.name: paint(one, overlaps or found.overlaps) for one in found.images}
