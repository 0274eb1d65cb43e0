"""Score a network that is not exported: of a teacher only its mIoU is asked for, and no file of it ships."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from segsearch.datasets import Split
from segsearch.evidence.types import Confusion
from segsearch.networks import Network
from segsearch.runtimes import Image
from segsearch.trial.score import score
from segsearch.workshop import Progress, silent


@dataclass(frozen=True)
class _Answering:
    """A network that is asked as an opened file is."""

    network: Network
    device: torch.device
    shape: tuple[int, int, int, int]

    def run(self, image: Image, /) -> Image:
        with torch.no_grad():
            batch = torch.from_numpy(image).to(self.device, memory_format=torch.channels_last)
            scores: Image = self.network(batch).cpu().numpy()
        return scores


def score_network(
    network: Network, split: Split, *, classes: int, device: torch.device, progress: Progress = silent
) -> Confusion:
    """The counts of a trained network over a whole split, as `score` takes them of a file, and raising as it does."""
    height, width = (int(side) for side in split.images.shape[1:3])
    asked = _Answering(network.to(device).eval(), device, (1, 3, height, width))
    return score(asked, split, classes=classes, progress=progress)
