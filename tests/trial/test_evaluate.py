"""One candidate from draw to evidence."""

from __future__ import annotations

import math

import numpy as np

from segsearch.evidence.objectives import values_of
from segsearch.trial.evaluate import evaluate
from segsearch.trial.score import score
from segsearch.workshop import sha256_of
from tests.scenes import HEIGHT, WIDTH
from tests.trial.benches import INT8, PLAIN, Notebook, make_bench


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


def test_evidence_is_plain_numbers(notebook: Notebook) -> None:
    values = values_of(evaluate(INT8, make_bench(), notebook))
    assert all(type(value) is float and math.isfinite(value) for value in values.values())
    assert not any(isinstance(value, np.floating) for value in values.values())
