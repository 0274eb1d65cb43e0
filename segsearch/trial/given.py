"""A teacher that was trained elsewhere, a trial or a file, and the process that reads it and keeps it with a study.

`python -m segsearch.trial.given`; `keep_teacher` starts it: a worker loads no torch for it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segsearch.errors import StudyError
from segsearch.settings.teacher import TeacherSettings
from segsearch.space.architecture import Architecture
from segsearch.space.keys import from_json, to_json
from segsearch.space.own import OwnNetwork
from segsearch.space.steps import BeforeExport
from segsearch.trial.start import asked
from segsearch.trial.wire import answered_once
from segsearch.workshop import Artifacts, Progress, silent

if TYPE_CHECKING:
    from segsearch.networks import Network

READER = (sys.executable, "-P", "-m", "segsearch.trial.given")
# The entry of a safetensors file's metadata that says which network its weights are of.
HEADER = "segsearch.teacher"


@dataclass(frozen=True)
class Header:
    """Which network a kept teacher is, of what classes, and the steps that gave it its shape."""

    classes: tuple[str, ...]
    architecture: Architecture
    before_export: tuple[BeforeExport, ...] = ()


@dataclass(frozen=True)
class Order:
    """Who teaches what classes, where it is kept, and the run's own database, if there is one yet."""

    settings: str
    classes: tuple[str, ...]
    folder: str
    own: str | None = None


def keep_teacher(
    settings: TeacherSettings,
    classes: Sequence[str],
    artifacts: Artifacts,
    *,
    own: str | None = None,
    progress: Progress = silent,
    reader: Sequence[str] = READER,
) -> str:
    """Keep the trial or the file that is to teach these classes, and return the artifact's name.

    Raises a `UserError` where it is not there, cannot be read, says no scores, or knows other classes.
    """
    progress("teacher", 0, 1)
    order = Order(settings.model_dump_json(), tuple(classes), str(artifacts.folder), own)
    return asked(reader, to_json(order), failed=f"{settings.words}: the teacher could not be read")


def kept(order: Order) -> str:
    """Keep what an order names; the artifact's name."""
    settings = TeacherSettings.model_validate_json(order.settings)
    artifacts = Artifacts(Path(order.folder))
    if settings.trial is not None:
        return _keep_trial(settings, order, artifacts)
    path = Path(settings.file or "")
    if not path.is_file():
        raise StudyError(f"{path}: teacher.file must be there, got no such file; correct the path.")
    if path.suffix.lower() == ".safetensors":
        _demand_classes(header_of(path).classes, order.classes, where=str(path))
        network_of_file(path)
        return artifacts.keep_bytes(path.read_bytes(), ".safetensors")
    _demand_scores(path, order.classes)
    return artifacts.keep_bytes(path.read_bytes(), ".onnx")


# ---- a trial


def _keep_trial(settings: TeacherSettings, order: Order, artifacts: Artifacts) -> str:
    import safetensors.torch

    from segsearch.datasets import classes_of
    from segsearch.settings.texts import texts_of
    from segsearch.store import open_store
    from segsearch.trial.origin import made_of

    where = settings.database or order.own
    if where is None:
        raise StudyError(f"teacher.trial = {settings.trial} needs a database: name it with teacher.database.")
    with open_store(where, read_only=True) as store:
        row = store.study(settings.study)
        trial, evidence = store.trial(row.name, settings.trial or 0), store.evidence(row.name, settings.trial or 0)
        called = f"{store.where}: trial {trial.number} of {row.name}"
        if trial.state != "trained" or evidence is None or trial.artifact is None:
            raise StudyError(f"{called} must be trained to teach, got one that is {trial.state}; name another.")
        texts = row.texts if row.texts is not None else texts_of(row.study.data)
        classes = classes_of(row.study.data, texts)
        _demand_classes(classes, order.classes, where=called)
        made = next(made_of(store, row, trial.candidate, trial.artifact, evidence), None)
        if made is None:
            raise StudyError(f"{called}: no stage that is stored tells which weights made its file; name another.")
        design = trial.candidate.architecture
        if isinstance(design, OwnNetwork):
            raise StudyError(f"{called} is a network that somebody brought, which teaches in its own study alone.")
        weights = row.artifacts.verified(made[0])
        state = safetensors.torch.load_file(weights)
        # One entry: of several the order in the file is not settled, and with it the name of the file.
        header = Header(tuple(classes), design.learnt, trial.candidate.before_export)
        name = artifacts.keep_bytes(safetensors.torch.save(state, {HEADER: to_json(header)}), ".safetensors")
    network_of_file(artifacts.path(name))
    return name


# ---- a file


def header_of(path: Path) -> Header:
    """What a kept teacher says of itself. Raises `StudyError` where the file is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as opened:
            return from_json(Header, opened.metadata()[HEADER])
    except (OSError, SafetensorError, TypeError, KeyError, ValueError):
        raise StudyError(
            f"{path}: weights alone do not say which network they are of: a teacher's file holds that, too, as runs "
            f"keep it ({HEADER} in its metadata). Name a trial with its database, or an ONNX file with scores."
        ) from None


def network_of_file(path: Path) -> Network:
    """The network of a kept teacher, with its weights. Raises `StudyError` where they are not that network's."""
    import safetensors.torch
    import torch

    from segsearch.compression import MODEL_STEPS
    from segsearch.networks import build

    header = header_of(path)
    try:
        network = build(header.architecture, len(header.classes))
        for step in header.before_export:
            MODEL_STEPS[type(step)](network, step, protected=network.protected, losses=None)
        state = safetensors.torch.load_file(path)
        network.load_state_dict(state, strict=True)
    except (RuntimeError, ValueError, LookupError) as error:
        why = " ".join(str(error).split())[:200]
        raise StudyError(
            f"{path}: its weights must be those of the network that it names, got others ({why})."
        ) from None
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise StudyError(f"{path}: weights must be finite numbers, got others; take a file that is whole.")
    return network.eval()


def _demand_scores(path: Path, classes: Sequence[str]) -> None:
    """Raise `StudyError` where an ONNX file does not say scores of these classes."""
    import numpy as np

    from segsearch.errors import TrialFailed
    from segsearch.runtimes import RUNTIMES
    from segsearch.runtimes.external import files_beside, load_graph

    graph = load_graph(path)
    if beside := files_beside(graph, path):
        raise StudyError(
            f"{path}: a teacher must be one file, got weights in {beside[0].name} beside it; export it so."
        )
    try:
        session = RUNTIMES["onnxruntime"].open(path, threads=1)
        answer = session.run(np.zeros(session.shape, dtype=np.float32))
    except TrialFailed as failed:
        raise StudyError(f"{path}: a teacher takes RGB images (1, 3, height, width) of 0 to 255: {failed}") from None
    except Exception as error:  # ONNX Runtime's own, of an input that is no float
        why = " ".join(str(error).split())[:200]
        raise StudyError(f"{path}: a teacher takes float images (1, 3, height, width), and this file: {why}") from None
    if answer.ndim != 4 or not np.issubdtype(answer.dtype, np.floating):
        raise StudyError(
            f"{path}: a teacher must say scores (1, classes, height, width), and this file answers a mask, "
            f"{answer.dtype} {answer.shape}: the class of each pixel tells nothing of the others. "
            "`segsearch export DB --output scores` writes one that does."
        )
    told = {entry.key: entry.value for entry in graph.metadata_props}
    if names := told.get("segsearch.classes"):
        _demand_classes(tuple(map(str, json.loads(names))), classes, where=str(path))
    if answer.shape[1] != len(classes):
        raise StudyError(
            f"{path}: a teacher must know the study's {len(classes)} classes, got scores of {answer.shape[1]}; name "
            "another."
        )


def _demand_classes(found: Sequence[str], wanted: Sequence[str], *, where: str) -> None:
    if tuple(found) != tuple(wanted):
        differs = next((pair for pair in zip(found, wanted, strict=False) if pair[0] != pair[1]), None)
        what = f"{len(found)} of them" if differs is None else f"{differs[0]!r} where the study has {differs[1]!r}"
        raise StudyError(
            f"{where}: a teacher must know the study's {len(wanted)} classes in their order, got {what}; name another."
        )


def main() -> int:
    order = sys.stdin.read()
    return answered_once("kept", lambda: kept(from_json(Order, order)))


if __name__ == "__main__":
    sys.exit(main())
