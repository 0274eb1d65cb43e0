"""The network of a candidate: assembled from its architecture, or the module that somebody brought."""

from __future__ import annotations

from segsearch.errors import TrialFailed
from segsearch.networks import Network, build
from segsearch.space.architecture import Architecture
from segsearch.space.own import OwnNetwork
from segsearch.trial.bench import Bench


def network_of(architecture: Architecture | OwnNetwork, bench: Bench, *, seed: int) -> Network:
    """The network with weights drawn from `seed`, or with those that it was brought with.

    Raises `ValueError` where an architecture does not fit, and `TrialFailed` where the study has no such module.
    """
    if isinstance(architecture, Architecture):
        return build(architecture, bench.classes, seed=seed)
    if bench.own is None or bench.own.path.name != architecture.artifact:
        raise TrialFailed("build", f"The study's own network must be {architecture.artifact}, got another or none.")
    return bench.own.network(architecture)
