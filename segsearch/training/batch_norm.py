"""Batch norm's statistics, taken anew from whole, plain images."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import nn

from segsearch.datasets import Split
from segsearch.datasets.augment import to_batch
from segsearch.networks import Network
from segsearch.training.batches import taken
from segsearch.workshop import Progress, silent

# Re-estimating batch norm on this many whole images is enough to replace the statistics of augmented crops.
BATCH_NORM_IMAGES = 160


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
            images = taken(split.images, part)
            network.scores(to_batch(images.to(device), input_scale=network.input_scale))
            progress("batch norm", index + 1, len(parts))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
