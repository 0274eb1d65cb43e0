"""COCO: one JSON file of images, categories and annotations, whose outlines are polygons or run lengths."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from segsearch.annotations.names import image_name, legend_of, void_notes
from segsearch.annotations.pictures import check_size, pictures_in, places_for, size_of
from segsearch.annotations.runs import runs_of_counts
from segsearch.annotations.source import kind_of
from segsearch.annotations.types import VOID, Annotated, Asked, Drawn, Shape, Source
from segsearch.annotations.values import ring_of, short, side_of
from segsearch.errors import DataError


def fits(source: Source) -> bool:
    return any(kind_of(content) == "coco" for content in source.jsons.values())


def read(source: Source, asked: Asked) -> Annotated:
    """Smaller things lie over larger ones; crowds (`iscrowd`) and what is to be ignored (`ignore`) are void.

    Raises `DataError` for ids that nothing has, in the stream also for outlines that are none.
    """
    file, content = next((file, content) for file, content in source.jsons.items() if kind_of(content) == "coco")
    names = _categories(file, content.get("categories"))
    legend = legend_of(list(names.values()), asked.void, file)
    images = _images(file, content["images"])
    places = places_for(source.root, asked.images)

    pictures = cache(lambda: pictures_in(places))

    def height_and_width(image: Mapping[str, Any], name: str, where: str) -> tuple[int, int]:
        height, width = (side_of(image.get(side), where) for side in ("height", "width"))
        return size_of(name, pictures(), where) if height is None or width is None else (height, width)

    things = _by_image(file, content["annotations"], images, names)

    def stream() -> Iterator[Drawn]:
        for key, image in images.items():
            where = f"{file}, image {key!r}"
            name = image_name(image.get("file_name"), where)
            height, width = height_and_width(image, name, where)
            check_size(height, width, where)
            shapes, skipped = list[Shape](), Counter[str]()
            for thing in things.get(key, ()):
                value = legend.values[names[thing["category_id"]]]
                shape = _shape(thing, value, height, width, f"{file}, annotation {thing.get('id')!r}")
                if shape is None:
                    skipped["box without an outline"] += 1
                else:
                    shapes.append(shape)
            yield Drawn(name, image["file_name"], height, width, tuple(shapes), skipped)

    return Annotated(
        legend=legend,
        images=stream(),
        count=len(images),
        overlaps="smaller",
        read=(file,),
        places=places,
        notes=void_notes(legend),
    )


def _categories(file: Path, categories: Any) -> Mapping[int, str]:
    """Names by id, in the order of the ids."""
    found = dict[int, str]()
    for category in _objects(file, "categories", categories):
        key, name = category.get("id"), category.get("name")
        if isinstance(key, bool) or not isinstance(key, int) or not isinstance(name, str):
            raise DataError(f"{file}: a category must have a whole id and a name, got {short(category)}; correct it.")
        if key in found:
            raise DataError(f"{file}: categories must have different ids, got {key} twice; correct one.")
        found[key] = name.strip()
    return dict(sorted(found.items()))


def _images(file: Path, images: Any) -> Mapping[int | str, Mapping[str, Any]]:
    found = dict[int | str, Mapping[str, Any]]()
    for image in _objects(file, "images", images):
        key = image.get("id")
        if not isinstance(key, (int, str)) or key in found:
            what = f"{key!r} twice" if isinstance(key, (int, str)) else short(image)
            raise DataError(f"{file}: images must have ids of their own, got {what}; correct it.")
        found[key] = image
    return found


def _by_image(
    file: Path, things: Any, images: Mapping[int | str, Any], names: Mapping[int, str]
) -> Mapping[int | str, Sequence[Mapping[str, Any]]]:
    found = defaultdict[int | str, list[Mapping[str, Any]]](list)
    for thing in _objects(file, "annotations", things):
        if "segments_info" in thing:
            raise DataError(
                f"{file}: masks are drawn from instances, got panoptic annotations (`segments_info`), which are masks "
                "already; name the file of the instances."
            )
        for key, known, what in (("category_id", names, "category"), ("image_id", images, "image")):
            there = thing.get(key)
            if not isinstance(there, (int, str)) or there not in known:
                raise DataError(
                    f"{file}, annotation {thing.get('id')!r}: its {key} must be the id of a {what}, got {there!r}; "
                    f"add the {what}, or remove the annotation."
                )
        found[thing["image_id"]].append(thing)
    return found


def _objects(file: Path, key: str, values: Any) -> list[Mapping[str, Any]]:
    if not isinstance(values, list):
        got = "nothing" if values is None else short(values)
        raise DataError(f"{file}: `{key}` must be a list, got {got}; export instances with outlines.")
    for value in values:
        if not isinstance(value, dict):
            raise DataError(f"{file}: `{key}` must hold objects, got {short(value)}; export the file again.")
    return values


def _shape(thing: Mapping[str, Any], value: int, height: int, width: int, where: str) -> Shape | None:
    """The shape of an annotation, None where it has no outline."""
    outline = thing.get("segmentation")
    crowd = any(thing.get(key) in (1, True) for key in ("iscrowd", "ignore"))
    if crowd:
        value = VOID
    if isinstance(outline, dict):
        runs = runs_of_counts(outline.get("counts"), outline.get("size"), height, width, where)
        return Shape(value, runs=runs, beneath=crowd)
    if not outline:
        return None
    if not isinstance(outline, list) or not all(isinstance(ring, list) for ring in outline):
        raise DataError(
            f"{where}: `segmentation` must be a list of polygons or run lengths, got {short(outline)}; correct it."
        )
    return Shape(value, tuple(ring_of(ring, where) for ring in outline), beneath=crowd)
