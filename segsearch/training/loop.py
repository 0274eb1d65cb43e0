"""Train a network: one complete annealed schedule, alone or taught, from seeds that pair all candidates."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import torch

from segsearch.compression.distill import Teaching
from segsearch.datasets import Split
from segsearch.errors import TrialFailed
from segsearch.networks import Network
from segsearch.training.batch_norm import estimate_batch_norm
from segsearch.training.batches import augmented_batches
from segsearch.training.losses import class_weights, label_offsets, soft_loss, total_loss
from segsearch.training.schedule import Schedule, rising_share, trains_in_bfloat16
from segsearch.workshop import Progress, silent


def train(
    network: Network,
    split: Split,
    schedule: Schedule,
    *,
    classes: int,
    device: torch.device,
    teaching: Teaching | None = None,
    inherited: Collection[str] = (),
    stage: str = "train",
    progress: Progress = silent,
) -> tuple[float, ...]:
    """Train in place and return the mean loss of each epoch.

    Parameters whose names are `inherited` learn at the schedule's `start_rate` times the rate of the others.
    Raises `TrialFailed` of kind `diverged` where the loss is NaN or infinite, `memory` where memory runs out.
    """
    # Dropout draws from torch's own generator: seeded here, and put back as it was.
    with out_of_memory_fails(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(schedule.seed)
        return _train(network, split, schedule, classes, device, teaching, inherited, stage, progress)


def _train(
    network: Network,
    split: Split,
    schedule: Schedule,
    classes: int,
    device: torch.device,
    teaching: Teaching | None,
    inherited: Collection[str],
    stage: str,
    progress: Progress,
) -> tuple[float, ...]:
    network.to(device).train()
    weights = class_weights(split.masks, classes, kind=schedule.class_weights).to(device)
    batches, total = schedule.steps_of_epoch(len(split)), schedule.steps_for(len(split))
    groups = parameter_groups(network, schedule, inherited)
    optimizer = torch.optim.AdamW(groups, weight_decay=schedule.weight_decay, foreach=True)
    annealing = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=max(total, 2), pct_start=rising_share(total)
    )
    source = (int(split.images.shape[1]), int(split.images.shape[2]))
    bfloat16 = trains_in_bfloat16(device)
    losses: list[float] = []
    offsets = label_offsets(schedule)
    for step, batch in enumerate(augmented_batches(network, split, schedule, classes, device)):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            scores, auxiliary = network.scores_and_auxiliary(batch.images)
        scores = scores.float()
        jaccard_weight, offset = schedule.jaccard_weight, next(offsets)
        loss = total_loss(
            network, scores, auxiliary, batch.masks, weights, jaccard_weight=jaccard_weight, offset=offset
        )
        if teaching is not None:
            soft = soft_loss(
                scores, batch, teaching, source=source, input_scale=network.input_scale, settings=schedule.augment
            )
            loss = teaching.joined(loss, soft)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrialFailed("diverged", f"The loss became {value} at step {step + 1} of {total}.")
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        annealing.step()
        losses.append(value)
        progress(stage, step + 1, total)
    estimate_batch_norm(network, split, device=device, batch_size=schedule.batch_size, progress=progress)
    return tuple(float(np.mean(losses[at : at + batches])) for at in range(0, total, batches))


def parameter_groups(network: Network, schedule: Schedule, inherited: Collection[str]) -> list[dict[str, Any]]:
    """A network's parameters with their highest rates: all in one group, or those that are inherited in a second."""
    named = list(network.named_parameters())
    groups = [
        {"params": [value for name, value in named if name not in inherited], "lr": schedule.learning_rate},
        {
            "params": [value for name, value in named if name in inherited],
            "lr": schedule.learning_rate * schedule.start_rate,
        },
    ]
    return [group for group in groups if group["params"]]


# How torch, CUDA and the C++ below them say that an allocation failed.
_NO_MEMORY = ("allocate memory", "out of memory", "bad_alloc")


@contextlib.contextmanager
def out_of_memory_fails() -> Iterator[None]:
    """Memory that runs out fails the trial, not the study."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise TrialFailed(
            "memory", f"Memory ran out: {str(error).splitlines()[0] if str(error) else 'MemoryError'}."
        ) from error
    except RuntimeError as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise TrialFailed("memory", f"Memory ran out: {str(error).splitlines()[0]}.") from error
        raise
