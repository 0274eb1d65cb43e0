"""One candidate from draw to evidence: stages, sharing, the gate, fidelity, failures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

from segsearch.errors import StorageFull, StudyError, TrialFailed
from segsearch.evidence.objectives import Rejected, read_limit, values_of
from segsearch.evidence.timing import Machine, Timing
from segsearch.latency.machine import this_machine
from segsearch.latency.measure import Effort
from segsearch.latency.room import machine_room
from segsearch.runtimes import RUNTIMES, Runtime
from segsearch.space.candidate import (
    Architecture,
    Candidate,
    Context,
    Distill,
    EncoderPath,
    Feature,
    Head,
    Join,
    Prune,
    Quantize,
    Stage,
    Stem,
)
from segsearch.training.schedule import Schedule
from segsearch.trial.bench import Bench
from segsearch.trial.evaluate import evaluate
from segsearch.trial.gate import passed_gate
from segsearch.trial.score import score
from segsearch.trial.stages import Stages
from segsearch.trial.types import Teacher
from segsearch.trial.weights import Fidelity, fine_tuned, trained
from segsearch.workshop import Artifacts, Outcome, sha256_of
from tests.scenes import HEIGHT, WIDTH, tiny_dataset

ARCHITECTURE = Architecture(
    (EncoderPath(Stem(8), (Stage("residual", 16, 1, 2), Stage("conv", 24, 1, 2)), Context("aspp", 16, rates=(2,))),),
    (Join("add", Feature(0, 1), 16),),
    Head(16),
)
PLAIN = Candidate(ARCHITECTURE)
PRUNED = replace(PLAIN, before_export=(Prune(0.5),))
INT8 = replace(PLAIN, after_export=(Quantize(),))


@dataclass
class Notebook:
    """A workshop that remembers in memory, and what was made and what was remembered."""

    artifacts: Artifacts
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)

    def once(self, stage: str, key: str, make: Callable[[], Outcome], /) -> Outcome:
        (self.known if key in self.outcomes else self.made).append(stage)
        if key not in self.outcomes:
            self.outcomes[key] = make()
        return self.outcomes[key]


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    return Notebook(Artifacts(tmp_path / "artifacts"))


def make_bench(**changes: object) -> Bench:
    runtime = RUNTIMES["onnxruntime"]
    bench = Bench(
        dataset=tiny_dataset(),
        schedule=Schedule(
            epochs=3,
            batch_size=4,
            learning_rate=3e-3,
            weight_decay=1e-2,
            height=32,
            width=48,
            class_weights="log",
            seed=0,
        ),
        fine_tune_epochs=1,
        effort=Effort(warmup_runs=1, max_seconds=0.5),
        limits=(),
        runtime=runtime,
        machine=replace(this_machine(runtime), references=(("float32-1", 5.0), ("int8-1", 9.0))),
        room=machine_room(),
        device=torch.device("cpu"),
    )
    return replace(bench, **changes)


def test_evidence_is_about_the_file_that_ships(notebook: Notebook) -> None:
    bench = make_bench()
    evidence = evaluate(PLAIN, bench, notebook)
    model = notebook.artifacts.path(evidence.artifact)
    assert evidence.artifact == f"{sha256_of(model)}.onnx"
    assert evidence.size_bytes == model.stat().st_size
    assert notebook.made == ["gate", "train", "export", "measure", "score"]
    # Scored again from the file alone, the counts are the same: nothing of torch's is in them.
    session = bench.runtime.open(model, threads=1)
    assert session.shape == (1, 3, HEIGHT, WIDTH)
    assert score(session, bench.dataset.validation, classes=3) == evidence.confusion
    labels = bench.dataset.validation.masks
    assert sum(map(sum, evidence.confusion.counts)) == int((labels < 3).sum())
    assert evidence.timing.machine == bench.machine.key
    assert evidence.timing.comparison.low <= evidence.timing.comparison.ratio <= evidence.timing.comparison.high
    assert evidence.parity_max_abs < 1e-3
    assert values_of(evidence).keys() >= {"miou", "latency_ms", "size_bytes", "params", "macs"}


def test_int8_and_float_share_the_training(notebook: Notebook) -> None:
    bench = make_bench()
    plain = evaluate(PLAIN, bench, notebook)
    notebook.made.clear()
    quantized = evaluate(INT8, bench, notebook)
    assert notebook.made == ["gate", "quantize", "measure", "score"]
    assert quantized.artifact != plain.artifact
    graph = onnx.load(notebook.artifacts.path(quantized.artifact)).graph
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in graph.node}
    assert quantized.confusion.miou > 0.5 * plain.confusion.miou


def operators(model: Path) -> Counter[str]:
    """The types of the operations that ONNX Runtime makes of a file."""
    return Counter(one.kind for one in RUNTIMES["onnxruntime"].profile(model, threads=1, runs=1))


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Counter[str]]:
    """The operations of each file that is timed, in turn."""
    seen: list[Counter[str]] = []

    def look(
        model: Path, machine: Machine, runtime: Runtime, *, effort: Effort, before: Timing | None = None
    ) -> Timing:
        seen.append(operators(model))
        return Timing((1.0,), effort.warmup_runs, machine.threads, machine.key)

    monkeypatch.setattr("segsearch.trial.gate.measure", look)
    return seen


@pytest.mark.parametrize("candidate", [PLAIN, INT8])
def test_the_gates_samples_count_where_the_graph_is_the_same(notebook: Notebook, candidate: Candidate) -> None:
    bench = make_bench()
    gate = passed_gate(candidate, bench, Stages(notebook))
    timing = evaluate(candidate, bench, notebook).timing
    assert timing.borrowed_runs == len(gate.evidence.timing.samples_ms) > 0
    assert timing.samples_ms[: timing.borrowed_runs] == gate.evidence.timing.samples_ms
    assert len(timing.samples_ms) > timing.borrowed_runs
    key = next(key for key, outcome in notebook.outcomes.items() if "graph" in outcome)
    notebook.outcomes[key] = {**notebook.outcomes[key], "graph": "another"}
    assert evaluate(candidate, bench, notebook).timing.borrowed_runs == 0


@pytest.mark.parametrize("candidate", [PLAIN, INT8, replace(INT8, before_export=(Prune(0.5),))])
def test_the_gate_times_the_operations_that_ship(
    notebook: Notebook, timed: list[Counter[str]], candidate: Candidate
) -> None:
    evaluate(candidate, make_bench(), notebook)
    gate, shipped = timed
    assert gate == shipped
    assert ("QLinearConv" in gate) is bool(candidate.after_export)


def test_a_network_without_wear_would_be_timed_as_another(
    notebook: Notebook, timed: list[Counter[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fresh batch norms leave equal biases that the exporter shares: ONNX Runtime runs those convolutions in float."""
    monkeypatch.setattr("segsearch.trial.gate.wear_in", lambda network: network)
    evaluate(INT8, make_bench(), notebook)
    fresh, shipped = timed
    assert fresh["QLinearConv"] < shipped["QLinearConv"]


def test_a_second_evaluation_makes_nothing(notebook: Notebook) -> None:
    bench = make_bench()
    first = evaluate(PRUNED, bench, notebook)
    notebook.made.clear()
    assert evaluate(PRUNED, bench, notebook) == first
    assert notebook.made == []


def test_the_gate_times_the_shape_that_ships(notebook: Notebook) -> None:
    bench = make_bench()
    gate = passed_gate(PRUNED, bench, Stages(notebook)).evidence
    shipped = evaluate(PRUNED, bench, notebook)
    assert gate.confusion is None
    assert (gate.params, gate.macs) == (shipped.params, shipped.macs)
    assert abs(gate.size_bytes - shipped.size_bytes) < 0.02 * shipped.size_bytes
    assert shipped.params < evaluate(PLAIN, bench, notebook).params


def test_a_broken_limit_rejects_before_any_training(notebook: Notebook) -> None:
    bench = make_bench(limits=(read_limit("latency_ms<=1000"), read_limit("params<=10")))
    with pytest.raises(Rejected, match=r"params<=10 broken by \d+") as rejection:
        evaluate(PLAIN, bench, notebook)
    assert notebook.made == ["gate"]
    assert [str(limit) for limit in rejection.value.broken] == ["params<=10"]
    assert rejection.value.evidence.timing.median_ms > 0
    kept = [path.name for path in notebook.artifacts.folder.iterdir()]
    assert kept == []  # an untrained file is not worth keeping, and no temporary one is left


def test_pruned_candidates_spend_the_same_epochs(notebook: Notebook) -> None:
    epochs: dict[str, int] = {}

    def watch(stage: str, done: int, total: int, /) -> None:
        epochs[stage] = total

    evaluate(PRUNED, make_bench(), notebook, progress=watch)
    batches = len(tiny_dataset().train) // 4
    assert epochs["train"] == 2 * batches
    assert epochs["fine-tune"] == 1 * batches


def test_distillation_trains_its_teacher_once_and_weight_changes_the_student(notebook: Notebook) -> None:
    bench = make_bench(teacher=Teacher(replace(ARCHITECTURE, head=Head(24)), epochs=2))
    alone = evaluate(PLAIN, bench, notebook)
    assert "teacher" not in notebook.made  # whoever is not taught does not pay for it
    taught = evaluate(replace(PLAIN, distill=Distill(0.5, 2.0)), bench, notebook)
    again = evaluate(replace(PLAIN, distill=Distill(0.8, 2.0)), bench, notebook)
    assert notebook.made.count("teacher") == 1
    assert notebook.known.count("teacher") == 1
    assert len({alone.artifact, taught.artifact, again.artifact}) == 3


def test_a_higher_fidelity_starts_from_the_lower_ones_weights(notebook: Notebook) -> None:
    bench = make_bench()
    low = Fidelity(epochs=1)
    first = evaluate(PLAIN, bench, notebook, fidelity=low)
    warm = evaluate(PLAIN, bench, notebook, fidelity=Fidelity(epochs=2, warm_start=low))
    cold = evaluate(PLAIN, bench, notebook, fidelity=Fidelity(epochs=2))
    assert len({first.artifact, warm.artifact, cold.artifact}) == 3
    losses = [outcome["losses"] for outcome in notebook.outcomes.values() if "losses" in outcome]
    assert [len(entry) for entry in losses] == [1, 2, 2]
    assert losses[1][0] < losses[2][0]  # the warm one starts lower than the cold one


def test_a_pruned_candidate_is_asked_again_from_its_weights_before_pruning(notebook: Notebook) -> None:
    bench = make_bench()
    low = Fidelity(epochs=2)
    first = evaluate(PRUNED, bench, notebook, fidelity=low)
    notebook.made.clear()
    second = evaluate(PRUNED, bench, notebook, fidelity=Fidelity(epochs=3, warm_start=low))
    assert notebook.made == ["train", "fine-tune", "export", "measure", "score"]
    assert second.params == first.params
    assert second.artifact != first.artifact


def test_weight_0_needs_no_teacher(notebook: Notebook) -> None:
    bench = make_bench(teacher=Teacher(ARCHITECTURE, epochs=1))
    alone = evaluate(PLAIN, bench, notebook)
    idle = evaluate(replace(PLAIN, distill=Distill(0.0)), bench, notebook)
    assert "teacher" not in notebook.made
    assert idle == alone


def test_a_teacher_that_cannot_be_trained_is_the_studys_mistake(notebook: Notebook) -> None:
    bench = make_bench(teacher=Teacher(ARCHITECTURE, epochs=1))
    bench = replace(bench, schedule=replace(bench.schedule, learning_rate=1e18, epochs=4))
    bench = replace(bench, teacher=Teacher(ARCHITECTURE, epochs=4))
    with pytest.raises(StudyError, match=r"The teacher could not be trained: The loss became .* Change \[teacher\]"):
        evaluate(replace(PLAIN, distill=Distill(0.5)), bench, notebook)


@pytest.mark.parametrize("raised", [RuntimeError("write failed"), TrialFailed("quantize", "write failed")])
def test_a_full_disk_while_quantizing_is_not_the_candidates_fault(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def fails(*arguments: object, **more: object) -> None:
        raise raised

    monkeypatch.setattr(Artifacts, "free_bytes", lambda self: 0)
    monkeypatch.setattr("segsearch.trial.files.GRAPH_STEPS", {Quantize: fails})
    with pytest.raises(StorageFull, match="no room left in gate"):
        evaluate(INT8, make_bench(), notebook)


def test_pruned_weights_fit_a_network_pruned_again(notebook: Notebook) -> None:
    bench = make_bench()
    full = trained(PRUNED, bench, Stages(notebook), fidelity=Fidelity(2))
    name = fine_tuned(PRUNED, full, bench, Stages(notebook), fidelity=Fidelity(2))
    state = load_file(notebook.artifacts.path(name))
    assert all(torch.isfinite(value).all() for value in state.values() if value.is_floating_point())
    assert state["head.scores.weight"].shape[0] == 3


def test_a_study_of_one_epoch_prunes_without_fine_tuning(notebook: Notebook) -> None:
    bench = make_bench()
    evidence = evaluate(PRUNED, bench, notebook, fidelity=Fidelity(epochs=1))
    assert 0 <= evidence.confusion.miou <= 1


def test_divergence_fails_the_trial_and_keeps_no_weights(notebook: Notebook) -> None:
    bench = make_bench()
    bench = replace(bench, schedule=replace(bench.schedule, learning_rate=1e18))
    with pytest.raises(TrialFailed) as failure:
        evaluate(PLAIN, bench, notebook)
    assert failure.value.kind in {"diverged", "parity"}
    assert not list(notebook.artifacts.folder.glob("*.onnx"))


def test_whatever_a_library_raises_fails_the_trial_with_stage_and_reason(notebook: Notebook) -> None:
    wrong = replace(PLAIN, architecture=replace(ARCHITECTURE, head=Head(16, block="nonsense")))
    with pytest.raises(
        TrialFailed, match="ValueError: A head block must be one of conv, separable, got 'nonsense'"
    ) as f:
        evaluate(wrong, make_bench(), notebook)
    assert f.value.kind == "gate"


def test_a_full_disk_is_not_the_candidates_fault(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Artifacts, "free_bytes", lambda self: 0)
    monkeypatch.setattr(
        "segsearch.trial.gate.export", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("write failed"))
    )
    with pytest.raises(StorageFull, match=r"no room left in gate. Free some space"):
        evaluate(PLAIN, make_bench(), notebook)


def test_evidence_is_plain_numbers(notebook: Notebook) -> None:
    values = values_of(evaluate(INT8, make_bench(), notebook))
    assert all(type(value) is float and math.isfinite(value) for value in values.values())
    assert not any(isinstance(value, np.floating) for value in values.values())
