"""Stages: made once, and a failure has a kind and a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segsearch.errors import StorageFull, TrialFailed
from segsearch.space.architecture import Head
from segsearch.trial.evaluate import evaluate
from segsearch.workshop import Artifacts
from tests.trial.benches import ARCHITECTURE, PLAIN, PRUNED, Notebook, make_bench


def test_a_second_evaluation_makes_nothing(notebook: Notebook) -> None:
    bench = make_bench()
    first = evaluate(PRUNED, bench, notebook)
    notebook.made.clear()
    assert evaluate(PRUNED, bench, notebook) == first
    assert notebook.made == []


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
