"""What a trained teacher says of every training image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from segsearch.datasets import Split
from segsearch.datasets.augment import to_batch
from segsearch.networks import Network
from segsearch.training.batches import taken
from segsearch.training.loop import out_of_memory_fails
from segsearch.workshop import Progress, silent


def teach(network: Network, split: Split, target: Path, *, device: torch.device, progress: Progress = silent) -> None:
    """Write a trained teacher's logits of every training image, whole and plain, to a .npy file.

    float16 (images, classes, h, w) on the teacher's own grid, an image at a time.
    """
    network.to(device).eval()
    with torch.no_grad(), out_of_memory_fails():
        for index in range(len(split)):
            image = taken(split.images, np.array([index])).to(device)
            said = network.scores(to_batch(image, input_scale=network.input_scale))[0].to(torch.float16).cpu().numpy()
            if index == 0:
                kept = np.lib.format.open_memmap(target, "w+", dtype=np.float16, shape=(len(split), *said.shape))
            kept[index] = said
            progress("teach", index + 1, len(split))
    kept.flush()
