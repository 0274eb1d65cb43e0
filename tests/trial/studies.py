"""A study of a tiny space, and its teacher."""

from __future__ import annotations

from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.candidate import Candidate, Draw
from segsearch.space.draws import Facts
from segsearch.space.steps import Distill, Prune
from segsearch.study import Study, parse_study


def draw(choose: Draw, facts: Facts = Facts(), /) -> Candidate:
    width = choose.suggest_int("width", 8, 16, step=8)
    path = EncoderPath(Stem(8), (Stage("conv", width, 1, 2),))
    return Candidate(
        Architecture((path,), (), Head(8)),
        distill=Distill(choose.suggest_float("distill_weight", 0, 1)),
        before_export=(Prune(choose.suggest_float("prune_ratio", 0, 0.5), round_to=1),),
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
