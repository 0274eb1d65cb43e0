"""Train a network: one complete annealed schedule, alone or taught, from seeds that pair all candidates."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segsearch.compression.distill import Teaching
from segsearch.datasets import Split
from segsearch.errors import TrialFailed
from segsearch.networks import Network
from segsearch.training.batch_norm import estimate_batch_norm
from segsearch.training.batches import More, augmented_batches
from segsearch.training.checkpoint import Keep, Look, Stand, restore, save
from segsearch.training.losses import class_weights, label_offsets, soft_loss, total_loss
from segsearch.training.schedule import Schedule, rising_share, trains_in_bfloat16
from segsearch.workshop import Progress, silent


@dataclass(frozen=True)
class Judge:
    """Who looks at a training every so many steps and at its end: `score` is the mIoU of a network as it would ship."""

    every: int
    score: Callable[[Network], float]
    told: Callable[[Look, int], None]


@dataclass(frozen=True)
class Learned:
    """The mean loss of each epoch, what a judge found on the way, and what it took, also in processes that are gone."""

    losses: tuple[float, ...]
    looks: tuple[Look, ...] = ()
    seconds: float = field(default=0.0, compare=False)


def train(
    network: Network,
    split: Split,
    schedule: Schedule,
    *,
    classes: int,
    device: torch.device,
    teaching: Teaching | None = None,
    more: More | None = None,
    inherited: Collection[str] = (),
    keep: Keep | None = None,
    judge: Judge | None = None,
    stage: str = "train",
    progress: Progress = silent,
) -> Learned:
    """Train in place.

    With `teaching` the teacher's logits are learned, too, also of `more` images without labels: theirs come after the
    split's. Parameters whose names are `inherited` learn at the schedule's `start_rate` times the rate of the others.
    With `keep` the training is kept on its way, and one that is found there goes on: on the same machine and threads to
    the very weights that it would have had.
    Raises `TrialFailed` of kind `diverged` where the loss is NaN or infinite, `memory` where memory runs out, and
    `StorageFull` where there is no room to keep it.
    """
    # Dropout draws from torch's own generator: seeded here, and put back as it was.
    with out_of_memory_fails(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(schedule.seed)
        network.to(device).train()
        learned = _learn(
            network, split, schedule, classes, device, teaching, more, inherited, keep, judge, stage, progress
        )
        estimate_batch_norm(network, split, device=device, batch_size=schedule.batch_size, progress=progress)
        return learned


def _learn(
    network: Network,
    split: Split,
    schedule: Schedule,
    classes: int,
    device: torch.device,
    teaching: Teaching | None,
    more: More | None,
    inherited: Collection[str],
    keep: Keep | None,
    judge: Judge | None,
    stage: str,
    progress: Progress,
) -> Learned:
    """All steps that are left; then the network holds the weights that count."""
    weights = class_weights(split.masks, classes, kind=schedule.class_weights).to(device)
    batches, total = schedule.steps_of_epoch(len(split)), schedule.steps_for(len(split))
    groups = parameter_groups(network, schedule, inherited)
    optimizer = torch.optim.AdamW(groups, weight_decay=schedule.weight_decay, foreach=True)
    averaged = None if schedule.ema is None else {name: value.clone() for name, value in averageable(network).items()}
    stand = (keep and restore(keep, network, optimizer, averaged)) or Stand(0, [], [], 0.0)
    losses, looks = stand.losses, stand.looks
    annealing = one_cycle(optimizer, total, done=stand.step)
    source = (int(split.images.shape[1]), int(split.images.shape[2]))
    bfloat16 = trains_in_bfloat16(device)
    offsets = itertools.islice(label_offsets(schedule), stand.step, None)
    began = kept = time.monotonic()
    took = 0.0
    silent_steps = 0 if teaching is None else teaching.silent_steps(total)
    shown = augmented_batches(
        network,
        split,
        schedule,
        classes,
        device,
        first=stand.step,
        more=None if teaching is None else more,
        more_from=silent_steps,
    )
    for step, batch in enumerate(shown, start=stand.step + 1):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            scores, auxiliary = network.scores_and_auxiliary(batch.images)
        scores = scores.float()
        jaccard_weight, offset = schedule.jaccard_weight, next(offsets)
        loss = total_loss(
            network, scores, auxiliary, batch.masks, weights, jaccard_weight=jaccard_weight, offset=offset
        )
        if teaching is not None and step > silent_steps:
            loss = teaching.joined(loss, soft_loss(scores, batch, teaching, source=source, settings=schedule.augment))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrialFailed("diverged", f"The loss became {value} at step {step} of {total}.")
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        annealing.step()
        losses.append(value)
        if averaged is not None and schedule.ema is not None:
            average(averaged, network, decay_at(step, schedule.ema))
        if judge is not None and (step % judge.every == 0 or step == total):
            since = looks[-1].step if looks else 0
            looks.append(Look(step, float(np.mean(losses[since:])), judge.score(_as_found(network, averaged))))
            judge.told(looks[-1], total)
        if keep is not None and keep.due((now := time.monotonic()) - kept, took):
            save(keep, Stand(step, losses, looks, stand.seconds + now - began), network, optimizer, averaged)
            kept = time.monotonic()
            took = kept - now
        progress(stage, step, total)
    if averaged is not None:
        network.load_state_dict(averaged, strict=False)
    means = tuple(float(np.mean(losses[at : at + batches])) for at in range(0, total, batches))
    return Learned(means, tuple(looks), stand.seconds + time.monotonic() - began)


def one_cycle(optimizer: torch.optim.Optimizer, total: int, *, done: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """The rates of a schedule of `total` steps, `done` of which were made (Smith and Topin, arXiv:1708.07120)."""
    highest = [group["lr"] for group in optimizer.param_groups]
    annealing = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, highest, total_steps=max(total, 2), pct_start=rising_share(total)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer's steps came first, in a process that is gone
        for _ in range(done):
            annealing.step()
    return annealing


def averageable(network: Network) -> dict[str, Tensor]:
    """What of a network is averaged: weights and the statistics of batch norm, by name."""
    return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}


def average(averaged: Mapping[str, Tensor], network: Network, decay: float) -> None:
    """Move the averages of the weights towards what they are now, in place."""
    now = averageable(network)
    with torch.no_grad():
        torch._foreach_lerp_(list(averaged.values()), [now[name] for name in averaged], 1.0 - decay)


def decay_at(step: int, decay: float) -> float:
    """The decay of the average at a step, from 1: short at the start, when old weights say nothing yet."""
    return min(decay, (1 + step) / (10 + step))


def _as_found(network: Network, averaged: Mapping[str, Tensor] | None) -> Network:
    """A copy of what the training would leave now; nobody who looks at it changes the training."""
    copied = copy.deepcopy(network)
    if averaged is not None:
        copied.load_state_dict(averaged, strict=False)
    return copied


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
