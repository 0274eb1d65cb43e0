"""What a tail of training inside the int8 graph gives back of what the rounding took.

    python benchmarks/qat.py FLOAT.onnx [...] --data ../shared/camvid [--epochs N] [--rates R ...] [--parts PART ...]
        [--first CONVOLUTIONS] [--seeds N]

Needs float files that segsearch exported of a folder of CamVid's layout (the artifacts of a study's `export` stages).
Each is calibrated as a study does it, and scored on the validation split: the float file, the int8 file, and the int8
file after a tail of so many epochs. `labels`, `file` and `both` say what the tail learns from, `scales` learns the
scales of activations as well, `float` trains the float file as long in the same way and calibrates it then: what more
training is worth without any rounding in it. `--first` leaves so many convolutions in float.

The last column is the share of pixels of which the graph that was trained and ONNX Runtime say the same, on every
eighth validation image. Tails are kept (`kept.py`): stopped, it goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import torch
from kept import FOLDER, Job, outcomes

from segsearch.compression.graph_module import GraphModule, float_module, written_back
from segsearch.compression.quantize import quantize
from segsearch.datasets import Dataset, open_dataset
from segsearch.runtimes import RUNTIMES
from segsearch.settings.data import DataSettings
from segsearch.space.keys import to_json
from segsearch.space.steps import Quantize
from segsearch.training.schedule import Schedule
from segsearch.training.tail import RATE, Aim, tail_schedule, train_tail
from segsearch.trial.files import CALIBRATION_IMAGES, spread_over
from segsearch.trial.score import classes_of, score_images, to_input
from segsearch.workshop import sha256_of

RUNTIME, CPU = RUNTIMES["onnxruntime"], torch.device("cpu")
SIZE = (360, 480)
# As the CamVid study trains.
STUDY = Schedule(15, 4, 2e-3, 1e-2, None, None, "log", 0, 1.0, 1.0, 1.5, recipe=2, crop=1.0)
AIMS: dict[str, Aim] = {"labels": "labels", "file": "file", "both": "both", "scales": "both", "float": "both"}


@dataclass(frozen=True)
class Tail:
    """A file's tail: what it learns, for how many epochs and how fast."""

    source: Path
    part: str
    epochs: float
    rate: float
    first: int = 0
    seed: int = 0

    @property
    def schedule(self) -> Schedule:
        return replace(STUDY, seed=self.seed)

    def settles(self, data: Dataset) -> list[str]:
        about = [self.part, str(self.epochs), str(self.rate), to_json(self.schedule), data.key, str(SIZE)]
        about += [f"first {self.first}"] if self.first else []
        return ["qat", sha256_of(self.source), *about, f"torch {torch.__version__}", RUNTIME.version]

    def target(self, data: Dataset) -> Path:
        """Where the trained file is kept, beside its outcome."""
        return FOLDER / f"{Job(self.settles(data), lambda: 0.0).name}.onnx"


def calibrated(source: Path, data: Dataset, first: int) -> Path:
    target = FOLDER / f"{sha256_of(source)}.int8{f'-{first}' if first else ''}.onnx"
    if not target.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        images = spread_over(data.train.images, CALIBRATION_IMAGES)
        quantize(source, target, Quantize(float_convolutions=first), images=images)
    return target


def miou_of(model: Path, data: Dataset) -> float:
    return score_images(RUNTIME.open(model, threads=1), data.validation, classes=data.classes).confusion.miou


def trained(tail: Tail, data: Dataset) -> Job:
    """mIoU of the int8 file after a tail; the file is kept."""

    def make() -> float:
        begun = tail.source if tail.part == "float" else calibrated(tail.source, data, tail.first)
        model = onnx.load(str(begun))
        module = GraphModule(model, source=onnx.load(str(tail.source)), learn_scales=tail.part == "scales")
        schedule = tail_schedule(tail.schedule, tail.epochs / STUDY.epochs, len(data.train), rate=tail.rate)
        train_tail(
            module,
            data.train,
            schedule,
            classes=len(data.classes),
            device=CPU,
            original=float_module(tail.source),
            aim=AIMS[tail.part],
        )
        target = tail.target(data)
        onnx.save(written_back(module, model), str(target))
        if tail.part == "float":
            target = calibrated(target, data, tail.first)
        return miou_of(target, data)

    return Job(tail.settles(data), make)


def untrained(source: Path, data: Dataset, first: int) -> list[Job]:
    """mIoU of the float file, and of the int8 file as it was calibrated."""
    key = ["qat", sha256_of(source), data.key, RUNTIME.version, *([f"first {first}"] if first else [])]
    return [
        Job([*key, "float"], lambda: miou_of(source, data)),
        Job([*key, "int8"], lambda: miou_of(calibrated(source, data, first), data)),
    ]


def agreement(tail: Tail, data: Dataset) -> Job:
    """The share of pixels of which the graph, as a module and in ONNX Runtime, says the same."""

    def make() -> float:
        model = tail.target(data)
        module, session = GraphModule(onnx.load(str(model))), RUNTIME.open(model, threads=1)
        alike = []
        with torch.no_grad():
            for picture in data.validation.images[::8]:
                image = to_input(picture)
                found = classes_of(module(torch.from_numpy(image)).numpy())
                alike.append(np.mean(found == classes_of(session.run(image))))
        return float(np.mean(alike))

    return Job([*tail.settles(data), "agreement"], make)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--rates", type=float, nargs="*", default=[RATE])
    parser.add_argument("--parts", nargs="*", choices=list(AIMS), default=list(AIMS))
    parser.add_argument("--first", type=int, default=0, help="convolutions that stay in float")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.data is None or not arguments.files:
        print("qat: needs float files that segsearch exported, and --data, a folder of CamVid's layout.")
        return
    height, width = SIZE
    settings = DataSettings(kind="folders", root=str(arguments.data.resolve()), height=height, width=width, void=11)
    data = open_dataset(settings, cache=Path("runs/.cache"))
    print(f"{'file':14s}{'what learns':>22s}{'mIoU':>8s}{'to float':>10s}{'alike':>8s}")
    for source in arguments.files:
        first = arguments.first
        plain, rounded = outcomes(untrained(source, data, first))
        print(f"{source.stem[:12]:14s}{'float file':>22s}{plain:8.4f}")
        print(f"{'':14s}{'calibrated':>22s}{rounded:8.4f}{rounded - plain:+10.4f}", flush=True)
        for rate, seed, part in product(arguments.rates, range(arguments.seeds), arguments.parts):
            tail = Tail(source, part, arguments.epochs, rate, first, seed)
            (miou,) = outcomes([trained(tail, data)])
            (alike,) = outcomes([agreement(tail, data)])
            words = f"{part} at {rate:g}, seed {seed}"
            print(f"{'':14s}{words:>22s}{miou:8.4f}{miou - plain:+10.4f}{alike:8.4f}", flush=True)


if __name__ == "__main__":
    main()
