"""What a trained teacher says of every training image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from segsearch.datasets import Split
from segsearch.datasets.augment import to_batch
from segsearch.networks import Network
from segsearch.training.batches import taken
from segsearch.training.loop import out_of_memory_fails
from segsearch.workshop import Progress, silent

# What float16 still holds, of logits that are far apart.
MOST = 6e4
# Of one image (height, width, 3): the scores of the classes (classes, h, w), on whatever grid.
Says = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def teach(network: Network, split: Split, target: Path, *, device: torch.device, progress: Progress = silent) -> None:
    """Write a trained teacher's logits of every training image, whole and plain, to a .npy file.

    float16 (images, classes, h, w) on the teacher's own grid, an image at a time.
    """
    write_logits(says_of(network, device), [split.images], target, progress=progress)


def says_of(network: Network, device: torch.device) -> Says:
    """What a network says of an image, on its own grid."""
    network.to(device).eval()

    def says(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        batch = taken(image[None], np.array([0])).to(device)
        with torch.no_grad():
            said: NDArray[np.float32] = (
                network.scores(to_batch(batch, input_scale=network.input_scale))[0].cpu().numpy()
            )
        return said

    return says


def write_logits(says: Says, splits: list[NDArray[np.uint8]], target: Path, *, progress: Progress = silent) -> None:
    """Write what somebody says of all images, one array (n, height, width, 3) after the other, to a .npy file.

    float16 (images, classes, h, w), an image at a time.
    """
    total = sum(map(len, splits))
    with out_of_memory_fails():
        for index, image in enumerate(_images(splits)):
            said = np.clip(says(image), -MOST, MOST).astype(np.float16)
            if index == 0:
                kept = np.lib.format.open_memmap(target, "w+", dtype=np.float16, shape=(total, *said.shape))
            kept[index] = said
            progress("teach", index + 1, total)
    kept.flush()


def _images(splits: list[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    for images in splits:
        yield from images
