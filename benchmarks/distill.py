"""Whether a good teacher pays at the search's own budget: each of the three losses beside training alone.

    python benchmarks/distill.py --data ../shared/camvid [--seeds 3] [--epochs 15] [--teacher-epochs 15] [--after 0]
    python benchmarks/distill.py --data ../shared/camvid --table

Three designs that the CamVid study begins with (the whole encoder and half its width at input scale 0.5, three quarters
of it at 0.75) learn by that study's schedule from its pretrained weights, alone and taught by the whole encoder at
input scale 1. Weights and temperatures are those of the literature: per pixel half of the loss at T 1, per channel 3 at
T 4 (Shu et al.), pairs 10 at T 1 (Liu et al.). A gain is between two trainings of the same design and seed; mIoU is
that of the exported float file on the validation split. Needs a folder of CamVid's layout and the extra
segsearch[pretrained]; without --data it says so and ends. Trainings are kept (`kept.py`): stopped, it goes on; started
twice with OMP_NUM_THREADS=1, two processes share the work. `--table` prints what is kept so far and trains nothing.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from kept import FOLDER, Job, known, outcomes
from numpy.typing import NDArray

from segsearch.compression.distill import Teaching
from segsearch.datasets import Dataset, open_dataset
from segsearch.networks import Network, build
from segsearch.pretrained.inherit import inherit
from segsearch.pretrained.match import match
from segsearch.pretrained.packages import file_of
from segsearch.pretrained.parent import Parent, parent_of
from segsearch.runtimes import RUNTIMES
from segsearch.settings.data import DataSettings
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Named
from segsearch.space.draws import Facts
from segsearch.space.keys import to_json
from segsearch.space.load import load_space
from segsearch.space.steps import Distill
from segsearch.study import Study, read_study
from segsearch.training.loop import train
from segsearch.training.schedule import Schedule, for_scale
from segsearch.training.teacher import teach
from segsearch.trial.export import export
from segsearch.trial.prepare import schedule_of
from segsearch.trial.score import score_images

RUNTIME, CPU = RUNTIMES["onnxruntime"], torch.device("cpu")
STUDY = Path(__file__).parents[1] / "studies" / "camvid.toml"
# Of the study's first designs, counted from 0.
STUDENTS = {"half, x0.5": 4, "whole, x0.5": 0, "3/4, x0.75": 3}
TEACHER = 2
LOSSES = {
    "alone": None,
    "pixel, 0.5 at T 1": Distill(0.5, 1.0),
    "channel, 3 at T 4": Distill(3.0, 4.0, "channel"),
    "pairs, 10 at T 1": Distill(10.0, 1.0, "pairs"),
}
# Two-sided 95 % quantiles of Student's t by the degrees of freedom.
T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)


@dataclass(frozen=True)
class Setting:
    """What all trainings share."""

    study: Study
    data: Dataset
    parent: Parent
    epochs: int
    teacher_epochs: int
    after: float

    def schedule(self, seed: int, epochs: int) -> Schedule:
        found = schedule_of(self.study.train, seed=seed, images=len(self.data.train))
        return replace(found, epochs=epochs, steps=None)

    def design(self, index: int) -> Architecture:
        choices = self.study.search.first[index]
        architecture = load_space(self.study.space).draw(Named(choices), Facts()).architecture
        assert isinstance(architecture, Architecture)
        return architecture

    def settles(self, architecture: Architecture, schedule: Schedule) -> list[str]:
        about = [self.parent.name, self.data.key, f"torch {torch.__version__}"]
        return ["distill", to_json(architecture), to_json(schedule), *about]

    @cached_property
    def teacher(self) -> Job:
        """Its mIoU; its logits lie beside the outcome."""
        architecture = self.design(TEACHER)
        schedule = for_scale(self.schedule(0, self.teacher_epochs), architecture.input_scale, len(self.data.train))
        settles = self.settles(architecture, schedule)

        def make() -> float:
            network = self._trained(architecture, schedule, None)
            target = logits_of(Job(settles, make))
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                teach(network, self.data.train, Path(folder) / "logits.npy", device=CPU)
                (Path(folder) / "logits.npy").replace(target)
            return self._scored(network)

        return Job(settles, make)

    def student(self, name: str, loss: str, seed: int) -> Job:
        architecture, distill = self.design(STUDENTS[name]), LOSSES[loss]
        schedule = for_scale(self.schedule(seed, self.epochs), architecture.input_scale, len(self.data.train))
        settles = self.settles(architecture, schedule)
        if distill is not None:
            distill = replace(distill, after=self.after)
            settles = [*settles, to_json(distill), self.teacher.name]
        return Job(settles, lambda: self._scored(self._trained(architecture, schedule, distill)))

    def _trained(self, architecture: Architecture, schedule: Schedule, distill: Distill | None) -> Network:
        network = build(architecture, len(self.data.classes), seed=schedule.seed)
        inherit(network, architecture, self.parent.network, self.parent.architecture)
        teaching = None
        if distill is not None:
            logits: NDArray[np.float16] = np.load(logits_of(self.teacher), mmap_mode="r")
            teaching = Teaching(logits, distill.weight, distill.temperature, distill.kind, distill.after)
        train(
            network,
            self.data.train,
            schedule,
            classes=len(self.data.classes),
            device=CPU,
            teaching=teaching,
            inherited=match(architecture, self.parent.architecture).parameters,
        )
        return network

    def _scored(self, network: Network) -> float:
        height, width = (int(side) for side in self.data.validation.images.shape[1:3])
        with tempfile.TemporaryDirectory() as folder:
            export(network, (height, width), Path(folder) / "model.onnx")
            session = RUNTIME.open(Path(folder) / "model.onnx", threads=1)
            return score_images(session, self.data.validation, classes=self.data.classes).confusion.miou


def logits_of(teacher: Job) -> Path:
    return FOLDER.absolute() / f"{teacher.name}.npy"


def taught(setting: Setting, seeds: int) -> None:
    """The teacher, trained again where somebody removed its logits; a second process does what needs none meanwhile."""
    if not logits_of(setting.teacher).exists():
        (FOLDER / f"{setting.teacher.name}.json").unlink(missing_ok=True)
    outcomes([setting.teacher, *(setting.student(name, "alone", seed) for seed in range(seeds) for name in STUDENTS)])


def table(setting: Setting, seeds: int) -> None:
    """What is kept so far: mIoU of each design over the seeds that are there, and paired gains with their interval."""
    (teacher,) = known([setting.teacher])
    print("the teacher is not trained yet" if teacher is None else f"teacher: mIoU {teacher:.4f}")
    print(f"{'':20s}" + "".join(f"{name:>14s}" for name in STUDENTS) + f"{'gain':>9s}{'+-95 %':>8s}{'pairs':>7s}")
    for loss in LOSSES:
        columns, gains = list[str](), list[float]()
        for name in STUDENTS:
            found, alone = (
                known([setting.student(name, one, seed) for seed in range(seeds)]) for one in (loss, "alone")
            )
            values = [value for value in found if value is not None]
            columns.append(f"{mean(values):10.4f} ({len(values)})" if values else f"{'-':>14s}")
            gains += _gains(found, alone) if loss != "alone" else []
        print(f"{loss:20s}" + "".join(columns) + _words(gains), flush=True)


def _gains(found: Sequence[float | None], alone: Sequence[float | None]) -> list[float]:
    pairs = zip(found, alone, strict=True)
    return [one - other for one, other in pairs if one is not None and other is not None]


def _words(gains: Sequence[float]) -> str:
    if not gains:
        return ""
    wide = ""
    if len(gains) > 1:
        wide = f"{T95[min(len(gains) - 2, len(T95) - 1)] * stdev(gains) / math.sqrt(len(gains)):.4f}"
    return f"{mean(gains):+9.4f}{wide:>8s}{len(gains):7d}"


def limited(data: Dataset, images: int | None) -> Dataset:
    """The first images of both splits alone, to see that it works."""
    if images is None:
        return data
    key = f"{data.key} first {images}"
    return replace(data, key=key, train=data.train.first(images), validation=data.validation.first(images), both=None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of CamVid's layout")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of a student; the study's own where it is not said")
    parser.add_argument("--teacher-epochs", type=int, help="likewise")
    parser.add_argument("--after", type=float, default=0.0, help="the share of the steps before the teacher speaks")
    parser.add_argument("--images", type=int, help="of each split alone, to see that it works")
    parser.add_argument("--table", action="store_true", help="print what is kept so far")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache/segsearch"))
    arguments = parser.parse_args()
    if arguments.data is None:
        print("It needs a folder of CamVid's layout: --data DIR. Nothing was done.")
        return 0
    study = read_study(STUDY)
    about = study.data
    opened = DataSettings(
        kind="folders", root=str(arguments.data.resolve()), height=about.height, width=about.width, void=about.void
    )
    setting = Setting(
        study=study,
        data=limited(open_dataset(opened, cache=arguments.cache), arguments.images),
        parent=parent_of(Path(file_of(study.train.pretrained))),
        epochs=arguments.epochs or study.train.epochs or 1,
        teacher_epochs=arguments.teacher_epochs or study.train.epochs or 1,
        after=arguments.after,
    )
    if not arguments.table:
        taught(setting, arguments.seeds)
        for seed in range(arguments.seeds):
            outcomes([setting.student(name, loss, seed) for name in STUDENTS for loss in LOSSES])
            table(setting, seed + 1)
    else:
        table(setting, arguments.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
