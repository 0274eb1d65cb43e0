"""The network of a candidate: from its architecture or brought by somebody, and the shape that its steps leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from segsearch.compression import MODEL_STEPS, REPORTS, Losses
from segsearch.errors import TrialFailed
from segsearch.networks import Network, build
from segsearch.own.graph import GraphMaker
from segsearch.own.made import Maker
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate
from segsearch.space.own import OwnNetwork
from segsearch.space.steps import BeforeExport
from segsearch.trial.bench import Bench
from segsearch.trial.export import count_params


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


def compressed_shape(candidate: Candidate, bench: Bench) -> Network:
    """The candidate's network with random weights, in the shape that its steps before export leave."""
    network = network_of(candidate.architecture, bench, seed=bench.schedule.seed)
    return apply_model_steps(network, candidate.before_export)


def demanded_shape(candidate: Candidate, bench: Bench) -> Network:
    """`compressed_shape` of a candidate that is about to be looked at.

    Raises `TrialFailed` where a step leaves the network as it is: the candidate would be told, and learned from, as
    pruned or factorised, and is the one without that step.
    """
    network = network_of(candidate.architecture, bench, seed=bench.schedule.seed)
    for step in candidate.before_export:
        before = count_params(network)
        network = apply_model_steps(network, [step])
        if not step.idle and count_params(network) == before:
            raise TrialFailed(
                "no effect",
                f"A step must take something of the network, and {step.words} in multiples of {step.round_to} takes "
                f"nothing: {_why_left(network, step)}. Draw a larger share, smaller multiples (round_to) or wider "
                "layers.",
            )
    return network


def _why_left(network: Network, step: BeforeExport) -> str:
    """The commonest reasons for which a step leaves convolutions as they are, with how many there are of each."""
    reasons = Counter(left.why for left in REPORTS[type(step)](network, step, protected=network.protected))
    return ", ".join(f"{why} ({count} of its convolutions)" for why, count in reasons.most_common(2))


def apply_model_steps(network: Network, steps: Sequence[BeforeExport], losses: Losses | None = None) -> Network:
    """The steps before the export, in place. `losses` choose what goes, and never the shapes."""
    for step in steps:
        MODEL_STEPS[type(step)](network, step, protected=network.protected, losses=losses)
    return network
