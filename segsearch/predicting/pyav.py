"""Videos by PyAV: frames out of a file or a camera, and an mp4 that can be played however the work ended."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segsearch.datasets.decode import Exif
from segsearch.datasets.types import UInt8
from segsearch.errors import DataError, StudyError
from segsearch.predicting.place import scratch_for
from segsearch.predicting.source import Video
from segsearch.workshop import raise_if_full

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer, OutputContainer
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

INSTALL = 'pip install "segsearch[video]"'
# Parts of a second in which a written video counts: whole for the customary rates, and no more than MPEG-4 can count.
TICKS = 60_000
# The first that is there writes. x264 is quick here, at losses that are hardly seen; its threads would take the cores
# that frames are worked on.
ENCODERS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("libx264", {"preset": "superfast", "crf": "21", "threads": "1"}),
    ("libopenh264", {}),
    ("mpeg4", {}),
)
# How colours are stored, which players guess where it is not said: FFmpeg's numbers for BT.709, and for 16 to 235.
BT709, LIMITED = 1, 1
# Of encoders that need it said: bits a pixel.
BITS = 0.2
# A camera that says nothing for so long is gone.
CAMERA_SECONDS = 10.0
# A video may end so much before the end that it declares: seconds, and a share of it.
EARLY_SECONDS, EARLY_SHARE = 0.5, 0.02


def library() -> Any:
    """PyAV. Raises `StudyError` with the command that installs it."""
    try:
        import av
    except ImportError:
        raise StudyError(f"Videos and cameras need PyAV, which is not installed: {INSTALL}") from None
    return av


@dataclass
class Reader:
    """An opened video: its frames a second, and how many there should be (0 where nobody knows).

    Once it is read, `damaged` packets could not be, and `broken` says what ended it; `seconds` is how far it came.
    """

    container: InputContainer
    stream: VideoStream
    rate: Fraction
    total: int
    declared: float | None
    damaged: int = 0
    broken: str | None = None
    seconds: float = 0.0

    def frames(self) -> Iterator[tuple[float, VideoFrame]]:
        """Each frame with the seconds at which it is shown, as far as the video can be read."""
        av, count = library(), 0
        first: float | None = None
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.broken = _reason(error)
                return
            if packet is None:
                return
            try:
                found = packet.decode()
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            for frame in found:
                told, lasts = float(count / self.rate), float(1 / self.rate)
                if frame.pts is not None and frame.time_base is not None:
                    told = float(frame.pts * frame.time_base)
                    lasts = float((frame.duration or 0) * frame.time_base) or lasts
                first = told if first is None else first
                self.seconds = told - first + lasts
                count += 1
                yield told - first, frame

    @property
    def missing(self) -> str | None:
        """Why the video ended before its end, in words; None where it did not."""
        if self.broken is not None:
            return f"it could not be read on after {self.seconds:.1f} s ({self.broken})"
        if self.declared and self.declared - self.seconds > max(EARLY_SECONDS, EARLY_SHARE * self.declared):
            return f"it ends after {self.seconds:.1f} of the {self.declared:.1f} s that it declares"
        return None


@contextmanager
def reading(video: Video) -> Iterator[Reader]:
    """Open a video. Raises `DataError` where it cannot be read, `StudyError` where PyAV is not installed."""
    av = library()
    what = (
        "a camera must be free, and yours to read" if video.device else "must be an image or a video that can be read"
    )
    try:
        timeout = CAMERA_SECONDS if video.device else None
        container = av.open(video.where, "r", format=video.device, timeout=timeout)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{video.where}: {what}, got: {_reason(error)}.") from None
    with container:
        stream = next((one for one in container.streams.video if one.codec_context is not None), None)
        if stream is None:
            raise DataError(f"{video.where}: {what}, got no pictures that this FFmpeg can decode.")
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        declared = None
        if not video.device:
            stream.thread_type = "AUTO"
            declared = _declared(container, stream)
        total = stream.frames or round((declared or 0.0) * rate)
        yield Reader(container, stream, rate, total, declared)


def _declared(container: InputContainer, stream: VideoStream) -> float | None:
    """The seconds that a video says it has; of a file with sound the whole may be longer than its pictures."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if found := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None


def pixels_of(frame: VideoFrame, exif: Exif) -> UInt8:
    """A frame as RGB (height, width, 3), upright as the video says where pictures are turned, else as it is stored."""
    # FFmpeg would start threads of its own for each frame: frames are worked on side by side already.
    pixels: UInt8 = frame.to_ndarray(format="rgb24", threads=1).astype(np.uint8, copy=False)
    quarters = round(frame.rotation / 90) % 4 if exif == "turn" else 0
    return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels


@dataclass
class Writer:
    """An mp4 on its way to `target`, at `rate` frames a second; `encoder` is what writes it, once a frame came."""

    target: Path
    rate: Fraction
    encoder: str = ""
    count: int = 0
    _scratch: Path | None = None
    _container: OutputContainer | None = None
    _stream: VideoStream | None = None
    _last: int = -1
    _reformatter: VideoReformatter | None = None

    def add(self, seconds: float, pixels: UInt8) -> None:
        """Write a picture (height, width, 3) of even sides, shown at so many seconds.

        Raises `StorageFull` where there is no room.
        """
        self._last = max(self._last + 1, round(seconds * TICKS))
        frame = self._as_stored(pixels)
        frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
        with self._told():
            if self._stream is None or self._container is None:
                self._container, self._stream, self.encoder = self._begun(frame)
            self._container.mux(self._stream.encode(frame))
        self.count += 1

    def _as_stored(self, pixels: UInt8) -> VideoFrame:
        av = library()
        if self._reformatter is None:  # kept: it makes its tables once
            self._reformatter = av.video.reformatter.VideoReformatter()
        found: VideoFrame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(pixels, format="rgb24"),
            format="yuv420p",
            dst_colorspace=BT709,
            dst_color_range=LIMITED,
            threads=1,
        )
        return found

    def finish(self) -> None:
        """End the video and give it its name; nothing is left of one without a frame."""
        if self._scratch is None or self._container is None or self._stream is None:
            return
        with self._told():
            self._container.mux(self._stream.encode(None))
            self._container.close()
            os.replace(self._scratch, self.target)

    def give_up(self) -> None:
        """Remove what was written and is no video."""
        if self._container is not None:
            with suppress(Exception):  # what is wrong with it was told
                self._container.close()
        if self._scratch is not None:
            self._scratch.unlink(missing_ok=True)

    def _begun(self, frame: VideoFrame) -> tuple[OutputContainer, VideoStream, str]:
        av, refused = library(), ""
        self._scratch = scratch_for(self.target)
        for name, options in ENCODERS:
            container = av.open(str(self._scratch), "w", format="mp4")
            try:
                stream = container.add_stream(name, rate=self.rate, options=dict(options))
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
                context = stream.codec_context
                context.time_base = Fraction(1, TICKS)
                context.colorspace = context.color_primaries = context.color_trc = BT709
                context.color_range = LIMITED
                if not options:
                    stream.bit_rate = round(BITS * frame.width * frame.height * self.rate)
                context.open()
            except Exception as error:  # an encoder that is not there, or not for this size: ValueError, FFmpegError
                refused = _reason(error)
                with suppress(Exception):
                    container.close()
                continue
            return container, stream, name
        raise StudyError(
            f"{self.target}: a video of {frame.width}x{frame.height} could not be begun by "
            f"{', '.join(name for name, _ in ENCODERS)}: {refused}."
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What cannot be written is said in one line."""
        try:
            yield
        except (library().error.FFmpegError, OSError) as error:
            raise_if_full(OSError(getattr(error, "errno", None) or 0, str(error)), self.target.parent)
            raise StudyError(f"{self.target}: cannot be written: {_reason(error)}; choose another --out.") from None


@contextmanager
def writing(target: Path, rate: Fraction) -> Iterator[Writer]:
    """A video that is whole and has its name once this ends; where it ends by an error nothing is left of it."""
    writer = Writer(target, rate)
    try:
        yield writer
        with ThreadPoolExecutor(1) as elsewhere:  # where Ctrl-C cannot come between
            elsewhere.submit(writer.finish).result()
    finally:
        writer.give_up()


def _reason(error: Exception) -> str:
    told = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(told).split()).rstrip(".")
