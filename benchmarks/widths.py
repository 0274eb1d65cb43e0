"""At which widths does the time of a file fall? Layers of every eighth channel, in float and in int8.

    python benchmarks/widths.py [--seconds 2] [--least 16] [--most 96] [--step 8]
    python benchmarks/widths.py --pruned [--seconds 3]

Four layers in a row of one width, dense 3x3 ones, 1x1 ones and 1x1 with depthwise 3x3 ones, each with its norm and
ReLU, on the map of an image of 360x480 at 1/8, are timed against those of the greatest width by the project's own
stopwatch.

`--pruned` times EfficientNet-Lite0 up to 1/16 at two widths, with a quarter and half of its channels gone and what is
left a multiple of 8 or of 16, untrained, on images of 360x480 at input scale 0.5, against its float file.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from lowrank import worn_in, write
from pretrained import CLASSES, design
from torch import nn

from segsearch.compression.prune import prune
from segsearch.compression.quantize import quantize
from segsearch.evidence.timing import Machine
from segsearch.latency.machine import this_machine
from segsearch.latency.measure import Effort, compare
from segsearch.networks import build
from segsearch.networks.layers import conv_bn_relu
from segsearch.runtimes import RUNTIMES
from segsearch.space.steps import Prune, Quantize
from segsearch.trial.export import export

RUNTIME = RUNTIMES["onnxruntime"]
LAYERS, MAP, IMAGE = 4, (45, 60), (360, 480)
KINDS = ("3x3", "1x1", "1x1 and depthwise 3x3")


def built(kind: str, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(LAYERS):
        layers.append(conv_bn_relu(width, width, kernel=3 if kind == "3x3" else 1))
        if kind == KINDS[2]:
            layers.append(conv_bn_relu(width, width, kernel=3, groups=width))
    return nn.Sequential(*layers)


def files_of(kind: str, width: int, folder: Path) -> dict[str, Path]:
    torch.manual_seed(0)
    shape = (1, width, *MAP)
    plain, small = folder / f"{width}.onnx", folder / f"{width}-int8.onnx"
    write(worn_in(built(kind, width)), shape, plain)
    noise = [np.random.default_rng(seed).normal(size=shape).astype(np.float32) for seed in range(2)]
    quantize(plain, small, Quantize(), images=noise)
    return {"fp32": plain, "int8": small}


def pruned(machine: Machine, effort: Effort) -> None:
    images = [np.random.default_rng(seed).integers(0, 256, (1, 3, *IMAGE)).astype(np.float32) for seed in range(2)]
    steps = [Prune(ratio, round_to=multiple) for ratio in (0.25, 0.5) for multiple in (8, 16)]
    for width in (1.0, 0.5):
        with tempfile.TemporaryDirectory() as scratch:
            whole = Path(scratch) / "whole.onnx"
            for step in (Prune(0.0), *steps):
                network = build(design(width), CLASSES, seed=0)
                worn_in(prune(network, step, protected=network.protected))
                plain, small = (whole if step.idle else Path(scratch) / "plain.onnx"), Path(scratch) / "int8.onnx"
                export(network, IMAGE, plain, output="mask")
                quantize(plain, small, Quantize(), images=images)
                told = f"width {width:<4g} {step.words if step.ratio else 'whole':18s} "
                told += f"multiples of {step.round_to:<3d}" if step.ratio else f"{'':16s}"
                for precision, file in (("float", plain), ("int8", small)):
                    found = compare(file, whole, machine, RUNTIME, effort=effort).comparison
                    assert found is not None
                    told += f"  {precision} {found.ratio:.3f} ({found.low:.3f} to {found.high:.3f})"
                print(told, flush=True)


def show(kind: str, widths: list[int], machine: Machine, effort: Effort) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        files = {width: files_of(kind, width, Path(scratch)) for width in widths}
        for precision in ("fp32", "int8"):
            last = files[widths[-1]][precision]
            times = {widths[-1]: (1.0, 1.0, 1.0)}
            for width in widths[:-1]:
                found = compare(files[width][precision], last, machine, RUNTIME, effort=effort).comparison
                assert found is not None
                times[width] = (found.ratio, found.low, found.high)
            print(f"\n{kind}, {precision}")
            for before, width in zip([None, *widths], widths, strict=False):
                ratio, low, high = times[width]
                told = f"{width:5d} channels  {ratio:.3f} ({low:.3f} to {high:.3f})"
                if before is not None:
                    told += f"   {ratio / times[before][0]:.2f} of {before}'s"
                print(told, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--least", type=int, default=16)
    parser.add_argument("--most", type=int, default=96)
    parser.add_argument("--step", type=int, default=8)
    parser.add_argument("--pruned", action="store_true", help="time a network that is pruned to multiples of 8 and 16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = this_machine(RUNTIME, threads=1)
    effort = Effort(interval=0.01, max_seconds=options.seconds)
    if options.pruned:
        pruned(machine, effort)
        return
    for kind in KINDS:
        show(kind, list(range(options.least, options.most + 1, options.step)), machine, effort)


if __name__ == "__main__":
    main()
