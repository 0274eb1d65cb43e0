"""What `segsearch predict` reaches of the rate that the model alone allows, on a folder of images and on a video.

    python benchmarks/predict.py                       two networks with random weights, a narrow and a wide one
    python benchmarks/predict.py --model model.onnx    a file of your own
    python benchmarks/predict.py --sides 1280x720 --count 300 --cores 2 --rounds 3

The model alone is run on one prepared picture again and again, one at a time on one thread. `predict` reads JPEG files
(or an H.264 video), resizes, runs the model, draws and writes. Both are told as frames a second, in turn, `--rounds`
times, and the median of the ratios. All of it is held to `--cores` cores. Images and video are made up and removed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from segsearch.datasets.types import UInt8
from segsearch.predicting.answer import Opened, opened
from segsearch.predicting.model import from_file
from segsearch.predicting.pictures import predict_pictures
from segsearch.predicting.pipeline import Done
from segsearch.predicting.source import Picture, Video
from segsearch.predicting.videos import predict_video
from segsearch.trial.score import to_input

ALONE_SECONDS = 4.0
SIZE = (360, 480)
CLASSES = 11
# Channels of the stem and of each stage.
NETWORKS: Mapping[str, tuple[int, ...]] = {"narrow": (8, 16, 32, 48, 64), "wide": (16, 48, 96, 144, 192)}


def network(widths: tuple[int, ...], target: Path) -> Path:
    """A residual network at half the input's size, as it is exported: it answers a mask."""
    from segsearch.networks import build, wear_in
    from segsearch.space.architecture import Architecture, EncoderPath, Feature, Head, Join, Stage, Stem
    from segsearch.trial.export import export

    stem, *rest = widths
    stages = tuple(Stage("residual", width, 1, 2 if place < 3 else 1) for place, width in enumerate(rest))
    joins = (Join("add", Feature(0, 2), 64),)
    architecture = Architecture((EncoderPath(Stem(stem), stages),), joins, Head(64), input_scale=0.5)
    export(wear_in(build(architecture, CLASSES, seed=0), seed=0).eval(), SIZE, target, output="mask")
    return target


def pictures(count: int, height: int, width: int) -> Iterator[UInt8]:
    """Pictures with edges, slopes and a little noise, none like another."""
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 12, (height, width, 3), dtype=np.uint8)
    for _ in range(count):
        coarse = Image.fromarray(draw.integers(0, 244, (6, 8, 3), dtype=np.uint8))
        image = np.array(coarse.resize((width, height), Image.Resampling.BICUBIC)) // 2 + 60
        for _ in range(8):
            top, left = int(draw.integers(0, height - 40)), int(draw.integers(0, width - 40))
            image[top : top + 90, left : left + 70] = draw.integers(0, 240, 3, dtype=np.uint8)
        yield image + noise


def write_images(folder: Path, count: int, height: int, width: int) -> list[Picture]:
    folder.mkdir()
    made = []
    for number, image in enumerate(pictures(count, height, width)):
        path = folder / f"{number:04d}.jpg"
        Image.fromarray(image).save(path, quality=90)
        made.append(Picture(path, path.name))
    return made


def write_video(path: Path, count: int, height: int, width: int) -> Video:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        shown = list(pictures(8, height, width))
        for number in range(count):
            rolled = np.roll(shown[number // 30 % len(shown)], 3 * number, axis=1)  # a camera that turns
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rolled), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Video(str(path), path.stem)


def alone(by: Opened) -> float:
    """Runs a second of the model alone."""
    draw = np.random.default_rng(0)
    image = to_input(draw.integers(0, 256, (by.model.height, by.model.width, 3), dtype=np.uint8))
    for _ in range(10):
        by.session.run(image)
    began, runs = time.perf_counter(), 0
    while time.perf_counter() - began < ALONE_SECONDS:
        by.session.run(image)
        runs += 1
    return runs / (time.perf_counter() - began)


def compared(name: str, by: Opened, rounds: int, work: Callable[[Path], Done]) -> None:
    """Both rates in turn, and the median of their ratios; the model's own rate is that before and after."""
    rates, ratios, before = list[tuple[float, float]](), list[float](), alone(by)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="segsearch-predict-out-") as out:
            done = work(Path(out))
        after = alone(by)
        rates.append(((before + after) / 2, done.count / done.seconds))
        ratios.append(rates[-1][1] / rates[-1][0])
        before = after
    own, whole = (statistics.median(one) for one in zip(*rates, strict=True))
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{name:<24} {own:10.1f} {whole:10.1f} {statistics.median(ratios):8.2f}   {spread}", flush=True)


def main(model: Path | None, sides: str, count: int, cores: int, rounds: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    width, height = map(int, sides.split("x"))
    with tempfile.TemporaryDirectory(prefix="segsearch-predict-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = Path(scratch)
        files = {model.name: model} if model else {}
        if not model:
            files = {name: network(widths, root / f"{name}.onnx") for name, widths in NETWORKS.items()}
        images, video = write_images(root / "images", count, height, width), None
        try:
            video = write_video(root / "clip.mp4", count, height, width)
        except ImportError:
            print("PyAV is not installed: no video")
        print(f"{count} pictures of {sides}, {cores} cores, frames a second (median of {rounds} rounds)")
        print(f"{'':<24} {'model':>10} {'predict':>10} {'ratio':>8}   from, to")
        for name, path in files.items():
            by = opened(from_file(path))
            compared(f"{name}, images", by, rounds, partial(predict_pictures, by, images))
            if video is not None:
                compared(f"{name}, video", by, rounds, partial(predict_video, by, video, labels=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--sides", default="640x480")
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    main(**vars(parser.parse_args()))
