"""Where does a factorised convolution take less time than the whole one? Each kind of layer at several ranks.

    python benchmarks/lowrank.py [--seconds 3] [--ratios 0.25 0.5] [--widths 32 64 128 256] [--int8] [--multiple 8]

Four layers in a row, each with its norm and ReLU, are exported whole and factorised and timed in turn by the project's
own stopwatch; `beside 1x1` are layers that widen four times and narrow again. Maps are those of an image of 360x480 at
1/8, 1/16 for 128 channels and more. `time` below 1 is where it falls, by more than its interval where it says `falls`.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from segsearch.compression.factorize import factorize
from segsearch.compression.quantize import quantize
from segsearch.evidence.timing import Machine
from segsearch.latency.machine import this_machine
from segsearch.latency.measure import Effort, compare
from segsearch.networks.layers import conv_bn_relu
from segsearch.runtimes import RUNTIMES
from segsearch.space.steps import Factorize, Quantize
from segsearch.trial.export import OPSET

RUNTIME = RUNTIMES["onnxruntime"]
LAYERS = 4


@dataclass(frozen=True)
class Kind:
    """One kind of layer: its kernel, its narrower width, how many times wider its other side is, its map."""

    kernel: int
    width: int
    wider: int
    size: tuple[int, int]

    @property
    def name(self) -> str:
        height, width = self.size
        sides = f"{self.width}" if self.wider == 1 else f"{self.width} and {self.width * self.wider}"
        return f"{self.kernel}x{self.kernel}, {sides} channels on {height}x{width}"

    def built(self) -> nn.Sequential:
        widths = [self.width * (self.wider if index % 2 else 1) for index in range(LAYERS + 1)]
        sides = itertools.pairwise(widths)
        return nn.Sequential(*(conv_bn_relu(inputs, outputs, kernel=self.kernel) for inputs, outputs in sides))


def kinds(widths: Sequence[int]) -> Iterator[Kind]:
    for kernel, wider in ((3, 1), (1, 1), (1, 4)):
        for width in widths:
            if width * wider <= 1024:
                yield Kind(kernel, width, wider, (45, 60) if width < 128 else (23, 30))


def worn_in(network: nn.Module) -> nn.Module:
    """Norms as training leaves them: equal biases would be shared, and run otherwise in int8."""
    generator = torch.Generator().manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.weight.data.uniform_(0.5, 1.5, generator=generator)
            norm.bias.data.uniform_(-0.5, 0.5, generator=generator)
    return network.eval()


def write(network: nn.Module, shape: tuple[int, ...], target: Path) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(shape),), str(target), input_names=["image"], opset_version=OPSET, dynamo=False
        )


class OnMap(nn.Module):
    """Layers that are counted on the map that they are timed on: `Factorize` looks at an image of three channels."""

    def __init__(self, layers: nn.Module, kind: Kind) -> None:
        super().__init__()
        self.layers, self.kind = layers, kind

    def scores_and_auxiliary(self, image: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.layers(torch.zeros(1, self.kind.width, *self.kind.size, device=image.device))
        return made


def macs(network: nn.Module) -> int:
    """Weights of convolutions stand for multiply-accumulates: all read one map."""
    return sum(layer.weight.numel() for layer in network.modules() if isinstance(layer, nn.Conv2d))


def show(
    kind: Kind,
    ratios: Sequence[float],
    machine: Machine,
    effort: Effort,
    folder: Path,
    *,
    int8: bool,
    multiple: int,
) -> None:
    torch.manual_seed(0)
    whole, shape = worn_in(kind.built()), (1, kind.width, *kind.size)
    noise = [np.random.default_rng(seed).normal(size=shape).astype(np.float32) for seed in range(2)]
    files: dict[str, tuple[Path, float]] = {}
    for ratio in (1.0, *ratios):
        network = copy.deepcopy(whole)
        step = Factorize(ratio, least_macs=0, least_saving=0.0, round_to=multiple)
        factorize(OnMap(network, kind), step, protected=())
        share = macs(network) / macs(whole)
        if ratio < 1 and share == 1:
            continue  # nothing falls
        plain, small = folder / f"{ratio}.onnx", folder / f"{ratio}-int8.onnx"
        write(network, shape, plain)
        files[f"fp32 {ratio}"] = plain, share
        if int8:
            quantize(plain, small, Quantize(), images=noise)
            files[f"int8 {ratio}"] = small, share
    for name, (file, share) in files.items():
        precision, rank = name.split()
        if rank == "1.0":
            continue
        found = compare(file, files[f"{precision} 1.0"][0], machine, RUNTIME, effort=effort).comparison
        assert found is not None
        word = "falls" if found.high < 1 else "grows" if found.low > 1 else "the same"
        told = f"macs {share:.2f}x, time {found.ratio:.2f}x ({found.low:.2f} to {found.high:.2f}): {word}"
        print(f"{kind.name:38s} {precision} rank {rank:5s} {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--ratios", type=float, nargs="+", default=(0.25, 0.5))
    parser.add_argument("--widths", type=int, nargs="+", default=(32, 48, 64, 96, 128, 256))
    parser.add_argument("--int8", action="store_true", help="time the int8 form, too")
    parser.add_argument("--multiple", type=int, default=8, help="ranks are multiples of")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = this_machine(RUNTIME, threads=1)
    effort = Effort(interval=0.02, max_seconds=options.seconds)
    with tempfile.TemporaryDirectory() as scratch:
        for kind in kinds(options.widths):
            about = {"int8": options.int8, "multiple": options.multiple}
            show(kind, options.ratios, machine, effort, Path(scratch), **about)


if __name__ == "__main__":
    main()
