"""A short tail of training inside the int8 graph, so that the weights suit its rounding."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from segsearch.compression.distill import distillation_loss
from segsearch.compression.graph_module import GraphModule
from segsearch.datasets import Split
from segsearch.errors import TrialFailed
from segsearch.training.batches import augmented_batches
from segsearch.training.checkpoint import Keep, Stand, restore, save
from segsearch.training.loop import Learned, one_cycle, out_of_memory_fails
from segsearch.training.losses import class_weights, label_offsets, scores_loss
from segsearch.training.schedule import Schedule
from segsearch.workshop import Progress, silent

# Weights are relative to the largest of their channel, which is 64 or 127 steps of int8: the optimizer moves one by
# about a fiftieth of such a step at a time. Ten times as fast, an epoch cost more than it gave back.
RATE = 3e-4


# What a tail learns: the labels, what the float file answers, or both.
Aim = Literal["labels", "file", "both"]


def tail_schedule(schedule: Schedule, share: float, images: int, *, rate: float = RATE) -> Schedule:
    """The tail of a trial that was trained by `schedule`: `share` of its steps, at least one.

    A file takes whole images at its own size, so that views are of these whatever those of the training were.
    """
    steps = max(1, math.floor(share * schedule.steps_for(images) + 0.5))
    whole = replace(schedule, crop=1.0, height=None, width=None, hold="images", ema=None, small_start=0.0)
    return replace(whole, learning_rate=rate, weight_decay=0.0, start_rate=1.0).of_steps(steps, images)


def train_tail(
    module: GraphModule,
    split: Split,
    schedule: Schedule,
    *,
    classes: int,
    device: torch.device,
    original: GraphModule,
    aim: Aim = "both",
    keep: Keep | None = None,
    progress: Progress = silent,
) -> Learned:
    """Train the graph's weights in place, by a schedule of `tail_schedule`; `original` is the float file's graph.

    In float32 on any device: what is rounded must be what the file rounds. Kept on its way as any training is. Raises
    `TrialFailed` as `loop.train` does.
    """
    with out_of_memory_fails():
        return _learn(module, split, schedule, classes, device, original, aim, keep, progress)


def _learn(
    module: GraphModule,
    split: Split,
    schedule: Schedule,
    classes: int,
    device: torch.device,
    original: GraphModule,
    aim: Aim,
    keep: Keep | None,
    progress: Progress,
) -> Learned:
    module.to(device).train()
    original.to(device)
    weights = class_weights(split.masks, classes, kind=schedule.class_weights).to(device)
    batches, total = schedule.steps_of_epoch(len(split)), schedule.steps_for(len(split))
    optimizer = torch.optim.AdamW(module.parameters(), lr=schedule.learning_rate, weight_decay=0.0, foreach=True)
    stand = (keep and restore(keep, module, optimizer, None)) or Stand(0, [], [], 0.0)
    losses = stand.losses
    annealing = one_cycle(optimizer, total, done=stand.step)
    offsets = itertools.islice(label_offsets(schedule), stand.step, None)
    began = kept = time.monotonic()
    took = 0.0
    for step, batch in enumerate(
        augmented_batches(module, split, schedule, classes, device, first=stand.step), start=stand.step + 1
    ):
        optimizer.zero_grad(set_to_none=True)
        offset = next(offsets)
        scores = module.scores(batch.images)
        loss = scores.new_zeros(())
        if aim != "file":
            loss = loss + scores_loss(
                scores, batch.masks, weights, jaccard_weight=schedule.jaccard_weight, offset=offset
            )
        if aim != "labels":
            with torch.no_grad():
                said = original.scores(batch.images)
            inside = torch.ones_like(said[:, :1])
            loss = loss + distillation_loss(scores, said, inside, temperature=1.0)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrialFailed("diverged", f"The loss became {value} at step {step} of {total}.")
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        annealing.step()
        losses.append(value)
        if keep is not None and keep.due((now := time.monotonic()) - kept, took):
            save(keep, Stand(step, losses, [], stand.seconds + now - began), module, optimizer, None)
            kept = time.monotonic()
            took = kept - now
        progress("quantize-train", step, total)
    module.eval()
    means = tuple(float(np.mean(losses[at : at + batches])) for at in range(0, total, batches))
    return Learned(means, (), stand.seconds + time.monotonic() - began)
