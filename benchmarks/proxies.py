"""What a short training says, before and after: steps, folder, teach, scale, spread, rates, offset.

    python benchmarks/proxies.py [PART ...] [--data ../shared/camvid] [--seeds N]

`before` is how studies were that answer scores and train by crops of a fixed size, `after` how they are now; designs,
seeds and images are the same for both (`answers.py` does so for what a file takes). `scale` and `rates` need a folder
of CamVid's layout (--data), `spread` and `offset` take it where it is given: tens of minutes, the others minutes.
`folder` writes 40 scenes into a folder of its own and lets `segsearch new` look at it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch

from segsearch.compression.distill import Teaching
from segsearch.datasets import Dataset, open_dataset
from segsearch.evidence.images import Spread
from segsearch.evidence.resample import spread_of
from segsearch.evidence.types import Confusion
from segsearch.networks import build
from segsearch.runtimes import RUNTIMES
from segsearch.settings.data import DataSettings
from segsearch.space.architecture import Architecture, Context, EncoderPath, Feature, Head, Join, Stage, Stem
from segsearch.space.steps import Distill
from segsearch.study import read_study
from segsearch.training.loop import train
from segsearch.training.schedule import Schedule, for_scale
from segsearch.training.teacher import teach
from segsearch.trial.export import export
from segsearch.trial.prepare import schedule_of
from segsearch.trial.score import Scored, score_images

RUNTIME = RUNTIMES["onnxruntime"]
CPU = torch.device("cpu")
SIZE, CLASSES = (360, 480), 11
SCENES = DataSettings(kind="synthetic", height=128, width=160, train_count=192, validation_count=48)
# The schedule of the quickstart before, and what each change makes of it.
BEFORE = Schedule(6, 8, 3e-3, 1e-2, 96, 128, "log", seed=0)


def design(block: str, width: float, scale: float, *, decoder: int = 32, depth: int = 1) -> Architecture:
    """A network of the built-in space: four stages to 1/16, pyramid pooling, two `add` joins, a separable head."""
    widths = [max(8, round(base * width / 8) * 8) for base in (32, 64, 96, 128)]
    stages = tuple(Stage(block, each, depth, stride) for each, stride in zip(widths, (2, 2, 2, 1), strict=True))
    path = EncoderPath(Stem(16), stages, Context("pyramid_pooling", decoder, bins=(1, 2, 4)))
    joins = tuple(Join("add", Feature(0, stage), decoder) for stage in (2, 1))
    return Architecture((path,), joins, Head(decoder, block="separable"), input_scale=scale)


DESIGNS = {
    "separable x0.5": design("separable", 1.0, 0.5),
    "residual x0.75": design("residual", 0.75, 0.75),
    "residual x1": design("residual", 1.0, 1.0),
}


# ---- what a training says


def trained(
    architecture: Architecture, data: Dataset, schedule: Schedule, *, teaching: Teaching | None = None
) -> tuple[Confusion, float]:
    """Counts of the float file of a network trained by a schedule, and the seconds of processor time that took."""
    start = time.process_time()
    found = _counted(architecture, data, schedule, teaching=teaching)
    return found.confusion, time.process_time() - start


def _counted(
    architecture: Architecture, data: Dataset, schedule: Schedule, *, teaching: Teaching | None = None
) -> Scored:
    settled = for_scale(schedule, architecture.input_scale, len(data.train))
    network = build(architecture, len(data.classes), seed=schedule.seed)
    train(network, data.train, settled, classes=len(data.classes), device=CPU, teaching=teaching)
    with tempfile.TemporaryDirectory() as folder:
        height, width = data.validation.images.shape[1:3]
        export(network, (int(height), int(width)), Path(folder) / "model.onnx")
        session = RUNTIME.open(Path(folder) / "model.onnx", threads=1)
        return score_images(session, data.validation, classes=data.classes)


def table(rows: dict[str, Callable[[int], Schedule]], data: Dataset, seeds: int) -> None:
    """mIoU of every design under every schedule, paired by seed, and the difference to the first row."""
    first: list[float] = []
    print(f"{'':34s}" + "".join(f"{name:>17s}" for name in DESIGNS) + f"{'mean':>8s}{'gain':>8s}{'s':>7s}")
    for name, make in rows.items():
        found = [
            [trained(architecture, data, make(seed)) for seed in range(seeds)] for architecture in DESIGNS.values()
        ]
        values = [mean(counts.miou for counts, _ in row) for row in found]
        first = first or values
        spent = sum(seconds for row in found for _, seconds in row) / seeds
        gain = mean(after - before for after, before in zip(values, first, strict=True))
        print(
            f"{name:34s}"
            + "".join(f"{value:17.3f}" for value in values)
            + f"{mean(values):8.3f}{gain:+8.3f}{spent:7.0f}",
            flush=True,
        )


def steps(arguments: argparse.Namespace) -> None:
    """The quickstart's images and epochs, one change after the other; the last row is what its study says now."""
    data = open_dataset(SCENES, cache=arguments.cache)
    study = read_study(Path(__file__).parents[1] / "studies" / "quickstart.toml")
    whole = replace(BEFORE, height=None, width=None, crop=1.0, batch_size=4, recipe=2)
    table(
        {
            "before: batch 8, crops 96x128": lambda seed: replace(BEFORE, seed=seed),
            "batch 4": lambda seed: replace(BEFORE, seed=seed, batch_size=4),
            "and whole images": lambda seed: replace(whole, seed=seed),
            "and no random zoom": lambda seed: replace(whole, seed=seed, smallest_zoom=1.0, largest_zoom=1.0),
            "and twice the learning rate": lambda seed: replace(
                whole, seed=seed, smallest_zoom=1.0, largest_zoom=1.0, learning_rate=6e-3
            ),
            "after: the study as it stands": lambda seed: schedule_of(study.train, seed=seed, images=len(data.train)),
        },
        data,
        arguments.seeds,
    )


def folder(arguments: argparse.Namespace) -> None:
    """40 images through `new`: as it wrote the study before (12 epochs, crops of 128 pixels) and as it does now."""
    from PIL import Image

    from segsearch.survey.look import look
    from segsearch.survey.scaffold import write_study

    scenes = open_dataset(SCENES.model_copy(update={"train_count": 40}), cache=arguments.cache)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "forty"
        for name in ("images", "masks"):
            (root / name).mkdir(parents=True)
        for index in range(40):
            Image.fromarray(np.asarray(scenes.train.images[index])).save(root / "images" / f"{index:02d}.png")
            Image.fromarray(np.asarray(scenes.train.masks[index])).save(root / "masks" / f"{index:02d}.png")
        (root / "classes.txt").write_text("\n".join(scenes.classes) + "\n")
        write_study(look(root), Path(scratch) / "forty.toml")
        study = read_study(Path(scratch) / "forty.toml")
        data = open_dataset(study.data, cache=Path(scratch) / "cache")
        before = Schedule(12, 8, 3e-3, 1e-2, 128, 128, "log", seed=0)
        table(
            {
                f"before: {before.steps_for(len(data.train))} steps": lambda seed: replace(before, seed=seed),
                f"after: {study.train.steps_for(len(data.train))} steps": lambda seed: schedule_of(
                    study.train, seed=seed, images=len(data.train)
                ),
            },
            data,
            arguments.seeds,
        )


def camvid(arguments: argparse.Namespace) -> Dataset | None:
    if arguments.data is None:
        print("not run: needs --data with a folder of CamVid's layout")
        return None
    settings = DataSettings(kind="folders", root=str(arguments.data), height=SIZE[0], width=SIZE[1], void=CLASSES)
    return open_dataset(settings, cache=arguments.cache)


def scale(arguments: argparse.Namespace) -> None:
    """One narrow network at two input scales: crops of one size, and whole images with images, steps, seconds equal."""
    data = camvid(arguments)
    if data is None:
        return
    crops = Schedule(arguments.epochs, 4, 4e-3, 1e-2, 180, 240, "log", seed=0, smallest_zoom=1.0, largest_zoom=1.0)
    whole = replace(crops, height=None, width=None, crop=1.0, recipe=2)
    rows = [("before: crops of 180x240", crops)]
    rows += [(f"whole images, equal {hold}", replace(whole, hold=hold)) for hold in ("images", "steps", "seconds")]
    print(f"{'':28s}{'scale':>6s}{'steps':>7s}{'batch':>7s}{'mIoU':>7s}{'s':>7s}")
    for name, schedule in rows:
        for input_scale in (0.5, 1.0) if schedule.hold == "images" else (1.0,):
            settled = for_scale(schedule, input_scale, len(data.train))
            counts, seconds = trained(design("residual", 0.5, input_scale), data, schedule)
            count = settled.steps_for(len(data.train))
            print(
                f"{name:28s}{input_scale:6g}{count:7d}{settled.batch_size:7d}{counts.miou:7.3f}{seconds:7.0f}",
                flush=True,
            )


def rates(arguments: argparse.Namespace) -> None:
    """CamVid at input scale 0.5: learning rates for batches of 4, and scores that grow by a pixel shuffle."""
    data = camvid(arguments)
    if data is None:
        return
    whole = Schedule(arguments.epochs, 4, 4e-3, 1e-2, None, None, "log", 0, 1.0, 1.0, 1.5, recipe=2, crop=1.0)
    network = design("residual", 1.0, 0.5, decoder=64)
    shuffled = replace(network, head=replace(network.head, upsample="pixel_shuffle"))
    rows = [(f"rate {rate:g}", network, replace(whole, learning_rate=rate)) for rate in (2e-3, 4e-3, 8e-3)]
    for name, architecture, schedule in [*rows, ("rate 0.004, pixel shuffle", shuffled, whole)]:
        counts, seconds = trained(architecture, data, schedule)
        print(f"{name:28s}{counts.miou:7.3f}{seconds:7.0f} s", flush=True)


def offset(arguments: argparse.Namespace) -> None:
    """Where the coarse loss looks: always at the same pixel of four (recipe 1), and at one drawn each step (2)."""
    for name, data, schedule in _both(arguments):
        for seed in range(arguments.seeds):
            fixed, drawn = (
                trained(design("residual", 0.5, 0.5), data, replace(schedule, recipe=recipe, seed=seed))[0].miou
                for recipe in (1, 2)
            )
            print(f"{name:8s} seed {seed} {fixed:7.3f}{drawn:7.3f}{drawn - fixed:+8.3f}", flush=True)


def spread(arguments: argparse.Namespace) -> None:
    """How far mIoU moves from seed to seed, and over the images of the validation split (half of its interval)."""
    for name, data, schedule in _both(arguments):
        found = [_counted(DESIGNS["separable x0.5"], data, replace(schedule, seed=seed)) for seed in range(4)]
        values = [one.confusion.miou for one in found]
        spreads = [spread_of(one.images) for one in found]
        halves = [f"{(one.high - one.low) / 2:.3f}" if isinstance(one, Spread) else one.reason for one in spreads]
        print(
            f"{name}: {' '.join(f'{value:.3f}' for value in values)}, sd over 4 seeds {stdev(values):.4f}; "
            f"over images +-{', '.join(halves)}",
            flush=True,
        )


def _both(arguments: argparse.Namespace) -> Iterator[tuple[str, Dataset, Schedule]]:
    whole = replace(
        BEFORE, height=None, width=None, crop=1.0, batch_size=4, recipe=2, smallest_zoom=1.0, largest_zoom=1.0
    )
    yield "scenes", open_dataset(SCENES, cache=arguments.cache), whole
    data = camvid(arguments)
    if data is not None:
        yield "CamVid", data, whole


def teaching(arguments: argparse.Namespace) -> None:
    """A teacher of the quickstart's size: what distillation by pixel, by channel and by pairs makes of its students."""
    data = open_dataset(SCENES, cache=arguments.cache)
    now = schedule_of(
        read_study(Path(__file__).parents[1] / "studies" / "quickstart.toml").train, seed=0, images=len(data.train)
    )
    network = build(design("residual", 1.5, 1.0, decoder=64), len(data.classes), seed=0)
    train(network, data.train, now, classes=len(data.classes), device=CPU)
    with tempfile.TemporaryDirectory() as scratch:
        teach(network, data.train, Path(scratch) / "logits.npy", device=CPU)
        logits = np.load(Path(scratch) / "logits.npy")
        kinds = {
            "alone": None,
            "pixel .4 at T 1": Distill(0.4, 1.0),
            "pixel .8 at T 4": Distill(0.8, 4.0),
            "channel .7 at T 2": Distill(0.7, 2.0, "channel"),
            "pairs 10 at T 1": Distill(10.0, 1.0, "pairs"),
        }
        for name, distill in kinds.items():
            found = []
            for seed in range(arguments.seeds):
                told = None
                if distill is not None:
                    told = Teaching(logits, distill.weight, distill.temperature, distill.kind)
                found += [
                    trained(DESIGNS[key], data, replace(now, seed=seed), teaching=told)[0].miou
                    for key in ("separable x0.5", "residual x0.75")
                ]
            print(f"{name:20s} {' '.join(f'{value:.3f}' for value in found)}  mean {mean(found):.3f}", flush=True)


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "steps": steps,
    "folder": folder,
    "teach": teaching,
    "scale": scale,
    "spread": spread,
    "rates": rates,
    "offset": offset,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--data", type=Path, help="a folder of CamVid's layout, for scale and spread")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8, help="of scale, at input scale 0.5")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "segsearch-proxies")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"a PART must be one of {', '.join(PARTS)}; got {', '.join(unknown)}")
    torch.set_num_threads(arguments.threads)
    for part in arguments.parts or PARTS:
        print(f"\n-- {part}: {(PARTS[part].__doc__ or '').splitlines()[0]}", flush=True)
        PARTS[part](arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
