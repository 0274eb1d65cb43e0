"""A user's own folder of images and masks, checked file by file before anything is trained."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from segsearch.datasets.cache import Layout, Sample, cached
from segsearch.datasets.decode import Fault, first_of, read_image, read_mask, resize_image, resize_mask
from segsearch.datasets.pairs import Pair, find_pairs
from segsearch.datasets.types import Dataset, UInt8
from segsearch.errors import DataError
from segsearch.study import DataSettings
from segsearch.workshop import Progress, sha256_of, silent

MAX_CLASSES = 255

Item = TypeVar("Item")
Result = TypeVar("Result")


def open_folders(settings: DataSettings, *, cache: Path, progress: Progress = silent) -> Dataset:
    """Images and masks of `settings.root`, decoded and resized once. Raises `DataError` naming the wrong file."""
    root = Path(settings.root or "")
    train, validation = find_pairs(settings, settings.train), find_pairs(settings, settings.validation)
    classes = read_classes(root / settings.classes, void=settings.void)
    pairs = (*train, *validation)
    layout = Layout(
        classes=classes,
        void=settings.void,
        height=settings.height,
        width=settings.width,
        train=tuple(pair.name for pair in train),
        validation=tuple(pair.name for pair in validation),
    )
    with warnings.catch_warnings():
        # Pillow warns of large images and odd metadata; what matters of it is an error of ours.
        warnings.simplefilter("ignore")
        return cached(
            cache,
            source={"kind": "folders", "files": _digests(pairs, progress)},
            layout=layout,
            samples=_samples(pairs, layout, progress),
        )


def read_classes(path: Path, *, void: int) -> tuple[str, ...]:
    """The classes' names, one a line; line i (from 0) is the class of mask value i. Raises `DataError`."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except FileNotFoundError:
        raise DataError(
            f"{path}: the classes' names must be listed, one a line in the order of the mask values, got no such file; "
            "write it, or name another in data.classes."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the classes' names must be UTF-8 text, got: {error}; rewrite it.") from None
    if not 2 <= len(lines) <= MAX_CLASSES:
        found = f"{len(lines)} names" if lines else "an empty file"
        raise DataError(f"{path}: there must be 2 to {MAX_CLASSES} classes, one a line, got {found}; correct the list.")
    for number, name in enumerate(lines):
        if not name:
            raise DataError(
                f"{path}, line {number + 1}: a class must have a name, got an empty line; fill or remove it."
            )
        if name in lines[:number]:
            raise DataError(
                f"{path}, line {number + 1}: classes must have different names, got {name!r} on line "
                f"{lines.index(name) + 1} too; rename one."
            )
    if void < len(lines):
        raise DataError(
            f"{path}: data.void must lie outside the classes 0..{len(lines) - 1}, got {void} ({lines[void]}); "
            "choose a value that no class has."
        )
    return tuple(lines)


def _digests(pairs: Sequence[Pair], progress: Progress) -> list[tuple[str, str]]:
    """SHA-256 of every image and mask file. Bytes, not times: a copied or restored folder is the same data."""
    digests, faults = list[tuple[str, str]](), list[Fault]()
    for done, digest in enumerate(_in_order(_digest, pairs), start=1):
        if isinstance(digest, Fault):
            faults.append(digest)
        else:
            digests.append(digest)
        progress("checking files", done, len(pairs))
    if faults:
        raise first_of(faults)
    return digests


def _digest(pair: Pair) -> tuple[str, str] | Fault:
    try:
        return sha256_of(pair.image), sha256_of(pair.mask)
    except OSError as error:
        return Fault("unreadable", f"{error.filename}: a file must be readable, got: {error.strerror}; correct that.")


def _samples(pairs: Sequence[Pair], layout: Layout, progress: Progress) -> Iterator[Sample]:
    """Decoded pairs in order, training first. Raises `DataError` after the last one, if any was wrong."""
    faults, labelled, seen = list[Fault](), [False, False], dict[bytes, Path]()

    def decode(numbered: tuple[int, Pair]) -> tuple[Sample, bytes] | Fault:
        return _decode(numbered[1], layout, keep_label=numbered[0] >= len(layout.train))

    for index, decoded in enumerate(_in_order(decode, list(enumerate(pairs)))):
        progress("decoding images", index + 1, len(pairs))
        if isinstance(decoded, Fault):
            faults.append(decoded)
            continue
        sample, content = decoded
        in_validation = index >= len(layout.train)
        if not in_validation:
            seen[content] = pairs[index].image
        elif content in seen:
            faults.append(_leak(pairs[index].image, seen[content]))
        labelled[in_validation] |= bool((sample.mask != layout.void).any())
        if not faults:
            yield sample
    if faults:
        raise first_of(faults)
    for split_labelled, pair in zip(labelled, (pairs[0], pairs[-1]), strict=True):
        if not split_labelled:
            raise DataError(
                f"{pair.mask.parent}: a split must have labelled pixels, "
                f"got only void ({layout.void}); correct data.void or the masks."
            )


def _leak(image: Path, twin: Path) -> Fault:
    message = (
        f"{image}: no image may be in both training and validation, got the same pixels as {twin}; remove one of them."
    )
    return Fault("leak", message)


def _decode(pair: Pair, layout: Layout, *, keep_label: bool) -> tuple[Sample, bytes] | Fault:
    """The sample, and a digest of the image's own pixels."""
    try:
        image, label = read_image(pair.image), read_mask(pair.mask)
        _check(pair, image, label, layout)
    except Fault as fault:
        return fault
    content = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()
    sides = layout.height, layout.width
    return Sample(resize_image(image, *sides), resize_mask(label, *sides), label if keep_label else None), content


def _check(pair: Pair, image: UInt8, label: UInt8, layout: Layout) -> None:
    if image.shape[:2] != label.shape:
        height, width = image.shape[:2]
        raise Fault(
            "size",
            f"{pair.mask}: a mask must have its image's size, {width}x{height} ({pair.image.name}), "
            f"got {label.shape[1]}x{label.shape[0]}; replace one of them.",
        )
    allowed = np.zeros(256, dtype=np.bool_)
    allowed[: len(layout.classes)] = allowed[layout.void] = True
    known = allowed[label]
    if not known.all():
        values = [int(value) for value in np.unique(label[~known])]
        row, column = np.argwhere(~known)[0]
        raise Fault(
            "value",
            f"{pair.mask}: mask values must be classes 0..{len(layout.classes) - 1} or void {layout.void}, "
            f"got {_few(values)} (first at row {row}, column {column}); correct the mask, the class list or data.void.",
        )


def _few(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")


def _in_order(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Results of a small thread pool in the items' order, never more than a few ahead of the reader."""
    threads = min(8, os.cpu_count() or 1)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
