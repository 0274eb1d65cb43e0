"""Whether pruning a trained network pays: its pruned children beside networks of the same widths that train alone.

    python benchmarks/children.py runs/camvid/study.db --trials 0 4 --data ../shared/camvid
        [--ratios 0.125 0.25 0.5] [--seeds 2] [--tail 3] [--children 3] [--criterion taylor] [--taught channel:3:1 ...]
        [--rounds 3]

A child is the trial's network as it was trained, pruned and annealed for `--tail` more epochs at a third of the rate.
Its rival is pruned to the same widths before it trains (from the study's pretrained weights where there are any, so
that it inherits their largest channels) and trains alone for the child's tail and its share of the parent's epochs: of
`--children` files and the parent itself each pays one. Both are trained from the same seeds, which settle order and
crops; the parent has its own. A rival is always pruned by magnitude: it has learned nothing that others look at.
`whole` is the rival with all the epochs that parent and tail had. mIoU is the network's in torch, on the validation
split. Trainings are kept (`kept.py`): stopped, it goes on.

`--taught` adds children that learn from what their parent says of each image, too: the kind, the weight and the
temperature of a distillation, `--rounds` one that is pruned so many times, with an equal part of the tail after each,
to the same widths. `--no-rival` leaves networks that train alone out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import get_args

import numpy as np
import torch
from kept import FOLDER, Job, outcomes
from numpy.typing import NDArray

from segsearch.compression.distill import Teaching
from segsearch.datasets import Dataset, open_dataset
from segsearch.judging.reading import open_to_read
from segsearch.networks import build
from segsearch.pretrained.inherit import inherit
from segsearch.pretrained.parent import kept
from segsearch.settings.data import DataSettings
from segsearch.space.architecture import Architecture
from segsearch.space.keys import to_json
from segsearch.space.steps import Criterion, Distill, Prune, Teaches
from segsearch.training.loop import train
from segsearch.training.sample import losses_over
from segsearch.training.schedule import Schedule, for_scale
from segsearch.training.teacher import teach
from segsearch.trial.export import count_macs
from segsearch.trial.making import apply_model_steps
from segsearch.trial.prepare import schedule_of
from segsearch.trial.score_network import score_network
from segsearch.trial.state import load_weights

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Parent:
    """A trained network: what it is, its weights, how it was trained, and the pretrained weights that it began with."""

    trial: int
    architecture: Architecture
    weights: Path
    schedule: Schedule
    start: Path | None

    def of_itself(self, data: Dataset) -> float:
        network = build(self.architecture, len(data.classes))
        load_weights(network, self.weights)
        return score_network(network, data.validation, classes=len(data.classes), device=CPU).miou

    def child(self, prune: Prune, schedule: Schedule, data: Dataset, taught: Distill | None = None) -> float:
        network = build(self.architecture, len(data.classes), seed=schedule.seed)
        load_weights(network, self.weights)
        losses = losses_over(data.train, schedule, classes=len(data.classes), device=CPU)
        apply_model_steps(network, [prune], losses if prune.looks else None)
        teaching = None
        if taught is not None:
            teaching = Teaching(self.says(data), taught.weight, taught.temperature, taught.kind)
        train(network, data.train, schedule, classes=len(data.classes), device=CPU, teaching=teaching)
        return score_network(network, data.validation, classes=len(data.classes), device=CPU).miou

    def in_rounds(self, prune: Prune, schedule: Schedule, rounds: int, data: Dataset) -> float:
        network = build(self.architecture, len(data.classes), seed=schedule.seed)
        load_weights(network, self.weights)
        last = replace(prune, ratio=1 - (1 - prune.ratio) ** (1 / rounds))
        for part in [replace(last, round_to=1)] * (rounds - 1) + [last]:
            losses = losses_over(data.train, schedule, classes=len(data.classes), device=CPU)
            apply_model_steps(network, [part], losses if part.looks else None)
            once = replace(schedule, epochs=schedule.epochs // rounds)
            train(network, data.train, once, classes=len(data.classes), device=CPU)
        return score_network(network, data.validation, classes=len(data.classes), device=CPU).miou

    def says(self, data: Dataset) -> NDArray[np.float16]:
        """What the parent says of every training image."""
        target = FOLDER / f"said-{self.weights.stem}-{data.key[:12]}.npy"
        if not target.exists():
            network = build(self.architecture, len(data.classes))
            load_weights(network, self.weights)
            written = target.with_suffix(f".{os.getpid()}.npy")
            teach(network, data.train, written, device=CPU)
            written.replace(target)
        said: NDArray[np.float16] = np.load(target, mmap_mode="r", allow_pickle=False)
        return said

    def alone(self, prune: Prune, schedule: Schedule, data: Dataset) -> float:
        network = build(self.architecture, len(data.classes), seed=schedule.seed)
        if self.start is not None:
            known = kept(self.start)
            inherit(network, self.architecture, known.network, known.architecture)
        apply_model_steps(network, [replace(prune, criterion="l1")])
        train(network, data.train, schedule, classes=len(data.classes), device=CPU)
        return score_network(network, data.validation, classes=len(data.classes), device=CPU).miou

    def job(self, part: str, prune: Prune, schedule: Schedule, data: Dataset, taught: Distill | None = None) -> Job:
        about = [self.weights.name, part, to_json(prune), to_json(schedule), data.key, f"torch {torch.__version__}"]
        if part.endswith("rounds"):
            return Job(["children", *about], partial(self.in_rounds, prune, schedule, int(part.split()[0]), data))
        if part == "alone":
            return Job(["children", *about], partial(self.alone, prune, schedule, data))
        about += [*(["looks"] if prune.looks else []), *([to_json(taught)] if taught else [])]
        return Job(["children", *about], partial(self.child, prune, schedule, data, taught))

    def macs_left(self, prune: Prune, data: Dataset) -> float:
        height, width = data.validation.images.shape[1:3]
        whole, less = build(self.architecture, len(data.classes)), build(self.architecture, len(data.classes))
        apply_model_steps(less, [prune])
        return count_macs(less, (height, width)) / count_macs(whole, (height, width))


def parents_of(database: Path, trials: list[int], data: Path, void: int, cache: Path) -> tuple[list[Parent], Dataset]:
    with open_to_read(str(database)) as store:
        row = store.study()
        settings = row.study.data
        opened = DataSettings(
            kind="folders", root=str(data.resolve()), height=settings.height, width=settings.width, void=void
        )
        dataset = open_dataset(opened, cache=cache)
        images = len(dataset.train)
        schedule = schedule_of(row.study.train, seed=row.study.seed, images=images)
        found = []
        for trial in trials:
            architecture = store.trial(row.name, trial).candidate.architecture
            assert isinstance(architecture, Architecture), "the trial's network must be one of segsearch's own"
            names = [str(stage.outcome["weights"]) for stage in store.stages(row.name, trial, name="train")]
            settled = for_scale(schedule, architecture.input_scale, images)
            start = None if row.start is None else row.artifacts.path(row.start)
            found.append(Parent(trial, architecture, row.artifacts.path(names[0]), settled, start))
    return found, dataset


def distill_of(text: str) -> Distill:
    name, weight, temperature = text.split(":")
    kinds: tuple[Teaches, ...] = get_args(Teaches)
    kind = kinds[kinds.index(name)]  # a ValueError where there is none
    return Distill(float(weight), float(temperature), kind=kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path, nargs="?")
    parser.add_argument("--trials", type=int, nargs="+", default=(0,))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--void", type=int, default=11)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "segsearch-pruning")
    parser.add_argument("--ratios", type=float, nargs="+", default=(0.125, 0.25, 0.5))
    parser.add_argument("--criterion", choices=get_args(Criterion), default="l1")
    parser.add_argument("--taught", nargs="*", type=distill_of, default=[], metavar="KIND:WEIGHT:T")
    parser.add_argument("--rounds", type=int, nargs="*", default=[], help="children pruned in so many rounds, too")
    parser.add_argument("--multiple", type=int, default=16, help="of channels that are left")
    parser.add_argument("--no-rival", action="store_true")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tail", type=int, default=3, help="epochs after the pruning")
    parser.add_argument("--children", type=int, default=3, help="files that share the parent's training with it")
    parser.add_argument("--whole", action="store_true", help="the rival with all of the epochs, too")
    options = parser.parse_args()
    if options.database is None or options.data is None:
        print("children: needs a study's database, its trials, and --data, a folder of CamVid's layout.")
        return
    if odd := [count for count in options.rounds if count < 1 or options.tail % count]:
        parser.error(f"--rounds must divide the {options.tail} epochs of the --tail, got {odd[0]}")
    parents, data = parents_of(options.database, options.trials, options.data, options.void, options.cache)
    criterion: Criterion = options.criterion
    heads = "".join(f"{name:>8s}" for name in ("parent", "child", *([] if options.no_rival else ["alone", "gain"])))
    taught: list[Distill] = options.taught
    heads += "".join(f"{f'{one.kind} {one.weight:g} T {one.temperature:g}':>16s}" for one in taught)
    rounds: list[int] = options.rounds
    heads += "".join(f"{f'{one} rounds':>16s}" for one in rounds)
    print(f"{'parent':>6s}{'ratio':>7s}{'MACs':>6s}{'seed':>5s}{heads}", flush=True)
    gains = []
    for seed in range(options.seeds):
        for parent in parents:
            whole = parent.schedule
            key = ["children", parent.weights.name, "parent", data.key]
            (before,) = outcomes([Job(key, partial(parent.of_itself, data))])
            for ratio in options.ratios:
                prune = Prune(ratio, criterion, options.multiple)
                tail = replace(whole, epochs=options.tail, seed=seed, learning_rate=whole.learning_rate / 3)
                share = round(whole.epochs / (options.children + 1))
                lengths = [options.tail + share] + ([options.tail + whole.epochs] if options.whole else [])
                jobs = [parent.job("child", prune, tail, data)]
                jobs += [parent.job("child", prune, tail, data, distill) for distill in taught]
                jobs += [parent.job(f"{count} rounds", prune, tail, data) for count in rounds]
                if not options.no_rival:
                    alone = [replace(whole, epochs=one, seed=seed) for one in lengths]
                    jobs += [parent.job("alone", prune, one, data) for one in alone]
                child, *rest = outcomes(jobs)
                learned, rivals = rest[: len(taught) + len(rounds)], rest[len(taught) + len(rounds) :]
                line = f"{parent.trial:6d}{ratio:7.3f}{parent.macs_left(prune, data):6.2f}{seed:5d}"
                line += f"{before:8.4f}{child:8.4f}"
                if rivals:
                    gains.append(child - rivals[0])
                    line += f"{rivals[0]:8.4f}{gains[-1]:+8.4f}"
                line += "".join(f"{one:16.4f}" for one in learned)
                line += "".join(f"   whole {one:.4f}" for one in rivals[1:])
                print(line, flush=True)
    if gains:
        print(f"mean of {len(gains)} gains: {mean(gains):+.4f}")


if __name__ == "__main__":
    main()
