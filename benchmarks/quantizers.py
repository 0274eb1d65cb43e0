"""Other ways to round a trained file than the product's, beside it: what they lose, take and weigh.

    python benchmarks/quantizers.py FLOAT.onnx [...] --data ../shared/camvid [--time] [--only WAY ...]

Needs float files that segsearch exported of a folder of CamVid's layout (the artifacts of a study's `export` stages).
`calibration` is how the ranges of maps are found, by so many training images: the least and largest value, ONNX
Runtime's percentile (99.999) and entropy, or the range whose squared error is least. `bias` corrects each convolution's
bias, in the order of the graph, by how far int8 moves the mean of its channels (arXiv:1906.04721), `equal` evens out
the weights of convolutions that follow each other (the same paper; ReLU6 becomes ReLU there, which is a change of its
own). `first 3` leaves the first three convolutions in float, as `bits = "mixed"` does. `A16` has maps in 16 bits.
`weights` are stored in fewer bits and computed with as floats (`StoreWeights`): the file is smaller and no faster.

mIoU is that of the validation split, `lost` is to the float file, with the interval over the same images; --time adds
milliseconds on one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static

from segsearch.compression.correct_bias import maps_of
from segsearch.compression.quantize import quantize, quantizer_arguments
from segsearch.compression.store_weights import store_weights
from segsearch.datasets import Dataset, open_dataset
from segsearch.evidence.images import NoSpread, Spread
from segsearch.evidence.resample import gap, spread_of
from segsearch.evidence.timing import Machine
from segsearch.latency.machine import this_machine
from segsearch.latency.measure import Effort, calibrated, measure
from segsearch.runtimes import RUNTIMES
from segsearch.settings.data import DataSettings
from segsearch.space.steps import Quantize, StoreWeights
from segsearch.trial.files import spread_over
from segsearch.trial.score import score_images

RUNTIME = RUNTIMES["onnxruntime"]
SIZE = (360, 480)
IMAGES = 16
SAMPLE = 20_000  # values of each map, of all images
SHRINKING = np.linspace(1.0, 0.3, 29)
Images = Sequence[NDArray[np.float32]]
Scores = tuple[float, Spread | NoSpread]
Way = Callable[[Path, Path, Images, Images], None]


def product(step: Quantize, *, many: bool = False) -> Way:
    return lambda source, target, few, more: quantize(source, target, step, images=more if many else few)


def static(
    first: int = 0,
    *,
    ranges: Callable[[Path, Images], Mapping[str, tuple[float, float]]] | None = None,
    options: Mapping[str, object] = {},
    **otherwise: object,
) -> Way:
    """ONNX Runtime's quantizer as the product calls it, but for what is said otherwise."""

    def make(source: Path, target: Path, few: Images, more: Images) -> None:
        about = quantizer_arguments(onnx.load(str(source)).graph, Quantize(float_convolutions=first), few)
        about["extra_options"] |= options
        if ranges is not None:
            ends = {name: [np.array(end, np.float32) for end in both] for name, both in ranges(source, few).items()}
            about["extra_options"]["TensorQuantOverrides"] = {
                name: [{"rmin": low, "rmax": high}] for name, (low, high) in ends.items()
            }
        quantize_static(str(source), str(target), **{**about, **otherwise})

    return make


# ---- maps of a graph


def least_squares(source: Path, images: Images) -> dict[str, tuple[float, float]]:
    """For each map that is rounded the range whose squared error in 8 bits is least: a share of the whole one."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "int8.onnx"
        quantize(source, whole, Quantize(), images=images)
        rounded = onnx.load(str(whole))
    made = {name for node in onnx.load(str(source)).graph.node for name in node.output}
    scales = {node.input[0] for node in rounded.graph.node if node.op_type == "QuantizeLinear"}
    names = sorted(made & scales)
    rng, found = np.random.default_rng(0), dict[str, tuple[float, float]]()
    values: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    ends: dict[str, tuple[float, float]] = dict.fromkeys(names, (0.0, 0.0))
    for maps in maps_of(onnx.load(str(source)), names, images):
        for name, value in zip(names, maps, strict=True):
            ends[name] = min(ends[name][0], float(value.min())), max(ends[name][1], float(value.max()))
            values[name].append(rng.choice(value.ravel(), SAMPLE // len(images)))
    for name in names:
        seen, (low, high) = np.concatenate(values[name]).astype(np.float64), ends[name]
        errors = [_squared(seen, share * low, share * high) for share in SHRINKING]
        share = float(SHRINKING[int(np.argmin(errors))])
        found[name] = (share * low, share * high)
    return found


def _squared(values: NDArray[np.float64], low: float, high: float) -> float:
    scale = max(high - low, 1e-12) / 255
    zero = np.round(-low / scale)
    steps = np.clip(np.round(values / scale) + zero, 0, 255)
    return float(np.mean(((steps - zero) * scale - values) ** 2))


def equalized(way: Way) -> Way:
    """A way to round a graph whose consecutive convolutions have weights of like ranges."""

    def make(source: Path, target: Path, few: Images, more: Images) -> None:
        evened = target.with_suffix(".equal.onnx")
        onnx.save(evenly(onnx.load(str(source))), str(evened))
        way(evened, target, few, more)

    return make


def evenly(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with ReLU for ReLU6, and each channel between two convolutions scaled so that both have one range."""
    graph = model.graph
    for node in graph.node:
        if node.op_type == "Clip":
            node.op_type = "Relu"
            del node.input[1:]
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    weights = {one.name: numpy_helper.to_array(one).astype(np.float64) for one in graph.initializer}
    pairs = []
    for first in (node for node in graph.node if node.op_type == "Conv" and len(node.input) == 3):
        found = readers.get(first.output[0], [])
        if len(found) == 1 and found[0].op_type == "Relu":
            found = readers.get(found[0].output[0], [])
        if (
            len(found) == 1
            and found[0].op_type == "Conv"
            and _groups(found[0]) in (1, weights[first.input[1]].shape[0])
        ):
            pairs.append((first, found[0]))
    for _ in range(20):
        for first, second in pairs:
            before, after = weights[first.input[1]], weights[second.input[1]]
            apart = _groups(second) > 1
            ranges = np.abs(before).max(axis=(1, 2, 3)), np.abs(after).max(axis=(1, 2, 3) if apart else (0, 2, 3))
            ok = (ranges[0] > 0) & (ranges[1] > 0)
            scale = np.where(ok, np.sqrt(ranges[0] / np.where(ok, ranges[1], 1.0)), 1.0)
            weights[first.input[1]] = before / scale[:, None, None, None]
            weights[first.input[2]] = weights[first.input[2]] / scale
            weights[second.input[1]] = after * (scale[:, None, None, None] if apart else scale[None, :, None, None])
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name].astype(np.float32), tensor.name))
    return model


def _groups(node: onnx.NodeProto) -> int:
    return next((one.i for one in node.attribute if one.name == "group"), 1)


def equal_float(source: Path, target: Path, few: Images, more: Images) -> None:
    onnx.save(evenly(onnx.load(str(source))), str(target))


def stored(bits: Literal[16, 4]) -> Way:
    return lambda source, target, few, more: store_weights(source, target, StoreWeights(bits), images=few)


WAYS: Mapping[str, Way] = {
    "int8": product(Quantize()),
    "int8, 64 images": product(Quantize(), many=True),
    "int8, 8-bit weights": product(Quantize(reduced_range=False)),
    "int8, percentile": static(calibrate_method=CalibrationMethod.Percentile),
    "int8, entropy": static(calibrate_method=CalibrationMethod.Entropy),
    "int8, least squares": static(ranges=least_squares),
    "int8, bias": product(Quantize(correct_bias=True)),
    "float, equal": equal_float,
    "int8, equal": equalized(product(Quantize())),
    "int8, equal, bias": equalized(product(Quantize(correct_bias=True))),
    "first 3": product(Quantize(float_convolutions=3)),
    "first 3, percentile": static(3, calibrate_method=CalibrationMethod.Percentile),
    "first 3, least squares": static(3, ranges=least_squares),
    "first 3, bias": product(Quantize(float_convolutions=3, correct_bias=True)),
    "A16": static(activation_type=QuantType.QUInt16, options={"UseQDQContribOps": True}),
    "weights in 16 bits": stored(16),
    "weights in 4 and 8 bits": stored(4),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--only", nargs="*", choices=list(WAYS), default=list(WAYS))
    options = parser.parse_args()
    if options.data is None or not options.files:
        print("quantizers: needs float files that segsearch exported, and --data, a folder of CamVid's layout.")
        return 0
    root = str(options.data.resolve())
    settings = DataSettings(kind="folders", root=root, height=SIZE[0], width=SIZE[1], void=11)
    data = open_dataset(settings, cache=Path("runs/.cache"))
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a preprocessing that the exporter has already done
    few, more = (spread_over(data.train.images, count) for count in (IMAGES, 4 * IMAGES))
    machine = calibrated(this_machine(RUNTIME), RUNTIME) if options.time else None
    for source in options.files:
        heads = f"{'mIoU':>8s}{'lost, 95 %':>17s}{'kB':>8s}{'made in':>10s}{'ms, 95 %' if options.time else '':>22s}"
        print(f"{source.stem[:12]:26s}{heads}")
        exact = told("float", source, data, None, machine)
        with tempfile.TemporaryDirectory() as folder:
            for name in options.only:
                target = Path(folder) / f"{list(WAYS).index(name)}.onnx"
                began = time.monotonic()
                with contextlib.redirect_stdout(io.StringIO()):
                    WAYS[name](source, target, few, more)
                told(name, target, data, exact, machine, time.monotonic() - began)
    return 0


def told(
    name: str, file: Path, data: Dataset, exact: Scores | None, machine: Machine | None, made: float = 0.0
) -> Scores:
    """Print a line of a file that was made in so many seconds; its mIoU and that of each image."""
    scored = score_images(RUNTIME.open(file, threads=1), data.validation, classes=data.classes)
    found = scored.confusion.miou, spread_of(scored.images)
    took = lost = ""
    if machine is not None:
        timing = measure(file, machine, RUNTIME, effort=Effort())
        low, high = timing.interval_ms or (timing.latency_ms, timing.latency_ms)
        took = f"{timing.latency_ms:8.2f} ({low:.2f} to {high:.2f})"
    if exact is not None:
        between = gap(*exact, *found)
        lost = f"{exact[0] - found[0]:+.4f}" + (f" ±{between.high - between.value:.4f}" if between else "")
    about = f"{file.stat().st_size / 1e3:8.0f}{made:8.1f} s{took:>22s}"
    print(f"{name:26s}{found[0]:8.4f}{lost:>17s}{about}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
