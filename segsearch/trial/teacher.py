"""A teacher once it is trained, here or elsewhere: what it says of each image, and how good it is by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from segsearch.datasets import Split
from segsearch.errors import StudyError, TrialFailed
from segsearch.evidence.types import Confusion
from segsearch.networks import Network
from segsearch.runtimes import Answer, Image, Session
from segsearch.space.keys import to_json
from segsearch.training.teacher import Says, says_of, write_logits
from segsearch.trial.bench import Bench, in_the_room, scratch
from segsearch.trial.given import network_of_file
from segsearch.trial.score import score, to_input
from segsearch.trial.score_network import score_network
from segsearch.workshop import Artifacts, Outcome, Progress

# No student's own grid is finer than a quarter of an image's sides: finer scores would be kept for nothing.
FINEST = 4


@dataclass(frozen=True)
class Trained:
    """A teacher: what it says of an image, and how it scores on a split."""

    says: Says
    scored: Callable[[Split, Progress], Confusion]


def of_network(network: Network, bench: Bench) -> Trained:
    """A network as a teacher, on its own grid."""
    device, classes = bench.device, bench.classes

    def scored(split: Split, progress: Progress) -> Confusion:
        return score_network(network, split, classes=classes, device=device, progress=progress)

    return Trained(says_of(network, device), scored)


def of_artifact(artifact: str, bench: Bench, artifacts: Artifacts) -> Trained:
    """A teacher that was trained elsewhere, from the artifact that `given` kept. Raises `DatabaseError`."""
    path = artifacts.verified(artifact)
    if path.suffix == ".safetensors":
        return of_network(network_of_file(path), bench)
    asked = Resized(bench.runtime.open(path, threads=torch.get_num_threads()))

    def scored(split: Split, progress: Progress) -> Confusion:
        return score(asked, split, classes=bench.classes, progress=progress)

    return Trained(asked.says, scored)


@dataclass(frozen=True)
class Resized:
    """An opened file that answers scores, asked with images of any size."""

    session: Session

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.session.shape

    def run(self, image: Image, /) -> Answer:
        """The file's own answer to an image (1, 3, height, width), resized as it takes it."""
        size = self.session.shape[2:]
        if image.shape[2:] != size:
            image = _resized(torch.from_numpy(image), size)
        return self.session.run(np.ascontiguousarray(image))

    def says(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of an image (height, width, 3), no finer than any student hears. Raises `TrialFailed`."""
        answer = torch.from_numpy(self.run(to_input(image)))
        if not answer.isfinite().all():
            raise TrialFailed("teacher", "Its scores must be finite, got NaN or infinity.")
        if _are_shares(answer):
            answer = answer.clamp(min=1e-6).log()
        height, width = (
            min(side, -(-whole // FINEST)) for side, whole in zip(answer.shape[2:], image.shape, strict=False)
        )
        logits: NDArray[np.float32] = _resized(answer, (height, width))[0]
        return logits


def _are_shares(scores: torch.Tensor) -> bool:
    """Whether a file answers probabilities in place of scores."""
    return bool((scores >= 0).all() and ((scores.sum(dim=1) - 1).abs() < 1e-3).all())


def _resized(maps: torch.Tensor, size: tuple[int, ...]) -> NDArray[Any]:
    if tuple(maps.shape[2:]) != tuple(size):
        maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=False, antialias=True)
    found: NDArray[Any] = maps.numpy()
    return found


def told(teacher: Trained, bench: Bench, artifacts: Artifacts, progress: Progress) -> Outcome:
    """Its logits of all images that students learn from, as an artifact, and its own mIoU on the validation split.

    Those without labels come last. Raises `StudyError` where it cannot be asked.
    """
    images = [bench.dataset.train.images, *([bench.beside.opened()] if bench.beside is not None else [])]
    try:
        with in_the_room(bench, progress) as watched:
            found = teacher.scored(bench.dataset.validation, watched)
        with scratch(artifacts, ".npy") as target:
            with in_the_room(bench, progress) as watched:
                write_logits(teacher.says, images, target, progress=watched)
            logits = artifacts.keep(target)
    except TrialFailed as failed:
        raise cannot_teach(failed) from failed
    miou = found.miou if any(map(any, found.counts)) else None  # a split that is all void says nothing
    return {"logits": logits, "miou": miou, "confusion": to_json(found), "on": bench.dataset.key}


def cannot_teach(failed: TrialFailed) -> StudyError:
    return StudyError(
        f"The teacher could not be trained: {failed} Change [teacher] under another study name, or leave it out."
    )
