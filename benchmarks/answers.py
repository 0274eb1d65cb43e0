"""What a file takes, before and after: its tail, int8, and the former front of the CamVid study with masks beside it.

    python benchmarks/answers.py [tail] [int8] [front]

The networks of `front` are those of the former README (their files have the sizes that it told), with random weights:
a latency does not depend on them. mIoU is what it told. Each is timed as it shipped, with the mask that a user made of
its scores (numpy's argmax outside, or inside the graph), and with classes chosen at a half and a quarter of the size.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from proxies import CLASSES, RUNTIME, SIZE, design

from segsearch.compression.quantize import quantize
from segsearch.latency.machine import this_machine
from segsearch.latency.measure import Effort, calibrated, measure
from segsearch.networks import build, wear_in
from segsearch.runtimes.graphs import Ready, with_mask
from segsearch.space.architecture import Architecture, Context, EncoderPath, Feature, Head, Join, Stage, Stem
from segsearch.space.candidate import Output
from segsearch.space.steps import Quantize
from segsearch.trial.export import export
from segsearch.trial.score import classes_of, to_input


@dataclass(frozen=True)
class Former:
    """A model of the former front: its trial, mIoU, size in kB, and the network."""

    trial: int
    miou: float
    kilobytes: float
    architecture: Architecture


def former(
    trial: int, miou: float, kilobytes: float, stem: int, stages: str, context: Context, joins: str, head: str
) -> Former:
    """`stages` as in `conv 2x16 /2 1-2`, one a line; `joins` as `2:64 1:64`; `head` as `conv 64`."""
    made = []
    for line in stages.split(";"):
        block, size, *rest = line.split()
        depth, channels = map(int, size.split("x"))
        rates = tuple(map(int, next((word for word in rest if not word.startswith("/")), "1").split("-")))
        made.append(Stage(block, channels, depth, 2 if "/2" in rest else 1, atrous=rates))
    found = [tuple(map(int, join.split(":"))) for join in joins.split()]
    block, width = head.split()
    return Former(
        trial,
        miou,
        kilobytes,
        Architecture(
            (EncoderPath(Stem(stem), tuple(made), context),),
            tuple(Join("add", Feature(0, stage), channels) for stage, channels in found),
            Head(int(width), block=block),
            input_scale=0.5,
        ),
    )


def pooled(width: int, *bins: int) -> Context:
    return Context("pyramid_pooling", width, bins=bins)


FRONT = (
    former(
        13,
        0.507,
        196,
        16,
        "conv 2x16 /2;conv 2x32 /2;conv 1x48 /2;conv 2x64 1-2-4",
        pooled(96, 1, 2, 4),
        "2:32",
        "conv 64",
    ),
    former(
        16,
        0.537,
        239,
        16,
        "residual 2x16 /2;conv 2x32 /2;residual 1x48 /2 1-2-4;conv 2x64 1-2",
        pooled(128, 1, 2, 4),
        "2:32",
        "conv 48",
    ),
    former(
        26,
        0.539,
        364,
        24,
        "residual 1x24 /2;residual 1x48 /2;residual 1x72 /2;residual 1x96 1-2",
        Context(),
        "2:96",
        "separable 64",
    ),
    former(
        25, 0.558, 550, 8, "conv 1x24 /2;conv 2x48 /2;conv 1x72 /2;residual 2x96 2", pooled(96, 1, 3), "2:96", "conv 64"
    ),
    former(
        15,
        0.559,
        1150,
        16,
        "conv 2x40 /2;conv 1x80 /2;conv 1x120 /2 1-2-4;residual 1x160 1-2-4",
        Context("aspp", 96, rates=(3, 6, 9), image_pool=True),
        "2:32",
        "conv 80",
    ),
    former(
        1,
        0.561,
        1290,
        16,
        "residual 1x48 /2;residual 1x96 /2;residual 1x144 /2;residual 1x192",
        pooled(64, 1, 2, 4),
        "2:64 1:64",
        "separable 64",
    ),
)


def front() -> None:
    """The former front as it shipped, with masks made outside and inside, and with classes chosen at 1/2 and 1/4."""
    columns = ("scores", "+ numpy", "+ ArgMax", "1/2", "1/4")
    print(f"{'trial':>5s} {'mIoU':>6s} {'kB':>6s} " + " ".join(f"{name:>8s}" for name in columns) + "  ms", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for one in FRONT:
            scores = int8_file(one.architecture, "scores", scratch)
            size = scores.stat().st_size / 1e3
            shipped = latency_ms(scores)
            masked = with_mask(Ready(scores), scratch / "masked.onnx").path
            times = [shipped, shipped + argmax_ms(scores), latency_ms(masked)]
            coarse = [replace(one.architecture, answer_scale=scale) for scale in (0.5, 0.25)]
            times += [latency_ms(int8_file(each, "mask", scratch)) for each in coarse]
            print(
                f"{one.trial:5d} {one.miou:6.3f} {size:6.0f} " + " ".join(f"{time:8.2f}" for time in times), flush=True
            )
            if abs(size - one.kilobytes) > 0.01 * one.kilobytes:
                raise SystemExit(f"trial {one.trial} is another network: {size:.0f} kB, not {one.kilobytes:g} kB")


# ---- what a file takes


def tail() -> None:
    """Milliseconds of int8 files at 360x480: full-size scores, and masks with their classes chosen at three sizes."""
    for name, architecture in (
        ("narrow, x0.5", design("conv", 0.5, 0.5)),
        ("wide, x0.5", design("residual", 1.5, 0.5, decoder=64)),
    ):
        with tempfile.TemporaryDirectory() as scratch:
            for label, answer, output in _answers():
                file = int8_file(replace(architecture, answer_scale=answer), output, Path(scratch))
                spent = latency_ms(file)
                print(f"{name:14s} {label:24s} {spent:6.2f}", flush=True)
                if output == "scores":
                    print(f"{name:14s} {'and the mask outside':24s} {spent + argmax_ms(file):6.2f}", flush=True)


def _answers() -> Iterator[tuple[str, float, Output]]:
    yield "scores at full size", 1.0, "scores"
    yield "mask chosen at 1", 1.0, "mask"
    yield "mask chosen at 1/2", 0.5, "mask"
    yield "mask chosen at 1/4", 0.25, "mask"


def int8() -> None:
    """Milliseconds of one network as floats and as int8: asymmetric, symmetric, and symmetric as it was before."""
    architecture = replace(design("residual", 1.5, 0.5, decoder=64), answer_scale=0.25)
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "float.onnx"
        export(wear_in(build(architecture, CLASSES)), SIZE, plain, output="mask")
        print(f"{'float':24s} {latency_ms(plain):6.2f}")
        for name, step in (("asymmetric", Quantize()), ("symmetric", Quantize(symmetric_activations=True))):
            target = Path(scratch) / "int8.onnx"
            quantize(plain, target, step, images=_noise())
            print(f"{name:24s} {latency_ms(target):6.2f}")
        signed = Path(scratch) / "signed.onnx"
        _signed(plain, signed)
        print(f"{'symmetric as before':24s} {latency_ms(signed):6.2f}")


def _signed(source: Path, target: Path) -> None:
    """Symmetric activations as they were quantized before: signed."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        left = iter(_noise())

        def get_next(self) -> dict[str, object] | None:
            image = next(self.left, None)
            return None if image is None else {"image": image}

    quantize_static(
        str(source),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Add", "Relu", "Concat", "AveragePool", "MaxPool", "GlobalAveragePool"],
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        reduce_range=True,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
    )


def int8_file(architecture: Architecture, output: Output, scratch: Path) -> Path:
    plain, target = scratch / "float.onnx", scratch / "int8.onnx"
    export(wear_in(build(architecture, CLASSES)), SIZE, plain, output=output)
    quantize(plain, target, Quantize(), images=_noise())
    return target


def _noise() -> Sequence[np.ndarray]:
    return [to_input(np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), dtype=np.uint8)) for seed in range(2)]


def latency_ms(model: Path) -> float:
    machine = calibrated(this_machine(RUNTIME, threads=1, cores=None), RUNTIME)
    return measure(model, machine, RUNTIME, effort=Effort()).latency_ms


def argmax_ms(model: Path) -> float:
    """What numpy takes for the mask of a file's scores: the quickest of 20."""
    scores = RUNTIME.open(model, threads=1).run(_noise()[0])
    marks = []
    for _ in range(20):
        start = time.process_time()
        classes_of(scores).astype(np.uint8)
        marks.append(1e3 * (time.process_time() - start))
    return min(marks)


PARTS: dict[str, Callable[[], None]] = {"tail": tail, "int8": int8, "front": front}


def main() -> int:
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        print(f"a part must be one of {', '.join(PARTS)}; got {', '.join(unknown)}", file=sys.stderr)
        return 2
    logging.getLogger().setLevel(logging.ERROR)  # ONNX Runtime recommends a preprocessing that the exporter has done
    for part in wanted:
        print(f"\n-- {part}: {(PARTS[part].__doc__ or '').splitlines()[0]}", flush=True)
        PARTS[part]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
