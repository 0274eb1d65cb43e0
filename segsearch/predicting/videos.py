"""A video or a camera in, one video of overlays out, and the label of each frame where it is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segsearch.datasets.decode import Fault
from segsearch.datasets.types import UInt8
from segsearch.errors import DataError
from segsearch.predicting.answer import Opened, answered
from segsearch.predicting.draw import as_label, key_of, overlay
from segsearch.predicting.pipeline import Done, Tally, through
from segsearch.predicting.place import LABELS, OVERLAYS, keep_files
from segsearch.predicting.pyav import Reader, pixels_of, reading, writing
from segsearch.predicting.source import Video
from segsearch.workshop import Progress, silent

if TYPE_CHECKING:
    from av import VideoFrame


@dataclass(frozen=True)
class _Frame:
    """A frame of the video that was read: its number from 0, and the seconds at which it is shown."""

    number: int
    seconds: float
    stored: VideoFrame


@dataclass(frozen=True)
class _Made:
    """What is to be written of a frame of that shape; or only why it has no answer."""

    frame: _Frame
    drawn: UInt8 | None = None
    files: tuple[tuple[Path, bytes], ...] = ()
    shape: tuple[int, ...] = ()
    took: float = 0.0
    fault: str | None = None


def target_of(video: Video, out: Path) -> Path:
    """Where the video of overlays is written."""
    return out / OVERLAYS / f"{video.name}.mp4"


def predict_video(by: Opened, video: Video, out: Path, *, labels: bool, progress: Progress = silent) -> Done:
    """Write `overlays/NAME.mp4`, and with `labels` the class of each pixel of frame n as `labels/NAME/n.png`.

    Frames keep the seconds at which they are shown. Ctrl-C ends it with what is kept by then; a video that cannot be
    read to its end is kept as far as it goes, and the notes say so. Raises `DataError` where nothing can be read,
    `StorageFull` where there is no room.
    """
    key, tally, stopped = key_of(by.model), Tally(), False

    def work(frame: _Frame) -> _Made:
        pixels = pixels_of(frame.stored, by.model.exif)
        where = f"frame {frame.number}"
        try:
            found = answered(by.session, pixels, where=where)
        except Fault as fault:
            return _Made(frame, fault=str(fault))
        drawn = np.asarray(overlay(pixels, found.label, key, even=True))
        name = out / LABELS / video.name / f"{frame.number:06d}.png"
        files = ((name, as_label(found.label)),) if labels else ()
        return _Made(frame, drawn, files, pixels.shape, found.seconds)

    def keep(made: _Made) -> None:
        name = f"frame {made.frame.number}"
        if made.drawn is None:
            tally.skipped.append((name, made.fault or ""))
            return
        keep_files(made.files)
        writer.add(made.frame.seconds, made.drawn)
        tally.add(by.model, name, made.shape, made.took)

    began = time.monotonic()
    with reading(video) as reader, writing(target_of(video, out), reader.rate) as writer:
        try:
            with closing(through(work, keep, _numbered(reader))) as steps:
                for done, _ in enumerate(steps, start=1):
                    progress("predicting frames", done, max(reader.total, done))
        except KeyboardInterrupt:
            stopped = True
    if not tally.took and not tally.skipped and not stopped:
        raise DataError(
            f"{video.where}: must hold frames that can be read, got none: {reader.missing or 'it is empty'}."
        )
    notes = _notes(by, video, reader, stopped=stopped)
    plain = ["no encoder for H.264 is there: the video is MPEG-4"] if writer.encoder == "mpeg4" else []
    return tally.done(time.monotonic() - began, stopped=stopped, notes=[*notes, *plain])


def _numbered(reader: Reader) -> Iterator[_Frame]:
    for number, (seconds, frame) in enumerate(reader.frames()):
        yield _Frame(number, seconds, frame)


def _notes(by: Opened, video: Video, reader: Reader, *, stopped: bool) -> Iterator[str]:
    if reader.missing is not None and not stopped:
        yield f"{video.where} is not whole: {reader.missing}; what was read is kept"
    if reader.damaged:
        yield f"{reader.damaged} damaged parts of {video.where} could not be read and are left out"
    if isinstance(by.model.levels, tuple):
        yield "the model learned from images of more than 8 bits, brought to 0..255; a video's are taken as they are"
