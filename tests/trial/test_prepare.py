"""From a study to a bench and an evaluator, and what an estimate says."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.errors import StudyError
from segsearch.networks import build
from segsearch.space.architecture import Architecture, Head
from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import Dice, DrawFor, Facts, settled
from segsearch.space.keys import to_json
from segsearch.space.steps import Distill
from segsearch.study import Study
from segsearch.trial.bench import Bench
from segsearch.trial.evaluate import evaluate
from segsearch.trial.export import count_params
from segsearch.trial.prepare import estimate, make_bench, schedule_of
from segsearch.trial.types import Estimate, teacher_of
from segsearch.workshop import Artifacts
from tests.scenes import tiny_dataset
from tests.trial.benches import Notebook
from tests.trial.studies import TEACHER, draw, make_study


def bench_of(study: Study, drawn: DrawFor = draw) -> Bench:
    return make_bench(study, tiny_dataset(), teacher=teacher_of(study, drawn))


def test_a_bench_of_a_study_evaluates_with_its_teacher(tmp_path: Path) -> None:
    candidate = replace(draw(Dice(random.Random(0))), distill=Distill(0.5, 2.0), before_export=())
    notebook = Notebook(Artifacts(tmp_path))
    evidence = evaluate(candidate, bench_of(make_study(teacher=TEACHER)), notebook)
    assert evidence.confusion is not None
    assert "teacher" in notebook.made


def test_a_batch_larger_than_the_split_is_told() -> None:
    train = {"epochs": 1, "height": 32, "width": 48, "batch_size": 64}
    with pytest.raises(StudyError, match=r"at most the number of training images \(12\), got 64; write a smaller one"):
        make_bench(make_study(train=train), tiny_dataset())


def test_an_estimate_trains_nothing_that_is_kept(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    drawn = settled(draw, Facts(has_teacher=True))
    candidates = [drawn(Dice(random.Random(seed))) for seed in range(4)]
    found = estimate(candidates, bench_of(make_study(teacher=TEACHER)), artifacts)
    assert found.seconds_per_trial > found.gate_seconds > 0
    assert found.teacher_seconds > 0
    assert found.bytes_per_trial > 1000
    assert list(artifacts.folder.iterdir()) == []


def test_an_estimate_is_of_what_would_be_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates over a limit are rejected in seconds: with their trainings a night of a study looked like a week."""
    seconds = {8: 1.0, 16: 100.0}
    monkeypatch.setattr(
        "segsearch.trial.prepare._seconds_of",
        lambda architecture, schedule, bench: seconds[architecture.paths[0].stages[0].channels],
    )
    drawn = settled(draw, Facts())
    wide, narrow = (drawn(Named({"width": width, "distill_weight": 0.0, "prune_ratio": 0.0})) for width in (16, 8))
    params = [count_params(build(one.architecture, 3)) for one in (narrow, wide)]

    def estimated(limits: list[str], *candidates: Candidate) -> Estimate:
        return estimate(candidates, bench_of(make_study(limits=limits)), Artifacts(tmp_path))

    under = [f"params<={params[0]}"]
    found = estimated(under, wide, wide, narrow, wide, narrow)
    assert (found.looked, found.within) == (5, 2)
    assert round(found.seconds_per_trial - found.gate_seconds) == 1
    enough = estimated(under, *[narrow] * 9)
    assert (enough.looked, enough.within) == (4, 4), "a few are enough"
    none = estimated(["params<=1"], wide, narrow, wide)
    assert (none.looked, none.within) == (3, 0)
    assert none.nearest == (f"params<=1 is broken by 3, of which the nearest has {params[0]}",)
    assert found.nearest == enough.nearest == ()
    assert round(none.seconds_per_trial - none.gate_seconds) == 67


def test_an_estimate_follows_what_is_held_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that takes a second whatever it holds: what is left of the estimate are the steps."""
    monkeypatch.setattr("segsearch.trial.prepare._seconds_per_step", lambda architecture, schedule, bench: 1.0)
    candidate = settled(draw, Facts())(Dice(random.Random(0)))  # input scale 1, pruned
    assert candidate.before_export
    trained = {}
    for hold in ("images", "steps", "seconds"):
        train = {"steps": 80, "crop": 1.0, "batch_size": 4, "hold": hold}
        found = estimate([candidate], bench_of(make_study(train=train, teacher=TEACHER)), Artifacts(tmp_path))
        trained[hold] = round(found.seconds_per_trial - found.gate_seconds), round(found.teacher_seconds)
    assert trained == {"images": (100, 3), "steps": (100, 3), "seconds": (25, 3)}, "a quarter comes after the pruning"


def test_a_schedule_is_what_the_study_says_and_steps_become_epochs() -> None:
    """12 images in batches of 5 are 2 steps an epoch: 7 steps need 4 epochs."""
    steps = schedule_of(make_study(train={"steps": 7, "batch_size": 5}).train, seed=3, images=12)
    assert (steps.epochs, steps.steps, steps.crop, steps.recipe, steps.hold) == (4, 7, 1.0, 2, "images")
    epochs = schedule_of(make_study().train.model_copy(update={"recipe": 1}), seed=0, images=12)
    assert to_json(epochs) == (  # as it was stored before there were steps, crops that are shares, and recipes
        '{"batch_size":4,"class_weights":"log","epochs":1,"height":32,"jaccard_weight":1.0,"largest_zoom":2.0,'
        '"learning_rate":0.003,"seed":0,"smallest_zoom":0.5,"weight_decay":0.01,"width":48}'
    )
    epochs = schedule_of(make_study(train={"epochs": 3, "batch_size": 5, "recipe": 1}).train, seed=3, images=12)
    assert (epochs.epochs, epochs.steps, epochs.recipe, epochs.seed) == (3, None, 1, 3)


def test_a_space_that_draws_nothing_that_can_be_built_is_told(tmp_path: Path) -> None:
    impossible = Candidate(Architecture((), (), Head(8)))
    with pytest.raises(StudyError, match="none of 4 could"):
        estimate([impossible] * 4, bench_of(make_study()), Artifacts(tmp_path))
