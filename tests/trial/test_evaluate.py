"""One candidate from draw to evidence."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from segsearch.evidence.objectives import values_of
from segsearch.space.candidate import Candidate
from segsearch.space.keys import to_json
from segsearch.space.steps import Distill, StoreWeights
from segsearch.trial.bench import answers
from segsearch.trial.evaluate import evaluate
from segsearch.trial.score import score, to_input
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


def test_weights_are_stored_in_fewer_bits_by_a_step_of_the_file_alone(notebook: Notebook) -> None:
    bench = make_bench()
    exact = evaluate(PLAIN, bench, notebook)
    notebook.made.clear()
    half = evaluate(replace(PLAIN, after_export=(StoreWeights(16),)), bench, notebook)
    assert "train" not in notebook.made
    assert "export" not in notebook.made
    assert half.artifact != exact.artifact
    assert half.size_bytes < exact.size_bytes
    assert (half.params, half.macs) == (exact.params, exact.macs)
    assert half.confusion is not None
    four = evaluate(replace(PLAIN, after_export=(StoreWeights(4),)), bench, notebook)
    assert four.size_bytes < half.size_bytes
    assert four.artifact not in (half.artifact, exact.artifact)


@pytest.mark.parametrize("candidate", [PLAIN, INT8], ids=["float", "int8"])
def test_a_mask_ships_scores_and_is_timed_as_one_file(notebook: Notebook, candidate: Candidate) -> None:
    """Files that differ in their answer share all that is learnt, and nothing of what is measured."""
    bench = make_bench()
    scores = evaluate(candidate, bench, notebook)
    notebook.made.clear()
    mask = evaluate(candidate, replace(bench, output="mask"), notebook)
    assert {"gate", "export", "measure", "score"} <= set(notebook.made)
    assert "train" not in notebook.made
    model = notebook.artifacts.path(mask.artifact)
    answer = bench.runtime.open(model, threads=1).run(to_input(bench.dataset.validation.images[0]))
    assert (answer.dtype, answer.shape) == (np.uint8, (1, HEIGHT, WIDTH))
    assert (mask.params, mask.macs) == (scores.params, scores.macs)
    assert mask.confusion is not None
    assert scores.confusion is not None
    if not candidate.after_export:
        assert mask.confusion == scores.confusion, "classes are chosen at full size: the same ones"
    coarse = replace(candidate, architecture=replace(candidate.architecture, answer_scale=0.25))
    notebook.made.clear()
    found = evaluate(coarse, replace(bench, output="mask"), notebook)
    assert "train" not in notebook.made
    assert found.artifact != mask.artifact
    assert found.confusion != mask.confusion


def test_old_studies_keys_hold_nothing_of_what_came_later(notebook: Notebook) -> None:
    """A study of scores finds the stages that it made before there were masks."""
    assert answers(make_bench().output) == ()
    assert answers("mask") == ("answers mask",)
    old = to_json(replace(PLAIN, distill=Distill(0.5, 2.0)))
    assert not [word for word in ("answer_scale", "upsample") if f'"{word}"' in old]
    assert '"distill":{"temperature":2.0,"weight":0.5}' in old
    assert PLAIN.key == "570df1897d654b711bb35210f245d06d1f927a6bbde7626cdffd5407b554783c"


def test_the_images_of_the_score_are_the_pixels_of_the_confusion(notebook: Notebook) -> None:
    evidence = evaluate(PLAIN, make_bench(), notebook)
    assert evidence.images is not None
    assert evidence.images.classes == ("sky", "road", "box")
    assert len(evidence.images.images) == 4
    assert evidence.images.miou == evidence.confusion.miou


def test_a_score_of_before_images_were_kept_is_read_and_not_made_again(notebook: Notebook) -> None:
    bench = make_bench()
    before = evaluate(PLAIN, bench, notebook)
    key = next(key for key, outcome in notebook.outcomes.items() if "confusion" in outcome)
    notebook.outcomes[key] = {"confusion": notebook.outcomes[key]["confusion"]}
    json.dumps(notebook.outcomes[key])
    notebook.made.clear()
    again = evaluate(PLAIN, bench, notebook)
    assert notebook.made == []
    assert (again.confusion, again.images) == (before.confusion, None)
