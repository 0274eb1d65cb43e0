"""Score a network that is not exported: of a teacher only its mIoU is asked for, and no file of it ships."""

from __future__ import annotations

import numpy as np
import torch

from segsearch.datasets import Split
from segsearch.datasets.augment import to_batch
from segsearch.errors import TrialFailed
from segsearch.evidence.types import Confusion
from segsearch.networks import Network
from segsearch.training.batches import taken
from segsearch.trial.score import count, nearest
from segsearch.workshop import Progress, silent


def score_network(
    network: Network, split: Split, *, classes: int, device: torch.device, progress: Progress = silent
) -> Confusion:
    """The counts of a trained network over a whole split: whole images, in float32, at each label's own size.

    As `score` does for a file. Raises `TrialFailed` where a score is not finite.
    """
    network.to(device).eval()
    counts = np.zeros((classes, classes), dtype=np.int64)
    with torch.no_grad():
        for index in range(len(split)):
            scores = network(to_batch(taken(split.images, np.array([index])).to(device)))[0]
            if not torch.isfinite(scores).all():
                raise TrialFailed("score", f"The network answered NaN or infinity on {split.names[index]}.")
            label = split.label(index)
            counts += count(label, nearest(scores.argmax(dim=0).cpu().numpy(), label.shape), classes=classes)
            progress("score", index + 1, len(split))
    return Confusion(tuple(tuple(int(value) for value in row) for row in counts))
