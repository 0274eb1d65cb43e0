"""The gate: it times the shape and the operations that ship, and rejects before anything is trained."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.evidence.objectives import Rejected, read_limit
from segsearch.evidence.timing import Machine, Timing
from segsearch.latency.measure import Effort
from segsearch.runtimes import RUNTIMES, Runtime
from segsearch.space.candidate import Candidate, Prune
from segsearch.trial.evaluate import evaluate
from segsearch.trial.gate import passed_gate
from segsearch.trial.stages import Stages
from tests.trial.benches import INT8, PLAIN, PRUNED, Notebook, make_bench


def operators(model: Path) -> Counter[str]:
    """The types of the operations that ONNX Runtime makes of a file."""
    return Counter(one.kind for one in RUNTIMES["onnxruntime"].profile(model, threads=1, runs=1))


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Counter[str]]:
    """The operations of each file that is timed, in turn."""
    seen: list[Counter[str]] = []

    def look(model: Path, machine: Machine, runtime: Runtime, *, effort: Effort) -> Timing:
        seen.append(operators(model))
        return Timing((1.0,), effort.warmup_runs, machine.threads, machine.key)

    monkeypatch.setattr("segsearch.trial.gate.measure", look)
    return seen


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


def test_the_gate_times_the_shape_that_ships(notebook: Notebook) -> None:
    bench = make_bench()
    gate = passed_gate(PRUNED, bench, Stages(notebook))
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
