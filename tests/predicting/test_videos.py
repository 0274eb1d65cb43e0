"""Videos: every frame, in order and at its time, whatever becomes of the file that it is read from."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segsearch.errors import DataError, StorageFull, StudyError
from segsearch.predicting import pyav
from segsearch.predicting.answer import Opened, answered, opened
from segsearch.predicting.model import from_file
from segsearch.predicting.pipeline import Done
from segsearch.predicting.pyav import pixels_of, reading
from segsearch.predicting.source import Video, source_of
from segsearch.predicting.videos import predict_video
from tests.predicting.looks import (
    BITS,
    HEIGHT,
    WIDTH,
    frames_in,
    make_bright,
    make_model,
    make_video,
    number_in,
    numbered,
    picture,
)


def bright(tmp_path: Path) -> Opened:
    return opened(from_file(make_bright(tmp_path / "bright.onnx")))


def run(by: Opened, path: Path, out: Path, *, labels: bool = True) -> Done:
    found = source_of(str(path), is_own=lambda _: False)
    assert isinstance(found, Video)
    return predict_video(by, found, out, labels=labels)


def labels_in(folder: Path) -> list[int]:
    """The numbers that the labels of a video's frames show, in the order of their names."""
    return [number_in(np.asarray(Image.open(path))) for path in sorted(folder.iterdir())]


def overlays_in(path: Path, colours: tuple[str, ...]) -> list[int]:
    """The numbers that frames of overlays show: of a white block the colour of class 1, of a black one that of 0."""
    middle = np.mean([list(bytes.fromhex(colour[1:])) for colour in colours]) / 2 + 64
    return [number_in(frame[:HEIGHT].mean(axis=2) > middle) for _, frame in frames_in(path)]


@pytest.mark.usefixtures("needs_video")
@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4")])
def test_every_frame_is_there_in_order_and_at_its_time(tmp_path: Path, suffix: str, codec: str) -> None:
    by, out = bright(tmp_path), tmp_path / "out"
    path = make_video(tmp_path / f"clip.{suffix}", 60, codec=codec)
    done = run(by, path, out)
    assert (done.count, done.skipped, done.notes, done.stopped) == (60, (), (), False)
    assert done.model_seconds is not None
    assert labels_in(out / "labels" / "clip") == list(range(60))
    assert overlays_in(out / "overlays" / "clip.mp4", by.model.colours) == list(range(60))
    times = [time for time, _ in frames_in(out / "overlays" / "clip.mp4")]
    assert np.allclose(np.diff(times), 1 / 25, atol=1e-4)
    assert [path.name for path in (out / "overlays").iterdir()] == ["clip.mp4"], "nothing half-written is left"


@pytest.mark.usefixtures("needs_video")
def test_labels_are_what_the_model_says_of_the_decoded_frames(tmp_path: Path) -> None:
    by, out = opened(from_file(make_model(tmp_path / "model.onnx"))), tmp_path / "out"
    path = make_video(tmp_path / "clip.mp4", 6, pictures=[picture(seed, 90, 130) for seed in range(3)])
    assert run(by, path, out).stretched_count == 6
    for number, (_, pixels) in enumerate(frames_in(path)):
        label = np.asarray(Image.open(out / "labels" / "clip" / f"{number:06d}.png"))
        assert (label == answered(by.session, pixels, where="").label).all()


@pytest.mark.usefixtures("needs_video")
@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
def test_colours_are_those_of_the_classes_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    monkeypatch.setattr(pyav, "ENCODERS", [one for one in pyav.ENCODERS if one[0] == encoder])
    by, out = bright(tmp_path), tmp_path / "out"
    shown = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    shown[:] = 210, 60, 30
    path = make_video(tmp_path / "clip.mkv", 4, pictures=[shown])
    run(by, path, out)
    before, after = (frames_in(one)[2][1][8:40, 8:56].mean(axis=(0, 1)) for one in (path, target_in(out)))
    expected = (before + list(bytes.fromhex(by.model.colours[1][1:]))) / 2
    assert np.abs(after - expected).max() < 5
    with pyav.library().open(str(target_in(out))) as container:
        assert next(container.decode(video=0)).colorspace == pyav.BT709


def target_in(out: Path) -> Path:
    return out / "overlays" / "clip.mp4"


@pytest.mark.usefixtures("needs_video")
def test_without_labels_there_is_the_video_alone(tmp_path: Path) -> None:
    run(bright(tmp_path), make_video(tmp_path / "clip.mp4", 3), tmp_path / "out", labels=False)
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["overlays", "clip.mp4"]


@pytest.mark.usefixtures("needs_video")
@pytest.mark.parametrize("exif", ["turn", "ignore"])
def test_a_video_that_was_held_upright_is_turned_as_pictures_are(tmp_path: Path, exif: Any) -> None:
    shown = picture(3, 96, 64)  # as a person sees it; a telephone stores it on its side
    stored = np.ascontiguousarray(np.rot90(shown))
    path = make_video(tmp_path / "clip.mp4", 2, pictures=[stored], rotation=-90)
    with reading(Video(str(path), "clip")) as reader:
        frames = [pixels_of(frame, exif) for _, frame in reader.frames()]
    expected = shown if exif == "turn" else stored
    assert frames[0].shape == expected.shape
    assert np.abs(frames[0].astype(int) - expected).mean() < np.abs(frames[0][::-1, ::-1].astype(int) - expected).mean()


@pytest.mark.usefixtures("needs_video")
def test_uneven_sides_and_times_are_kept(tmp_path: Path) -> None:
    by, out = bright(tmp_path), tmp_path / "out"
    av = pyav.library()
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 63, 47, "bgr0"
        for number, ticks in enumerate((0, 1, 5, 20)):
            frame = av.VideoFrame.from_ndarray(numbered(number)[:47, :63], format="rgb24").reformat(format="bgr0")
            frame.pts = ticks
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert run(by, path, out).count == 4
    found = frames_in(out / "overlays" / "clip.mp4")
    assert [round(time, 2) for time, _ in found] == [0.0, 0.1, 0.5, 2.0]
    assert found[0][1].shape[1] == 64
    assert found[0][1].shape[0] % 2 == 0
    with Image.open(out / "labels" / "clip" / "000002.png") as label:
        assert label.size == (63, 47)


# ---- what is not whole


@pytest.mark.usefixtures("needs_video")
@pytest.mark.parametrize(("suffix", "options"), [("mkv", {}), ("mp4", {"movflags": "faststart"})])
def test_a_video_that_ends_in_the_middle_is_kept_as_far_as_it_goes_and_said(
    tmp_path: Path, suffix: str, options: dict[str, str]
) -> None:
    by, out = bright(tmp_path), tmp_path / "out"
    path = make_video(tmp_path / f"clip.{suffix}", 200, options=options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    done = run(by, path, out)
    assert 60 <= done.count < 190
    assert any("is not whole" in note and "what was read is kept" in note for note in done.notes), done.notes
    assert overlays_in(out / "overlays" / "clip.mp4", by.model.colours)[:60] == list(range(60))
    assert len(frames_in(out / "overlays" / "clip.mp4")) == done.count


@pytest.mark.usefixtures("needs_video")
def test_damage_in_the_middle_costs_frames_and_not_the_rest(tmp_path: Path) -> None:
    by, out = bright(tmp_path), tmp_path / "out"
    path = make_video(tmp_path / "clip.mkv", 200)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(bytes(content))
    done = run(by, path, out)
    assert done.count > 80
    assert len(frames_in(out / "overlays" / "clip.mp4")) == done.count


@pytest.mark.usefixtures("needs_video")
@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_refused_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"clip\.mp4: must be an image or a video that can be read"):
        run(bright(tmp_path), path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("needs_video")
def test_no_room_is_said_and_no_part_of_a_video_is_left(tmp_path: Path) -> None:
    by, out = bright(tmp_path), tmp_path / "out"
    frames = [np.random.default_rng(seed).integers(0, 256, (240, 320, 3), dtype=np.uint8) for seed in range(4)]
    path = make_video(tmp_path / "clip.mp4", 60, pictures=frames)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(StorageFull, match="no room left"):
            run(by, path, out, labels=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in out.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("needs_video")
def test_where_no_h264_can_be_written_it_is_mpeg4_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyav, "ENCODERS", (("no_such_encoder", {}), ("mpeg4", {})))
    by, out = bright(tmp_path), tmp_path / "out"
    done = run(by, make_video(tmp_path / "clip.mp4", 20), out)
    assert done.notes == ("no encoder for H.264 is there: the video is MPEG-4",)
    assert overlays_in(out / "overlays" / "clip.mp4", by.model.colours) == list(range(20))
    monkeypatch.setattr(pyav, "ENCODERS", (("no_such_encoder", {}),))
    with pytest.raises(StudyError, match="could not be begun by no_such_encoder"):
        run(by, tmp_path / "clip.mp4", tmp_path / "other")


def test_a_camera_that_is_not_there_is_said_in_one_line() -> None:
    with pytest.raises(StudyError, match=r"camera:\d+: there is no camera at /dev/video") as caught:
        source_of("camera:987", is_own=lambda _: False)
    assert "\n" not in str(caught.value)
    with pytest.raises(StudyError, match="named by its number"):
        source_of("camera:front", is_own=lambda _: False)


@pytest.mark.skipif(sys.platform != "linux", reason="a device of Linux")
@pytest.mark.usefixtures("needs_video")
def test_a_device_that_is_no_camera_is_said(tmp_path: Path) -> None:
    found = source_of("/dev/null", is_own=lambda _: False)
    assert isinstance(found, Video)
    assert found.device == "v4l2"
    with pytest.raises(DataError, match="a camera must be free, and yours to read"):
        predict_video(bright(tmp_path), found, tmp_path / "out", labels=False)


def test_numbers_of_frames_can_be_told_apart() -> None:
    for number in (0, 1, 77, 2**BITS - 1):
        assert number_in(numbered(number)[..., 0] > 127) == number
        assert numbered(number).shape == (HEIGHT, WIDTH, 3)
