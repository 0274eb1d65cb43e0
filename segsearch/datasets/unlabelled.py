"""Images without labels, from a folder that a study names: decoded once, as those with labels are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segsearch.datasets.cache import Layout, Sample, cached
from segsearch.datasets.decode import SUFFIXES, Fault, first_of, read_image, resize_image
from segsearch.datasets.folders import in_order
from segsearch.datasets.pairs import find_pairs
from segsearch.datasets.tree import pictures_below
from segsearch.datasets.types import UInt8
from segsearch.errors import DataError
from segsearch.settings.data import DataSettings
from segsearch.settings.texts import Texts, root_of, texts_of
from segsearch.workshop import Progress, sha256_of, silent


@dataclass(frozen=True)
class Unlabelled:
    """Images (n, height, width, 3) that only a teacher speaks of; `key` names their pixels.

    `left_out` files of the folder are images of the study's splits, and are no part of it.
    """

    key: str
    names: tuple[str, ...]
    images: UInt8
    left_out: int

    def __len__(self) -> int:
        return len(self.names)


def open_unlabelled(
    settings: DataSettings, *, cache: Path, progress: Progress = silent, texts: Texts | None = None
) -> Unlabelled | None:
    """The images below `data.unlabelled`, resized once; None where the settings name no folder.

    A file with the very bytes of an image of a split is left out: what judges models is not learned from, whoever
    labels it. Raises `DataError` naming the wrong file, and where nothing is left.
    """
    if settings.unlabelled is None:
        return None
    folder = root_of(settings) / settings.unlabelled
    if not folder.is_dir():
        raise DataError(
            f"{folder}: data.unlabelled must be a folder of images, got none there; correct the path, or move the "
            "folder back."
        )
    paths = sorted(pictures_below(folder))
    if not paths:
        raise DataError(f"{folder}: data.unlabelled must hold images ({', '.join(SUFFIXES)}), got none; add some.")
    texts = texts_of(settings) if texts is None else texts
    splits = (settings.train, settings.validation, *([settings.test] if settings.test is not None else []))
    used = [pair.image for split in splits for pair in find_pairs(settings, split, texts)]
    known = set(_digests(used, progress))
    found = list(zip(paths, _digests(paths, progress), strict=True))
    chosen = [(path, digest) for path, digest in found if digest not in known]
    if not chosen:
        raise DataError(
            f"{folder}: data.unlabelled must hold images that are in no split, got {len(found)} that are; name another "
            "folder, or leave it out."
        )
    layout = Layout(
        classes=(),
        void=settings.void,
        height=settings.height,
        width=settings.width,
        train=tuple(path.relative_to(folder).as_posix() for path, _ in chosen),
        validation=(),
    )
    source = {
        "kind": "unlabelled",
        "files": [digest for _, digest in chosen],
        "levels": settings.levels,
        "exif": settings.exif,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of large images and odd metadata: what matters is an error of ours
        samples = _samples([path for path, _ in chosen], settings, progress)
        kept = cached(cache, source=source, layout=layout, samples=samples)
    return Unlabelled(kept.key, kept.train.names, kept.train.images, len(found) - len(chosen))


def _samples(paths: Sequence[Path], settings: DataSettings, progress: Progress) -> Iterator[Sample]:
    """Decoded images in order, void all over. Raises `DataError` after the last one, if any was wrong."""
    faults = list[Fault]()
    nothing = np.full((settings.height, settings.width), settings.void, dtype=np.uint8)

    def decode(path: Path) -> UInt8 | Fault:
        try:
            image = read_image(path, levels=settings.levels, exif=settings.exif)
        except Fault as fault:
            return fault
        return resize_image(image, settings.height, settings.width)

    for done, decoded in enumerate(in_order(decode, paths), start=1):
        progress("decoding unlabelled images", done, len(paths))
        if isinstance(decoded, Fault):
            faults.append(decoded)
        elif not faults:
            yield Sample(decoded, nothing)
    if faults:
        raise first_of(faults)


def _digests(paths: Sequence[Path], progress: Progress) -> list[str]:
    """SHA-256 of every file, in order."""
    found = list[str]()
    for digest in in_order(_digest, paths):
        if isinstance(digest, Fault):
            raise digest
        found.append(digest)
        progress("checking files", len(found), len(paths))
    return found


def _digest(path: Path) -> str | Fault:
    try:
        return sha256_of(path)
    except OSError as error:
        return Fault("unreadable", f"{path}: a file must be readable, got: {error.strerror}; correct that.")
