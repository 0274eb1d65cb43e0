"""How the shortcut of a residual block may halve its map: time of a training step, latency of the file, quality.

python benchmarks/shortcut.py [--data DIR] [--seeds 5] [--epochs 6] [--rounds 60]

`strided` is a 1x1 convolution with stride 2, as torch has it. `kept` is ours: the same function, which learns on the
pixels that the stride keeps. `sliced` is `kept` by slices, `averaged` pools means first (ResNet-D, arXiv:1812.01187).
All have the same weights. Steps are processor time of one thread, taken in turn; quality is paired: a seed gives all
the same weights, order and crops. `strided` ends the process on the processors that this is about (see
`segsearch.networks.layers.Conv2d`); widths here are 16 and up, where it was not seen to.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.compression.quantize import quantize
from segsearch.datasets import Dataset, open_dataset
from segsearch.latency.machine import this_machine
from segsearch.latency.measure import Effort, compare
from segsearch.networks import Network, build, wear_in
from segsearch.networks.layers import Conv2d
from segsearch.runtimes import RUNTIMES
from segsearch.settings.data import DataSettings
from segsearch.space.architecture import Architecture, Context, EncoderPath, Feature, Head, Join, Stage, Stem
from segsearch.space.steps import Quantize
from segsearch.training.loop import train
from segsearch.training.schedule import Schedule
from segsearch.trial.export import export
from segsearch.trial.score import score, to_input

RUNTIME = RUNTIMES["onnxruntime"]
BATCH = 8


class Strided(Conv2d):
    """Torch's own, with gradients too."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.Conv2d.forward(self, x)


class Sliced(Conv2d):
    """The pixels that the stride keeps, by slices."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x[:, :, :: self.stride[0], :: self.stride[1]], self.weight)


class Averaged(Conv2d):
    """Means of the stride's windows."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.avg_pool2d(x, self.stride, ceil_mode=True, count_include_pad=False), self.weight)


WAYS: dict[str, type[Conv2d]] = {"strided": Strided, "kept": Conv2d, "sliced": Sliced, "averaged": Averaged}


def design(width: float) -> Architecture:
    """The quickstart's residual designs at a width multiplier."""
    stages = tuple(
        Stage("residual", round(base * width / 8) * 8, 1, 2 if index < 3 else 1)
        for index, base in enumerate((32, 64, 96, 128))
    )
    context = Context("pyramid_pooling", 32, bins=(1, 2, 4))
    joins = (Join("add", Feature(0, 2), 32), Join("add", Feature(0, 1), 32))
    return Architecture((EncoderPath(Stem(16), stages, context),), joins, Head(32, block="separable"))


def network_of(width: float, way: str, classes: int, *, seed: int = 0) -> Network:
    network = build(design(width), classes, seed=seed)
    changed = 0
    for layer in network.modules():
        if isinstance(layer, Conv2d) and layer.kernel_size == (1, 1) and layer.stride != (1, 1):
            layer.__class__ = WAYS[way]
            changed += 1
    assert changed == 3
    return network


def step_ms(width: float, size: tuple[int, int], classes: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of a training step, each way in turn."""
    networks = {way: network_of(width, way, classes).train() for way in WAYS}
    x = torch.rand(BATCH, 3, *size).mul(255).to(memory_format=torch.channels_last)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(rounds + 3):
        for way, network in networks.items():
            start = time.process_time()
            network.zero_grad(set_to_none=True)
            network.scores(x).square().mean().backward()  # type: ignore[no-untyped-call]
            if turn >= 3:
                found[way].append(1e3 * (time.process_time() - start))
    return found


def show_steps(width: float, size: tuple[int, int], classes: int, rounds: int) -> None:
    steps = step_ms(width, size, classes, rounds)
    for way in WAYS:
        ratio = statistics.median(a / b for a, b in zip(steps[way], steps["strided"], strict=True))
        print(f"step     width {width:<5g} {way:9s} {statistics.median(steps[way]):7.1f} ms   {ratio:.3f}x strided")


def show_latency(width: float, dataset: Dataset, folder: Path) -> None:
    """The exported files against the strided one."""
    machine, effort = this_machine(RUNTIME, threads=1), Effort(interval=0.01, max_seconds=10.0)
    size = dataset.validation.images.shape[1:3]
    images = [to_input(image) for image in dataset.train.images[:2]]
    files: dict[tuple[str, str], Path] = {}
    for way in WAYS:
        plain, small = folder / f"{way}.onnx", folder / f"{way}-int8.onnx"
        export(wear_in(network_of(width, way, len(dataset.classes))), size, plain)
        quantize(plain, small, Quantize(), images=images)
        files |= {(way, "fp32"): plain, (way, "int8"): small}
    for (way, precision), file in files.items():
        found = compare(file, files["strided", precision], machine, RUNTIME, effort=effort).comparison
        assert found is not None
        between = f"{found.low:.3f} to {found.high:.3f}"
        print(f"latency  width {width:<5g} {way:9s} {precision}   {found.ratio:.3f}x strided ({between})", flush=True)


def miou_of(width: float, way: str, dataset: Dataset, schedule: Schedule, folder: Path) -> float:
    classes = len(dataset.classes)
    network = network_of(width, way, classes, seed=schedule.seed)
    train(network, dataset.train, schedule, classes=classes, device=torch.device("cpu"))
    export(network, dataset.validation.images.shape[1:3], folder / "trained.onnx")
    found = score(RUNTIME.open(folder / "trained.onnx", threads=1), dataset.validation, classes=classes)
    return found.miou


def show_quality(width: float, dataset: Dataset, schedules: list[Schedule], folder: Path) -> None:
    """mIoU of each seed, and the paired differences from ours. `strided` shows what rounding alone does."""
    rows: dict[str, list[float]] = {way: [] for way in WAYS if way != "sliced"}
    for schedule in schedules:
        for way, found in rows.items():
            found.append(miou_of(width, way, dataset, schedule, folder))
        last = ", ".join(f"{way} {found[-1]:.4f}" for way, found in rows.items())
        print(f"quality  width {width:<5g} seed {schedule.seed}   {last}", flush=True)
    for way, found in rows.items():
        gains = [a - b for a, b in zip(found, rows["kept"], strict=True)]
        spread = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        gain = f"minus kept {statistics.fmean(gains):+.4f} +- {spread:.4f}"
        print(f"quality  width {width:<5g} {way:9s} mean {statistics.fmean(found):.4f}, {gain}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder like CamVid [default: the quickstart's scenes]")
    parser.add_argument("--void", type=int, default=11)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 160))
    parser.add_argument("--crop", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--widths", type=float, nargs="+", default=(0.75, 1.5))
    options = parser.parse_args()
    torch.set_num_threads(1)
    height, width = options.size
    crop: tuple[int, int] = (options.crop[0], options.crop[1])
    if options.data is None:
        data = DataSettings(kind="synthetic", height=height, width=width, train_count=192, validation_count=48)
    else:
        root = str(options.data.resolve())
        data = DataSettings(kind="folders", root=root, height=height, width=width, void=options.void)
    schedules = [Schedule(options.epochs, BATCH, 3e-3, 1e-2, *crop, "log", seed=seed) for seed in range(options.seeds)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        dataset = open_dataset(data, cache=folder / "cache")
        print(f"{len(dataset.train)} images of {height}x{width}, crops {crop}, batch {BATCH}", flush=True)
        for multiplier in options.widths:
            show_steps(multiplier, crop, len(dataset.classes), options.rounds)
            show_latency(multiplier, dataset, folder)
        for multiplier in options.widths if schedules else ():
            show_quality(multiplier, dataset, schedules, folder)


if __name__ == "__main__":
    main()
