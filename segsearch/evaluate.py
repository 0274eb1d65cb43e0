"""One candidate: built, timed untrained, trained, compressed, exported, timed and scored, cheapest question first."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import safetensors.torch
import torch
from numpy.typing import NDArray

from segsearch import __version__
from segsearch.candidate import (
    AfterExport,
    Architecture,
    BeforeExport,
    Candidate,
    Distill,
    content_key,
    from_json,
    to_json,
)
from segsearch.compression import GRAPH_STEPS, MODEL_STEPS, CalibrationImages
from segsearch.compression.distill import Lesson
from segsearch.datasets import Dataset
from segsearch.errors import StorageFull, StudyError, TrialFailed, UserError
from segsearch.evidence import Confusion, Evidence, Machine, Timing
from segsearch.export import check_parity, count_macs, count_params, export
from segsearch.measure import measure
from segsearch.networks import Network, build
from segsearch.objectives import Limit, Rejected, broken_limits
from segsearch.runtimes import Runtime
from segsearch.score import score, to_input
from segsearch.study import TimingSettings
from segsearch.train import Schedule, estimate_batch_norm, teach, train, trains_in_bfloat16
from segsearch.workshop import Artifacts, Outcome, Progress, Workshop, sha256_of, silent

# More samples than these tell nothing new, and a slow candidate must not hold the gate up.
GATE_SECONDS = 1.0
MEASURE_SECONDS = 5.0
GATE_CALIBRATION_IMAGES = 2
CALIBRATION_IMAGES = 16
# Enough to tell what went wrong; some libraries print whole tensors.
REASON_CHARACTERS = 400
# With less than this left, a failed write is a full disk and not the candidate's fault.
FULL_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Teacher:
    """Who teaches: an architecture and the epochs it trains for."""

    architecture: Architecture
    epochs: int


@dataclass(frozen=True)
class Bench:
    """What stays the same for all candidates of a study."""

    dataset: Dataset
    schedule: Schedule
    fine_tune_epochs: int
    timing: TimingSettings
    limits: tuple[Limit, ...]
    runtime: Runtime
    machine: Machine
    device: torch.device
    teacher: Teacher | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the exported model's input."""
        height, width = self.dataset.train.images.shape[1:3]
        return int(height), int(width)

    @property
    def classes(self) -> int:
        return len(self.dataset.classes)


@dataclass(frozen=True)
class Fidelity:
    """How much training an answer is worth: epochs in all, on top of the weights of an earlier answer where given."""

    epochs: int
    warm_start: Fidelity | None = None


def evaluate(
    candidate: Candidate,
    bench: Bench,
    workshop: Workshop,
    *,
    fidelity: Fidelity | None = None,
    progress: Progress = silent,
) -> Evidence:
    """Evidence about the file that would ship. Asked again for more epochs, it can start from earlier weights.

    Raises `Rejected` where the untrained file breaks a limit already, `TrialFailed` where a stage cannot be finished.
    """
    fidelity = fidelity or Fidelity(bench.schedule.epochs)
    broken = broken_limits(bench.limits, gate := pass_gate(candidate, bench, workshop, progress=progress))
    if broken:
        raise Rejected(gate, broken)
    weights = trained_weights(candidate, bench, workshop, fidelity=fidelity, progress=progress)
    shipped = exported(candidate, weights, bench, workshop, progress=progress)
    model = str(shipped["model"])
    timing = _timed(model, bench, workshop, progress)
    confusion = _scored(model, bench, workshop, progress)
    return Evidence(
        artifact=model,
        size_bytes=workshop.artifacts.path(model).stat().st_size,
        params=int(shipped["params"]),
        macs=int(shipped["macs"]),
        timing=timing,
        seed=bench.schedule.seed,
        versions=versions(),
        confusion=confusion,
        parity_max_abs=float(shipped["parity"]),
    )


def pass_gate(candidate: Candidate, bench: Bench, workshop: Workshop, *, progress: Progress = silent) -> Evidence:
    """Size and latency of the candidate with random weights, through the same steps as the trained one."""
    key = content_key(
        ["gate", *map(to_json, (candidate.architecture, candidate.before_export, candidate.after_export))],
        [*bench.size, bench.classes, bench.dataset.key, bench.machine.key, bench.timing.model_dump_json()],
    )

    def make() -> Outcome:
        network = compressed_shape(candidate, bench)
        params, macs = count_params(network), count_macs(network, bench.size)
        with _scratch(workshop.artifacts) as plain:
            export(network, bench.size, plain)
            images = calibration_images(bench, GATE_CALIBRATION_IMAGES)
            with _after_export(plain, candidate.after_export, images, workshop.artifacts) as model:
                timing = _measure(model, bench, max_seconds=GATE_SECONDS)
                evidence = Evidence(
                    artifact=sha256_of(model),
                    size_bytes=model.stat().st_size,
                    params=params,
                    macs=macs,
                    timing=timing,
                    seed=bench.schedule.seed,
                    versions=versions(),
                )
        return {"evidence": to_json(evidence)}

    return from_json(Evidence, str(_stage("gate", key, make, workshop, progress)["evidence"]))


def trained_weights(
    candidate: Candidate,
    bench: Bench,
    workshop: Workshop,
    *,
    fidelity: Fidelity,
    progress: Progress = silent,
) -> str:
    """Name of the trained, pruned and fine-tuned weights. Candidates that differ only after export share them."""
    full = full_weights(candidate, bench, workshop, fidelity=fidelity, progress=progress)
    steps = candidate.before_export
    if not steps:
        return full
    schedule = replace(
        bench.schedule,
        epochs=_fine_tune_epochs(candidate, bench, fidelity),
        learning_rate=bench.schedule.learning_rate / 3,
    )
    taught = _taught(candidate, bench)

    def make() -> Outcome:
        network = build(candidate.architecture, bench.classes, seed=schedule.seed)
        load_weights(network, workshop.artifacts.path(full))
        network = apply_model_steps(network, steps)
        if schedule.epochs == 0:  # a study of a single epoch has none to spare
            estimate_batch_norm(network, bench.dataset.train, device=bench.device, batch_size=schedule.batch_size)
            return {"weights": save_weights(network, workshop.artifacts), "losses": []}
        return _train(network, schedule, taught, bench, workshop, "fine-tune", progress)

    key = content_key(
        ["fine-tune", full, *map(to_json, steps)], _recipe(candidate.architecture, schedule, taught, bench)
    )
    return str(_stage("fine-tune", key, make, workshop, progress)["weights"])


def full_weights(
    candidate: Candidate,
    bench: Bench,
    workshop: Workshop,
    *,
    fidelity: Fidelity,
    progress: Progress = silent,
) -> str:
    """Name of the weights before any step of compression: where a higher fidelity goes on from."""
    start = None
    if fidelity.warm_start is not None:
        start = full_weights(candidate, bench, workshop, fidelity=fidelity.warm_start, progress=progress)
    epochs = fidelity.epochs - _fine_tune_epochs(candidate, bench, fidelity)
    schedule = replace(bench.schedule, epochs=epochs)
    taught = _taught(candidate, bench)

    def make() -> Outcome:
        network = build(candidate.architecture, bench.classes, seed=schedule.seed)
        if start is not None:
            load_weights(network, workshop.artifacts.path(start))
        return _train(network, schedule, taught, bench, workshop, "train", progress)

    key = content_key(["train", start or "from scratch"], _recipe(candidate.architecture, schedule, taught, bench))
    return str(_stage("train", key, make, workshop, progress)["weights"])


def _fine_tune_epochs(candidate: Candidate, bench: Bench, fidelity: Fidelity) -> int:
    return min(bench.fine_tune_epochs, fidelity.epochs - 1) if candidate.before_export else 0


def _taught(candidate: Candidate, bench: Bench) -> Distill | None:
    """The distillation that takes place: weight 0, or no teacher, is none and costs nothing."""
    distill = candidate.distill
    return distill if bench.teacher is not None and distill is not None and distill.weight > 0 else None


def _recipe(architecture: Architecture, schedule: Schedule, taught: Distill | None, bench: Bench) -> list[str]:
    """Everything that settles trained weights, for the key of their stage."""
    return [
        to_json(architecture),
        to_json(schedule),
        to_json(taught) if taught else "alone",
        to_json(bench.teacher) if taught else "no teacher",
        bench.dataset.key,
        bench.device.type,
        f"bfloat16 {trains_in_bfloat16(bench.device)}",
        f"torch {torch.__version__}",
    ]


def exported(
    candidate: Candidate, weights: str, bench: Bench, workshop: Workshop, *, progress: Progress = silent
) -> Outcome:
    """The file that ships (`model`), with what was counted and compared on its float graph."""
    architecture, size = to_json(candidate.architecture), list(bench.size)
    steps = [to_json(step) for step in candidate.before_export]

    def make_float() -> Outcome:
        network = compressed_shape(candidate, bench)
        load_weights(network, workshop.artifacts.path(weights))
        image = to_input(bench.dataset.validation.images[0])
        with _scratch(workshop.artifacts) as target:
            export(network, bench.size, target)
            parity = check_parity(network, target, bench.runtime, image)
            counted = {"params": count_params(network), "macs": count_macs(network, bench.size)}
            return {"model": workshop.artifacts.keep(target), "parity": parity, **counted}

    key = content_key(["export", weights, architecture, *steps], size, [*map(list, versions())])
    plain = _stage("export", key, make_float, workshop, progress)
    if not candidate.after_export:
        return plain

    def make_final() -> Outcome:
        images = calibration_images(bench, CALIBRATION_IMAGES)
        source = workshop.artifacts.path(str(plain["model"]))
        with _after_export(source, candidate.after_export, images, workshop.artifacts) as target:
            return {**plain, "model": workshop.artifacts.keep(target)}

    steps = [*map(to_json, candidate.after_export)]
    key = content_key(["quantize", str(plain["model"]), *steps, bench.dataset.key], [*map(list, versions())])
    return _stage("quantize", key, make_final, workshop, progress)


def _timed(model: str, bench: Bench, workshop: Workshop, progress: Progress) -> Timing:
    key = content_key(["measure", model, bench.machine.key, bench.timing.model_dump_json()])

    def make() -> Outcome:
        return {"timing": to_json(_measure(workshop.artifacts.path(model), bench, max_seconds=MEASURE_SECONDS))}

    return from_json(Timing, str(_stage("measure", key, make, workshop, progress)["timing"]))


def _scored(model: str, bench: Bench, workshop: Workshop, progress: Progress) -> Confusion:
    def make() -> Outcome:
        session = bench.runtime.open(workshop.artifacts.path(model), threads=torch.get_num_threads())
        found = score(session, bench.dataset.validation, classes=bench.classes, progress=progress)
        return {"confusion": to_json(found)}

    key = content_key(["score", model, bench.dataset.key, bench.runtime.name, bench.runtime.version])
    return from_json(Confusion, str(_stage("score", key, make, workshop, progress)["confusion"]))


def _measure(model: Path, bench: Bench, *, max_seconds: float) -> Timing:
    settings = bench.timing
    return measure(
        bench.runtime.open(model, threads=settings.threads),
        threads=settings.threads,
        warmup_runs=settings.warmup_runs,
        runs=settings.runs,
        max_seconds=max_seconds,
        machine=bench.machine.key,
    )


def _train(
    network: Network,
    schedule: Schedule,
    taught: Distill | None,
    bench: Bench,
    workshop: Workshop,
    stage: str,
    progress: Progress,
) -> Outcome:
    lesson = None
    if taught is not None and bench.teacher is not None:
        logits = teacher_logits(bench.teacher, bench, workshop, progress=progress)
        lesson = Lesson(logits, taught.weight, taught.temperature)
    losses = train(
        network,
        bench.dataset.train,
        schedule,
        classes=bench.classes,
        device=bench.device,
        lesson=lesson,
        stage=stage,
        progress=progress,
    )
    return {"weights": save_weights(network, workshop.artifacts), "losses": list(losses)}


def teacher_logits(
    teacher: Teacher, bench: Bench, workshop: Workshop, *, progress: Progress = silent
) -> NDArray[np.float16]:
    """The teacher's logits of every training image; trained once and kept by the hash of its recipe."""
    schedule = replace(bench.schedule, epochs=teacher.epochs)

    def make() -> Outcome:
        network = build(teacher.architecture, bench.classes, seed=schedule.seed)

        def told(stage: str, done: int, total: int, /) -> None:
            progress("teacher", done, total)

        try:
            train(network, bench.dataset.train, schedule, classes=bench.classes, device=bench.device, progress=told)
        except TrialFailed as failed:
            raise StudyError(
                f"The teacher could not be trained: {failed} "
                "Change [teacher] under another study name, or leave it out."
            ) from failed
        with _scratch(workshop.artifacts, ".npy") as target:
            teach(network, bench.dataset.train, target, device=bench.device)
            return {"logits": workshop.artifacts.keep(target), "weights": save_weights(network, workshop.artifacts)}

    key = content_key(["teacher", str(teacher.epochs)], _recipe(teacher.architecture, schedule, None, bench))
    name = str(_stage("teacher", key, make, workshop, progress)["logits"])
    logits: NDArray[np.float16] = np.load(workshop.artifacts.path(name), mmap_mode="r", allow_pickle=False)
    return logits


def compressed_shape(candidate: Candidate, bench: Bench) -> Network:
    """The candidate's network with random weights, in the shape that its steps before export leave."""
    network = build(candidate.architecture, bench.classes, seed=bench.schedule.seed)
    return apply_model_steps(network, candidate.before_export)


def apply_model_steps(network: Network, steps: Sequence[BeforeExport]) -> Network:
    for step in steps:
        MODEL_STEPS[type(step)](network, step, protected=network.protected)
    return network


def calibration_images(bench: Bench, count: int) -> CalibrationImages:
    """Training images spread over the split, as the exported model reads them."""
    images = bench.dataset.train.images
    chosen = np.unique(np.linspace(0, len(images) - 1, count).astype(int))
    return [to_input(images[index]) for index in chosen]


def save_weights(network: Network, artifacts: Artifacts) -> str:
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    return artifacts.keep_bytes(safetensors.torch.save(state), ".safetensors")


def load_weights(network: Network, path: Path) -> None:
    network.load_state_dict(safetensors.torch.load_file(path), strict=True)


def versions() -> tuple[tuple[str, str], ...]:
    """The versions that can change a number."""
    return (
        ("segsearch", __version__),
        ("python", platform.python_version()),
        ("torch", str(torch.__version__)),
        ("onnxruntime", str(onnxruntime.__version__)),
    )


@contextlib.contextmanager
def _scratch(artifacts: Artifacts, suffix: str = ".onnx") -> Iterator[Path]:
    path = artifacts.scratch(suffix)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _after_export(
    source: Path, steps: Sequence[AfterExport], images: CalibrationImages, artifacts: Artifacts
) -> Iterator[Path]:
    """The file after the steps on the graph; `source` itself where there are none."""
    with contextlib.ExitStack() as stack:
        for step in steps:
            target = stack.enter_context(_scratch(artifacts))
            GRAPH_STEPS[type(step)](source, target, step, images=images)
            source = target
        yield source


def _stage(name: str, key: str, make: Callable[[], Outcome], workshop: Workshop, progress: Progress) -> Outcome:
    """A stage whose every failure has a kind and a reason."""

    def guarded() -> Outcome:
        progress(name, 0, 1)
        try:
            return make()
        except (UserError, Rejected):
            raise
        except MemoryError as error:
            raise TrialFailed("memory", f"Memory ran out in {name}.") from error
        except Exception as error:  # whatever a library raises here belongs to this one candidate
            if workshop.artifacts.free_bytes() < FULL_BYTES:
                raise StorageFull(
                    f"{workshop.artifacts.folder}: no room left in {name}. Free some space, then run the same command "
                    "again: nothing finished is lost."
                ) from error
            if isinstance(error, TrialFailed):
                raise
            reason = " ".join(str(error).split()) or "no message"
            raise TrialFailed(name, f"{type(error).__name__}: {reason[:REASON_CHARACTERS]}") from error

    return workshop.once(name, key, guarded)
