"""The network of a candidate: assembled from its architecture, or the module that somebody brought."""

from __future__ import annotations

from segsearch.errors import TrialFailed
from segsearch.networks import Network, build
from segsearch.own.graph import GraphMaker
from segsearch.own.made import Maker
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate
from segsearch.space.own import OwnNetwork
from segsearch.trial.bench import Bench


def network_of(architecture: Architecture | OwnNetwork, bench: Bench, *, seed: int) -> Network:
    """The network with weights drawn from `seed`, or with those that it was brought with.

    Raises `ValueError` where an architecture does not fit, and `TrialFailed` where the study has no such module.
    """
    if isinstance(architecture, Architecture):
        return build(architecture, bench.classes, seed=seed)
    own = bench.own
    if not isinstance(own, Maker) or own.path.name != architecture.artifact:
        raise TrialFailed("build", f"The study's own network must be {architecture.artifact}, got another or none.")
    return own.network(architecture)


def graph_of(candidate: Candidate, bench: Bench) -> tuple[OwnNetwork, GraphMaker] | None:
    """The ONNX file that a candidate is, and what makes its files; None of a candidate that is a network.

    Raises `TrialFailed` where the study has no such file, or where the candidate asks for what only a module can do.
    """
    own = candidate.architecture
    if not isinstance(own, OwnNetwork) or not own.is_graph:
        return None
    if not isinstance(bench.own, GraphMaker) or bench.own.path.name != own.artifact:
        raise TrialFailed("build", f"The study's own network must be {own.artifact}, got another or none.")
    if candidate.before_export or candidate.tail:
        raise TrialFailed("build", "An ONNX file can be quantized, and neither pruned, factorized nor trained.")
    return own, bench.own
