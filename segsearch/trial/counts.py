"""Parameters and multiply-accumulates of an architecture, without making its weights."""

from __future__ import annotations

import torch

from segsearch.errors import TrialFailed
from segsearch.networks import build
from segsearch.space.architecture import Architecture
from segsearch.trial.export import count_macs, count_params


def counts_of(architecture: Architecture, classes: int, size: tuple[int, int]) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of what would ship, for an image of (height, width).

    On torch's meta device: shapes are followed and nothing is computed. Raises `TrialFailed` where the architecture
    cannot be built, or its maps have no room in an image of that size.
    """
    try:
        with torch.device("meta"):
            network = build(architecture, classes)
        return count_params(network), count_macs(network, size)
    except (ValueError, RuntimeError) as error:
        raise TrialFailed("build", " ".join(str(error).split())) from None
