"""Train a network: one complete annealed schedule, alone or taught, from seeds that pair all candidates."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.compression.distill import Lesson, distillation_loss
from segsearch.datasets import Split
from segsearch.datasets.augment import Augment, draw_views, maps_of, to_batch, views_of
from segsearch.errors import TrialFailed, UserError
from segsearch.networks import Network
from segsearch.networks.layers import resize, spatial_size
from segsearch.workshop import Progress, silent

IGNORED = -100
VOID = 255
# Re-estimating batch norm on this many whole images is enough to replace the statistics of augmented crops.
BATCH_NORM_IMAGES = 160


@dataclass(frozen=True)
class Schedule:
    """How to train: one-cycle over `epochs`, crops of (height, width) on the network's own grid."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    height: int
    width: int
    class_weights: Literal["none", "log"]
    seed: int
    jaccard_weight: float = 1.0
    smallest_zoom: float = 0.5
    largest_zoom: float = 2.0

    @property
    def augment(self) -> Augment:
        return Augment(smallest=self.smallest_zoom, largest=self.largest_zoom)


def train(
    network: Network,
    split: Split,
    schedule: Schedule,
    *,
    classes: int,
    device: torch.device,
    lesson: Lesson | None = None,
    stage: str = "train",
    progress: Progress = silent,
) -> tuple[float, ...]:
    """Train in place and return the mean loss of each epoch.

    Raises `TrialFailed` of kind `diverged` where the loss is NaN or infinite, `memory` where memory runs out.
    """
    # Dropout draws from torch's own generator: seeded here, and put back as it was.
    with out_of_memory_fails(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(schedule.seed)
        return _train(network, split, schedule, classes, device, lesson, stage, progress)


def _train(
    network: Network,
    split: Split,
    schedule: Schedule,
    classes: int,
    device: torch.device,
    lesson: Lesson | None,
    stage: str,
    progress: Progress,
) -> tuple[float, ...]:
    network.to(device).train()
    weights = class_weights(split.masks, classes, kind=schedule.class_weights).to(device)
    batches = max(1, len(split) // schedule.batch_size)
    total = schedule.epochs * batches
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay, foreach=True
    )
    annealing = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, schedule.learning_rate, total_steps=max(total, 2), pct_start=_rising_share(total)
    )
    source = (int(split.images.shape[1]), int(split.images.shape[2]))
    bfloat16 = trains_in_bfloat16(device)
    losses: list[float] = []
    for step, batch in enumerate(_batches(network, split, schedule, classes, device)):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            scores, auxiliary = network.scores_and_auxiliary(batch.images)
        scores = scores.float()
        loss = _loss(network, scores, auxiliary, batch.masks, weights, jaccard_weight=schedule.jaccard_weight)
        if lesson is not None:
            soft = _soft_loss(
                scores, batch, lesson, source=source, input_scale=network.input_scale, settings=schedule.augment
            )
            loss = (1 - lesson.weight) * loss + lesson.weight * soft
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


def _rising_share(steps: int) -> float:
    """The share of a schedule in which the learning rate rises; torch divides by zero where that is one whole step."""
    return 0.25 if steps == 5 else 0.2


@dataclass(frozen=True)
class _Batch:
    """Images (b, 3, h, w), masks (b, h, w) with -100 for void, and the views of which images they are."""

    images: Tensor
    masks: Tensor
    draws: Tensor
    chosen: NDArray[np.int64]


def _batches(
    network: Network, split: Split, schedule: Schedule, classes: int, device: torch.device
) -> Iterator[_Batch]:
    """Augmented batches of the whole schedule, in an order and with crops that depend on the seed alone."""
    generator = torch.Generator().manual_seed(schedule.seed)
    for _ in range(schedule.epochs):
        order = torch.randperm(len(split), generator=generator).numpy()
        for start in range(0, len(order) - schedule.batch_size + 1, schedule.batch_size):
            # Sorted, because the images may lie in a file that is read in order.
            chosen = np.sort(order[start : start + schedule.batch_size])
            draws = draw_views(len(chosen), generator)
            images, masks = views_of(
                _taken(split.images, chosen).to(device),
                _taken(split.masks, chosen).to(device),
                draws,
                height=schedule.height,
                width=schedule.width,
                input_scale=network.input_scale,
                void=VOID,
                settings=schedule.augment,
            )
            yield _Batch(images, torch.where(masks < classes, masks, IGNORED), draws, chosen)


def _taken(array: NDArray[Any], chosen: NDArray[np.int64]) -> Tensor:
    """The chosen rows as a tensor of its own: the array may be a file that can only be read."""
    return torch.from_numpy(np.take(array, chosen, axis=0))


def _soft_loss(
    scores: Tensor, batch: _Batch, lesson: Lesson, *, source: tuple[int, int], input_scale: float, settings: Augment
) -> Tensor:
    """What the teacher said of the same views, compared on the student's own grid: a full-size one says no more."""
    said, inside = maps_of(
        _taken(lesson.logits, batch.chosen).to(scores.device).float(),
        batch.draws,
        source=source,
        crop=spatial_size(batch.masks),
        size=spatial_size(scores),
        input_scale=input_scale,
        settings=settings,
    )
    return distillation_loss(scores.contiguous(), said, inside, temperature=lesson.temperature)


def _loss(
    network: Network,
    scores: Tensor,
    auxiliary: list[Tensor],
    masks: Tensor,
    weights: Tensor,
    *,
    jaccard_weight: float,
) -> Tensor:
    # Every other pixel: a decoder's grid is coarser still, and the loss at full size costs as much as a small encoder.
    masks = masks[:, 1::2, 1::2]
    # Contiguous: the softmax over channels_last scores of few classes is several times slower.
    scores = resize(scores.contiguous(), spatial_size(masks))
    loss = pixel_loss(scores, masks, weights)
    if jaccard_weight:
        loss = loss + jaccard_weight * jaccard_loss(scores, masks)
    for extra, weight in zip(auxiliary, network.auxiliary_weights, strict=True):
        extra_scores = resize(extra.float().contiguous(), spatial_size(masks))
        loss = loss + weight * pixel_loss(extra_scores, masks, weights)
    return loss


def pixel_loss(scores: Tensor, masks: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy: scores (n, classes, h, w), masks (n, h, w) with -100 for void.

    A batch that is all void gives 0, not NaN.
    """
    total = F.cross_entropy(scores, masks, weight=weights, ignore_index=IGNORED, reduction="sum")
    counted = weights[masks.clamp(min=0)] * (masks != IGNORED)
    return total / counted.sum().clamp(min=1.0)


def jaccard_loss(scores: Tensor, masks: Tensor) -> Tensor:
    """1 - soft intersection over union, averaged over the classes in the batch (Rahman and Wang, ISVC 2016).

    scores (n, classes, h, w), masks (n, h, w) with -100 for void. What is scored is mIoU: rare classes count in it as
    much as frequent ones. A batch that is all void gives 0.
    """
    known = (masks != IGNORED)[:, None]
    truth = F.one_hot(masks.clamp(min=0), scores.shape[1]).permute(0, 3, 1, 2) * known
    predicted = scores.softmax(dim=1) * known
    both = (predicted * truth).sum(dim=(0, 2, 3))
    pixels = truth.sum(dim=(0, 2, 3))
    union = predicted.sum(dim=(0, 2, 3)) + pixels - both
    there = (pixels > 0).float()
    return ((1 - both / union.clamp(min=1.0)) * there).sum() / there.sum().clamp(min=1.0)


def class_weights(masks: NDArray[np.uint8], classes: int, *, kind: Literal["none", "log"]) -> Tensor:
    """Weights of the classes, mean 1: all equal, or 1 / log(1.02 + frequency) (ENet, arXiv:1606.02147)."""
    if kind == "none":
        return torch.ones(classes)
    # Mask by mask: a count over the whole split at once would make eight bytes of every pixel.
    counts = sum((np.bincount(mask.reshape(-1), minlength=256) for mask in masks), np.zeros(256, dtype=np.int64))[
        :classes
    ]
    weights = 1.0 / np.log(1.02 + counts / max(counts.sum(), 1.0))
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def estimate_batch_norm(
    network: Network, split: Split, *, device: torch.device, batch_size: int, progress: Progress = silent
) -> None:
    """Replace the running statistics of batch norm by those of whole, plain training images at the exported scale."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = cast(float, None)  # a plain average over all batches
    chosen = np.unique(np.linspace(0, len(split) - 1, BATCH_NORM_IMAGES).astype(int))
    network.train()
    with torch.no_grad():
        # Parts of nearly one size: a last part of a single image could not be normalised, and would weigh too much.
        parts = np.array_split(chosen, max(1, len(chosen) // batch_size))
        for index, part in enumerate(parts):
            images = _taken(split.images, part)
            network.scores(to_batch(images.to(device), input_scale=network.input_scale))
            progress("batch norm", index + 1, len(parts))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def teach(network: Network, split: Split, target: Path, *, device: torch.device, progress: Progress = silent) -> None:
    """Write a trained teacher's logits of every training image, whole and plain, to a .npy file.

    float16 (images, classes, h, w) on the teacher's own grid, an image at a time.
    """
    network.to(device).eval()
    with torch.no_grad(), out_of_memory_fails():
        for index in range(len(split)):
            image = _taken(split.images, np.array([index])).to(device)
            said = network.scores(to_batch(image, input_scale=network.input_scale))[0].to(torch.float16).cpu().numpy()
            if index == 0:
                kept = np.lib.format.open_memmap(target, "w+", dtype=np.float16, shape=(len(split), *said.shape))
            kept[index] = said
            progress("teach", index + 1, len(split))
    kept.flush()


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
        if "allocate memory" in str(error) or "out of memory" in str(error):
            raise TrialFailed("memory", f"Memory ran out: {str(error).splitlines()[0]}.") from error
        raise


def trains_in_bfloat16(device: torch.device) -> bool:
    """On CUDA, and on processors with matrix tiles for it (AMX), where dense networks train faster."""
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def pick_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """CPU or CUDA, whichever is there. Raises `UserError` where CUDA is asked for and absent."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError('train.device must be there; this machine has no CUDA device. Use device = "auto".')
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
