"""The model of a trial: its file, opened, and the torch network whose weights made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segsearch import __version__
from segsearch.errors import DatabaseError, TrialFailed
from segsearch.space.candidate import Candidate
from segsearch.space.own import OwnNetwork

if TYPE_CHECKING:
    from segsearch.api.source import Source
    from segsearch.networks import Network
    from segsearch.runtimes import Session


def opened(source: Source, artifact: str, *, threads: int) -> Session:
    """The file of that name, opened once its bytes were found to be those that it is named after."""
    from segsearch.runtimes import RUNTIMES

    return RUNTIMES["onnxruntime"].open(source.row.artifacts.verified(artifact), threads=threads)


def inference_session(source: Source, artifact: str, *, threads: int) -> Any:
    """ONNX Runtime's own session of the file of that name."""
    from segsearch.runtimes.onnxruntime import OnnxSession

    session = opened(source, artifact, threads=threads)
    assert isinstance(session, OnnxSession)
    return session.inner


def network_of(source: Source, number: int, candidate: Candidate, artifact: str) -> Network:
    """The network that a trial's file was exported from, with its weights. Raises `DatabaseError` where it is not to
    be had."""
    from segsearch.networks import build
    from segsearch.own.made import Maker
    from segsearch.trial.making import apply_model_steps
    from segsearch.trial.origin import made_of
    from segsearch.trial.state import load_weights
    from segsearch.workshop import cache_of

    artifacts = source.row.artifacts
    evidence = source.store.evidence(source.row.name, number)
    found = None if evidence is None else next(made_of(source.store, source.row, candidate, artifact, evidence), None)
    if evidence is None or evidence.confusion is None or found is None:
        raise DatabaseError(
            f"{source.store.where}: which weights made the file of trial {number} is not told by any stage that is "
            "stored; its ONNX file is there, `segsearch retrain` trains it again."
        )
    weights, plain = found
    if not artifacts.has(weights):
        raise DatabaseError(
            f"{artifacts.folder}: the weights of trial {number}, {weights}, are gone. Copy them back; its ONNX file "
            "runs without them, and `segsearch retrain` trains it again."
        )
    path = artifacts.verified(weights)
    seed, classes = source.row.study.seed, len(evidence.confusion.counts)
    try:
        if isinstance(candidate.architecture, OwnNetwork) and candidate.architecture.is_graph:
            raise LookupError("it was brought as an ONNX file, of which no torch module is known")
        if isinstance(candidate.architecture, OwnNetwork):
            folder = cache_of(artifacts.folder.parent) / "networks"
            own = Maker(artifacts.verified(candidate.architecture.artifact), folder)
            network: Network = own.network(candidate.architecture)
        else:
            network = build(candidate.architecture, classes, seed=seed)
        network = apply_model_steps(network, candidate.before_export)
        load_weights(network, path)
        network.eval()
        if artifacts.has(plain):
            _demand_alike(network, source, plain)
    except (RuntimeError, ValueError, LookupError, TrialFailed) as error:
        about = ", ".join(f"{name} {version}" for name, version in evidence.versions if name in ("segsearch", "torch"))
        why = " ".join(str(error).split())[:200]
        raise DatabaseError(
            f"{path}: the weights of trial {number} were made with {about}, and segsearch {__version__} here makes "
            f"another network of its design ({why}). Load them with those versions; its ONNX file runs all the same."
        ) from error
    return network


def _demand_alike(network: Network, source: Source, plain: str) -> None:
    """Raise `TrialFailed` where the network says something else than the float file that it was exported to."""
    import numpy as np

    from segsearch.runtimes import RUNTIMES
    from segsearch.trial.export import check_parity

    study = source.row.study
    shape = (1, 3, study.data.height, study.data.width)
    image = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    file = source.row.artifacts.verified(plain)
    check_parity(network, file, RUNTIMES["onnxruntime"], image, output=study.output)
