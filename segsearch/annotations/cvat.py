"""CVAT for images 1.1: one XML file of images with polygons, boxes, ellipses and masks, in layers (`z_order`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from segsearch.annotations.names import image_name, legend_of, some, void_notes
from segsearch.annotations.outlines import ellipse, rectangle, turned
from segsearch.annotations.pictures import check_size, pictures_in, places_for, size_of
from segsearch.annotations.runs import bitmap_of_counts, runs_of_bitmap
from segsearch.annotations.source import broken_xml, root_tag
from segsearch.annotations.types import Annotated, Asked, Drawn, Shape, Source
from segsearch.annotations.values import numbers_of, ring_of
from segsearch.errors import DataError

_WITHOUT_AREA = ("polyline", "points", "cuboid", "skeleton", "tag")
_LOOKED_AT = 20
_BOX = ("xtl", "ytl", "xbr", "ybr")
_ELLIPSE = ("cx", "cy", "rx", "ry")


def fits(source: Source) -> bool:
    return bool(_files(source))


def read(source: Source, asked: Asked) -> Annotated:
    """Higher layers lie over lower ones, and in a layer later shapes over earlier ones. Classes are the task's labels.

    Raises `DataError` for a broken or foreign file, in the stream also for shapes that are none.
    """
    files = _files(source)
    if len(files) > 1:
        raise DataError(
            f"{source.path}: a folder must hold one CVAT file, got {files[0].name} and {files[1].name}; name the file "
            "that is meant, or several files of the same classes."
        )
    file = files[0]
    root = _parsed(file)
    if root.find("track") is not None:
        raise DataError(f"{file}: it must be CVAT for images 1.1, got tracks of a video; export it for images.")
    images = root.findall("image")
    names = _labels(file, root, images)
    legend = legend_of(names, asked.void, file)
    places = places_for(source.root, asked.images)
    pictures = cache(lambda: pictures_in(places))

    def stream() -> Iterator[Drawn]:
        for image in images:
            where = f"{file}, image {image.get('id')}"
            name = image_name(image.get("name"), where)
            height, width = (_side(image, side, where) for side in ("height", "width"))
            if height is None or width is None:
                height, width = size_of(name, pictures(), where)
            check_size(height, width, where)
            layers, skipped = list[tuple[int, Shape]](), Counter[str]()
            for number, element in enumerate(image, start=1):
                here = f"{where}, shape {number}"
                if element.tag in _WITHOUT_AREA:
                    skipped[element.tag] += 1
                    continue
                shape = _shape(element, legend.values[str(element.get("label")).strip()], height, width, here)
                layers.append((_whole(element, "z_order", here, otherwise=0), shape))
            layers.sort(key=lambda layer: layer[0])
            yield Drawn(name, str(image.get("name")), height, width, tuple(shape for _, shape in layers), skipped)

    return Annotated(
        legend=legend,
        images=stream(),
        count=len(images),
        overlaps="later",
        read=(file,),
        places=places,
        notes=void_notes(legend),
    )


def _files(source: Source) -> list[Path]:
    return [file for file in source.xmls[:_LOOKED_AT] if root_tag(file) == "annotations"]


def _parsed(file: Path) -> Element:
    """The root of a file that `root_tag` found to declare nothing."""
    try:
        return ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise broken_xml(file, str(error).partition(":")[0], error.position[0]) from None


def _labels(file: Path, root: Element, images: list[Element]) -> tuple[str, ...]:
    """The task's labels in its order, by the alphabet where it names none."""
    used = dict[str, str]()
    for image in images:
        for number, element in enumerate(image, start=1):
            label = element.get("label")
            if label is None:
                where = f"{file}, image {image.get('id')}, shape {number}"
                raise DataError(f"{where}: a shape must have a label, got <{element.tag}> without; name it.")
            used.setdefault(label.strip(), f"{file}, image {image.get('id')}")
    listed = [label for label in root.findall("./meta/*/labels/label") if label.find("parent") is None]
    names = tuple((label.findtext("name") or "").strip() for label in listed)
    for label, where in used.items():
        if names and label not in names:
            raise DataError(f"{where}: labels must be the task's, got {label!r} beside {some(names)}; correct one.")
    return names or tuple(sorted(used))


def _shape(element: Element, value: int, height: int, width: int, where: str) -> Shape:
    if element.tag == "polygon":
        pairs = [point.split(",") for point in (element.get("points") or "").split(";") if point.strip()]
        texts = [text for pair in pairs for text in pair]
        if any(len(pair) != 2 for pair in pairs):
            raise DataError(f"{where}: points must be x,y;x,y;..., got {element.get('points')!r}; correct them.")
        return Shape(value, (ring_of(numbers_of(texts, ["a coordinate"] * len(texts), where), where),))
    if element.tag == "mask":
        left, top, columns, rows = (_whole(element, name, where) for name in ("left", "top", "width", "height"))
        check_size(rows, columns, where)
        bitmap = bitmap_of_counts(_counts(element.get("rle"), where), rows, columns, where)
        runs, beyond = runs_of_bitmap(bitmap, left, top, height, width)
        return Shape(value, runs=runs, beyond=beyond)
    (degrees,) = numbers_of([element.get("rotation", "0")], ["rotation"], where)
    if element.tag == "box":
        left_, top_, right, bottom = numbers_of([element.get(name) for name in _BOX], _BOX, where)
        ring = rectangle(left_, top_, right, bottom)
        return Shape(value, (turned(ring, degrees, (left_ + right) / 2, (top_ + bottom) / 2) if degrees else ring,))
    if element.tag == "ellipse":
        x, y, *radii = numbers_of([element.get(name) for name in _ELLIPSE], _ELLIPSE, where)
        ring = ellipse(x, y, *radii)
        return Shape(value, (turned(ring, degrees, x, y) if degrees else ring,))
    raise DataError(
        f"{where}: a shape must be a polygon, box, ellipse or mask ({', '.join(_WITHOUT_AREA)} have no area), got "
        f"<{element.tag}>; remove it."
    )


def _counts(text: str | None, where: str) -> list[int]:
    try:
        return [int(count) for count in (text or "").split(",")]
    except ValueError:
        raise DataError(
            f"{where}: rle must be whole numbers with commas, got {str(text)[:40]!r}; correct it."
        ) from None


def _whole(element: Element, name: str, where: str, *, otherwise: int | None = None) -> int:
    if otherwise is not None and element.get(name) is None:
        return otherwise
    (number,) = numbers_of([element.get(name)], [name], where)
    if number != int(number):
        raise DataError(f"{where}: {name} must be a whole number, got {element.get(name)!r}; correct it.")
    return int(number)


def _side(image: Element, name: str, where: str) -> int | None:
    """A height or width, None where there is none."""
    return _whole(image, name, where, otherwise=0) or None
