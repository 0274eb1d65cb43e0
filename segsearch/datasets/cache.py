"""Decoded pixels on disk: written once, whole or not at all, then memory-mapped by every process that reads them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segsearch.datasets.types import Dataset, Split, UInt8
from segsearch.errors import DataError
from segsearch.workshop import raise_if_full, scratch_folder

_FORMAT = 2
_IMAGES, _MASKS, _LABELS, _META = "images.bin", "masks.bin", "labels.bin", "meta.json"


@dataclass(frozen=True)
class Sample:
    """An image (height, width, 3), its mask (height, width), and the label at its own resolution where that is kept."""

    image: UInt8
    mask: UInt8
    label: UInt8 | None = None


@dataclass(frozen=True)
class Layout:
    """What is known of a data set before its first image is decoded. `height` and `width` are in pixels."""

    classes: tuple[str, ...]
    void: int
    height: int
    width: int
    train: tuple[str, ...]
    validation: tuple[str, ...]


def cached(cache: Path, *, source: Mapping[str, Any], layout: Layout, samples: Iterable[Sample]) -> Dataset:
    """The data set of that layout and source, from the cache or, where it is not there, from the samples.

    `source` is plain JSON that names everything the pixels depend on. `samples` holds training, then validation; only
    validation samples carry labels. It is not touched where the cache has the data set. Raises `StorageFull` where
    there is no room and `DataError` where the cache cannot be written.
    """
    folder = cache / _digest({"format": _FORMAT, "source": source, "layout": _plain(layout)})
    dataset = _load(folder, layout)
    if dataset is not None:
        return dataset
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with scratch_folder(cache) as scratch:
            _write(scratch, layout, samples)
            return _publish(scratch, folder, layout)
    except OSError as error:
        raise _unwritable(error, cache) from None


def _write(folder: Path, layout: Layout, samples: Iterable[Sample]) -> None:
    # Plain appended files: a full disk is an error here, where writing through a memory map would be a SIGBUS.
    key = hashlib.sha256(json.dumps([layout.classes, layout.void, layout.height, layout.width]).encode())
    label_shapes: list[tuple[int, ...]] = []
    with ExitStack() as stack:
        images, masks, labels = (stack.enter_context((folder / name).open("wb")) for name in (_IMAGES, _MASKS, _LABELS))
        for sample in samples:
            for stream, pixels in ((images, sample.image), (masks, sample.mask), (labels, sample.label)):
                if pixels is not None:
                    content = pixels.tobytes()
                    stream.write(content)
                    key.update(content)
            if sample.label is not None:
                label_shapes.append(sample.label.shape)
        # The splits' lengths and the labels' shapes say how the bytes above are cut.
        key.update(json.dumps([len(layout.train), len(layout.validation), label_shapes]).encode())
        for stream in (images, masks, labels):
            stream.flush()
            os.fsync(stream.fileno())
    with (folder / _META).open("w", encoding="utf-8") as meta:
        json.dump({"key": key.hexdigest(), "label_shapes": label_shapes}, meta)
        meta.flush()
        os.fsync(meta.fileno())


def _publish(scratch: Path, folder: Path, layout: Layout) -> Dataset:
    written = _load(scratch, layout)
    if written is None:
        raise ValueError(f"samples must be as many and as large as the layout says: {_plain(layout)}")
    try:
        scratch.rename(folder)
    except OSError:
        # Another process was first, and equal names hold equal pixels; or what lies there is damaged.
        other = _load(folder, layout)
        if other is not None:
            return other
        shutil.rmtree(folder)
        scratch.rename(folder)
    # The maps above stay valid: a rename moves the name, not the file.
    return written


def _load(folder: Path, layout: Layout) -> Dataset | None:
    """The data set in a folder, or None where it is not there, not whole or not of that layout."""
    count = len(layout.train) + len(layout.validation)
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        key, shapes = str(meta["key"]), np.array(meta["label_shapes"], dtype=np.int64).reshape(-1, 2)
        areas = shapes.prod(axis=1)
        images = _map(folder / _IMAGES, (count, layout.height, layout.width, 3))
        masks = _map(folder / _MASKS, (count, layout.height, layout.width))
        labels = _map(folder / _LABELS, (int(areas.sum()),))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if len(shapes) != len(layout.validation):
        return None
    cut, sides = len(layout.train), (layout.height, layout.width)

    def as_resized(count: int) -> Split:
        """The first images, whose labels are kept at the images' size alone."""
        return Split(
            names=(layout.train + layout.validation)[:count],
            images=images[:count],
            masks=masks[:count],
            labels_flat=masks[:count].reshape(-1),
            label_starts=np.arange(count, dtype=np.int64) * (layout.height * layout.width),
            label_shapes=np.tile(np.array(sides, dtype=np.int64), (count, 1)),
        )

    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(areas)[:-1]])
    validation = Split(layout.validation, images[cut:], masks[cut:], labels, starts, shapes)
    return Dataset(key, layout.classes, layout.void, as_resized(cut), validation, both=as_resized(count))


def _map(path: Path, shape: tuple[int, ...]) -> UInt8:
    size = path.stat().st_size
    if size != int(np.prod(shape)):
        raise ValueError(f"{path} must hold {shape} bytes, got {size}")
    if size == 0:  # no label is kept of images that judge nothing, and nothing cannot be mapped
        return np.empty(shape, dtype=np.uint8)
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="r", shape=shape))


def _unwritable(error: OSError, cache: Path) -> DataError:
    raise_if_full(error, cache)
    return DataError(f"{cache}: the cache of decoded images must be writable; got: {error}. Choose another folder.")


def _plain(layout: Layout) -> dict[str, Any]:
    return {name: getattr(layout, name) for name in Layout.__dataclass_fields__}


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
