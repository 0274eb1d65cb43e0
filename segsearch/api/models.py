"""The model of a trial: its file, opened, and the torch network whose weights made it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from segsearch import __version__
from segsearch.errors import DatabaseError, TrialFailed
from segsearch.space.candidate import Candidate
from segsearch.space.own import OwnNetwork

if TYPE_CHECKING:
    from segsearch.api.trials import Source
    from segsearch.evidence.types import Evidence
    from segsearch.networks import Network
    from segsearch.runtimes import Session

_WEIGHTS = ("train", "fine-tune")


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
    from segsearch.launch import cache_of
    from segsearch.networks import build
    from segsearch.own.made import Maker
    from segsearch.trial.weights import apply_model_steps, load_weights

    artifacts = source.row.artifacts
    evidence = source.store.evidence(source.row.name, number)
    found = None if evidence is None else next(made_of(source, candidate, artifact, evidence), None)
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


def made_of(source: Source, candidate: Candidate, artifact: str, evidence: Evidence) -> Iterator[tuple[str, str]]:
    """(weights, float file) of which a trial's file was made, proven by the keys of the stages that made it."""
    from segsearch.trial.files import export_key, quantize_key

    store, row, data = source.store, source.row, source.row.study.data
    levels = data.levels if isinstance(data.levels, tuple) else None
    exports = store.stages(row.name, name="export")
    plain = {artifact}
    if candidate.after_export:
        # A file that was trained on in int8 tells which one it began as.
        tails = store.stages(row.name, name="quantize-train")
        artifact = next((str(one.outcome["calibrated"]) for one in tails if one.outcome["model"] == artifact), artifact)
        keys = {one.key for one in store.stages(row.name, name="quantize") if one.outcome.get("model") == artifact}
        models = {str(one.outcome["model"]) for one in exports}
        key_of = partial(quantize_key, candidate, data_key=row.data_key, versions=evidence.versions)
        plain = {model for model in models if key_of(model) in keys}
    exported = {one.key: str(one.outcome["model"]) for one in exports if one.outcome["model"] in plain}
    trained = itertools.chain.from_iterable(store.stages(row.name, name=name) for name in _WEIGHTS)
    for weights in dict.fromkeys(str(one.outcome["weights"]) for one in trained):
        key = export_key(
            candidate,
            weights,
            size=(data.height, data.width),
            output=row.study.output,
            levels=levels,
            versions=evidence.versions,
        )
        if key in exported:
            yield weights, exported[key]


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
