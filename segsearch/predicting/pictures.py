"""Images in, labels and overlays out: decoding, the model, drawing and writing run at the same time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from segsearch.datasets.decode import Fault, read_image
from segsearch.predicting.answer import Opened, answered
from segsearch.predicting.draw import as_jpeg, as_label, key_of, overlay
from segsearch.predicting.pipeline import Done, Tally, through
from segsearch.predicting.place import LABELS, OVERLAYS, keep_files, names_of
from segsearch.predicting.source import Picture
from segsearch.workshop import Progress, silent


@dataclass(frozen=True)
class _Made:
    """What is to be written of a picture of that shape; or only why it could not be read."""

    picture: Picture
    files: tuple[tuple[Path, bytes], ...] = ()
    shape: tuple[int, ...] = ()
    took: float = 0.0
    fault: str | None = None


def predict_pictures(by: Opened, pictures: Sequence[Picture], out: Path, *, progress: Progress = silent) -> Done:
    """Write `labels/NAME.png`, the class of each pixel, and `overlays/NAME.jpg` of every picture that can be read.

    Ctrl-C ends it with what is kept by then. Raises `StorageFull` where there is no room.
    """
    names, key, tally = names_of(pictures), key_of(by.model), Tally()

    def work(picture: Picture) -> _Made:
        try:
            pixels = read_image(picture.path, levels=by.model.levels, exif=by.model.exif)
            found = answered(by.session, pixels, where=str(picture.path))
            shown, suffix = as_jpeg(overlay(pixels, found.label, key))
        except Fault as fault:
            return _Made(picture, fault=_without_cure(fault))
        except MemoryError:
            return _Made(picture, fault=f"{picture.path}: there is not memory enough for it")
        name = names[picture]
        files = (
            (out / LABELS / f"{name}.png", as_label(found.label)),
            (out / OVERLAYS / f"{name}{suffix}", shown),
        )
        return _Made(picture, files, pixels.shape, found.seconds)

    def keep(made: _Made) -> None:
        if made.fault is not None:
            tally.skipped.append((made.picture.name, made.fault))
            return
        keep_files(made.files)
        tally.add(by.model, made.picture.name, made.shape, made.took)

    began, stopped = time.monotonic(), False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large images and odd metadata: what matters of it is a fault of ours
        try:
            with closing(through(work, keep, pictures)) as steps:
                for done, _ in enumerate(steps, start=1):
                    progress("predicting images", done, len(pictures))
        except KeyboardInterrupt:
            stopped = True
    return tally.done(time.monotonic() - began, stopped=stopped)


def _without_cure(fault: Fault) -> str:
    """What is wrong with a file; the cure that follows is a study's."""
    return str(fault).rsplit("; ", 1)[0]
