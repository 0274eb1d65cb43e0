"""A user's own folder of images and masks, checked file by file before anything is trained."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from segsearch.datasets.cache import Layout, Sample, cached
from segsearch.datasets.decode import Fault, first_of, open_size, read_image, resize_image, resize_mask
from segsearch.datasets.labels import Labelling, labelling, read_label, rules_beyond
from segsearch.datasets.pairs import Pair, find_pairs
from segsearch.datasets.types import Dataset, UInt8
from segsearch.errors import DataError
from segsearch.settings.data import DataSettings
from segsearch.settings.texts import Texts, texts_of
from segsearch.workshop import Progress, sha256_of, silent

MAX_CLASSES = 255

Item = TypeVar("Item")
Result = TypeVar("Result")


def open_folders(
    settings: DataSettings, *, cache: Path, progress: Progress = silent, texts: Texts | None = None
) -> Dataset:
    """Images and masks of `settings.root`, decoded and resized once. Raises `DataError` naming the wrong file.

    `texts` holds the lists that the settings name, where a run has kept them. The test split is looked for, not read.
    """
    texts = texts_of(settings) if texts is None else texts
    train, validation = (find_pairs(settings, split, texts) for split in (settings.train, settings.validation))
    if settings.test is not None:
        _demand_aside(find_pairs(settings, settings.test, texts), (*train, *validation))
    digests = _digests((*train, *validation), progress)
    return _decoded(settings, train, validation, cache=cache, progress=progress, texts=texts, digests=digests)


def open_test_folders(
    settings: DataSettings, *, cache: Path, progress: Progress = silent, texts: Texts | None = None
) -> Dataset | None:
    """The test images as the validation split of a data set that has nothing to learn from; None without any.

    Raises `DataError` as `open_folders` does, and where a test image has the very bytes of one of another split.
    """
    if settings.test is None:
        return None
    texts = texts_of(settings) if texts is None else texts
    others = [pair for split in (settings.train, settings.validation) for pair in find_pairs(settings, split, texts)]
    test = find_pairs(settings, settings.test, texts)
    _demand_aside(test, others)
    digests = _digests(test, progress)
    _demand_no_copies(test, digests, others, progress)
    return _decoded(settings, (), test, cache=cache, progress=progress, texts=texts, digests=digests)


def _decoded(
    settings: DataSettings,
    train: Sequence[Pair],
    validation: Sequence[Pair],
    *,
    cache: Path,
    progress: Progress,
    texts: Texts,
    digests: list[tuple[str, str]],
) -> Dataset:
    """The pixels of these pairs, whose files have these digests, from the cache or into it."""
    classes = classes_in(settings, texts)
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
        found = cached(
            cache,
            source={"kind": "folders", "files": digests, **_how_read(settings)},
            layout=layout,
            samples=_samples(pairs, layout, settings, progress),
        )
    levels = settings.levels if isinstance(settings.levels, tuple) else None
    return replace(found, levels=levels, exif_ignored=settings.exif == "ignore")


def classes_in(settings: DataSettings, texts: Texts) -> tuple[str, ...]:
    """The classes that a study's list names. Raises `DataError`, also where its map names others."""
    path = Path(settings.root or "") / settings.classes
    mapped = settings.rules is not None
    names = read_classes(texts[settings.classes], path, void=settings.void, mapped=mapped)
    if beyond := rules_beyond(settings.rules or (), len(names)):
        key = "data.map" if settings.map is not None else "data.colours"
        raise DataError(
            f"{path}: {key} must name classes by their line, from 0 to {len(names) - 1}, got {_few(beyond)}; "
            "correct one of them."
        )
    return names


def _how_read(settings: DataSettings) -> dict[str, Any]:
    """What the pixels depend on beside the files; nothing where files say everything, as once they did."""
    rules = settings.rules
    found: dict[str, Any] = {}
    if rules is not None:
        found["by"] = "value" if settings.map is not None else "colour"
        found["rules"] = [[rule.low, rule.high, rule.index] for rule in rules]
    if settings.levels is not None:
        found["levels"] = settings.levels
    if settings.exif != "turn":
        found["exif"] = settings.exif
    return found


def _demand_aside(test: Sequence[Pair], others: Sequence[Pair]) -> None:
    used = {pair.image for pair in others}
    if both := next((pair.image for pair in test if pair.image in used), None):
        raise DataError(
            f"{both}: an image of the test split may be in no other, got it in training or validation too; remove one."
        )


def _demand_no_copies(
    test: Sequence[Pair], digests: Sequence[tuple[str, str]], others: Sequence[Pair], progress: Progress
) -> None:
    known = {image: pair.image for (image, _), pair in zip(_digests(others, progress), others, strict=True)}
    for (image, _), pair in zip(digests, test, strict=True):
        if image in known:
            raise DataError(
                f"{pair.image}: no image may be in the test split and in another, got the same file as {known[image]}; "
                "remove one of them."
            )


def read_classes(text: str, path: Path, *, void: int, mapped: bool) -> tuple[str, ...]:
    """The classes' names in a list, one a line; line i (from 0) is class i. `path` is named in errors: `DataError`."""
    lines = [line.strip() for line in text.rstrip().splitlines()]
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
        cure = (
            "choose a number that no class has"
            if mapped
            else f'choose a value that no class has, or say what each value is: data.map = {{"{void}" = "void", ...}}'
        )
        raise DataError(
            f"{path}: data.void must lie outside the classes 0..{len(lines) - 1}, got {void} ({lines[void]}); {cure}."
        )
    return tuple(lines)


def _digests(pairs: Sequence[Pair], progress: Progress) -> list[tuple[str, str]]:
    """SHA-256 of every image and mask file. Bytes, not times: a copied or restored folder is the same data."""
    digests, faults = list[tuple[str, str]](), list[Fault]()
    for done, digest in enumerate(in_order(_digest, pairs), start=1):
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


def _samples(pairs: Sequence[Pair], layout: Layout, settings: DataSettings, progress: Progress) -> Iterator[Sample]:
    """Decoded pairs in order, training first. Raises `DataError` after the last one, if any was wrong."""
    faults, labelled, seen = list[Fault](), [False, False], dict[bytes, Path]()
    how = labelling(settings, len(layout.classes))

    def decode(numbered: tuple[int, Pair]) -> tuple[Sample, bytes] | Fault:
        return _decode(numbered[1], layout, settings, how, keep_label=numbered[0] >= len(layout.train))

    for index, decoded in enumerate(in_order(decode, list(enumerate(pairs)))):
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
    cut = len(layout.train)
    for split_labelled, split in zip(labelled, (pairs[:cut], pairs[cut:]), strict=True):
        if split and not split_labelled:
            raise DataError(
                f"{split[0].mask.parent}: a split must have labelled pixels, "
                f"got only void ({layout.void}); correct data.void or the masks."
            )


def _leak(image: Path, twin: Path) -> Fault:
    message = (
        f"{image}: no image may be in both training and validation, got the same pixels as {twin}; remove one of them."
    )
    return Fault("leak", message)


def _decode(
    pair: Pair, layout: Layout, settings: DataSettings, how: Labelling, *, keep_label: bool
) -> tuple[Sample, bytes] | Fault:
    """The sample, and a digest of the image's own pixels."""
    try:
        image = read_image(pair.image, levels=settings.levels, exif=settings.exif)
        label = read_label(pair.mask, how)
        _check_size(pair, image, label)
    except Fault as fault:
        return fault
    content = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()
    sides = layout.height, layout.width
    return Sample(resize_image(image, *sides), resize_mask(label, *sides), label if keep_label else None), content


def _check_size(pair: Pair, image: UInt8, label: UInt8) -> None:
    if image.shape[:2] == label.shape:
        return
    height, width = image.shape[:2]
    turned = open_size(pair.image, exif="ignore") == open_size(pair.mask, exif="ignore") == label.shape
    cure = (
        'its EXIF orientation turns the image, and the mask was drawn on it as stored: write data.exif = "ignore"'
        if turned
        else "replace one of them"
    )
    raise Fault(
        "size",
        f"{pair.mask}: a mask must have its image's size, {width}x{height} ({pair.image.name}), "
        f"got {label.shape[1]}x{label.shape[0]}; {cure}.",
    )


def _few(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int | None = None
) -> Generator[Result, None, None]:
    """Results of a small thread pool in the items' order, never more than a few ahead of the reader.

    Where the reader leaves, what has begun is finished and nothing else is begun.
    """
    threads = threads or min(8, os.cpu_count() or 1)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
