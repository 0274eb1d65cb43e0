"""What a trained network is worth right after it is pruned or factorised, by each criterion: nothing is fine-tuned.

    python benchmarks/pruning.py runs/camvid/study.db --trial 8 --data ../shared/camvid [--ratios 0.125 0.25]

Weights are those of the trial before any compression, beside the database (`artifacts`). Each network is pruned by the
stage's own batches, its batch norm estimated anew, and scored on the validation split. An outcome takes a minute and is
kept (`kept.py`).
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import get_args

import torch
from kept import Job, outcomes

from segsearch.datasets import Dataset, open_dataset
from segsearch.judging.reading import open_to_read
from segsearch.networks import build
from segsearch.settings.data import DataSettings
from segsearch.space.architecture import Architecture
from segsearch.space.keys import to_json
from segsearch.space.steps import BeforeExport, Criterion, Factorize, Prune
from segsearch.training.batch_norm import estimate_batch_norm
from segsearch.training.sample import losses_over
from segsearch.training.schedule import Schedule, for_scale
from segsearch.trial.export import count_macs
from segsearch.trial.making import apply_model_steps
from segsearch.trial.prepare import schedule_of
from segsearch.trial.score_network import score_network
from segsearch.trial.state import load_weights

CPU = torch.device("cpu")


def miou_after(
    steps: tuple[BeforeExport, ...], architecture: Architecture, weights: Path, data: Dataset, schedule: Schedule
) -> float:
    classes = len(data.classes)
    network = build(architecture, classes)
    load_weights(network, weights)
    losses = losses_over(data.train, schedule, classes=classes, device=CPU)
    apply_model_steps(network, steps, losses)
    estimate_batch_norm(network, data.train, device=CPU, batch_size=schedule.batch_size)
    return score_network(network, data.validation, classes=classes, device=CPU).miou


def macs_left(steps: tuple[BeforeExport, ...], architecture: Architecture, data: Dataset) -> float:
    height, width = data.validation.images.shape[1:3]
    networks = (apply_model_steps(build(architecture, len(data.classes)), some) for some in (steps, ()))
    less, all_of_it = (count_macs(network, (height, width)) for network in networks)
    return less / all_of_it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database", type=Path)
    parser.add_argument("--trial", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="a folder like CamVid")
    parser.add_argument("--void", type=int, default=11)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "segsearch-pruning")
    parser.add_argument("--ratios", type=float, nargs="+", default=(0.125, 0.25))
    parser.add_argument("--ranks", type=float, nargs="+", default=(0.5, 0.25))
    options = parser.parse_args()
    torch.set_num_threads(1)
    with open_to_read(str(options.database)) as store:
        row = store.study()
        architecture = store.trial(row.name, options.trial).candidate.architecture
        names = [str(stage.outcome["weights"]) for stage in store.stages(row.name, options.trial, name="train")]
    assert isinstance(architecture, Architecture), "the trial's network must be one of segsearch's own"
    height, width = row.study.data.height, row.study.data.width
    root = str(options.data.resolve())
    settings = DataSettings(kind="folders", root=root, height=height, width=width, void=options.void)
    data = open_dataset(settings, cache=options.cache)
    images = len(data.train)
    schedule = schedule_of(row.study.train, seed=row.study.seed, images=images)
    schedule = for_scale(schedule, architecture.input_scale, images)
    plans: list[tuple[BeforeExport, ...]] = [()]
    plans += [(Prune(ratio, criterion),) for ratio in options.ratios for criterion in get_args(Criterion)]
    plans += [(Factorize(rank),) for rank in options.ranks]
    for steps in plans:
        settles = ["pruning", names[0], data.key, to_json(schedule), *map(to_json, steps)]
        weights = options.database.parent / "artifacts" / names[0]
        make = partial(miou_after, steps, architecture, weights, data, schedule)
        (miou,) = outcomes([Job(settles, make)])
        words = "; ".join(step.words for step in steps) or "as it was trained"
        print(f"{words:32s} macs {macs_left(steps, architecture, data):.2f}x, mIoU {miou:.3f}", flush=True)


if __name__ == "__main__":
    main()
