"""Small models made by hand, folders as `model.json` describes them, and videos that hold their own frame numbers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from segsearch.workshop import sha256_of
from tests.conftest import absent

HEIGHT, WIDTH = 48, 64
CLASSES = ("road", "sky", "box")
# Blocks of a frame that tell its number, the lowest bit first; each is black or white.
BITS = 8
Pixels = NDArray[np.uint8]


def make_model(
    path: Path,
    *,
    classes: int = 3,
    answers: str = "mask",
    metadata: Mapping[str, Any] | None = None,
    nan: bool = False,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Path:
    """A file of the kind that segsearch exports: a 5x5 convolution of noise, so that every pixel counts."""
    draw = np.random.default_rng(classes)
    weight = draw.normal(0, 1, (classes, 3, 5, 5)).astype(np.float32)
    weight -= weight.mean(axis=(1, 2, 3), keepdims=True)
    bias = np.full(classes, np.nan if nan else 0.0, np.float32)
    return _saved(path, weight, bias, answers, metadata or {}, size)


def make_bright(path: Path, *, size: tuple[int, int] = (HEIGHT, WIDTH), work: int = 0) -> Path:
    """Class 1 where red is above 127, else 0; `work` convolutions before that change nothing and take their time."""
    weight = np.zeros((2, 3, 1, 1), np.float32)
    weight[:, 0, 0, 0] = -1, 1
    return _saved(path, weight, np.array([127.5, -127.5], np.float32), "mask", {}, size, work)


def _saved(
    path: Path,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    answers: str,
    metadata: Mapping[str, Any],
    size: tuple[int, int],
    work: int = 0,
) -> Path:
    height, width = size
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])
    same = np.zeros((3, 3, 9, 9), np.float32)
    for channel in range(3):
        same[channel, channel, 4, 4] = 1
    names = ["image", *(f"same{index}" for index in range(work))]
    nodes = [
        helper.make_node("Conv", [before, "same"], [after], pads=[4] * 4) for before, after in itertools.pairwise(names)
    ]
    pads = [weight.shape[2] // 2] * 4
    nodes.append(helper.make_node("Conv", [names[-1], "weight", "bias"], ["scores"], pads=pads))
    value = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, len(weight), height, width])
    if answers == "mask":
        nodes.append(helper.make_node("ArgMax", ["scores"], ["classes"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["classes"], ["mask"], to=TensorProto.UINT8))
        value = helper.make_tensor_value_info("mask", TensorProto.UINT8, [1, height, width])
    held = {"weight": weight, "bias": bias} | ({"same": same} if work else {})
    weights = [numpy_helper.from_array(numbers, name) for name, numbers in held.items()]
    graph = helper.make_graph(nodes, "graph", [image], [value], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, told in metadata.items():
        text = told if isinstance(told, str) else json.dumps(told)
        model.metadata_props.add(key=f"segsearch.{key}", value=text)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def make_folder(folder: Path, *, names: Sequence[str] = CLASSES, **changes: Any) -> Path:
    """An exported folder: two files and their `model.json`, in which `changes` stand instead."""
    files = []
    for answers in ("scores", "mask"):
        path = make_model(folder / f"model-{answers}.onnx", classes=len(names), answers=answers)
        files.append({"file": path.name, "answers": answers, "sha256": sha256_of(path), "size_bytes": 1})
    about = {
        "format": 1,
        "name": "mine-trial-7",
        "files": files,
        "input": {"name": "image", "height": HEIGHT, "width": WIDTH, "layout": "NCHW", "levels": None},
        "exif": "turn",
        "classes": [
            {"index": index, "name": name, "colour": f"#{40 * index + 10:02x}20f0"} for index, name in enumerate(names)
        ],
        "void": 255,
        "provenance": {"study": "mine"},
    }
    (folder / "model.json").write_text(json.dumps({**about, **changes}))
    return folder


def picture(seed: int, height: int = 40, width: int = 56) -> Pixels:
    """Smooth noise (height, width, 3): neighbours differ, and so do the classes that a model finds there."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return coarse.repeat(4, 0).repeat(4, 1)[:height, :width]


def pyav() -> Any:
    """PyAV; skips the test where it is not installed."""
    try:
        import av
    except ImportError:
        absent('PyAV is not installed: pip install "segsearch[video]"')
    return av


def numbered(number: int, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """A frame whose blocks are the bits of its number."""
    bits = [255 if number >> bit & 1 else 0 for bit in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8), width // BITS)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def number_in(classes: NDArray[Any]) -> int:
    """The number of a frame, from the class of each pixel."""
    height, width = classes.shape[:2]
    wide = width // BITS
    return sum(int(classes[height // 2, wide * bit + wide // 2]) << bit for bit in range(BITS))


def make_video(
    path: Path,
    frames: int,
    *,
    rate: int = 25,
    codec: str = "libx264",
    rotation: int = 0,
    pictures: Sequence[Pixels] | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """A video of numbered frames, or of pictures in turn."""
    av = pyav()
    first = pictures[0] if pictures else numbered(0)
    with av.open(str(path), "w", options=dict(options or {})) as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "10", "crf": "10"} if codec == "libx264" else {})
        stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        if codec != "libx264":
            stream.bit_rate = 4_000_000
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            pixels = pictures[number % len(pictures)] if pictures else numbered(number % 2**BITS)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def frames_in(path: Path) -> list[tuple[float, Pixels]]:
    """The frames of a video with the seconds at which they are shown."""
    with pyav().open(str(path)) as container:
        return [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
