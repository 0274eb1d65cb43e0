"""From a study to a bench and an evaluator, and what an estimate says."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.errors import StudyError
from segsearch.space.candidate import Architecture, Candidate, Distill, Draw, EncoderPath, Head, Prune, Stage, Stem
from segsearch.space.draws import Dice, DrawCandidate, settled
from segsearch.study import Study, parse_study
from segsearch.trial.bench import Bench
from segsearch.trial.evaluate import evaluate
from segsearch.trial.prepare import estimate, make_bench
from segsearch.trial.types import teacher_of
from segsearch.workshop import Artifacts
from tests.scenes import tiny_dataset
from tests.trial.test_evaluate import Notebook


def draw(choose: Draw) -> Candidate:
    width = choose.suggest_int("width", 8, 16, step=8)
    path = EncoderPath(Stem(8), (Stage("conv", width, 1, 2),))
    return Candidate(
        Architecture((path,), (), Head(8)),
        distill=Distill(choose.suggest_float("distill_weight", 0, 1)),
        before_export=(Prune(choose.suggest_float("prune_ratio", 0, 0.5)),),
    )


def make_study(**changes: object) -> Study:
    raw = {
        "name": "tiny",
        "trials": 1,
        "space": "mobile",
        "data": {"kind": "synthetic", "height": 64, "width": 96},
        "train": {"epochs": 1, "fine_tune_epochs": 1, "height": 32, "width": 48, "batch_size": 4},
        "timing": {"max_seconds": 0.5, "warmup_runs": 1},
    }
    return parse_study({**raw, **changes}, where="test")


TEACHER = {"epochs": 1, "choices": {"width": 16, "distill_weight": 0.0, "prune_ratio": 0.0}}


def test_settled_takes_out_what_cannot_matter() -> None:
    candidate = replace(draw(Dice(random.Random(0))), distill=Distill(0.5), before_export=(Prune(0.25),))
    idle = replace(candidate, distill=Distill(0.0), before_export=(Prune(0.0),))
    with_teacher = settled(lambda choose: candidate, has_teacher=True)(Dice(random.Random(0)))
    without = settled(lambda choose: candidate, has_teacher=False)(Dice(random.Random(0)))
    nothing = settled(lambda choose: idle, has_teacher=True)(Dice(random.Random(0)))
    assert with_teacher == candidate
    assert without.distill is None
    assert without.before_export == (Prune(0.25),)
    assert (nothing.distill, nothing.before_export) == (None, ())


def bench_of(study: Study, drawn: DrawCandidate = draw) -> Bench:
    return make_bench(study, tiny_dataset(), teacher=teacher_of(study, drawn))


def test_a_bench_of_a_study_evaluates_with_its_teacher(tmp_path: Path) -> None:
    candidate = replace(draw(Dice(random.Random(0))), distill=Distill(0.5, 2.0), before_export=())
    notebook = Notebook(Artifacts(tmp_path))
    evidence = evaluate(candidate, bench_of(make_study(teacher=TEACHER)), notebook)
    assert evidence.confusion is not None
    assert "teacher" in notebook.made


def test_a_batch_larger_than_the_split_is_told() -> None:
    train = {"epochs": 1, "height": 32, "width": 48, "batch_size": 64}
    with pytest.raises(StudyError, match=r"at most the number of training images \(12\), got 64"):
        make_bench(make_study(train=train), tiny_dataset())


def test_an_estimate_trains_nothing_that_is_kept(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    drawn = settled(draw, has_teacher=True)
    candidates = [drawn(Dice(random.Random(seed))) for seed in range(4)]
    found = estimate(candidates, bench_of(make_study(teacher=TEACHER)), artifacts)
    assert found.seconds_per_trial > found.gate_seconds > 0
    assert found.teacher_seconds > 0
    assert found.bytes_per_trial > 1000
    assert list(artifacts.folder.iterdir()) == []


def test_a_space_that_draws_nothing_that_can_be_built_is_told(tmp_path: Path) -> None:
    impossible = Candidate(Architecture((), (), Head(8)))
    with pytest.raises(StudyError, match="none of 4 could"):
        estimate([impossible] * 4, bench_of(make_study()), Artifacts(tmp_path))
